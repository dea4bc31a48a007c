// The form: number fields, what the browser keeps of it, and the helpers beside its fields.

// A field for any text and a slider for the usual numbers. What the text means is judged by the server; here an
// unusable one is only marked.
lucid.numberField = (id, element, props, watch) => {
  const box = element.querySelector(".number");
  const field = element.querySelector(".number-field");
  const range = element.querySelector(".number-range");
  const [min, max, step, end] = ["min", "max", "step", "end"].map((key) => Number(box.dataset[key]));
  const number = () => (field.value.trim() === "" ? NaN : Number(field.value.replace(",", ".")));

  const mark = () => {
    const value = number();
    const usable = value >= min && value <= max && (step < 1 || step === 0.5 || Number.isInteger(value / (step || 1)));
    field.setAttribute("aria-invalid", String(!usable));
    if (range && !Number.isNaN(value)) {
      range.value = value;
      range.style.setProperty("--part", `${(100 * (range.value - min)) / (end - min)}%`);
    }
  };
  const set = (text) => {
    field.value = text;
    props.value = String(text);
    mark();
  };
  if (range) {
    Object.assign(range, {min, max: end, step});
    range.addEventListener("input", () => set(range.value));
  }
  field.addEventListener("input", () => { props.value = field.value; mark(); });
  field.addEventListener("keydown", (event) => {
    const way = {ArrowUp: 1, ArrowDown: -1}[event.key];
    const value = number();
    if (!way || Number.isNaN(value) || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    const next = Math.min(max, Math.max(min, value + way * step * (event.shiftKey ? 10 : 1)));
    set(String(Number(next.toFixed(6))));
  });
  const show = () => { field.value = props.value ?? ""; mark(); };
  watch("value", () => { if (field.value !== props.value) show(); });
  show();
  lucid.fields[id] = {set, number, field};
};

// ---- kept over a reload

lucid.form = {
  tips: {}, // id of a field -> what it does
  records: {}, // key -> name -> value, of the forms whose kept values are back in place
  prefixes: {}, // key -> what the ids of the form's fields begin with
  // Called by Gradio with all values whenever one changes.
  keep(key, names, values) {
    if (!(key in this.records)) return;
    this.records[key] = Object.fromEntries(names.map((name, at) => [name, values[at]]));
    this.write(key);
  },
  // What is being typed, also while the server does not answer and Gradio tells nothing.
  typed(id, value) {
    for (const [key, record] of Object.entries(this.records)) {
      const name = id.slice(this.prefixes[key].length);
      if (!(name in record) || this.prefixes[key] + name !== id) continue;
      record[name] = value;
      this.write(key);
    }
  },
  write(key) {
    lucid.memory.write(key, this.records[key]);
    document.dispatchEvent(new Event("lucid:form"));
  },
  // The kept values, in the order of `names`, as updates for Gradio: an empty update leaves a widget as it is.
  back(key, names) {
    const kept = lucid.memory.read(key) ?? {};
    return names.map((name) => (name in kept ? kept[name] : {__type__: "update"}));
  },
  // From now on what the widgets hold is kept.
  begin(key, prefix, names, values, tips) {
    for (const [name, tip] of Object.entries(tips)) this.tips[prefix + name] = tip;
    this.prefixes[key] = prefix;
    this.records[key] = Object.fromEntries(names.map((name, at) => [name, values[at]]));
    document.dispatchEvent(new Event("lucid:form"));
  },
};

// Gradio's own fields have no tip; and in an accordion they are built when it is opened.
document.addEventListener("pointerover", (event) => {
  const box = event.target.closest?.(".choice, .flag, .line");
  if (box && !box.title) box.title = lucid.form.tips[box.id] ?? "";
});

document.addEventListener("input", (event) => {
  const box = event.target.closest?.(".prompt, .number-block");
  if (box && !event.target.matches(".number-range")) lucid.form.typed(box.id, event.target.value);
});

// ---- helpers for size and seed

lucid.sizeTools = (prefix, element, trigger) => {
  element.querySelector(".swap").addEventListener("click", () => {
    const [width, height] = ["width", "height"].map((name) => lucid.fields[prefix + name]);
    const [across, down] = [width.field.value, height.field.value];
    width.set(down);
    height.set(across);
  });
  for (const button of element.querySelectorAll("[data-ratio]")) {
    button.addEventListener("click", () => trigger("ratio", {ratio: button.dataset.ratio}));
  }
};

lucid.seedTools = (element, id) => {
  element.querySelector(".random").addEventListener("click", () => lucid.fields[id].set("-1"));
  element.querySelector(".reuse").addEventListener("click", () => {
    const picture = lucid.activePanel()?.shown();
    if (picture) lucid.fields[id].set(picture.seed);
  });
};

// ---- Ctrl+Up / Ctrl+Down in a prompt: more or less weight for the selected words

lucid.weigh = (area, change) => {
  let [start, end] = [area.selectionStart, area.selectionEnd];
  const text = area.value;
  if (start === end) { // the word at the cursor
    while (start > 0 && /[^\s,()[\]:]/.test(text[start - 1])) start--;
    while (end < text.length && /[^\s,()[\]:]/.test(text[end])) end++;
  }
  if (start === end) return;
  let words = text.slice(start, end);
  const around = text.slice(0, start).endsWith("(") && text.slice(end).match(/^:([\d.]+)\)/);
  const within = words.match(/^\((.*):([\d.]+)\)$/s);
  let weight = 1;
  if (around) {
    weight = Number(around[1]);
    start -= 1;
    end += around[0].length;
  } else if (within) {
    [words, weight] = [within[1], Number(within[2])];
  }
  weight = Math.round(100 * (weight + change)) / 100;
  const replacement = weight === 1 ? words : `(${words}:${weight})`;
  area.setSelectionRange(start, end);
  document.execCommand("insertText", false, replacement); // the one way that leaves undo intact
  const offset = weight === 1 ? 0 : 1;
  area.setSelectionRange(start + offset, start + offset + words.length);
};

document.addEventListener("keydown", (event) => {
  const change = {ArrowUp: 0.1, ArrowDown: -0.1}[event.key];
  if (!change || !(event.ctrlKey || event.metaKey) || !event.target.closest?.(".prompt textarea")) return;
  event.preventDefault();
  lucid.weigh(event.target, change);
});
