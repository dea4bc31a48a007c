// The buttons around the picture: modes, tools, size, opening and dropping files.

lucid.editorTools = (editor) => {
  const {element, look, options, view} = editor;
  const $ = (selector) => element.querySelector(selector);
  const root = $(".picture-editor");
  const hasTools = () => Boolean(editor.layer()) && Boolean(editor.picture());

  for (const mode of options.modes) {
    const {title, tip} = lucid.editorModes[mode];
    const button = Object.assign(document.createElement("button"), {type: "button", className: "small", textContent: title, title: tip});
    button.dataset.mode = mode;
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => editor.setLook({mode}));
    $(".editor-modes").append(button);
  }
  $(".editor-modes").addEventListener("keydown", (event) => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!by) return;
    const at = (options.modes.indexOf(look.mode) + by + options.modes.length) % options.modes.length;
    editor.setLook({mode: options.modes[at]});
    $(`[data-mode="${options.modes[at]}"]`).focus();
  });

  // ---- tools

  for (const button of element.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => editor.setLook({tool: button.dataset.tool}));
  }
  $(".editor-size input").addEventListener("input", (event) => editor.setLook({size: Number(event.target.value)}));
  $(".editor-colour input").addEventListener("input", (event) => {
    editor.setLook(look.mode === "mask" || look.mode === "upload" ? {tint: event.target.value} : {colour: event.target.value});
  });
  $(".editor-opacity input").addEventListener("input", (event) => {
    const value = Number(event.target.value);
    editor.setLook(look.mode === "mask" || look.mode === "upload" ? {tintOpacity: value} : {opacity: value});
  });
  const onLayer = (name, act) => $(`.${name}`).addEventListener("click", () => {
    act(editor.layer());
    editor.painted();
  });
  onLayer("undo", (layer) => layer.undo());
  onLayer("redo", (layer) => layer.redo());
  onLayer("clear", (layer) => layer.clear());
  onLayer("invert", (layer) => layer.invert(look.mode === "mask" ? "#ffffff" : look.colour));

  // ---- seeing

  $(".in").addEventListener("click", () => view.zoom(1.25));
  $(".out").addEventListener("click", () => view.zoom(0.8));
  $(".fit").addEventListener("click", () => view.fit());
  const maximise = (is) => {
    root.classList.toggle("maximised", is);
    document.documentElement.classList.toggle("editing", is);
    $(".maximise").setAttribute("aria-pressed", String(is));
    $(".maximise").title = is ? "Back to the page (F, Esc)" : "Fill the window (F)";
    requestAnimationFrame(view.fit);
  };
  $(".maximise").addEventListener("click", () => maximise(!root.classList.contains("maximised")));
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !root.classList.contains("maximised")) return;
    event.preventDefault();
    maximise(false);
  });

  // ---- files: chosen, dropped, pasted

  for (const input of element.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = "";
      if (file) editor.came(file);
    });
    input.parentElement.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") input.click(); });
  }
  element.addEventListener("dragover", (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    root.classList.add("over");
  });
  element.addEventListener("dragleave", () => root.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    root.classList.remove("over");
    const file = lucid.pictureIn(event.dataTransfer);
    if (!file) return;
    event.preventDefault();
    event.stopPropagation(); // elsewhere on the page a picture brings its parameters
    editor.came(file);
  });
  document.addEventListener("paste", (event) => {
    const file = element.offsetParent !== null && lucid.pictureIn(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    editor.came(file);
  });
  $(".remove").addEventListener("click", () => {
    if (look.mode === "upload" && editor.upload()) editor.takeMask(null);
    else editor.remove();
  });

  // ---- the size to draw at

  const onGrid = (pixels) => Math.min(8192, Math.max(64, Math.round(pixels / 8) * 8));
  const setSize = (width, height) => {
    lucid.fields[`${options.prefix}width`]?.set(String(onGrid(width)));
    lucid.fields[`${options.prefix}height`]?.set(String(onGrid(height)));
  };
  const grown = () => {
    const {width, height} = editor.picture();
    const {left, right, up, down} = editor.extension();
    return [width + left + right, height + up + down];
  };
  const suggested = {size: null};
  // A new picture brings the size that suits it and the checkpoint, unless another was set.
  const suggestSize = async () => {
    const [width, height] = grown();
    const current = ["width", "height"].map((name) => editor.number(name));
    const answer = await editor.ask("size", {width, height, checkpoint: editor.field("checkpoint")}).catch(() => null);
    if (!answer) return;
    const untouched = [answer.native, suggested.size].some((size) => size && size[0] === current[0] && size[1] === current[1]);
    if (!untouched) return;
    suggested.size = answer.size;
    setSize(...answer.size);
  };
  $(".take-size").addEventListener("click", () => setSize(...grown()));
  $(".editor-scale select").addEventListener("change", (event) => {
    const by = Number(event.target.value);
    event.target.value = "";
    if (by) setSize(...grown().map((side) => side * by));
  });
  $(".extend").addEventListener("click", () => editor.setExtending(!editor.isExtending()));

  // ---- showing

  const show = () => {
    for (const button of $(".editor-modes").children) {
      const is = button.dataset.mode === look.mode;
      button.setAttribute("aria-checked", String(is));
      button.tabIndex = is ? 0 : -1;
    }
    $(".editor-modes").hidden = options.modes.length < 2;
    const ofMask = look.mode === "mask" || look.mode === "upload";
    $(".editor-bar").hidden = !hasTools() && !(look.mode === "upload" && editor.upload());
    for (const part of [".tools", ".editor-size", ".undo", ".redo", ".clear", ".invert"]) $(part).hidden = !hasTools();
    $(".invert").hidden = !hasTools() || !editor.layer().hard;
    for (const button of element.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === look.tool));
    $(".editor-size input").value = look.size;
    $(".editor-size output").textContent = `${Math.max(1, Math.round(2 * editor.radius()))}`;
    $(".editor-colour input").value = ofMask ? look.tint : look.colour;
    $(".editor-colour").title = ofMask ? "Colour in which the mask is shown" : "Colour to paint with";
    $(".editor-opacity input").value = ofMask ? look.tintOpacity : look.opacity;
    $(".editor-opacity").title = ofMask ? "How strongly the mask is shown; it changes nothing in the result" : "How strongly your colours cover the picture";
    $(".editor-opacity span").textContent = ofMask ? "Shown" : "Opacity";
    $(".extend").hidden = !options.extends;
    const wantsMask = look.mode === "upload" && editor.picture() && !editor.upload();
    $(".open").lastChild.textContent = wantsMask ? "Open mask…" : "Open…";
    $(".open").classList.toggle("wanted", Boolean(wantsMask));
    $(".editor-wish").hidden = !wantsMask;
    $(".remove").title = look.mode === "upload" && editor.upload() ? "Take the mask away" : "Take the picture away";
    const picture = editor.picture();
    if (picture) $(".editor-dimensions").textContent = `${picture.width} × ${picture.height}`;
  };
  const follow = () => {
    const layer = editor.layer();
    $(".undo").disabled = !layer?.canUndo();
    $(".redo").disabled = !layer?.canRedo();
    $(".clear").disabled = !layer?.bounds();
    $(".extend").setAttribute("aria-pressed", String(editor.isExtending()));
    root.classList.toggle("extending", editor.isExtending());
    const extended = editor.picture() && editor.isExtended();
    if (editor.picture()) {
      const {width, height} = editor.picture();
      $(".editor-dimensions").textContent = extended ? `${width} × ${height} → ${grown().join(" × ")}` : `${width} × ${height}`;
    }
  };
  return {show, follow, suggestSize, grown};
};
