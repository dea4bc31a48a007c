// Styles: the buttons beside the field where they are chosen, and the window where they are made, changed and deleted.

lucid.styleFields = {}; // prefix of a tab -> what adds a style to those chosen there
lucid.promptServer = null;

lucid.promptTools = (server) => {
  lucid.promptServer = server;
  lucid.completion.serve(server);
};

lucid.styleTools = (tab, prefix, element, trigger) => {
  const $ = (selector) => element.querySelector(selector);
  $(".write").addEventListener("click", () => trigger("write"));
  $(".edit").addEventListener("click", () => lucid.styleWindow.open(prefix, () => trigger("changed")));
  $(".see").addEventListener("click", () => lucid.tokenViews[prefix]?.toggle());
  lucid.styleFields[prefix] = {add: (name) => trigger("take", {name})};
  const follow = () => {
    $(".write").disabled = !lucid.form.records[`lucid.${tab}`]?.styles?.length;
    $(".see").setAttribute("aria-pressed", String(lucid.tokenViews[prefix]?.isShown ?? false));
  };
  document.addEventListener("lucid:form", follow);
  follow();
};

lucid.styleWindow = (() => {
  const dialog = document.createElement("dialog");
  dialog.className = "style-window";
  dialog.setAttribute("aria-label", "Styles");
  dialog.innerHTML = `
    <header><h3>Styles</h3><button type="button" class="small close" title="Close (Esc)" aria-label="Close">✕</button></header>
    <div class="style-list" role="listbox" aria-label="Your styles and the server's"></div>
    <form method="dialog">
      <label>Name<input name="name" maxlength="200" autocomplete="off" required></label>
      <label>Prompt<textarea name="prompt" rows="4" placeholder="film still of {prompt}, grain" spellcheck="false"></textarea></label>
      <label>Negative prompt<textarea name="negative_prompt" rows="2" spellcheck="false"></textarea></label>
      <p class="about">{prompt} is where your words go. Without it, the style follows them behind a comma.</p>
      <p class="alert" role="alert" hidden></p>
      <div class="facts-actions">
        <button type="submit" class="small save">Save</button>
        <button type="button" class="small take" title="Put what stands in the prompts of the page here">Take the prompts</button>
        <button type="button" class="small delete" disabled>Delete</button>
        <span class="said" role="status"></span>
      </div>
    </form>`;
  const $ = (selector) => dialog.querySelector(selector);
  const field = (name) => dialog.querySelector(`[name="${name}"]`);
  const FIELDS = ["name", "prompt", "negative_prompt"];
  let [prefix, changed, styles] = ["", () => {}, []];

  const say = (error, words = "") => {
    $(".alert").textContent = error;
    $(".alert").hidden = !error;
    $(".said").textContent = words;
  };

  const chosen = () => styles.find((style) => style.name === field("name").value.trim());
  const follow = () => {
    const style = chosen();
    $(".delete").disabled = !style?.own;
    $(".delete").title = style && !style.own ? "This style is the server's: saving it makes one of your own" : "";
    $(".save").textContent = style ? (style.own ? "Save changes" : "Save as my own") : "Save as new";
    for (const item of $(".style-list").children) item.setAttribute("aria-selected", String(item.dataset.name === style?.name));
  };

  const show = (told) => {
    styles = told.styles;
    const items = styles.map((style) => {
      const item = Object.assign(document.createElement("button"), {type: "button"});
      item.dataset.name = style.name;
      item.setAttribute("role", "option");
      item.append(Object.assign(document.createElement("span"), {textContent: style.name}));
      if (!style.own) item.append(Object.assign(document.createElement("small"), {textContent: "server"}));
      item.addEventListener("click", () => {
        for (const name of FIELDS) field(name).value = style[name];
        say("");
        follow();
      });
      return item;
    });
    const none = Object.assign(document.createElement("p"), {className: "about", textContent: "None yet: write one and save it."});
    $(".style-list").replaceChildren(...(items.length ? items : [none]));
    follow();
  };

  const ask = async (question, details) => {
    let told;
    try {
      told = await lucid.ask(lucid.promptServer, question, details);
    } catch {
      say("The server does not answer. Try again.");
      return false;
    }
    if (told.styles) show(told);
    say(told.error ?? "", told.said ?? "");
    return !told.error;
  };

  field("name").addEventListener("input", follow);
  $(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => changed());
  $(".take").addEventListener("click", () => {
    for (const name of FIELDS.slice(1)) field(name).value = document.querySelector(`#${prefix}${name} textarea`)?.value ?? "";
    field("name").focus();
  });
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask("save_style", Object.fromEntries(FIELDS.map((name) => [name, field(name).value])));
  });
  $(".delete").addEventListener("click", async () => {
    const name = field("name").value.trim();
    if (confirm(`Delete the style "${name}"?`)) await ask("delete_style", {name});
  });
  return {
    open(ofTab, then) {
      [prefix, changed] = [ofTab, then];
      if (!dialog.isConnected) document.querySelector(".gradio-container").append(dialog);
      say("");
      dialog.showModal();
      ask("list_styles", {});
    },
  };
})();
