// Everything about one file: preview, words that trigger it, what the user writes about it, metadata.

lucid.cardDetails = (dialog, server, changed) => {
  const NOTES = [
    ["description", "Description", "textarea", "What it is for."],
    ["activation_text", "Activation text", "input", "Goes into the prompt with it."],
    ["negative_text", "Negative text", "input", "Goes into the negative prompt with it."],
    ["preferred_weight", "Preferred weight", "input", "How strong it is when it is clicked; empty is 1."],
    ["notes", "Notes", "textarea", ""],
  ];
  let card = null;

  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const say = (text, good = false) => {
    const told = dialog.querySelector(".card-told");
    told.textContent = text;
    told.className = good ? "card-told good" : "card-told";
  };
  const order = async (what, asked) => {
    let answer;
    try {
      answer = await lucid.ask(server, what, asked);
    } catch {
      answer = {error: "The server does not answer. Try again when it is back."};
    }
    if (answer.error) say(answer.error);
    return answer.card ?? null;
  };

  const chip = (text, count) => {
    const button = make("button", {type: "button", className: "chip", title: "Put it into the prompt", textContent: text});
    if (count) button.append(make("small", {textContent: ` ${count}`}));
    button.addEventListener("click", () => say(lucid.insertIntoPrompt(text) ? `“${text}” is in the prompt.` : "Open a tab that has a prompt first.", true));
    return button;
  };
  const section = (title, ...children) => make("section", {}, make("h3", {textContent: title}), ...children);
  const table = (pairs) => make("dl", {}, ...pairs.flatMap(([name, value]) => [make("dt", {textContent: name}), make("dd", {textContent: value})]));

  const noteFields = () => NOTES.map(([name, label, element, hint]) => {
    const field = make(element, {name, value: String(card.notes[name] ?? ""), placeholder: hint, autocomplete: "off"});
    if (element === "textarea") field.rows = name === "description" ? 3 : 2;
    return make("label", {}, make("span", {textContent: label}), field);
  });

  const convertible = () => {
    const id = card.id;
    const bar = make("progress", {max: 1, value: 0, hidden: true});
    const button = make("button", {type: "button", className: "small convert", textContent: "Convert to safetensors", title: "Writes the same tensors beside this file as .safetensors, which cannot run code; this file stays"});
    bar.setAttribute("aria-label", "How far the conversion is");
    const follow = async (asked) => {
      button.disabled = true;
      bar.hidden = false;
      while (card?.id === id && dialog.open) {
        let told;
        try {
          told = await lucid.ask(server, "convert", asked);
        } catch {
          told = {error: "The server does not answer. Try again when it is back."};
        }
        if (card?.id !== id) return;
        if (told.error || told.name) {
          bar.hidden = true;
          button.hidden = Boolean(told.name);
          button.disabled = false;
          say(told.error || `${told.name} lies beside it now.`, !told.error);
          if (told.name) changed();
          return;
        }
        bar.value = told.fraction ?? 0;
        asked = {id};
        await new Promise((later) => setTimeout(later, 300));
      }
    };
    button.addEventListener("click", () => follow({id, begin: true}));
    return make("div", {className: "card-convert"}, button, bar);
  };

  const show = () => {
    const picture = card.preview
      ? make("img", {alt: `Preview of ${card.name}`, src: `${card.preview}&size=large`})
      : make("p", {className: "card-blank", textContent: "no preview"});
    const shown = lucid.activePanel()?.shown();
    const preview = make("button", {type: "button", className: "small use-preview", disabled: !shown, textContent: "Use the picture shown as preview", title: shown ? "Write it beside the file, as name.preview.png" : "Draw or choose a picture first"});
    preview.addEventListener("click", async () => {
      const told = await order("take_preview", {id: card.id, address: shown.address});
      if (!told) return;
      card = told;
      show();
      say("The picture is the preview now.", true);
      changed();
    });
    const form = make("form", {className: "card-notes", method: "dialog"}, ...noteFields());
    const save = make("button", {type: "submit", className: "small save", textContent: "Save"});
    form.append(save);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const told = await order("save", {id: card.id, notes: Object.fromEntries(new FormData(form))});
      if (!told) return;
      card = told;
      show();
      say("Saved beside the file.", true);
      changed();
    });
    const bar = make("div", {className: "card-details-bar"}, make("h2", {textContent: card.name}),
      ...(card.badge ? [make("span", {className: "badge", textContent: card.badge})] : []),
      make("button", {type: "button", className: "small close", title: "Close (Esc)", textContent: "✕"}));
    bar.querySelector(".close").setAttribute("aria-label", "Close");
    bar.querySelector(".close").addEventListener("click", () => dialog.close());
    const told = make("p", {className: "card-told"});
    told.setAttribute("role", "status");
    const metadata = Object.entries(card.metadata);
    dialog.replaceChildren(bar, make("div", {className: "card-details-body"},
      make("div", {className: "card-side"}, picture, ...(card.problem ? [make("p", {className: "card-problem", textContent: card.problem})] : []), preview, ...(card.convertible ? [convertible()] : []), table(Object.entries(card.facts))),
      make("div", {className: "card-main"},
        told,
        ...(card.words.length ? [section("Trigger words", make("div", {className: "chips"}, ...card.words.map((word) => chip(word))))] : []),
        ...(card.tags.length ? [section("Most frequent tags of its training pictures", make("div", {className: "chips"}, ...card.tags.map(([tag, count]) => chip(tag, count))))] : []),
        section("Yours", form),
        ...(metadata.length ? [make("details", {}, make("summary", {textContent: `Metadata (${metadata.length})`}), table(metadata))] : []))));
  };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  return async (id) => {
    dialog.replaceChildren(make("p", {className: "card-told", textContent: ""}));
    const told = await order("details", {id});
    if (!dialog.open) dialog.showModal();
    if (!told) return;
    card = told;
    show();
  };
};
