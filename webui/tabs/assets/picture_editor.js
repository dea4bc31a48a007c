// The picture editor of a tab: takes a picture, lets it be painted on, and hands in what Generate needs.

// What a mode paints on, and what it sends. `layer` is the one that is painted; a hard one is a mask.
lucid.editorModes = {
  picture: {title: "Picture", tip: "Start from the picture as it is", layer: null},
  sketch: {title: "Sketch", tip: "Paint on the picture, and start from that", layer: "sketch"},
  mask: {title: "Draw mask", tip: "Paint over what shall be drawn anew", layer: "mask"},
  paint: {title: "Inpaint sketch", tip: "Paint with colours: what is painted is drawn anew, beginning with your colours", layer: "paint"},
  upload: {title: "Upload mask", tip: "A second picture is the mask: white is drawn anew", layer: null},
};

// `options`: {tab, prefix, form (where it is kept), modes, extends}
lucid.pictureEditor = (options, element, server) => {
  const {tab, prefix, form} = options;
  const $ = (selector) => element.querySelector(selector);
  const canvas = $("canvas");
  const root = $(".picture-editor");
  const layers = {sketch: lucid.paintLayer(false), mask: lucid.paintLayer(true), paint: lucid.paintLayer(true)};
  const tinted = lucid.tinted(layers.mask);
  const kept = lucid.memory.read(`lucid.editor.${tab}`) ?? {};
  const look = {mode: options.modes[0], tool: "brush", size: 55, colour: "#e11d48", tint: "#ff00c8", tintOpacity: 60, opacity: 100, ...kept};
  if (!options.modes.includes(look.mode)) look.mode = options.modes[0];
  let picture = null; // {id, width, height, has_alpha, image, original (Blob)}
  let upload = null; // the uploaded mask: {id, image, overlay (canvas)}
  let extending = false;
  let [cursor, shape, box] = [null, null, null];
  const sent = new Map(); // what was handed in of a layer -> its id, while the layer does not change

  const layer = () => layers[lucid.editorModes[look.mode].layer] ?? null;
  const number = (name) => {
    const text = lucid.form.records[form]?.[name];
    const value = text === undefined || text === "" ? NaN : Number(String(text).replace(",", "."));
    return Number.isFinite(value) ? value : 0;
  };
  const field = (name) => lucid.form.records[form]?.[name];
  const extension = () => Object.fromEntries(["left", "right", "up", "down"].map((side) => [
    side, options.extends ? Math.max(0, Math.min(4096, Math.round(number(`extend_${side}`)))) : 0,
  ]));
  const isExtended = () => Object.values(extension()).some((pixels) => pixels > 0);
  // The brush is kept as a share of the picture, in steps of equal growth: 0 is one pixel, 100 half of the picture.
  const radius = () => (picture ? 0.5 * (Math.max(picture.width, picture.height) / 2) ** (look.size / 100) : 1);

  const view = lucid.editorView(canvas, () => ({
    picture: picture?.image ?? null,
    width: picture?.width ?? 1,
    height: picture?.height ?? 1,
    ground: picture?.has_alpha ? field("transparent_ground") || "#ffffff" : null,
    extend: extension(),
    handles: extending,
    tint: {colour: look.tint, opacity: look.tintOpacity / 100},
    overlays: overlays(),
    box,
    cursor: layer() && cursor && !extending && ["brush", "eraser"].includes(look.tool) ? {...cursor, radius: radius()} : null,
    shape,
  }), () => { $(".fit").disabled = view.isFitted(); });
  const overlays = () => {
    if (look.mode === "mask") return [{canvas: tinted(look.tint), opacity: look.tintOpacity / 100, sharp: true}];
    if (look.mode === "upload") return upload ? [{canvas: upload.overlay(look.tint), opacity: look.tintOpacity / 100, sharp: false}] : [];
    return layer() ? [{canvas: layer().canvas, opacity: look.opacity / 100, sharp: layer().hard}] : [];
  };

  // ---- taking pictures

  const complain = (text) => {
    $(".alert p").textContent = text;
    $(".alert").hidden = !text;
  };
  const busy = (text) => {
    $(".editor-busy").textContent = text;
    $(".editor-busy").hidden = !text;
  };
  const clearLayers = () => {
    for (const each of Object.values(layers)) each.resize(picture?.width ?? 1, picture?.height ?? 1);
    sent.clear();
    upload = null;
  };
  // A picture file comes: it is handed in at once, so that what is wrong with it is said at once.
  const take = async (file, {keepSize = false} = {}) => {
    complain("");
    busy("Taking the picture…");
    try {
      const told = await lucid.inputs.add(file);
      const image = await lucid.inputs.image(told.id);
      if (!image) throw new Error("The picture was handed in, but did not come back. Try again.");
      picture = {...told, image, original: file};
      clearLayers(); // of the picture before
      extendBy({left: 0, right: 0, up: 0, down: 0});
      extending = false;
      shown();
      remember();
      if (!keepSize) tools.suggestSize();
    } catch (error) {
      complain(error.message);
    } finally {
      busy("");
    }
  };
  const takeMask = async (file) => { // null takes it away
    complain("");
    if (!file) {
      upload = null;
      shown();
      remember();
      return;
    }
    try {
      const told = await lucid.inputs.add(file);
      upload = {id: told.id, original: file, ...lucid.maskOverlay(await lucid.inputs.image(told.id), told.has_alpha)};
      shown();
      remember();
    } catch (error) {
      complain(error.message);
    }
  };
  const came = (file) => (look.mode === "upload" && picture && !upload ? takeMask(file) : take(file));
  const remove = () => {
    picture = null;
    clearLayers();
    shown();
    remember();
  };

  // ---- handing in

  const handIn = async (name, revision, make) => {
    const known = sent.get(name);
    if (known?.revision === revision) return known.id;
    const blob = await new Promise((resolve) => make().toBlob(resolve));
    if (!blob) throw new Error("This browser cannot make a picture of that size. Use a smaller one.");
    const {id} = await lucid.inputs.add(blob);
    sent.set(name, {revision, id});
    return id;
  };
  const painted = (over) => {
    const whole = document.createElement("canvas");
    Object.assign(whole, {width: picture.width, height: picture.height});
    const context = whole.getContext("2d");
    context.drawImage(picture.image, 0, 0);
    context.globalAlpha = look.opacity / 100;
    context.imageSmoothingEnabled = !over.hard;
    context.drawImage(over.canvas, 0, 0, picture.width, picture.height);
    return whole;
  };
  const deliver = async () => {
    if (!picture) throw new Error("There is no picture to start from. Drop one onto the field at the left, paste it, or click there to choose one.");
    const over = layer();
    const covered = over?.bounds();
    const ids = {init_image: picture.id, mask: ""};
    if (look.mode === "upload") {
      if (!upload && !isExtended()) throw new Error("There is no mask yet. Press “Open mask…” below the picture and choose one, or paint it under “Draw mask”.");
      ids.mask = upload?.id ?? "";
    } else if (over?.hard) {
      if (!covered && !isExtended()) throw new Error("The mask is empty. Paint over what shall be drawn anew.");
      if (covered) ids.mask = await handIn("mask", `${look.mode} ${over.revision}`, () => over.asMask(picture.width, picture.height));
    }
    if (over && over !== layers.mask && covered) {
      ids.init_image = await handIn("picture", `${look.mode} ${over.revision} ${look.opacity}`, () => painted(over));
    }
    return ids;
  };

  // ---- kept over a reload

  let timer = null;
  const remember = () => {
    clearTimeout(timer);
    timer = setTimeout(write, 250);
  };
  const write = async () => {
    clearTimeout(timer);
    timer = null;
    if (!picture) return lucid.drawings.write(tab, {picture: null});
    const {image, ...facts} = picture;
    const painted = {};
    for (const [name, each] of Object.entries(layers)) painted[name] = each.bounds() ? await each.blob() : null;
    await lucid.drawings.write(tab, {picture: facts, layers: painted, mask: upload && {id: upload.id, original: upload.original}});
  };
  addEventListener("pagehide", () => { if (timer) write(); });
  document.addEventListener("visibilitychange", () => { if (document.hidden && timer) write(); });
  const again = async ({id, original}) => { // the server forgets pictures that are not asked for in a while
    const image = await lucid.inputs.image(id);
    if (image || !original) return image && {id, image};
    const told = await lucid.inputs.add(original);
    return {...told, image: await lucid.inputs.image(told.id)};
  };
  const restore = async () => {
    const drawing = await lucid.drawings.read(tab);
    if (!drawing?.picture || picture) return;
    try {
      const back = await again(drawing.picture);
      if (!back?.image || picture) return;
      picture = {...drawing.picture, ...back};
      clearLayers();
      for (const [name, blob] of Object.entries(drawing.layers)) if (blob) await layers[name].load(blob);
      const mask = drawing.mask && await again(drawing.mask);
      if (mask?.image) upload = {id: mask.id, original: drawing.mask.original, ...lucid.maskOverlay(mask.image)};
    } catch { /* the server does not answer: the results panel says so */ }
    shown();
  };

  // ---- extending the picture

  const extendBy = (sides) => {
    for (const [side, pixels] of Object.entries(sides)) {
      const known = lucid.fields[`${prefix}extend_${side}`];
      if (known && known.number() !== pixels) known.set(String(pixels));
    }
  };

  // ---- the crop box of "Only masked", as the server will cut it

  let asked = "";
  // The box of what is drawn anew. Inverted, it is most of the picture, unless all but a border is painted: taken for all.
  const masked = (over) => (field("mask_invert") ? {left: 0, top: 0, right: picture.width, bottom: picture.height} : over.bounds());
  const askForBox = async () => {
    const over = layer();
    const only = field("inpaint_area") === "Only masked";
    const bounds = look.mode === "upload" ? upload?.bounds(picture) : over?.hard && only ? masked(over) : null;
    if (!picture || !only || !(bounds || isExtended())) {
      asked = "";
      box = null;
      return view.draw();
    }
    const names = ["mask_blur_x", "mask_blur_y", "mask_padding", "width", "height", "extend_left", "extend_right", "extend_up", "extend_down"];
    const question = {mask: bounds && [bounds.left, bounds.top, bounds.right, bounds.bottom], picture: [picture.width, picture.height], ...Object.fromEntries(names.map((name) => [name, field(name)]))};
    const asking = JSON.stringify(question);
    if (asking === asked) return;
    asked = asking;
    const answer = await lucid.ask(server, "region", question).catch(() => ({box: null}));
    if (asking !== asked) return;
    box = answer.box;
    view.draw();
  };

  // ---- showing

  const shown = () => {
    const {width, height} = picture ?? {};
    root.classList.toggle("empty", !picture);
    canvas.hidden = $(".editor-corner").hidden = $(".editor-facts").hidden = !picture;
    $(".editor-drop").hidden = Boolean(picture);
    tools.show();
    resize();
    view.fit();
    changed();
    document.dispatchEvent(new CustomEvent("lucid:picture", {detail: {tab, width, height}}));
  };
  const resize = () => { // as high as the picture wants at the width of the column, within the window
    if (!picture) return;
    const {left, right, up, down} = extension();
    canvas.parentElement.style.setProperty("--shape", (picture.width + left + right) / (picture.height + up + down));
  };
  const changed = () => {
    tools.follow();
    gestures.follow();
    askForBox();
    view.draw();
  };
  let extendedBy = "";
  document.addEventListener("lucid:form", () => {
    const now = JSON.stringify(extension());
    if (now !== extendedBy) {
      extendedBy = now;
      resize();
      if (!gestures.isPulling()) requestAnimationFrame(view.fit);
    }
    changed();
  });

  const editor = {
    options, element, look, layers, view, canvas,
    layer, radius, extension, extendBy, isExtended, number, field, take, takeMask, came, remove, changed, remember, complain,
    picture: () => picture,
    upload: () => upload,
    isExtending: () => extending && Boolean(picture),
    setExtending(is) { extending = is; shown(); },
    setCursor(at) { cursor = at; view.draw(); },
    setShape(points) { shape = points; view.draw(); },
    painted() { remember(); changed(); },
    setLook(values) {
      Object.assign(look, values);
      lucid.memory.write(`lucid.editor.${tab}`, look);
      if ("mode" in values) { shown(); }
      tools.show();
      changed();
    },
    ask: (question, details) => lucid.ask(server, question, details),
  };
  const tools = lucid.editorTools(editor);
  const gestures = lucid.editorGestures(editor);
  tools.show();
  $(".alert button").addEventListener("click", () => complain(""));
  // A picture that comes from another tab or from a result, by its address or as a file.
  const receive = async (source) => {
    const file = source instanceof Blob ? source : await (await fetch(source)).blob();
    await take(file, {keepSize: true});
  };
  lucid.sources[tab] = {
    deliver, receive,
    picture: () => picture,
    extends: () => extending || (picture !== null && isExtended()),
    grown: () => (picture ? tools.grown() : null),
  };
  const waiting = lucid.parcels[tab];
  delete lucid.parcels[tab];
  if (waiting) receive(waiting);
  else restore();
};

