// What is painted over a picture: a layer is a canvas of the picture's size, with its own undo.

// A hard layer holds only pixels that are wholly covered or not at all, as a mask is used; a stroke's soft rim is decided
// when it ends, so what is seen is what is sent.
lucid.paintLayer = (hard) => {
  const MOST_PIXELS = 4096 * 4096; // what every browser gives a canvas; larger pictures are painted on at a coarser grain
  const BUDGET = 192e6; // bytes of undo
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const before = document.createElement("canvas"); // the layer as it was when the stroke began
  let [done, undone] = [[], []];
  let grain = 1; // layer pixels a picture pixel
  let dirty = null;
  let known = null; // the bounds, while nothing changes
  let revision = 0;

  const whole = () => ({left: 0, top: 0, right: canvas.width, bottom: canvas.height});
  const union = (a, b) => (!a ? b : {
    left: Math.min(a.left, b.left), top: Math.min(a.top, b.top), right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom),
  });
  const inside = (box) => ({
    left: Math.max(0, Math.floor(box.left)), top: Math.max(0, Math.floor(box.top)),
    right: Math.min(canvas.width, Math.ceil(box.right)), bottom: Math.min(canvas.height, Math.ceil(box.bottom)),
  });
  const isEmpty = (box) => box.right <= box.left || box.bottom <= box.top;
  const pixels = (from, box) => from.getImageData(box.left, box.top, box.right - box.left, box.bottom - box.top);
  const changed = (box) => {
    dirty = union(dirty, box);
    known = null;
    revision += 1;
  };

  // A rim takes the colour that was painted with; so does what is a rounding away from it, where soft rims lay over each other.
  const harden = (box, [red, green, blue]) => {
    const image = pixels(context, box);
    const {data} = image;
    for (let at = 0; at < data.length; at += 4) {
      const covered = data[at + 3] >= 128;
      const off = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue);
      if (covered && (data[at + 3] < 255 || off < 12)) [data[at], data[at + 1], data[at + 2]] = [red, green, blue];
      data[at + 3] = covered ? 255 : 0;
    }
    context.putImageData(image, box.left, box.top);
  };

  // Do something to the layer that undo can take back; `act` gives the box that it touched.
  const change = (colour, act) => {
    copy();
    commit(act(), colour);
  };
  const copy = () => {
    before.width = canvas.width;
    before.height = canvas.height;
    before.getContext("2d").drawImage(canvas, 0, 0);
  };
  const commit = (touched, colour) => {
    const box = inside(touched);
    if (isEmpty(box)) return;
    if (hard) harden(box, lucid.channels(colour));
    done.push({box, old: pixels(before.getContext("2d"), box), new: pixels(context, box)});
    undone = [];
    let bytes = 0;
    for (let at = done.length - 1; at >= 0; at--) {
      bytes += 2 * done[at].old.data.length;
      if (bytes > BUDGET) {
        done = done.slice(Math.min(at + 1, done.length - 1));
        break;
      }
    }
    changed(box);
  };

  const drawIn = (erase, colour) => {
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = context.fillStyle = colour;
    context.lineCap = context.lineJoin = "round";
  };
  const restore = (box) => {
    context.globalCompositeOperation = "copy";
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.clip();
    context.drawImage(before, 0, 0);
    context.restore();
    changed(box);
  };

  const layer = {
    canvas,
    hard,
    get revision() { return revision; },
    get grain() { return grain; },
    resize(width, height) {
      grain = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
      canvas.width = Math.max(1, Math.round(width * grain));
      canvas.height = Math.max(1, Math.round(height * grain));
      [done, undone] = [[], []];
      changed(whole());
    },
    // A line that follows the pointer. Places and radius are in the picture's pixels.
    stroke({erase, colour, radius}) {
      copy();
      let touched = null;
      let last = null;
      return {
        to(x, y) {
          const [px, py, r] = [x * grain, y * grain, Math.max(0.5, radius * grain)];
          const [fx, fy] = last ?? [px, py];
          drawIn(erase, colour);
          context.lineWidth = 2 * r;
          context.beginPath();
          context.moveTo(fx, fy);
          context.lineTo(px, py + (last ? 0 : 1e-3)); // a line of no length draws nothing
          context.stroke();
          const box = {left: Math.min(fx, px) - r - 1, top: Math.min(fy, py) - r - 1, right: Math.max(fx, px) + r + 1, bottom: Math.max(fy, py) + r + 1};
          touched = union(touched, box);
          changed(inside(box));
          last = [px, py];
        },
        end() { if (touched) commit(touched, colour); },
        cancel() { if (touched) restore(inside(touched)); },
      };
    },
    // A filled outline: [[x, y], ...] in the picture's pixels.
    fill(points, {erase, colour}) {
      change(colour, () => {
        const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis] * grain));
        drawIn(erase, colour);
        context.beginPath();
        xs.forEach((x, at) => context.lineTo(x, ys[at]));
        context.closePath();
        context.fill();
        return {left: Math.min(...xs) - 1, top: Math.min(...ys) - 1, right: Math.max(...xs) + 1, bottom: Math.max(...ys) + 1};
      });
    },
    clear() {
      change("#000000", () => { context.clearRect(0, 0, canvas.width, canvas.height); return whole(); });
    },
    invert(colour) {
      change(colour, () => {
        drawIn(false, colour);
        context.globalCompositeOperation = "source-out";
        context.fillRect(0, 0, canvas.width, canvas.height);
        return whole();
      });
    },
    undo: () => turn(done, undone, "old"),
    redo: () => turn(undone, done, "new"),
    canUndo: () => done.length > 0,
    canRedo: () => undone.length > 0,
    // The box of what is covered, in the picture's pixels; null when nothing is.
    bounds() {
      if (known !== null) return known.box;
      const {data} = pixels(context, whole());
      let box = null;
      for (let y = 0, at = 3; y < canvas.height; y++) {
        for (let x = 0; x < canvas.width; x++, at += 4) {
          if (data[at] === 0) continue;
          if (!box) box = {left: x, top: y, right: x + 1, bottom: y + 1};
          if (x < box.left) box.left = x;
          if (x >= box.right) box.right = x + 1;
          box.bottom = y + 1;
        }
      }
      if (box) for (const side of Object.keys(box)) box[side] = Math.round(box[side] / grain);
      known = {box};
      return box;
    },
    // What was touched since this was last asked, for who keeps a copy.
    takeDirty() {
      const box = dirty;
      dirty = null;
      return box && inside(box);
    },
    // White where covered, black elsewhere, with as many pixels as the picture.
    asMask(width, height) {
      const mask = document.createElement("canvas");
      Object.assign(mask, {width, height});
      const target = mask.getContext("2d");
      target.imageSmoothingEnabled = false;
      target.drawImage(canvas, 0, 0, width, height);
      target.globalCompositeOperation = "source-in";
      target.fillStyle = "white";
      target.fillRect(0, 0, width, height);
      target.globalCompositeOperation = "destination-over";
      target.fillStyle = "black";
      target.fillRect(0, 0, width, height);
      return mask;
    },
    blob: () => new Promise((resolve) => canvas.toBlob(resolve)),
    async load(blob) {
      const image = await createImageBitmap(blob);
      context.globalCompositeOperation = "copy";
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      changed(whole());
    },
  };
  const turn = (from, to, which) => {
    const step = from.pop();
    if (!step) return;
    context.putImageData(step[which], step.box.left, step.box.top);
    to.push(step);
    changed(step.box);
  };
  return layer;
};

// "#rrggbb" as three numbers.
lucid.channels = (colour) => [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16));

// A copy of a layer in one colour, kept up as the layer changes.
lucid.tinted = (layer) => {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  let shown = null;
  return (colour) => {
    let box = layer.takeDirty();
    if (canvas.width !== layer.canvas.width || canvas.height !== layer.canvas.height || shown !== colour) {
      canvas.width = layer.canvas.width;
      canvas.height = layer.canvas.height;
      box = {left: 0, top: 0, right: canvas.width, bottom: canvas.height};
      shown = colour;
    }
    if (!box) return canvas;
    const [width, height] = [box.right - box.left, box.bottom - box.top];
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, width, height);
    context.clip();
    context.clearRect(box.left, box.top, width, height);
    context.drawImage(layer.canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(box.left, box.top, width, height);
    context.restore();
    return canvas;
  };
};
