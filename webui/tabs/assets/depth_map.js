// The depth map of a tab: one picture, handed in when it comes, whose id goes along with Generate.

lucid.depthMap = (tab, element) => {
  const $ = (selector) => element.querySelector(selector);
  const wish = $(".told").textContent;
  const hold = (id) => {
    lucid.besides[tab] = {depth_map: id};
    $("img").hidden = $(".away").hidden = !id;
    if (id) $("img").src = lucid.inputs.address(id);
    $(".told").textContent = id ? "" : wish;
  };
  $("input").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      hold((await lucid.inputs.add(file)).id);
    } catch (error) {
      $(".told").textContent = error.message;
    }
  });
  $(".away").setAttribute("aria-label", "Take the depth map away");
  $(".away").addEventListener("click", () => hold(""));
  hold("");
};