// An uploaded mask as it lies on the picture: its grey, or its transparency where it has any, as a colour that covers.
lucid.maskOverlay = (image) => {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width: image.naturalWidth, height: image.naturalHeight});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const {data} = pixels;
  let clear = false;
  for (let at = 3; at < data.length && !clear; at += 4) clear = data[at] < 255;
  let bounds = null;
  for (let at = 0; at < data.length; at += 4) {
    const grey = clear ? (data[at + 3] > 128 ? 255 : 0) : Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
    data[at + 3] = grey;
    if (!grey) continue;
    const [x, y] = [(at / 4) % canvas.width, Math.floor(at / 4 / canvas.width)];
    bounds ??= {left: x, top: y, right: x + 1, bottom: y + 1};
    bounds.left = Math.min(bounds.left, x);
    bounds.right = Math.max(bounds.right, x + 1);
    bounds.bottom = y + 1;
  }
  let tint = null;
  return {
    overlay(colour) {
      if (tint === colour) return canvas;
      tint = colour;
      const [red, green, blue] = lucid.channels(colour);
      for (let at = 0; at < data.length; at += 4) [data[at], data[at + 1], data[at + 2]] = [red, green, blue];
      context.putImageData(pixels, 0, 0);
      return canvas;
    },
    bounds({width, height}) {
      if (!bounds) return null;
      const [across, down] = [width / canvas.width, height / canvas.height];
      return {left: Math.floor(bounds.left * across), top: Math.floor(bounds.top * down), right: Math.ceil(bounds.right * across), bottom: Math.ceil(bounds.bottom * down)};
    },
  };
};
