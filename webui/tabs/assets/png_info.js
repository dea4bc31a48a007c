// Drop, choose or paste a picture: the server reads how it was made. Nothing is stored there.

lucid.pictureReader = (server) => {
  // {infotext, source}, or {error}
  lucid.readPicture = async (file) => {
    const data = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(String(reader.result).split(",", 2)[1] ?? "");
      reader.readAsDataURL(file);
    });
    try {
      return await lucid.ask(server, "read", {data});
    } catch {
      return {error: "The server does not answer. Try again in a moment."};
    }
  };
};

lucid.pictureIn = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));

// A picture dropped on a form brings its parameters; on the PNG Info tab it is shown.
document.addEventListener("dragover", (event) => {
  if ([...(event.dataTransfer?.types ?? [])].includes("Files")) event.preventDefault();
});
document.addEventListener("drop", async (event) => {
  const file = lucid.pictureIn(event.dataTransfer);
  if (!file) return;
  event.preventDefault();
  if (lucid.infoTab?.isOpen()) {
    lucid.infoTab.show(file);
    return;
  }
  const told = await lucid.readPicture(file);
  if (told.infotext) lucid.send(lucid.openForm(), told.infotext);
  else lucid.activePanel()?.say(told.error ?? told.source);
});

lucid.pngInfo = (element) => {
  const $ = (selector) => element.querySelector(selector);
  let [infotext, picture] = ["", null];

  const show = async (file) => {
    picture = file;
    const img = $(".drop img");
    URL.revokeObjectURL(img.src);
    img.src = URL.createObjectURL(file);
    img.hidden = false;
    $(".hint").hidden = true;
    const told = await lucid.readPicture(file);
    infotext = told.infotext ?? "";
    $(".alert").hidden = !told.error;
    $(".alert").textContent = told.error ?? "";
    $(".source").hidden = Boolean(told.error);
    $(".source").textContent = told.source ?? "";
    $(".infotext").hidden = $(".facts-actions").hidden = infotext === "";
    $(".infotext").textContent = infotext;
    $(".send-to").hidden = Boolean(told.error);
    $('[data-takes="parameters"]').disabled = infotext === "";
  };

  $("input").addEventListener("change", (event) => {
    if (event.target.files[0]) show(event.target.files[0]);
    event.target.value = "";
  });
  $(".drop").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") $("input").click(); });
  $(".copy").addEventListener("click", (event) => lucid.copy(infotext, event.currentTarget));
  lucid.sendButtons($(".send-to"), () => ({infotext, source: picture}));
  document.addEventListener("paste", (event) => {
    const file = lucid.pictureIn(event.clipboardData);
    if (file && element.offsetParent !== null) show(file);
  });
  lucid.infoTab = {show, isOpen: () => element.offsetParent !== null};
};
