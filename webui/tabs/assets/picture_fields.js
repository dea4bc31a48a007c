// The fields of what starts from a picture: which of them are shown, and what the resize mode does.

// Hides what means nothing now, by a style sheet, since Gradio builds what is in an accordion only when it is opened.
lucid.pictureFields = (tab, prefix, form, rules, server) => {
  const sheet = document.head.appendChild(document.createElement("style"));
  let [known, checkpoint] = [4, null]; // channels that the checkpoint's network takes in

  const follow = () => {
    const values = lucid.form.records[form] ?? {inpaint_area: "Whole picture"};
    if (values.checkpoint !== checkpoint) {
      checkpoint = values.checkpoint;
      lucid.ask(server, "channels", {checkpoint}).then(({channels}) => { known = channels; follow(); }, () => { checkpoint = null; });
    }
    const picture = lucid.sources[tab]?.picture();
    const hidden = Object.entries(rules.channels).filter(([, channels]) => channels !== known).map(([name]) => name);
    if (values.inpaint_area === "Whole picture") hidden.push("mask_padding");
    if (!values.soft_inpainting) hidden.push(...rules.soft);
    if (!picture?.has_alpha) hidden.push("transparent_ground");
    if (!lucid.sources[tab]?.extends()) hidden.push("extension");
    const text = `:is(${hidden.map((name) => `#${prefix}${name}`).join()}) { display: none !important; }`;
    if (sheet.textContent !== text) sheet.textContent = text;
  };
  for (const event of ["lucid:form", "lucid:picture"]) document.addEventListener(event, follow);
  follow();
};

// What of the picture is cut off, filled or stretched when its shape is not that of the size. As in webui/domain/sizes.py.
lucid.resizePreview = (tab, form, element) => {
  const [figure, canvas, caption] = ["figure", "canvas", "figcaption"].map((selector) => element.querySelector(selector));
  const SIDE = 76;

  const draw = () => {
    const values = lucid.form.records[form];
    const source = lucid.sources[tab];
    const [width, height] = source?.grown() ?? [0, 0];
    const [wide, high] = ["width", "height"].map((name) => Number(values?.[name]));
    figure.hidden = !width || !(wide > 0 && high > 0) || Math.abs(width / height / (wide / high) - 1) < 0.02;
    if (figure.hidden) return;
    const mode = values.resize_mode;
    const dots = devicePixelRatio || 1;
    const scale = (SIDE * dots) / Math.max(wide, high);
    const [w, h] = [wide * scale, high * scale];
    Object.assign(canvas, {width: SIDE * dots * 1.5, height: SIDE * dots});
    const context = canvas.getContext("2d");
    context.translate((canvas.width - w) / 2, (canvas.height - h) / 2);
    const stretched = mode.startsWith("Just");
    const by = mode === "Crop and resize" ? Math.max(w / width, h / height) : Math.min(w / width, h / height);
    const [pw, ph] = stretched ? [w, h] : [width * by, height * by];
    const [x, y] = [(w - pw) / 2, (h - ph) / 2];
    context.fillStyle = getComputedStyle(figure).borderColor;
    context.fillRect(0, 0, w, h);
    context.globalAlpha = 0.35;
    context.drawImage(source.picture().image, x, y, pw, ph);
    context.globalAlpha = 1;
    context.beginPath();
    context.rect(0, 0, w, h);
    context.clip();
    context.drawImage(source.picture().image, x, y, pw, ph);
    const lost = Math.round(100 * (1 - (w * h) / (pw * ph)));
    const filled = Math.round(100 * (1 - (pw * ph) / (w * h)));
    caption.textContent = stretched ? `stretched ${(Math.max(width / height / (wide / high), wide / high / (width / height))).toFixed(2)} times`
      : mode === "Crop and resize" ? `${lost} % are cut off` : `${filled} % are filled in`;
  };
  for (const event of ["lucid:form", "lucid:picture"]) document.addEventListener(event, draw);
  draw();
};
