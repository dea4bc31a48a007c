// "Send to": a finished picture goes to another tab, with its prompt and parameters.

// The tabs that can be sent to. Those that take a picture have a `receive` in `lucid.sources`; a new one is a row here.
lucid.destinations = [
  {tab: "txt2img", title: "txt2img", takes: "parameters"},
  {tab: "img2img", title: "img2img", takes: "picture"},
  {tab: "inpaint", title: "Inpaint", takes: "picture"},
  {tab: "extras", title: "Extras", takes: "picture"},
];

// `picture`: {infotext, source (an address or a file; null when it is gone)}
lucid.sendPicture = ({tab, takes}, {infotext, source}) => {
  if (infotext && tab !== "extras") lucid.send(tab, infotext); // which reads it from the picture
  else lucid.openTab(tab);
  if (takes !== "picture" || !source) return;
  if (lucid.sources[tab]) lucid.sources[tab].receive(source);
  else lucid.parcels[tab] = source;
  document.querySelector(".gradio-container").scrollIntoView();
};

// Puts a button for each destination into `box`. `picture()` tells what to send at the moment of the click; `sent()` is called
// before it goes. Destinations in `without` are left out.
lucid.sendButtons = (box, picture, {without = [], sent = () => {}} = {}) => {
  box.append(Object.assign(document.createElement("span"), {textContent: "Send to"}));
  for (const destination of lucid.destinations) {
    if (without.includes(destination.tab)) continue;
    const what = destination.takes === "picture" ? "the picture with its prompt and parameters" : "prompt and parameters";
    const button = Object.assign(document.createElement("button"), {type: "button", className: "small", textContent: destination.title, title: `Send ${what} to ${destination.title}`});
    button.setAttribute("aria-label", `Send to ${destination.title}`);
    button.dataset.takes = destination.takes;
    button.addEventListener("click", () => {
      const what = picture();
      sent();
      lucid.sendPicture(destination, what);
    });
    box.append(button);
  }
};
