// The results panel of a tab: progress, live preview, pictures with their infotext, the queue.

lucid.results = (kind, prefix, element, props, server, watch) => {
  const $ = (selector) => element.querySelector(selector);
  const book = lucid.jobBook(kind);
  let shown = null; // the finished picture on the stage
  let chosen = null; // key of the picture that was clicked; null follows what is being drawn
  let preview = {job: null, number: 0, source: null};
  let readiness = {ready: true, text: ""};
  let complained = null; // id of the failed job whose error was shown
  let spoken = "";
  let lost = false;

  const poller = lucid.poller(server, {
    question: () => ({watch: book.watched(), preview: {job: previewed(), number: preview.number}}),
    busy: () => (book.busy() || !readiness.ready) && (book.waitsForOurs() || element.offsetParent !== null),
    lost(is) {
      lost = is;
      $(".offline").hidden = !is;
      if (is) document.dispatchEvent(new Event("lucid:offline"));  // or it does answer, but not to somebody signed out
      element.classList.toggle("lost", is);
      if (!is) alert("");
    },
    told(answer) {
      readiness = answer.ready;
      if (book.hear(answer)) poller.now();
      if (answer.preview) preview = answer.preview;
      show();
    },
  });

  const previewed = () => {
    const front = book.front();
    if (!front || !book.isOurs(front)) return null;
    if (preview.job !== front.id) preview = {job: front.id, number: 0, source: null};
    return front.id;
  };

  // ---- words and numbers

  const seconds = (s) => (s < 60 ? `${Math.max(1, Math.round(s))} s` : s < 3600 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
  const took = (s) => (s < 10 ? `${s.toFixed(1)} s` : seconds(s));
  const speed = (rate) => (!rate ? "" : rate >= 1 ? `${rate.toFixed(1)} it/s` : `${(1 / rate).toFixed(1)} s/it`);
  const many = (n) => (n === 1 ? "1 picture" : `${n} pictures`);

  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  const told = (job) => { // what is said of the job in front: [text, numbers, fraction]
    const left = job.eta ? `about ${seconds(job.eta)} left` : "";
    if (job.state === "waiting") {
      const place = job.place > 1 ? `Waiting: place ${job.place} in the queue` : "Waiting: next in the queue";
      return [readiness.ready ? place : readiness.text, left, 0];
    }
    const whose = book.isOurs(job) ? "" : "Another page is drawing: ";
    if (job.loading) return [whose + capital(job.loading.text), "", job.loading.fraction];
    if (!job.step) return [whose + (readiness.ready ? "Starting…" : readiness.text), left, 0];
    const {step, steps, batch, batches, sigma} = job.step;
    const of = batches > 1 ? `, batch ${batch + 1} of ${batches}` : "";
    if (!steps) return [`${whose}Call ${step}, noise level ${Number(sigma.toPrecision(3))}${of}`, speed(job.rate), batch / batches];
    return [`${whose}Step ${step} of ${steps}${of}`, [speed(job.rate), left].filter(Boolean).join(" · "), (batch + step / steps) / batches];
  };
  const ended = (job) => ({
    done: `Done: ${many(job.pictures.length)} in ${took(job.finished - job.started)}`,
    stopped: job.pictures.length ? `Stopped: ${job.pictures.length} of ${job.count} kept` : "Stopped",
    failed: "Failed",
  })[job.state];

  // ---- showing

  const show = () => {
    const front = book.front();
    const last = book.last();
    const [words, numbers, fraction] = front ? told(front) : [last ? ended(last) : readiness.ready ? "Ready" : readiness.text, "", 0];
    const working = front !== null || !readiness.ready;
    $(".what").textContent = words;
    $(".numbers").textContent = numbers;
    $(".progress").classList.toggle("working", working);
    const unknown = working && (!front || (front.state === "running" && !front.step?.steps && !front.loading));
    $(".progress").classList.toggle("unknown", unknown);
    const percent = Math.round(100 * fraction);
    if (unknown) $(".bar").removeAttribute("aria-valuenow");
    else $(".bar").setAttribute("aria-valuenow", percent);
    $(".bar i").style.width = `${100 * fraction}%`;

    const drawing = front && front.state === "running" && book.isOurs(front);
    lucid.tellTitle(kind, drawing ? (unknown ? "Drawing" : `${percent} %`) : book.waitingOurs() ? "Waiting" : "");
    const controllable = front !== null && book.isOurs(front);
    lucid.setActions(prefix, {waiting: book.waitingOurs(), stop: controllable, skip: drawing && front.count > 1});
    say(front ? "" : last ? ended(last) : "");

    const job = (front && book.isOurs(front) && book.told(front.id)) || last;
    const notices = job?.notices ?? [];
    $(".notices").hidden = notices.length === 0;
    $(".notices").replaceChildren(...notices.map((text) => Object.assign(document.createElement("li"), {textContent: text})));
    if (last?.state === "failed" && complained !== last.id) {
      complained = last.id;
      alert(last.error);
    }
    showStage(drawing ? front : null);
    showQueue(front);
  };

  const showStage = (drawing) => {
    const pictures = book.pictures();
    const live = drawing && preview.job === drawing.id && preview.source;
    const picked = pictures.find((picture) => picture.key === chosen);
    const newest = live ? null : newestOf(pictures);
    const picture = picked ?? newest;
    const img = $(".stage img");
    const size = picture ?? (live ? book.told(drawing.id) : null);
    $(".stage").classList.toggle("empty", !size);
    $(".stage").classList.toggle("live", !picture && Boolean(live));
    $(".enlarge").hidden = !size;
    $(".enlarge").disabled = !picture;
    if (size) {
      img.width = size.width;
      img.height = size.height;
      $(".enlarge").style.setProperty("--ratio", size.width / size.height);
      $(".enlarge").style.setProperty("--wide", `${Math.max(384, size.width)}px`);
      lucid.swapImage(img, picture ? picture.address : preview.source, picture ? lucid.describe(picture) : "Preview of the unfinished picture");
    }
    $(".facts").hidden = !picture;
    if (picture && shown?.key !== picture.key) lucid.offer($(".facts"), picture);
    shown = picture ?? null;
    showBefore(picture?.source);
    showStrip(pictures, picture, drawing);
  };

  // What the picture was made from, over it, as far as the slider is pulled.
  const showBefore = (source) => {
    $(".compare").hidden = $(".before").hidden = !source;
    if (!source) return;
    const [left, top, right, bottom] = source.inset;
    const [wide, high] = [1 - left - right, 1 - top - bottom];
    const at = (start, size) => `${size < 1 ? (100 * start) / (1 - size) : 50}%`;
    Object.assign($(".before").style, {
      backgroundImage: `url("${source.address}")`,
      backgroundPosition: `${at(left, wide)} ${at(top, high)}`,
      backgroundSize: wide < 1 || high < 1 ? `${100 * wide}% ${100 * high}%` : source.fit,
    });
  };
  $(".compare input").addEventListener("input", (event) => {
    $(".stage").style.setProperty("--until", `${event.target.value}%`);
    $(".stage").style.setProperty("--pulled", event.target.value > 0 && event.target.value < 100 ? 1 : 0);
  });

  // The newest job's last picture while it draws; its first when it is done.
  const newestOf = (pictures) => {
    if (!pictures.length) return null;
    const ofJob = pictures.filter((picture) => picture.job === pictures[0].job);
    return book.front()?.id === pictures[0].job ? ofJob[ofJob.length - 1] : ofJob[0];
  };

  const showStrip = (pictures, picture, drawing) => {
    const strip = $(".strip");
    const keys = [drawing ? "live" : "", ...pictures.map(({key}) => key)].join();
    strip.hidden = pictures.length + (drawing ? 1 : 0) < 2;
    if (strip.dataset.keys !== keys) {
      strip.dataset.keys = keys;
      const tile = (key, content, label) => {
        const button = document.createElement("button");
        Object.assign(button, {type: "button", title: label});
        button.dataset.key = key;
        button.setAttribute("aria-label", label);
        button.append(content);
        button.addEventListener("click", () => { chosen = key === "live" ? null : key; show(); });
        return button;
      };
      const small = ({address}) => Object.assign(new Image(), {alt: "", loading: "lazy", src: `${address}?side=160`});
      strip.replaceChildren(
        ...(drawing ? [tile("live", Object.assign(document.createElement("span"), {className: "pulse"}), "What is being drawn")] : []),
        ...pictures.map((one) => tile(one.key, small(one), `Seed ${one.seed}`)),
      );
    }
    for (const button of strip.children) {
      button.setAttribute("aria-pressed", String(button.dataset.key === (picture?.key ?? "live")));
    }
  };

  const showQueue = (front) => {
    const others = book.queue().filter((job) => job.id !== front?.id);
    $(".queue").hidden = others.length === 0;
    const text = JSON.stringify(others);
    if ($(".queue").dataset.shown === text) return;
    $(".queue").dataset.shown = text;
    $(".queue ol").replaceChildren(...others.map((job) => {
      const row = document.createElement("li");
      const where = job.state === "running" ? "drawing" : job.place === 1 ? "next" : `place ${job.place}`;
      const until = job.eta ? `, done in ${seconds(job.eta)}` : "";
      row.append(
        Object.assign(document.createElement("span"), {className: "queue-prompt", textContent: job.prompt || "no prompt"}),
        Object.assign(document.createElement("span"), {className: "queue-place", textContent: `${many(job.count)}, ${where}${until}`}),
      );
      const cancel = Object.assign(document.createElement("button"), {type: "button", className: "small", textContent: "✕", title: "Take it out of the queue"});
      cancel.setAttribute("aria-label", `Take out of the queue: ${job.prompt}`);
      cancel.addEventListener("click", () => order("stop", job.id));
      row.append(cancel);
      return row;
    }));
  };

  // ---- telling and being told

  const alert = (text) => {
    $(".alert p").textContent = text ?? "";
    $(".alert").hidden = !text;
  };
  $(".alert button").addEventListener("click", () => alert(""));
  const say = (text) => { // for who cannot see the panel; only what is new
    if (text === spoken) return;
    spoken = text;
    $(".spoken").textContent = text;
  };
  const order = async (what, job) => {
    try {
      const answer = await lucid.ask(server, what, {job});
      if (answer.error) alert(answer.error);
    } catch {
      alert("Nothing was changed, because the server does not answer. Try again when it is back.");
    }
    poller.now();
  };
  const atFront = (what) => {
    const front = book.front();
    if (front && book.isOurs(front)) order(what, front.id);
  };

  watch("value", () => { // the answer to Generate
    const answer = props.value;
    if (!answer) return;
    if (answer.job) {
      lucid.panels[kind].follow(answer.job);
    } else {
      alert(answer.error);
      lucid.fields[prefix + answer.field]?.field.focus();
    }
  });

  $(".enlarge").addEventListener("click", () => {
    const pictures = book.pictures();
    lucid.viewer.open(pictures, Math.max(0, pictures.findIndex(({key}) => key === shown?.key)));
  });
  $(".facts .copy").addEventListener("click", (event) => lucid.copy(shown.infotext, event.currentTarget));
  lucid.sendButtons($(".send-to"), () => ({infotext: shown.infotext, source: shown.address}), {without: kind === "txt2img" ? [kind] : []});
  $(".facts .send").addEventListener("click", () => lucid.send(kind, shown.infotext));

  new IntersectionObserver(([entry]) => { if (entry.isIntersecting) poller.now(); }).observe(element); // the tab was opened

  lucid.panels[kind] = {
    element,
    // Whether Generate may ask: Gradio would take an unanswered question for the end of the page, and load it anew.
    asking() {
      alert(lost ? "Nothing was put into the queue, because the server does not answer. Try again when it is back." : "");
      return !lost;
    },
    say: alert,
    shown: () => shown,
    follow(job) {
      book.add(job, true);
      chosen = null;
      poller.now();
    },
    stop: () => atFront("stop"),
    skip: () => atFront("skip"),
  };
};

// The buttons follow what the panel knows.
lucid.setActions = (prefix, {waiting, stop, skip}) => {
  const [generate, stopping, skipping] = ["generate", "stop", "skip"].map((id) => document.getElementById(prefix + id));
  if (!generate) return;
  stopping.disabled = !stop;
  skipping.disabled = !skip;
  const count = generate.querySelector("small");
  count.hidden = waiting === 0;
  count.textContent = `${waiting} waiting`;
};

// The window's title tells how far the drawing is, of whichever tab draws.
lucid.tellTitle = (kind, words) => {
  lucid.titles = {...lucid.titles, [kind]: words};
  const telling = Object.values(lucid.titles).find(Boolean);
  document.title = telling ? `${telling} · Lucid` : "Lucid";
};
