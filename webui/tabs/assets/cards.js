// Cards: a drawer of model files. Only the cards in sight are in the page, and only those near them were asked for.

lucid.cards = {chosen: null, toggle: () => {}};

lucid.cardDrawer = (element, server, trigger) => {
  const KINDS = {checkpoint: "Checkpoints", lora: "LoRA", embedding: "Embeddings", hypernetwork: "Hypernetworks", vae: "VAE"};
  const BLOCK = 60; // cards asked for at once
  const KEPT = "lucid.cards";
  const $ = (selector) => element.querySelector(selector);
  const [drawer, scroll, space] = [$(".cards-drawer"), $(".cards-scroll"), $(".cards-space")];
  const view = {kind: "lora", sort: "name", folder: "", fitting: false, text: "", ...lucid.memory.read(KEPT), text: ""};
  let [blocks, tiles] = [new Map(), new Map()]; // index of block -> cards, or null while asked for; index of card -> element
  let [total, matching, seen, asking] = [0, 0, null, 0];
  let problems = [];
  let timer = null;

  const checkpoint = () => document.querySelector("#checkpoint input")?.value ?? "";
  const complain = (text) => {
    $(".cards-error").textContent = text ?? "";
    $(".cards-error").hidden = !text;
  };

  // ---- asking

  const ask = async (block) => {
    const mine = asking;
    if (!blocks.has(block)) blocks.set(block, null);
    let told;
    try {
      told = await lucid.ask(server, "look", {...view, checkpoint: checkpoint(), seen, offset: block * BLOCK, count: BLOCK});
    } catch {
      complain("The server does not answer, trying again…");
      clearTimeout(timer);
      timer = setTimeout(() => { if (!drawer.hidden) renew(); }, 2000);
      return;
    }
    if (mine !== asking) return;
    complain("");
    const grown = JSON.stringify(seen) !== JSON.stringify(told.seen);
    [total, matching, seen] = [told.total, told.matching, told.seen];
    if (told.folders) showFolders(told.folders);
    if (told.problems) showProblems(told.problems);
    blocks.set(block, told.cards);
    const reading = told.done < told.files ? ` · ${told.done} of ${told.files} files read` : "";
    $(".cards-count").textContent = (matching === total ? `${total}` : `${matching} of ${total}`) + reading;
    $(".cards-nothing").hidden = matching > 0;
    $(".cards-nothing").textContent = reading ? "The files are being read…"
      : total ? "No card matches." : `There are no files of this kind. Put them into models/${lucid.cards.folders[view.kind]}.`;
    if (grown) { // what the other blocks hold may have moved: those in sight are asked for anew, one after the other
      for (const other of blocks.keys()) if (other !== block) blocks.delete(other);
    }
    draw();
    if (reading) {
      clearTimeout(timer);
      timer = setTimeout(() => { if (!drawer.hidden) ask(Math.floor(firstInSight() / BLOCK)); }, 700);
    }
  };

  // Another question: everything from the start.
  const renew = (toTop = true) => {
    asking += 1;
    lucid.memory.write(KEPT, {...view, text: undefined});
    blocks = new Map();
    if (toTop) scroll.scrollTop = 0;
    ask(Math.floor(firstInSight() / BLOCK));
  };

  // ---- showing what is in sight

  const measures = () => {
    const narrow = scroll.clientWidth < 560;
    const gap = narrow ? 8 : 10;
    const across = Math.max(2, Math.floor((scroll.clientWidth - 4) / (narrow ? 118 : 150)));
    const width = (scroll.clientWidth - gap * (across - 1) - 4) / across;
    return {across, width, height: width + 46, gap};
  };
  const firstInSight = () => {
    const {across, height, gap} = measures();
    return Math.max(0, Math.floor(scroll.scrollTop / (height + gap))) * across;
  };

  const draw = () => {
    if (drawer.hidden) return;
    const {across, width, height, gap} = measures();
    const rows = Math.ceil(matching / across);
    space.style.height = `${Math.max(0, rows * (height + gap) - gap)}px`;
    const from = Math.max(0, Math.floor(scroll.scrollTop / (height + gap)) - 1) * across;
    const to = Math.min(matching, (Math.ceil((scroll.scrollTop + scroll.clientHeight) / (height + gap)) + 1) * across);
    const words = inPrompts();
    for (const [index, tile] of tiles) {
      if (index < from || index >= to) {
        if (tile.contains(document.activeElement)) continue; // the keyboard is there
        tile.remove();
        tiles.delete(index);
      }
    }
    for (let index = from; index < to; index++) {
      const card = blocks.get(Math.floor(index / BLOCK))?.[index % BLOCK];
      let tile = tiles.get(index);
      if (card && tile?.card !== card) {
        const focused = tile?.contains(document.activeElement);
        const fresh = tileOf(card, index);
        if (tile) tile.replaceWith(fresh);
        else space.append(fresh);
        tiles.set(index, tile = fresh);
        if (focused) fresh.querySelector(".pick").focus({preventScroll: true});
      }
      if (!tile) continue;
      tile.style.cssText = `width:${width}px;height:${height}px;transform:translate(${(index % across) * (width + gap)}px,${Math.floor(index / across) * (height + gap)}px)`;
      mark(tile, words);
    }
    for (let block = Math.floor(from / BLOCK); block * BLOCK < to; block++) if (!blocks.has(block)) ask(block);
  };

  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const tileOf = (card, index) => {
    const title = [card.title && card.title !== card.name ? card.title : "", card.folder, card.words.join(", "), card.problem].filter(Boolean).join("\n");
    const pick = make("button", {type: "button", className: "pick", title: `${card.name}\n${title}`.trim()});
    pick.setAttribute("aria-label", [card.name, card.badge, card.problem].filter(Boolean).join(", "));
    if (card.preview) pick.append(make("img", {alt: "", loading: "lazy", src: card.preview, draggable: false}));
    else pick.append(make("span", {className: "blank", textContent: initials(card.name)}));
    const badge = card.usable ? card.badge : "⚠ unusable";
    if (badge) pick.append(make("span", {className: "badge", textContent: badge}));
    pick.append(make("span", {className: "name", textContent: card.name}));
    pick.addEventListener("click", () => use(card));
    const info = make("button", {type: "button", className: "info", title: "About this file (I)", tabIndex: -1, textContent: "i"});
    info.setAttribute("aria-label", `About ${card.name}`);
    info.addEventListener("click", () => open(card.id));
    const tile = make("li", {className: `card${card.problem ? " misfit" : ""}`}, pick, info);
    tile.card = card;
    tile.dataset.index = index;
    return tile;
  };
  const initials = (name) => name.replace(/[^\p{L}\p{N}]+/gu, " ").trim().split(" ").slice(0, 2).map((word) => word[0] ?? "").join("").toUpperCase();

  // ---- the prompt

  const inPrompts = () => lucid.openPrompts().map(({value}) => value).join("\n").toLowerCase();
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const patternOf = (card) => {
    if (card.kind === "embedding") return `\\(?(?<![\\p{L}\\p{N}_])${escaped(card.name)}(?![\\p{L}\\p{N}_])(?::[\\d.]+\\))?`;
    const [kind, name] = card.tag.slice(1, -1).split(":");
    return `<(?:${kind === "lora" ? "lora|lyco" : kind}):${escaped(name)}(?::[^>]*)?>`;
  };
  const isIn = (card, words) => Boolean(card.tag) && words.includes(card.name.toLowerCase().replaceAll(":", ""))
    && new RegExp(patternOf(card), "iu").test(words);
  const mark = (tile, words) => {
    const {card} = tile;
    const on = card.kind === "checkpoint" ? card.name === checkpoint()
      : card.kind === "vae" ? card.name === document.querySelector("#vae input")?.value : isIn(card, words);
    tile.classList.toggle("on", on);
    tile.querySelector(".pick").setAttribute("aria-pressed", String(on));
  };
  const markAll = () => {
    if (drawer.hidden) return;
    const words = inPrompts();
    for (const tile of tiles.values()) mark(tile, words);
  };

  const use = (card) => {
    complain("");
    if (!card.usable) return complain(card.problem);
    if (card.kind === "checkpoint" || card.kind === "vae") {
      lucid.cards.chosen = card.name;
      trigger(card.kind);
      setTimeout(() => renew(false), 300); // what fits has changed
      return;
    }
    const [prompt, negative] = lucid.openPrompts();
    if (!prompt) return complain("Open a tab that has a prompt first.");
    if (isIn(card, inPrompts())) {
      lucid.takeOutOfPrompts(new RegExp(patternOf(card), "giu"), [card.more], [card.negative]);
    } else {
      lucid.insertIntoPrompt([card.tag, card.more].filter(Boolean).join(card.kind === "embedding" ? ", " : " "));
      if (card.negative && negative) lucid.insertIntoPrompt(card.negative, negative);
      if (card.problem) complain(`${card.name}: ${card.problem}`);
    }
    markAll();
  };

  // ---- folders, problems

  const choose = (folder) => { view.folder = folder; renew(); showChosen(); };
  const showFolders = (folders) => {
    const all = [["", total], ...folders];
    if (view.folder && !folders.some(([name]) => name === view.folder)) { view.folder = ""; setTimeout(renew); }
    drawer.classList.toggle("flat", folders.length === 0);
    const label = (name) => (name ? name.split("/").pop() : "All folders");
    const depth = (name) => (name ? name.split("/").length : 0);
    $(".cards-tree").replaceChildren(...all.map(([name, count]) => {
      const button = make("button", {type: "button", title: name || "All folders"}, make("span", {textContent: label(name)}), make("small", {textContent: count}));
      button.style.setProperty("--depth", depth(name));
      button.dataset.folder = name;
      button.addEventListener("click", () => choose(name));
      return button;
    }));
    $(".cards-places").replaceChildren(...all.map(([name, count]) => make("option", {value: name, textContent: `${"\u2003".repeat(Math.max(0, depth(name) - 1))}${label(name)} (${count})`})));
    showChosen();
  };
  const showChosen = () => {
    for (const button of $(".cards-tree").children) button.setAttribute("aria-current", String(button.dataset.folder === view.folder));
    $(".cards-places").value = view.folder;
    for (const button of $(".cards-kinds").children) button.setAttribute("aria-selected", String(button.dataset.kind === view.kind));
    $(".cards-fitting").hidden = view.kind === "checkpoint";
  };
  const showProblems = (told) => {
    problems = told;
    $(".cards-problems").hidden = problems.length === 0;
    $(".cards-problems").textContent = `⚠ ${problems.length}`;
    $(".cards-problems").title = problems.length === 1 ? problems[0] : `${problems.length} files or folders cannot be used`;
  };
  $(".cards-problems").addEventListener("click", () => {
    element.querySelector(".card-problems ul").replaceChildren(...problems.map((text) => make("li", {textContent: text})));
    element.querySelector(".card-problems").showModal();
  });
  element.querySelector(".card-problems .close").addEventListener("click", () => element.querySelector(".card-problems").close());

  // ---- the head

  $(".cards-kinds").replaceChildren(...Object.entries(KINDS).map(([kind, title]) => {
    const button = make("button", {type: "button", textContent: title});
    button.dataset.kind = kind;
    button.setAttribute("role", "tab");
    button.addEventListener("click", () => {
      Object.assign(view, {kind, folder: ""});
      [total, matching] = [0, 0];
      showChosen();
      renew();
    });
    return button;
  }));
  $(".cards-sort").value = view.sort;
  $(".cards-fitting input").checked = view.fitting;
  $(".cards-sort").addEventListener("change", (event) => { view.sort = event.target.value; renew(); });
  $(".cards-places").addEventListener("change", (event) => choose(event.target.value));
  $(".cards-fitting input").addEventListener("change", (event) => { view.fitting = event.target.checked; renew(); });
  let typing;
  $(".cards-search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => { view.text = event.target.value; renew(); }, 90);
  });
  $(".cards-rescan").addEventListener("click", async () => {
    const answer = await lucid.ask(server, "rescan", {}).catch(() => ({error: "The server does not answer. Try again when it is back."}));
    if (answer.error) complain(answer.error);
    else renew(false);
  });

  const details = lucid.cardDetails(element.querySelector(".card-details"), server, () => renew(false));
  const open = (id) => details(id);

  // ---- opening, keys

  const toggle = (on = drawer.hidden) => {
    drawer.hidden = !on;
    document.body.classList.toggle("cards-open", on);
    for (const button of document.querySelectorAll(".open-cards")) button.setAttribute("aria-expanded", String(on));
    if (!on) return;
    showChosen();
    renew(false);
    if (matchMedia("(pointer: fine)").matches) $(".cards-search").focus({preventScroll: true});
  };
  lucid.cards.toggle = toggle;
  $(".cards-close").addEventListener("click", () => toggle(false));
  document.addEventListener("click", (event) => { if (event.target.closest?.(".open-cards")) toggle(); });
  document.addEventListener("keydown", (event) => {
    if (event.altKey && !event.ctrlKey && event.code === "KeyM" && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      toggle();
    } else if (event.key === "Escape" && !drawer.hidden && drawer.contains(document.activeElement) && !document.querySelector("dialog[open]")) {
      event.preventDefault(); // and not Stop
      toggle(false);
    }
  }, true);
  drawer.addEventListener("keydown", (event) => {
    if (event.target === $(".cards-search") && event.key === "ArrowDown") return focusOn(firstInSight(), event);
    const tile = event.target.closest?.(".card");
    if (!tile) return;
    const at = Number(tile.dataset.index);
    const by = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: measures().across, ArrowUp: -measures().across}[event.key];
    if (event.key.toLowerCase() === "i" && !event.ctrlKey && !event.altKey && !event.metaKey) open(tile.card.id);
    else if (event.key === "/") { event.preventDefault(); $(".cards-search").focus(); }
    else if (by && at + by < 0) $(".cards-search").focus();
    else if (by) focusOn(at + by, event);
  });
  const focusOn = (index, event) => {
    if (index < 0 || index >= matching) return;
    event.preventDefault();
    const {across, height, gap} = measures();
    const top = Math.floor(index / across) * (height + gap);
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (top + height > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + height - scroll.clientHeight;
    draw();
    tiles.get(index)?.querySelector(".pick").focus({preventScroll: true});
  };
  scroll.addEventListener("scroll", () => requestAnimationFrame(draw), {passive: true});
  new ResizeObserver(() => draw()).observe(scroll);
  document.addEventListener("input", (event) => { if (event.target.closest?.(".prompt")) markAll(); });
  document.addEventListener("lucid:form", markAll);
};

