// The Extras tab: pictures come in, are shown small, and are enlarged on the server as one job.

lucid.extras = (element, server) => {
  const KEPT = "lucid.extras";
  const $ = (selector) => element.querySelector(selector);
  const inputs = [...element.querySelectorAll("[data-name]")];
  const named = Object.fromEntries(inputs.map((input) => [input.dataset.name, input]));
  const kept = lucid.memory.read(KEPT) ?? {};
  let pictures = []; // {id, width, height, infotext, name}
  let taking = 0;

  // ---- fields

  for (const holder of element.querySelectorAll(".number-holder")) {
    const field = holder.querySelector(".number-field");
    const {name} = field.dataset;
    const props = {value: String(kept.values?.[name] ?? field.dataset.default)};
    const live = {get value() { return props.value; }, set value(text) { props.value = text; changed(); }};
    lucid.numberField(`extras-${name}`, holder, live, () => {});
  }
  const value = (input) => (input.type === "checkbox" ? input.checked : input.matches("select") ? input.value : lucid.fields[input.id].number());
  const values = () => Object.fromEntries(inputs.map((input) => [input.dataset.name, value(input)]));
  for (const input of inputs) {
    const before = kept.values?.[input.dataset.name];
    if (input.type === "checkbox" && typeof before === "boolean") input.checked = before;
    if (input.matches("select") && input.options.length) input.value = before ?? input.dataset.default;
    input.addEventListener("change", () => changed());
  }

  // The networks in models/upscalers, asked for whenever the tab is opened: files come and go.
  const offer = async () => {
    const told = await lucid.ask(server, "upscalers", {}).catch(() => null);
    if (!told) return;
    for (const name of ["upscaler_1", "upscaler_2"]) {
      const select = named[name];
      const wanted = select.value || (kept.values?.[name] ?? select.dataset.default);
      select.replaceChildren(...told.names.map((text) => new Option(text, text)));
      select.value = told.names.includes(wanted) ? wanted : select.dataset.default;
    }
    $(".no-networks").hidden = told.names.length > 3;
    changed();
  };

  // ---- what will come of it, in pixels

  const target = ({width, height}) => {
    const {scale_mode, scale_by, max_side, width: wide, height: high, crop} = values();
    if (named.upscaler_1.value === "None") return [width, height];
    if (scale_mode === "Scale by") {
      const scale = max_side ? Math.min(scale_by, max_side / Math.max(width, height)) : scale_by;
      return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    }
    if (crop) return [wide, high];
    const scale = Math.max(wide / width, high / height);
    return [Math.max(wide, Math.round(width * scale)), Math.max(high, Math.round(height * scale))];
  };
  const changed = () => {
    const by = named.scale_mode.value === "Scale by";
    $(".by-factor").hidden = !by;
    $(".to-size").hidden = by;
    $(".of-second").hidden = named.upscaler_2.value === "None" || named.upscaler_2.value === "";
    const [first] = pictures;
    const size = first && target(first);
    const more = pictures.length > 1 ? `, and ${pictures.length - 1} more` : "";
    $(".sizes-told").textContent = taking ? "Taking the pictures…" : !first ? "" : size.some(Number.isNaN) ? "" : `${first.width} × ${first.height} → ${size[0]} × ${size[1]}${more}`;
    lucid.memory.write(KEPT, {values: values(), pictures});
  };

  // ---- pictures

  const show = () => {
    $(".chosen").hidden = pictures.length === 0;
    $(".drop").classList.toggle("small", pictures.length > 0);
    $(".chosen").replaceChildren(...pictures.map((picture, at) => {
      const row = document.createElement("li");
      const image = Object.assign(new Image(), {src: lucid.inputs.address(picture.id), alt: picture.name || `Picture ${at + 1}`, loading: "lazy"});
      const away = Object.assign(document.createElement("button"), {type: "button", textContent: "✕", title: "Take it away"});
      away.setAttribute("aria-label", `Take away ${image.alt}`);
      away.addEventListener("click", () => { pictures = pictures.filter((one) => one !== picture); show(); });
      image.addEventListener("error", () => { pictures = pictures.filter((one) => one !== picture); show(); }); // no longer kept
      row.append(image, away);
      return row;
    }));
    changed();
  };
  const take = async (files) => {
    taking += 1;
    changed();
    for (const file of files) {
      try {
        const {id, width, height} = await lucid.inputs.add(file);
        const {infotext = ""} = await lucid.readPicture(file);
        if (!pictures.some((picture) => picture.id === id)) pictures = [...pictures, {id, width, height, infotext: infotext ?? "", name: file.name ?? ""}];
      } catch (error) {
        lucid.panels.extras?.say(file.name ? `${file.name}: ${error.message}` : error.message);
      }
    }
    taking -= 1;
    show();
  };
  // From another tab or a result: the one picture to work on now.
  const receive = async (source) => {
    const file = source instanceof Blob ? source : await (await fetch(source)).blob();
    pictures = [];
    await take([file]);
  };

  const images = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  $(".drop input").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
  $(".drop").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); $(".drop input").click(); } });
  element.closest(".workbench").addEventListener("drop", (event) => {
    const files = images(event.dataTransfer);
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    take(files);
  });
  document.addEventListener("paste", (event) => {
    const files = images(event.clipboardData);
    if (files.length && element.offsetParent !== null) take(files);
  });

  // ---- enlarge

  $("#extras-generate").addEventListener("click", async () => {
    const panel = lucid.panels.extras;
    if (!panel?.asking()) return;
    const asked = {...values(), pictures: pictures.map(({id}) => id).join(","), infotexts: JSON.stringify(pictures.map(({infotext}) => infotext))};
    try {
      const answer = await lucid.ask(server, "enlarge", asked);
      if (answer.job) panel.follow(answer.job);
      else panel.say(answer.error);
      if (answer.field) lucid.fields[`extras-${answer.field}`]?.field.focus();
    } catch {
      panel.say("Nothing was put into the queue, because the server does not answer. Try again when it is back.");
    }
  });
  $("#extras-stop").addEventListener("click", () => lucid.panels.extras?.stop());
  $("#extras-skip").addEventListener("click", () => lucid.panels.extras?.skip());

  lucid.sources.extras = {receive, picture: () => pictures[0] ?? null, deliver: async () => ({}), extends: () => false, grown: () => null};
  const waiting = lucid.parcels.extras;
  delete lucid.parcels.extras;
  offer();
  if (waiting) receive(waiting);
  else { pictures = Array.isArray(kept.pictures) ? kept.pictures : []; show(); }
  new IntersectionObserver(([entry]) => { if (entry.isIntersecting) offer(); }).observe(element);
};
