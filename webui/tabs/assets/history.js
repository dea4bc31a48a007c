// What was made: a grid that asks for one page after another.

lucid.history = (element, server) => {
  const $ = (selector) => element.querySelector(selector);
  const [grid, field, more] = [$(".thumbnails"), $("input"), $(".more")];
  let pictures = [];
  let asking = 0;

  const tile = (picture, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = lucid.describe(picture) || "no prompt";
    button.setAttribute("aria-label", button.title);
    if (picture.missing) {
      button.className = "missing";
      button.textContent = "file is gone";
    } else {
      const img = Object.assign(new Image(), {loading: "lazy", alt: "", src: `${picture.address}?side=320`});
      button.append(img);
    }
    button.addEventListener("click", () => lucid.viewer.open(pictures, index));
    return button;
  };

  const search = async (offset) => {
    const mine = ++asking;
    let told;
    try {
      told = await lucid.ask(server, "search", {text: field.value, offset});
      $(".offline").hidden = true;
    } catch {
      $(".offline").hidden = false;
      setTimeout(() => { if (mine === asking) search(offset); }, 3000);
      return;
    }
    if (mine !== asking) return;
    if (offset === 0) {
      pictures = [];
      grid.replaceChildren();
    }
    grid.append(...told.pictures.map((picture, at) => tile(picture, pictures.length + at)));
    pictures = pictures.concat(told.pictures);
    more.hidden = !told.more;
    $(".count").textContent = pictures.length ? `${pictures.length}${told.more ? "+" : ""} ${pictures.length === 1 ? "picture" : "pictures"}` : "";
    $(".nothing").hidden = pictures.length > 0;
    $(".nothing").textContent = field.value.trim() ? "No picture matches." : "Nothing was made yet.";
  };

  let timer;
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => search(0), 250); });
  more.addEventListener("click", () => search(pictures.length));
  // Asked anew whenever the tab is opened.
  new IntersectionObserver(([entry]) => { if (entry.isIntersecting) search(0); }).observe($(".history-search"));
};
