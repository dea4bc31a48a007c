// Everybody's jobs, in turn.

lucid.queue = (element, server) => {
  const $ = (selector) => element.querySelector(selector);
  const [list, rows] = [$("ol"), new Map()];
  let jobs = [];

  const duration = (s) => (s < 60 ? `${Math.max(1, Math.round(s))} s` : s < 3600 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
  const part = (name, text = "") => Object.assign(document.createElement("span"), {className: name, textContent: text});
  const act = async (question, details) => {
    try {
      const answer = await lucid.ask(server, question, details);
      $(".alert").hidden = !answer.error;
      $(".alert").textContent = answer.error ?? "";
      if (answer.jobs) show(answer);
    } catch {
      $(".alert").hidden = false;
      $(".alert").textContent = "Nothing was stopped, because the server does not answer. Try again when it is back.";
    }
  };
  const make = (job) => {
    const row = document.createElement("li");
    const stop = Object.assign(document.createElement("button"), {type: "button", className: "small", textContent: "✕"});
    stop.title = job.state === "running" ? "Stop it" : "Take it out of the queue";
    stop.setAttribute("aria-label", `${stop.title}: ${job.prompt ?? job.kind}`);
    stop.addEventListener("click", () => act("stop", {job: job.id}));
    row.append(part("place"), part("owner", job.owner ?? ""), part("what"), part("how-far"), part("bar"));
    if (job.stoppable) row.append(stop);
    row.classList.toggle("own", job.own && job.owner !== null);
    return row;
  };
  const update = (row, job) => {
    const many = job.count === 1 ? "1 picture" : `${job.count} pictures`;
    const told = job.state !== "running" ? many
      : job.loading ?? `${job.count > 1 ? `${job.finished} of ${many} done` : many}${job.step ? `, step ${job.step[0]}${job.step[1] ? ` of ${job.step[1]}` : ""}` : ""}`;
    row.querySelector(".place").textContent = job.state === "running" ? "▶" : job.place;
    row.querySelector(".what").textContent = job.prompt === null ? job.kind : job.prompt || job.kind;
    row.querySelector(".how-far").textContent = job.eta === null ? told : `${told} · done in ${duration(job.eta)}`;
    const share = job.state === "running" && job.step?.[1] ? (job.finished + job.step[0] / job.step[1]) / job.count : 0;
    row.querySelector(".bar").style.setProperty("--share", Math.min(1, share));
    row.classList.toggle("running", job.state === "running");
  };
  const show = (answer) => {
    jobs = answer.jobs;
    for (const [id, row] of rows) if (!jobs.some((job) => job.id === id)) { row.remove(); rows.delete(id); }
    jobs.forEach((job, at) => {
      if (!rows.has(job.id)) rows.set(job.id, make(job));
      const row = rows.get(job.id);
      update(row, job);
      if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    });
    const waiting = jobs.filter((job) => job.state === "waiting");
    $(".nothing").hidden = jobs.length > 0;
    $(".count").textContent = jobs.length ? `${jobs.length - waiting.length} drawn now, ${waiting.length + answer.more} waiting${answer.more ? `, ${answer.more} of them not shown` : ""}` : "";
    $(".stop-waiting").hidden = !waiting.some((job) => job.own);
  };

  $(".stop-waiting").addEventListener("click", () => act("stop_waiting", {}));
  const poller = lucid.poller(server, {
    question: () => ({}),
    busy: () => jobs.length > 0 && element.offsetParent !== null,
    lost: (is) => { $(".offline").hidden = !is; },
    told: show,
  });
  new IntersectionObserver(([entry]) => { if (entry.isIntersecting) poller.now(); }).observe($(".everybody-head"));
};
