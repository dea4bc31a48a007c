// Completion while typing in a prompt: LoRAs behind <, wildcards behind __, embeddings in words, anything with Ctrl+Space.

lucid.completion = (() => {
  const PROMPTS = '.prompt[id$="prompt"] textarea';
  const WAIT = 90; // milliseconds without a key before the server is asked
  const list = Object.assign(document.createElement("ul"), {className: "completions", id: "completions", hidden: true});
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Names");
  let server = null;
  let [area, found, offers, chosen] = [null, null, [], -1];
  let asking = 0;
  let timer;
  let fruitless = null; // a query that nothing answers to: nor will a longer one

  // What is being typed at the cursor: {kind, query, start}, or null where nothing is to be completed.
  const typing = (text, wanted) => {
    const tag = text.match(/<(?:(lora|lyco|hypernet|style|embed|embedding):)?([^<>:\n]*)$/);
    if (tag && (tag[1] || /^\w*$/.test(tag[2]))) {
      return {kind: tag[1] ?? "tag", query: tag[2], start: tag.index, eager: true};
    }
    const line = text.slice(text.lastIndexOf("\n") + 1).replace(/<[^<>]*>/g, (within) => " ".repeat(within.length));
    const signs = line.split("__");
    const last = signs[signs.length - 1];
    if (signs.length % 2 === 0 && /^[\w\-/.* ]*$/.test(last)) {
      return {kind: "wildcard", query: last, start: text.length - last.length - 2, eager: true};
    }
    const word = text.match(/[\p{L}\p{N}_.-]*$/u)[0];
    if (!wanted && (word.length < 2 || /^[\d.]+$/.test(word))) return null;
    return {kind: wanted ? "any" : "word", query: word, start: text.length - word.length, eager: wanted};
  };

  const close = () => {
    clearTimeout(timer);
    asking++;
    if (area) for (const name of ["aria-expanded", "aria-controls", "aria-activedescendant"]) area.removeAttribute(name);
    list.hidden = true;
    offers = [];
  };

  // Where the letter at `place` of a textarea is on the screen: a copy of the text in the same clothes tells.
  const caretAt = (place) => {
    const copy = document.createElement("div");
    const style = getComputedStyle(area);
    for (const name of ["font", "lineHeight", "letterSpacing", "padding", "border", "boxSizing", "tabSize"]) copy.style[name] = style[name];
    Object.assign(copy.style, {position: "fixed", visibility: "hidden", whiteSpace: "pre-wrap", overflowWrap: "break-word", width: `${area.offsetWidth}px`, top: 0, left: 0});
    const mark = document.createElement("span");
    mark.textContent = area.value.slice(place, place + 1) || ".";
    copy.append(area.value.slice(0, place), mark);
    document.body.append(copy);
    const [box, inside] = [area.getBoundingClientRect(), mark.getBoundingClientRect()];
    const line = mark.offsetHeight || 20;
    copy.remove();
    return {left: box.left + inside.left - area.scrollLeft, top: box.top + inside.top - area.scrollTop, line, box};
  };

  const put = () => {
    const caret = caretAt(found.start);
    const narrow = innerWidth < 640;
    list.style.width = narrow ? `${caret.box.width}px` : "";
    const left = narrow ? caret.box.left : Math.min(caret.left, innerWidth - list.offsetWidth - 12);
    const below = Math.min(Math.max(caret.top, caret.box.top), caret.box.bottom - caret.line) + caret.line + 4;
    const room = (visualViewport?.height ?? innerHeight) - below;
    const above = below - caret.line - 8 - list.offsetHeight;
    list.style.left = `${Math.max(4, left)}px`;
    list.style.top = `${room < list.offsetHeight && above > 0 ? above : below}px`;
  };

  const choose = (index) => {
    chosen = index;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
    list.children[chosen]?.scrollIntoView({block: "nearest"});
    if (chosen >= 0) area.setAttribute("aria-activedescendant", `completion-${chosen}`);
    else area.removeAttribute("aria-activedescendant");
  };

  const show = (told) => {
    offers = told;
    if (!offers.length) return close();
    if (!list.isConnected) document.querySelector(".gradio-container").append(list);
    list.replaceChildren(...offers.map((offer, index) => {
      const item = Object.assign(document.createElement("li"), {id: `completion-${index}`});
      item.setAttribute("role", "option");
      const kind = Object.assign(document.createElement("small"), {textContent: offer.kind});
      item.append(Object.assign(document.createElement("span"), {textContent: offer.name}), kind);
      item.addEventListener("pointerdown", (event) => event.preventDefault()); // the prompt keeps the focus
      item.addEventListener("click", () => accept(index));
      return item;
    }));
    list.hidden = false;
    area.setAttribute("aria-expanded", "true");
    area.setAttribute("aria-controls", "completions");
    put();
    choose(found.eager ? 0 : -1); // in a plain word Enter stays Enter
  };

  const accept = (index) => {
    const offer = offers[index];
    const after = area.value.slice(area.selectionStart).match(found.kind === "wildcard" ? /^[\w\-/.*]*__/ : /^[^<>\s,()]*>/);
    const end = area.selectionStart + (after && found.kind !== "word" && found.kind !== "any" ? after[0].length : 0);
    area.focus();
    area.setSelectionRange(found.start, end);
    const target = area;
    close();
    if (offer.kind === "style") {
      document.execCommand("delete");
      lucid.styleFields[target.closest(".prompt").id.replace(/(negative_)?prompt$/, "")]?.add(offer.name);
    } else {
      document.execCommand("insertText", false, offer.insert); // the one way that leaves undo intact
    }
  };

  const ask = async (wanted) => {
    if (!server || document.activeElement !== area || area.selectionStart !== area.selectionEnd) return close();
    found = typing(area.value.slice(0, area.selectionStart), wanted);
    const same = found && fruitless?.kind === found.kind && found.query.startsWith(fruitless.query);
    if (!found || (same && found.kind === "word")) return close();
    const mine = ++asking;
    const asked = found;
    let told;
    try {
      told = await lucid.ask(server, "complete", {kind: asked.kind, query: asked.query});
    } catch {
      return close(); // offline: the results panel says so
    }
    if (mine !== asking) return; // late: something else was typed since
    if (!told.offers.length) fruitless = asked;
    show(told.offers);
  };

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(PROMPTS) || event.isComposing) return;
    if (area !== event.target) close();
    area = event.target;
    clearTimeout(timer);
    timer = setTimeout(() => ask(false), list.hidden ? WAIT : 0);
  });

  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(PROMPTS) || event.isComposing) return;
    const take = () => { event.preventDefault(); event.stopPropagation(); };
    if (event.code === "Space" && event.ctrlKey) {
      take();
      area = event.target;
      fruitless = null;
      area.setSelectionRange(area.selectionEnd, area.selectionEnd); // an undone completion leaves its word selected
      ask(true);
      return;
    }
    if (list.hidden || event.target !== area || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (move) {
      take();
      choose((Math.max(chosen, move < 0 ? 0 : -1) + move + offers.length) % offers.length);
    } else if ((event.key === "Tab" && !event.shiftKey) || (event.key === "Enter" && !event.shiftKey && chosen >= 0)) {
      take();
      accept(Math.max(0, chosen));
    } else if (event.key === "Escape") {
      take();
      close();
    } else if (["ArrowLeft", "ArrowRight", "Home", "End", "Enter"].includes(event.key)) {
      close();
    }
  }, true);

  document.addEventListener("focusout", (event) => { if (event.target === area) close(); });
  document.addEventListener("pointerdown", (event) => { if (event.target === area) close(); });
  document.addEventListener("scroll", (event) => { if (!list.hidden && !list.contains(event.target)) put(); }, true);
  window.addEventListener("resize", close);
  return {serve(functions) { server = functions; }};
})();
