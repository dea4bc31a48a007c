// Looking at a picture in the editor: where it lies on the canvas, zoom and pan, and everything that is drawn over it.

// `scene()` tells what there is: {picture, width, height, ground, extend, overlays, box, cursor, shape, handles, tint}; places
// and sizes are in the picture's pixels. `moved()` is called when it is looked at otherwise. Everything
// here counts in CSS pixels; the canvas itself has as many as the screen.
lucid.editorView = (canvas, scene, moved) => {
  const context = canvas.getContext("2d");
  const LEAST_FIT = 0.02;
  const MARGIN = 10; // around a picture that can be extended, for its handles
  let place = {scale: 1, x: 0, y: 0};
  let fitted = true; // until somebody zooms or pans
  let waiting = false;

  const grown = () => {
    const {width, height, extend: {left, right, up, down}} = scene();
    return {left: -left, top: -up, width: width + left + right, height: height + up + down};
  };
  const room = () => [canvas.clientWidth, canvas.clientHeight];

  const fit = () => {
    const [wide, high] = room();
    const margin = scene().handles ? MARGIN : 0;
    const {left, top, width, height} = grown();
    const scale = Math.max(LEAST_FIT, Math.min((wide - 2 * margin) / width, (high - 2 * margin) / height));
    place = {scale, x: (wide - scale * width) / 2 - scale * left, y: (high - scale * height) / 2 - scale * top};
    fitted = true;
    moved();
    draw();
  };
  // Some of the picture always stays in sight.
  const bounded = ({scale, x, y}) => {
    const [wide, high] = room();
    const {width, height} = scene();
    const within = (value, size, end) => Math.min(end - 40, Math.max(40 - size, value));
    return {scale, x: within(x, scale * width, wide), y: within(y, scale * height, high)};
  };
  const zoom = (factor, at) => {
    const [x, y] = at ?? room().map((side) => side / 2);
    const scale = Math.min(64, Math.max(LEAST_FIT, place.scale * factor));
    const by = scale / place.scale;
    place = bounded({scale, x: x - (x - place.x) * by, y: y - (y - place.y) * by});
    fitted = false;
    moved();
    draw();
  };
  const pan = (dx, dy) => {
    place = bounded({...place, x: place.x + dx, y: place.y + dy});
    fitted = false;
    moved();
    draw();
  };
  const within = (event) => { // of an event, in CSS pixels from the canvas's corner
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const toPicture = (event) => {
    const [x, y] = within(event);
    return [(x - place.x) / place.scale, (y - place.y) / place.scale];
  };

  // ---- handles at the sides, to pull the picture larger

  const handles = () => {
    const {left, top, width, height} = grown();
    const [x, y] = [place.x + place.scale * left, place.y + place.scale * top];
    const [w, h] = [place.scale * width, place.scale * height];
    return {left: [x, y + h / 2], right: [x + w, y + h / 2], up: [x + w / 2, y], down: [x + w / 2, y + h]};
  };
  const handleAt = (event) => {
    if (!scene().handles) return null;
    const [x, y] = within(event);
    const reach = event.pointerType === "touch" ? 26 : 14;
    return Object.entries(handles()).find(([, [hx, hy]]) => Math.abs(x - hx) < reach && Math.abs(y - hy) < reach)?.[0] ?? null;
  };

  // ---- drawing

  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  };

  const paint = () => {
    const [wide, high] = room();
    const dots = devicePixelRatio || 1;
    const [w, h] = [Math.round(wide * dots), Math.round(high * dots)];
    if (!w || !h) return;
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const seen = scene();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    if (!seen.picture) return;
    const {scale, x, y} = place;
    context.setTransform(dots * scale, 0, 0, dots * scale, dots * x, dots * y);
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = scale * dots < 6;
    if (seen.ground) {
      context.fillStyle = seen.ground;
      context.fillRect(0, 0, seen.width, seen.height);
    }
    context.drawImage(seen.picture, 0, 0, seen.width, seen.height);
    for (const {canvas: layer, opacity, sharp} of seen.overlays) {
      context.globalAlpha = opacity;
      context.imageSmoothingEnabled = scale * dots < (sharp ? 1 : 6);
      context.drawImage(layer, 0, 0, seen.width, seen.height);
    }
    context.globalAlpha = 1;
    paintExtension(seen);
    if (seen.shape?.length > 1) {
      context.beginPath();
      for (const [px, py] of seen.shape) context.lineTo(px, py);
      context.closePath();
      outline(scale);
    }
    if (seen.box) {
      const [left, top, right, bottom] = seen.box;
      context.beginPath();
      context.rect(left, top, right - left, bottom - top);
      outline(scale, [6, 4]);
    }
    if (seen.cursor) {
      context.beginPath();
      context.arc(seen.cursor.x, seen.cursor.y, seen.cursor.radius, 0, 2 * Math.PI);
      outline(scale);
    }
    if (seen.handles) paintHandles(dots, seen);
  };

  // Dark below light: seen on every ground.
  const outline = (scale, dashes = []) => {
    for (const [colour, width, pattern] of [["rgb(0 0 0 / .65)", 3, []], ["white", 1.25, dashes]]) {
      context.strokeStyle = colour;
      context.lineWidth = width / scale;
      context.setLineDash(pattern.map((dash) => dash / scale));
      context.stroke();
    }
    context.setLineDash([]);
  };

  const paintExtension = (seen) => {
    const {left, top, width, height} = grown();
    if (width === seen.width && height === seen.height) return;
    context.beginPath();
    context.rect(left, top, width, height);
    context.rect(0, 0, seen.width, seen.height);
    context.fillStyle = seen.tint.colour;
    context.globalAlpha = 0.6 * seen.tint.opacity;
    context.fill("evenodd");
    context.globalAlpha = 1;
    context.beginPath();
    context.rect(left, top, width, height);
    outline(place.scale);
  };

  const paintHandles = (dots, seen) => {
    context.setTransform(dots, 0, 0, dots, 0, 0);
    for (const [side, [x, y]] of Object.entries(handles())) {
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.fillStyle = "white";
      context.fill();
      context.lineWidth = 2;
      context.strokeStyle = "#4f46e5";
      context.stroke();
      const by = seen.extend[side];
      if (!by) continue;
      context.font = "600 12px system-ui, sans-serif";
      context.textAlign = {left: "left", right: "right"}[side] ?? "center";
      const [tx, ty] = [x + ({left: 14, right: -14}[side] ?? 0), y + ({up: 24, down: -16}[side] ?? 4)];
      context.lineWidth = 3;
      context.strokeStyle = "rgb(0 0 0 / .7)";
      context.strokeText(`+${by}`, tx, ty);
      context.fillStyle = "white";
      context.fillText(`+${by}`, tx, ty);
    }
  };

  new ResizeObserver(() => (fitted ? fit() : draw())).observe(canvas);
  return {draw, fit, zoom, pan, within, toPicture, handleAt, isFitted: () => fitted, scale: () => place.scale};
};
