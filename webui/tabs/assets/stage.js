// Looking at pictures: the large view over the page, shared by results and history.

// `picture`: {address, name, infotext, width, height, seed, missing}
lucid.viewer = (() => {
  const dialog = document.createElement("dialog");
  dialog.className = "viewer";
  dialog.setAttribute("aria-label", "Picture");
  dialog.innerHTML = `
    <div class="viewer-picture"><img alt=""><p class="gone" hidden>The file is not in the outputs folder any more.</p></div>
    <div class="viewer-side">
      <div class="viewer-bar">
        <button type="button" class="small previous" title="Previous (←)" aria-label="Previous picture">←</button>
        <button type="button" class="small next" title="Next (→)" aria-label="Next picture">→</button>
        <span class="viewer-place"></span>
        <button type="button" class="small close" title="Close (Esc)" aria-label="Close">✕</button>
      </div>
      <div class="facts-actions">
        <a class="small download" download title="Save this picture">Download</a>
        <button type="button" class="small copy" title="Copy the infotext">Copy text</button>
      </div>
      <div class="send-to" role="group" aria-label="Send to"></div>
      <pre class="infotext" tabindex="0" aria-label="Infotext"></pre>
    </div>`;
  const $ = (selector) => dialog.querySelector(selector);
  let [pictures, at] = [[], 0];

  const show = () => {
    const picture = pictures[at];
    $("img").hidden = picture.missing ?? false;
    $(".gone").hidden = !$("img").hidden;
    $("img").src = picture.missing ? "" : picture.address;
    $("img").alt = lucid.describe(picture);
    $("img").style.maxWidth = `${Math.max(512, 2 * picture.width)}px`; // enlarged further, a small picture is only mist
    lucid.offer($(".viewer-side"), picture);
    $(".download").hidden = picture.missing ?? false;
    for (const button of dialog.querySelectorAll('[data-takes="picture"]')) button.disabled = picture.missing ?? false;
    $(".viewer-place").textContent = pictures.length > 1 ? `${at + 1} of ${pictures.length}` : "";
    $(".previous").disabled = at === 0;
    $(".next").disabled = at === pictures.length - 1;
  };
  const move = (by) => {
    at = Math.min(pictures.length - 1, Math.max(0, at + by));
    show();
  };
  $(".previous").addEventListener("click", () => move(-1));
  $(".next").addEventListener("click", () => move(1));
  $(".close").addEventListener("click", () => dialog.close());
  $(".copy").addEventListener("click", (event) => lucid.copy(pictures[at].infotext, event.currentTarget));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("pre")) return;
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  return {
    open(list, index) {
      if (!$(".send-to").children.length) {
        const picture = () => ({infotext: pictures[at].infotext, source: pictures[at].missing ? null : pictures[at].address});
        lucid.sendButtons($(".send-to"), picture, {sent: () => dialog.close()});
      }
      if (!dialog.isConnected) document.querySelector(".gradio-container").append(dialog);
      [pictures, at] = [list, index];
      show();
      dialog.showModal();
    },
  };
})();

// A picture in words, for who cannot see it: its prompt.
lucid.describe = (picture) => picture.infotext.split(/\n(?:Negative prompt|Steps): /)[0].slice(0, 300);

// Infotext and download link of a picture, in a box that has places for them.
lucid.offer = (box, picture) => {
  box.querySelector(".infotext").textContent = picture.infotext;
  const link = box.querySelector(".download");
  link.href = picture.address;
  link.download = picture.name;
};

// Put a picture where another is, without an empty moment between: it is decoded first.
lucid.swapImage = (img, source, alt) => {
  img.alt = alt;
  if (img.dataset.wanted === source) return;
  img.dataset.wanted = source;
  const next = new Image();
  next.src = source;
  next.decode().catch(() => {}).then(() => { if (img.dataset.wanted === source) img.src = source; });
};
