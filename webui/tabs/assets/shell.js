// The page around the tabs: memory of the browser, colours, tabs, shortcuts. Everything of ours is in `lucid`; each of its
// functions enlivens one piece of HTML, and is called by that piece when it appears (gr.HTML, js_on_load).
// Fields are found by the id of their element, the rest by the name of their tab. `sources` are the tabs that send more with
// Generate than the fields hold: each has an async `deliver()` that gives those parameters, or throws an Error to be shown, and
// `receive(picture)`; where several pictures are chosen `batches` deliver instead, and what
// stands in `besides` goes along. A picture that is sent to a tab before it was first opened waits among the `parcels`.
window.lucid = {fields: {}, panels: {}, doors: {}, letters: {}, sources: {}, batches: {}, besides: {}, parcels: {}};

// What a browser remembers. A tab's own memory goes first, so that two tabs do not overwrite one another; a new tab begins
// with what the last one had. Private windows may refuse storage: then nothing is remembered.
lucid.memory = {
  read(key) {
    for (const store of ["sessionStorage", "localStorage"]) {
      try {
        const text = window[store].getItem(key);
        if (text !== null) return JSON.parse(text);
      } catch { /* refused or damaged: as if empty */ }
    }
    return null;
  },
  write(key, value, stores = ["sessionStorage", "localStorage"]) {
    for (const store of stores) {
      try { window[store].setItem(key, JSON.stringify(value)); } catch { /* refused or full */ }
    }
  },
};

// Ask the server; throws when it does not answer (Gradio's client would give undefined then).
lucid.ask = async (server, question, details) => {
  const answer = await server[question](details);
  if (answer === undefined) throw new Error("no answer");
  return answer;
};

// ---- colours: as the system, or as chosen here

lucid.colours = {
  mode: lucid.memory.read("lucid.colours") || "system",
  apply() {
    const dark = this.mode === "dark" || (this.mode === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  },
  choose(mode) {
    this.mode = mode;
    lucid.memory.write("lucid.colours", mode);
    this.apply();
  },
};
lucid.colours.apply();
// Gradio sets the class itself when the system changes.
new MutationObserver(() => lucid.colours.apply()).observe(document.body, {attributes: true, attributeFilter: ["class"]});

lucid.theme = (element) => {
  const button = element.querySelector("button");
  const looks = {system: ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"]};
  const show = () => {
    const [sign, words] = looks[lucid.colours.mode];
    button.textContent = sign;
    button.title = `Colours: ${words}`;
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => {
    const order = ["system", "light", "dark"];
    lucid.colours.choose(order[(order.indexOf(lucid.colours.mode) + 1) % order.length]);
    show();
  });
  show();
};

// Whose page this is: a link to the account, where there are accounts. Whoever is signed out meanwhile is led to the login.
lucid.account = async (element) => {
  const link = element.querySelector("a");
  const ask = async () => {
    const answer = await fetch("account/me", {headers: {Accept: "application/json"}});
    if (answer.status === 401) location.assign(`login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return answer.ok ? answer.json() : null;
  };
  document.addEventListener("visibilitychange", () => document.hidden || ask().catch(() => null));
  document.addEventListener("lucid:offline", () => ask().catch(() => null));
  const account = await ask().catch(() => null);
  link.textContent = account?.name ?? "";
  link.hidden = !account;
};

// ---- between tabs

lucid.openTab = (name) => {
  const hasTitle = (button) => !button.id && button.textContent.trim().toLowerCase().replace(" ", "_") === name;
  // on a narrow screen the last tabs are in a menu, where Gradio gives them no id
  (document.getElementById(`tab-${name}-button`) ?? [...document.querySelectorAll(".overflow-dropdown button")].find(hasTitle))?.click();
};

// The tab whose form is open, for what is dropped on the page; txt2img when another kind of tab is.
lucid.openForm = () => Object.keys(lucid.panels).find((name) => lucid.panels[name] === lucid.activePanel()) ?? "txt2img";

// The place where a tab receives an infotext. One that is sent to a tab before it was first opened waits for its door.
lucid.door = (name, trigger) => {
  lucid.doors[name] = (text) => trigger("arrive", {text});
  if (name in lucid.letters) lucid.doors[name](lucid.letters[name]);
  delete lucid.letters[name];
};

lucid.send = (name, text) => {
  lucid.openTab(name);
  if (name in lucid.doors) lucid.doors[name](text);
  else lucid.letters[name] = text;
};

lucid.copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no clipboard outside https and localhost
    const area = Object.assign(document.createElement("textarea"), {value: text});
    (button.closest("dialog") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const words = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = words; }, 1200);
};

// ---- buttons and keys

lucid.actions = (tab, prefix, element, trigger) => {
  const on = (id, act) => element.querySelector(`#${prefix}${id}`).addEventListener("click", act);
  on("generate", async () => {
    const panel = lucid.activePanel();
    if (!panel?.asking()) return;
    let more = {};
    try {
      more = await lucid.batches[tab]?.deliver() ?? await lucid.sources[tab]?.deliver() ?? {};
    } catch (error) {
      panel.say(error.message);
      return;
    }
    trigger("generate", {...more, ...lucid.besides[tab]});
  });
  on("paste", () => trigger("paste"));
  on("stop", () => lucid.activePanel()?.stop());
  on("skip", () => lucid.activePanel()?.skip());
};

// The results panel that can be seen, if any.
lucid.activePanel = () => Object.values(lucid.panels).find((panel) => panel.element.offsetParent !== null);

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  const press = (name) => {
    const button = [...document.querySelectorAll(`.actions .${name}`)].find((one) => one.offsetParent !== null);
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  };
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) press("generate");
  else if (event.key === "Enter" && event.altKey) press("skip");
  else if (event.key === "Escape" && document.activeElement?.getAttribute("aria-expanded") !== "true") press("stop");
}, true);
