// Hires fix: what size comes of it, advice where it would be better, and "Upscale" beside a finished picture.

lucid.hires = (element, server, trigger) => {
  const FORM = "lucid.txt2img";
  const NAMES = ["width", "height", "checkpoint", "denoising_strength"];
  const $ = (selector) => element.querySelector(selector);
  const values = () => Object.fromEntries(Object.entries(lucid.form.records[FORM] ?? {}).filter(([name]) => NAMES.includes(name) || name.startsWith("hires")));
  let asked = "";

  const show = ({target, advice}) => {
    $(".target").hidden = !target;
    $(".target").textContent = target;
    $(".advice").hidden = !advice;
    $(".advice span").textContent = advice;
  };
  // Asked when something has changed since: the form is the browser's, the arithmetic the server's.
  const look = async () => {
    const now = values();
    const text = JSON.stringify(now);
    const isOpen = document.getElementById("generate")?.offsetParent !== null; // this line itself is not there while it is empty
    if (!isOpen || text === asked || !("width" in now)) return;
    asked = text;
    const told = await lucid.ask(server, "tell", now).catch(() => null);
    if (told && text === asked) show(told);
    else if (!told) asked = "";
  };
  setInterval(look, 600);
  $(".advice button").addEventListener("click", () => trigger("take"));

  const button = Object.assign(document.createElement("button"), {type: "button", className: "small upscale", textContent: "Upscale", title: "Draw this picture again with hires fix: larger, with more detail"});
  button.addEventListener("click", async () => {
    const panel = lucid.panels.txt2img;
    if (!panel?.asking() || !panel.shown()) return;
    const answer = await lucid.ask(server, "upscale", {infotext: panel.shown().infotext, values: values()}).catch(() => ({error: "The server does not answer. Try again when it is back."}));
    if (answer.job) panel.follow(answer.job);
    else panel.say(answer.error);
  });
  const place = () => {
    const send = document.querySelector("#results .facts .send");
    if (send) send.after(button);
    else setTimeout(place, 300);
  };
  place();
};
