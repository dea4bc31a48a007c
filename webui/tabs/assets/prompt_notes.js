// Below the prompts: token counts, remarks on what is odd, the tokens themselves, examples.

lucid.tokenViews = {}; // prefix of a tab -> what shows and hides its view of tokens

// Python counts letters, JavaScript halves of surrogate pairs: where letter number `place` of a text begins.
lucid.placeInText = (text, place) => [...text].slice(0, place).join("").length;

lucid.notes = (tab, prefix, examples, element, props, server, trigger, watch) => {
  const names = ["prompt", "negative_prompt"];
  const area = (name) => document.querySelector(`#${prefix}${name} textarea`);
  const text = (name) => area(name)?.value ?? "";
  const make = (tag, className, words = "") =>
    Object.assign(document.createElement(tag), {className, textContent: words});
  const $ = (selector) => element.querySelector(selector);
  const badges = {};
  let asked = null;
  let isShown = lucid.memory.read("lucid.tokens") ?? false;

  const badge = (name) => {
    if (!badges[name]) {
      badges[name] = make("button", "tokens");
      Object.assign(badges[name], {type: "button", title: "Tokens, of 75 in each chunk. Press to see them"});
      badges[name].addEventListener("click", () => view.toggle());
    }
    const box = document.getElementById(prefix + name);
    if (box && badges[name].parentElement !== box) box.append(badges[name]);
    return badges[name];
  };

  const showExamples = () => {
    const box = $(".examples");
    const checkpoint = document.querySelector("#checkpoint input")?.value ?? "";
    const known = Object.entries(examples).find(([name]) => checkpoint.startsWith(name))?.[1] ?? [];
    box.hidden = text("prompt").trim() !== "" || known.length === 0;
    if (box.hidden || box.dataset.of === known.join()) return;
    box.dataset.of = known.join();
    box.replaceChildren(box.firstElementChild, ...known.map((prompt) => {
      const chip = Object.assign(make("button", "chip", prompt), {type: "button"});
      chip.addEventListener("click", () => { lucid.chosenExample = prompt; trigger("example"); });
      return chip;
    }));
  };

  // ---- remarks: what stands at the odd place, and why it is odd; pressed, it is selected in the prompt

  const remarkLine = (name, remark) => {
    const [start, end] = [remark.start, remark.end].map((place) => lucid.placeInText(text(name), place));
    const written = text(name);
    const line = document.createElement("li");
    const place = Object.assign(make("button", "place"), {type: "button", title: "Select this place in the prompt"});
    const before = written.slice(0, start).slice(-16);
    const odd = written.slice(start, end);
    place.append(
      (start > 16 ? "…" : "") + before,
      make("mark", "", odd.length > 24 ? `${odd.slice(0, 23)}…` : odd),
      odd.length > 24 ? "" : written.slice(end, end + 10) + (written.length > end + 10 ? "…" : ""),
    );
    place.addEventListener("click", () => {
      area(name).focus();
      area(name).setSelectionRange(start, end);
    });
    const whose = name === "prompt" ? "" : "Negative prompt: ";
    line.append(place, ` ${whose}${remark.message}`);
    return line;
  };

  const showRemarks = (told) => {
    const lines = names.flatMap((name) => told[name].remarks.map((remark) => remarkLine(name, remark)));
    $(".remarks").replaceChildren(...lines);
    $(".remarks").hidden = lines.length === 0;
  };

  // ---- the view of tokens

  const number = (weight) => String(Math.round(weight * 100) / 100);

  const tokenSpan = ([words, ids, weight, endsWord, isEmbedding], place, next) => {
    const span = make("button", `token hue-${place % 5}${endsWord ? "" : " joined"}${isEmbedding ? " embedding" : ""}`, words);
    span.type = "button";
    span.tabIndex = -1;
    if (weight !== 1) {
      span.classList.add(weight > 1 ? "strong" : "weak");
      if (next?.[2] !== weight) span.append(make("sup", "", number(weight))); // once for all that share it
    }
    const numbers = isEmbedding ? `embedding of ${ids.length} vectors` : `token ${ids[0]}`;
    span.title = `“${words}”: ${numbers}, weight ${number(weight)}`;
    span.addEventListener("click", () => { // hovering is not for everybody
      const told = span.closest(".token-view").querySelector(".token-told");
      told.textContent = span.title;
    });
    return span;
  };

  const textBox = (shown, prompt, steps) => {
    const box = make("div", "token-text");
    const about = [];
    if (prompt.parts > 1) about.push(`AND part ${shown.part}${shown.weight === 1 ? "" : `, weight ${number(shown.weight)}`}`);
    else if (shown.weight !== 1) about.push(`weight of the whole prompt ${number(shown.weight)}`);
    if (shown.first > 1 || shown.last < steps) {
      about.push(shown.first === shown.last ? `step ${shown.first}` : `steps ${shown.first} to ${shown.last}`);
    }
    if (about.length) box.append(make("p", "about", about.join(", ")));
    let place = 0;
    shown.chunks.forEach((chunk, index) => {
      const row = make("div", "token-chunk");
      const length = chunk.reduce((sum, token) => sum + token[1].length, 0);
      const label = make("span", "token-chunk-label", shown.chunks.length > 1 ? `${index + 1} · ${length}/75` : `${length}/75`);
      label.title = "Chunk and its tokens: each chunk is encoded by itself";
      row.append(label, ...chunk.map((token, at) => tokenSpan(token, place++, chunk[at + 1])));
      if (!chunk.length) row.append(make("span", "about", "empty"));
      box.append(row);
    });
    if (shown.more) box.append(make("p", "about", `and ${shown.more} more chunks`));
    return box;
  };

  const promptBox = (name, prompt, steps) => {
    const box = make("section", "");
    box.append(make("h4", "", name === "prompt" ? "Prompt" : "Negative prompt"));
    if (prompt.chosen !== null) {
      const chosen = make("p", "about", "With styles and choices made: ");
      chosen.append(make("q", "", prompt.chosen));
      box.append(chosen);
    }
    box.append(...prompt.texts.map((shown) => textBox(shown, prompt, steps)));
    if (prompt.moreTexts) box.append(make("p", "about", `and ${prompt.moreTexts} more texts`));
    if (prompt.leftOut.length) {
      const left = make("p", "about", "Not read as words: ");
      left.append(...prompt.leftOut.flatMap((words) => [make("code", "", words), " "]));
      box.append(left);
    }
    return box;
  };

  const showTokens = (told) => {
    const shown = $(".token-view");
    shown.hidden = !isShown;
    if (!isShown || !told) return;
    const boxes = names.filter((name) => name === "prompt" || text(name).trim() !== "" || told[name].chosen)
      .map((name) => promptBox(name, told[name], told.steps));
    const hint = make("p", "token-told", "Colours part the tokens. Point at one, or tap it, to read its number and weight.");
    shown.replaceChildren(...boxes, hint);
  };

  const view = {
    toggle() {
      isShown = !isShown;
      lucid.memory.write("lucid.tokens", isShown);
      for (const one of Object.values(lucid.tokenViews)) one.show(isShown);
    },
    show(is) {
      isShown = is;
      asked = null;
      document.dispatchEvent(new Event("lucid:form"));
      if (!isShown) showTokens(null);
    },
    get isShown() { return isShown; },
  };
  lucid.tokenViews[prefix] = view;

  const read = async () => {
    showExamples();
    if (element.offsetParent === null) return; // another tab is open
    const record = lucid.form.records[`lucid.${tab}`] ?? {};
    const more = ["styles", "seed", "steps", "emphasis", "old_timelines"].map((name) => [name, record[name]]);
    const prompts = {...Object.fromEntries([...names.map((name) => [name, text(name)]), ...more]), in_full: isShown};
    const asking = JSON.stringify(prompts);
    if (asking === asked) return;
    asked = asking;
    let told;
    try {
      told = await lucid.ask(server, "read", prompts);
    } catch { // no answer: the results panel says so; asked again at the next change
      asked = null;
      return;
    }
    if (asked !== asking) return; // late: something else was typed since, and asked
    for (const name of names) {
      badge(name).textContent = `${told[name].tokens}/${told[name].limit}`;
    }
    showRemarks(told);
    showTokens(told);
  };

  let timer;
  const soon = () => { clearTimeout(timer); timer = setTimeout(read, 150); };
  document.addEventListener("lucid:form", soon);
  new IntersectionObserver(soon).observe(element); // when its tab is opened

  const pasted = $(".pasted");
  pasted.querySelector("button").addEventListener("click", () => { pasted.hidden = true; });
  watch("value", () => {
    const remarks = props.value?.pasted ?? [];
    pasted.querySelector("ul").replaceChildren(...remarks.map((words) => make("li", "", words)));
    pasted.hidden = remarks.length === 0;
  });
};
