// Sampler and schedule: the plot of the noise levels, and which options are shown.

// Asks for the plot of what the form holds whenever one of `names` changes, and tells the numbers of the step that is
// pointed at, or chosen with the arrow keys.
lucid.schedulePlot = (form, names, element, server) => {
  const [place, caption] = [".plot", "figcaption"].map((selector) => element.querySelector(selector));
  let [asked, told, at, timer] = [null, null, null, null];

  const tell = () => {
    const svg = place.querySelector("svg");
    const mark = svg.querySelector(".pointed");
    mark.setAttribute("visibility", at === null ? "hidden" : "visible");
    caption.textContent = at === null ? told.summary : told.numbers[at];
    svg.setAttribute("aria-valuenow", (at ?? 0) + 1);
    svg.setAttribute("aria-valuetext", at === null ? told.summary : told.numbers[at]);
    if (at === null) return;
    const {x, y} = svg.querySelector("polyline.sigma").points[at];
    mark.setAttribute("cx", x);
    mark.setAttribute("cy", y);
  };
  const point = (step) => { at = step; tell(); };

  const enliven = (svg) => {
    const points = svg.querySelector("polyline.sigma").points;
    const last = told.numbers.length - 1;
    const attributes = {role: "slider", tabindex: 0, "aria-label": "Noise levels of the schedule", "aria-valuemin": 1, "aria-valuemax": last + 1};
    for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
    const follow = (event) => {
      const x = new DOMPoint(event.clientX, 0).matrixTransform(svg.getScreenCTM().inverse()).x;
      const distance = (step) => Math.abs(points[step].x - x);
      point(told.numbers.reduce((nearest, _, step) => (distance(step) < distance(nearest) ? step : nearest), 0));
    };
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") point(null); }); // a finger leaves at once
    svg.addEventListener("blur", () => point(null));
    svg.addEventListener("keydown", (event) => {
      const to = {ArrowRight: (at ?? -1) + 1, ArrowLeft: (at ?? 1) - 1, Home: 0, End: last}[event.key];
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      point(Math.min(last, Math.max(0, to)));
    });
  };

  const show = (answer) => {
    [told, at] = [answer, null];
    element.querySelector("figure").classList.toggle("problem", Boolean(answer.problem));
    if (!answer.svg) {
      place.replaceChildren();
      caption.textContent = answer.problem || answer.summary;
      return;
    }
    place.innerHTML = answer.svg;
    enliven(place.querySelector("svg"));
    tell();
  };

  const ask = async () => {
    const values = lucid.form.records[form];
    if (!values) return;
    const question = Object.fromEntries(names.map((name) => [name, values[name]]));
    const asking = JSON.stringify(question);
    if (asking === asked) return;
    asked = asking;
    try {
      const answer = await lucid.ask(server, "levels", question);
      if (asked === asking) show(answer);
    } catch { // no answer: asked again at the next change
      if (asked === asking) asked = null;
    }
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(ask, 100); };
  document.addEventListener("lucid:form", soon);
  soon();
};

// Hides the options that the chosen sampler and schedule pay no heed to, and marks what is not at its default. By a style
// sheet, since Gradio builds what is in an accordion only when it is opened. `rules`: see `rules` in tabs/sampling.py.
lucid.samplingOptions = (form, prefix, rules) => {
  const sheet = document.head.appendChild(document.createElement("style"));
  const badge = Object.assign(document.createElement("span"), {className: "changed-count"});
  const names = Object.keys(rules.options);

  const isDefault = (name, value) => {
    const standard = rules.options[name];
    if (typeof standard !== "number") return value === standard;
    return value !== "" && Number(String(value).replace(",", ".")) === standard;
  };
  const shown = ({sampler, schedule}) => {
    const row = rules.samplers[sampler] ?? {options: [], automatic: null};
    const run = row.automatic && schedule in rules.schedules && schedule !== "Automatic" ? schedule : row.automatic;
    return new Set([...rules.always, ...row.options, ...(rules.schedules[run] ?? [])]);
  };

  const follow = () => {
    const values = lucid.form.records[form];
    if (!values) return;
    const visible = shown(values);
    const changed = rules.accordion.filter((name) => visible.has(name) && !isDefault(name, values[name]));
    const hidden = names.filter((name) => !visible.has(name));
    for (const [group, options] of Object.entries(rules.groups)) {
      if (!options.some((name) => visible.has(name))) hidden.push(group);
    }
    if (!changed.length) hidden.push("options-reset");
    const rule = (ids, style) => (ids.length ? `:is(${ids.map((id) => `#${prefix}${id}`).join()}) ${style}\n` : "");
    const text = rule(hidden, "{ display: none !important; }") + rule(changed, "{ --changed: var(--body-text-color); --changed-weight: 700; }");
    if (sheet.textContent !== text) sheet.textContent = text;
    const header = document.querySelector(`#${prefix}sampling-options .label-wrap > span`);
    if (header && badge.parentElement !== header) header.append(badge);
    badge.hidden = changed.length === 0;
    badge.textContent = changed.length ? `${changed.length} changed` : "";
  };
  document.addEventListener("lucid:form", follow);
  follow();
};

lucid.resetOptions = (element, trigger) => {
  element.querySelector("button").addEventListener("click", () => trigger("reset"));
};
