// Several pictures to draw over: they come in, are shown small, and go along with Generate as one job.

lucid.pictureBatch = (tab, element, server) => {
  const $ = (selector) => element.querySelector(selector);
  let pictures = []; // {id, name, infotext}
  let taking = 0;

  const complain = (text) => {
    $(".alert").textContent = text;
    $(".alert").hidden = !text;
  };
  const show = () => {
    const count = pictures.length;
    $(".chosen").hidden = $(".clear").hidden = count === 0;
    $(".reuse").hidden = !pictures.some(({infotext}) => infotext);
    $(".told").textContent = taking ? "Taking the pictures…" : count ? `Generate draws over ${count === 1 ? "this picture" : `these ${count} pictures`}.` : "";
    $(".chosen").replaceChildren(...pictures.map((picture, at) => {
      const row = document.createElement("li");
      const image = Object.assign(new Image(), {src: lucid.inputs.address(picture.id), alt: picture.name || `Picture ${at + 1}`, title: picture.name, loading: "lazy"});
      const away = Object.assign(document.createElement("button"), {type: "button", textContent: "✕", title: "Take it away"});
      away.setAttribute("aria-label", `Take away ${image.alt}`);
      away.addEventListener("click", () => { pictures = pictures.filter((one) => one !== picture); show(); });
      row.append(image, away);
      return row;
    }));
  };
  const take = async (files) => {
    complain("");
    taking += 1;
    show();
    for (const file of files) {
      try {
        const {id} = await lucid.inputs.add(file);
        const {infotext = ""} = await lucid.readPicture(file);
        if (!pictures.some((picture) => picture.id === id)) pictures = [...pictures, {id, name: file.name ?? "", infotext: infotext ?? ""}];
      } catch (error) {
        complain(`${file.name}: ${error.message}`);
      }
    }
    taking -= 1;
    show();
  };

  $(".drop input").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
  $(".drop").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); $(".drop input").click(); } });
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    const files = [...(event.dataTransfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    take(files);
  });
  $(".clear").addEventListener("click", () => { pictures = []; show(); });

  lucid.batches[tab] = {
    async deliver() {
      if (taking) throw new Error("The pictures of the batch are still being taken. Wait a moment.");
      if (!pictures.length) return null; // the picture in the editor then
      const reuse = [...element.querySelectorAll(".reuse input:checked")].map((box) => box.value);
      const asked = {pictures: pictures.map(({id, infotext}) => ({id, infotext})), reuse};
      const {batch_pictures} = await lucid.ask(server, "entries", asked);
      return {init_image: pictures[0].id, mask: "", batch_pictures};
    },
  };
  show();
};