lucid.cards.folders = {checkpoint: "checkpoints", lora: "loras", embedding: "embeddings", hypernetwork: "hypernetworks", vae: "vae"};

// ---- writing into the prompt of the tab that is open

// Prompt and negative prompt of the open tab, in this order; empty where no tab with prompts is open.
lucid.openPrompts = () => [...document.querySelectorAll(".prompts .prompt textarea")].filter((area) => area.offsetParent !== null);

document.addEventListener("focusin", (event) => {
  if (event.target.matches?.(".prompts .prompt textarea")) lucid.lastPrompt = event.target;
});

// Put words at the end of a prompt: of the one that was written in last, of the open tab's.
lucid.insertIntoPrompt = (text, into = null) => {
  const areas = lucid.openPrompts();
  const area = into ?? (areas.includes(lucid.lastPrompt) ? lucid.lastPrompt : areas[0]);
  if (!area || !text) return false;
  const before = area.value.replace(/\s+$/, "");
  const joint = !before || text.startsWith("<") ? (before ? " " : "") : before.endsWith(",") ? " " : ", ";
  lucid.write(area, before + joint + text);
  return true;
};

// Take out whatever matches, with the words that came along, and the commas and spaces that are left over.
lucid.takeOutOfPrompts = (pattern, along = [], alongNegative = []) => {
  lucid.openPrompts().forEach((area, at) => {
    let text = area.value.replace(pattern, "");
    const found = text !== area.value;
    for (const words of at === 0 ? (found ? along : []) : alongNegative) {
      if (words && text.includes(words)) text = text.replace(words, "");
    }
    if (text === area.value) return;
    text = text.replace(/ {2,}/g, " ").replace(/(?:, *){2,}/g, ", ").replace(/^[ ,]+|[ ,]+$/gm, "");
    lucid.write(area, text);
  });
};

// As if it were typed, so that Gradio and the kept form take it.
lucid.write = (area, text) => {
  area.value = text;
  area.dispatchEvent(new Event("input", {bubbles: true}));
};
