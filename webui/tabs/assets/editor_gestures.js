// What hands do on the picture: mouse, pen, fingers and keys.

lucid.editorGestures = (editor) => {
  const {canvas, view, look, element} = editor;
  const fingers = new Map(); // id -> [x, y], of those that touch
  let [stroke, outline, pull, drag, pinch] = [null, null, null, null, null];
  let space = false;

  const erases = (event) => look.tool === "eraser" || event.altKey;
  const style = (event) => ({erase: erases(event), colour: look.mode === "mask" ? "#ffffff" : look.colour, radius: editor.radius()});

  const drop = () => { // leave off what was begun
    stroke?.cancel();
    [stroke, outline] = [null, null];
    editor.setShape(null);
  };

  const down = (event) => {
    if (!editor.picture() || event.button === 2) return;
    canvas.focus({preventScroll: true});
    if (event.pointerType === "touch") fingers.set(event.pointerId, view.within(event));
    if (fingers.size === 2) { // two fingers move and zoom
      drop();
      drag = pull = null;
      pinch = spread();
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    const side = view.handleAt(event);
    if (side) {
      pull = {side, from: view.toPicture(event), extension: editor.extension(), scale: view.scale()};
    } else if (event.button === 1 || space || look.tool === "hand" || !editor.layer() || editor.isExtending()) {
      if (event.pointerType === "touch" && !editor.layer()) return; // the page is scrolled
      event.preventDefault();
      drag = view.within(event);
    } else if (["rectangle", "lasso"].includes(look.tool)) {
      outline = [view.toPicture(event)];
    } else {
      stroke = editor.layer().stroke(style(event));
      stroke.to(...view.toPicture(event));
      view.draw();
    }
    cursor();
  };

  const move = (event) => {
    if (!editor.picture()) return;
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, view.within(event));
    if (pinch) {
      const now = spread();
      view.pan(now.x - pinch.x, now.y - pinch.y);
      view.zoom(now.apart / pinch.apart, [now.x, now.y]);
      pinch = now;
    } else if (pull) {
      follow(event);
    } else if (drag) {
      const [x, y] = view.within(event);
      view.pan(x - drag[0], y - drag[1]);
      drag = [x, y];
    } else if (stroke) {
      // every place that the hand passed, not only where it is now
      for (const each of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) stroke.to(...view.toPicture(each));
    } else if (outline) {
      const at = view.toPicture(event);
      if (look.tool === "lasso") outline.push(at);
      else outline = [outline[0], [at[0], outline[0][1]], at, [outline[0][0], at[1]]];
      editor.setShape(outline);
    }
    const [x, y] = view.toPicture(event);
    editor.setCursor(event.pointerType === "touch" && !stroke ? null : {x, y});
    cursor(event);
  };

  const up = (event) => {
    fingers.delete(event.pointerId);
    if (pinch) {
      if (fingers.size < 2) pinch = null;
      return;
    }
    const painted = stroke || outline?.length > 2;
    stroke?.end();
    if (outline?.length > 2) {
      if (look.tool === "rectangle") outline = outline.map((point) => point.map(Math.round)); // whole pixels
      editor.layer().fill(outline, style(event));
    }
    if (pull) view.fit();
    [stroke, outline, drag, pull] = [null, null, null, null];
    editor.setShape(null);
    if (event.pointerType === "touch") editor.setCursor(null);
    if (painted) editor.painted();
    cursor();
  };

  const spread = () => {
    const [[ax, ay], [bx, by]] = [...fingers.values()];
    return {x: (ax + bx) / 2, y: (ay + by) / 2, apart: Math.max(1, Math.hypot(ax - bx, ay - by))};
  };

  const follow = (event) => { // a handle that is pulled: whole latents
    const [x, y] = view.toPicture(event);
    const by = {left: pull.from[0] - x, right: x - pull.from[0], up: pull.from[1] - y, down: y - pull.from[1]}[pull.side];
    const pixels = Math.max(0, Math.min(4096, Math.round((pull.extension[pull.side] + by) / 8) * 8));
    editor.extendBy({[pull.side]: pixels});
  };

  const cursor = (event) => {
    const side = pull?.side ?? (event && view.handleAt(event));
    canvas.style.cursor = side ? (["left", "right"].includes(side) ? "ew-resize" : "ns-resize")
      : drag ? "grabbing"
        : space || look.tool === "hand" || !editor.layer() || editor.isExtending() ? (view.isFitted() ? "default" : "grab")
          : ["rectangle", "lasso"].includes(look.tool) ? "crosshair" : "none";
    canvas.style.touchAction = editor.layer() || editor.isExtending() || !view.isFitted() ? "none" : "pan-x pan-y";
  };

  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", (event) => { drop(); up(event); });
  canvas.addEventListener("pointerleave", () => { if (!stroke) editor.setCursor(null); });
  canvas.addEventListener("pointerenter", cursor);
  canvas.addEventListener("auxclick", (event) => event.preventDefault());
  canvas.addEventListener("mousedown", (event) => { if (event.button === 1) event.preventDefault(); }); // no autoscroll
  canvas.addEventListener("wheel", (event) => {
    const root = element.querySelector(".picture-editor");
    if (!editor.picture() || !(event.ctrlKey || event.metaKey || root.classList.contains("maximised"))) return; // the page scrolls
    event.preventDefault();
    view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), view.within(event));
    cursor();
  }, {passive: false});

  // ---- keys, while the picture has the focus

  const act = {
    b: () => editor.setLook({tool: "brush"}),
    e: () => editor.setLook({tool: "eraser"}),
    r: () => editor.setLook({tool: "rectangle"}),
    l: () => editor.setLook({tool: "lasso"}),
    h: () => editor.setLook({tool: "hand"}),
    "[": () => editor.setLook({size: Math.max(0, look.size - 3)}),
    "]": () => editor.setLook({size: Math.min(100, look.size + 3)}),
    i: () => press("invert"),
    Delete: () => press("clear"),
    Backspace: () => press("clear"),
    "0": () => view.fit(),
    "+": () => view.zoom(1.25),
    "=": () => view.zoom(1.25),
    "-": () => view.zoom(0.8),
    f: () => press("maximise"),
    ArrowLeft: () => view.pan(40, 0),
    ArrowRight: () => view.pan(-40, 0),
    ArrowUp: () => view.pan(0, 40),
    ArrowDown: () => view.pan(0, -40),
  };
  const press = (name) => element.querySelector(`.${name}`).click();
  element.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (control && key === "z") press(event.shiftKey ? "redo" : "undo");
    else if (control && key === "y") press("redo");
    else if (control || !editor.picture() || event.target !== canvas) return;
    else if (key === " ") space = true;
    else if (act[key]) act[key]();
    else return;
    event.preventDefault();
    cursor();
  });
  element.addEventListener("keyup", (event) => {
    if (event.key !== " ") return;
    space = false;
    cursor();
  });
  canvas.addEventListener("blur", () => { space = false; });
  // `follow`: what can be done has changed, so the pointer and what a finger does look different
  return {isPulling: () => pull !== null, follow: () => cursor()};
};
