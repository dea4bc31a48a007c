// Following jobs: asks the server again and again, and remembers which jobs this page began.

// Calls `told(answer)` after each answer and `lost(true | false)` when the server stops or starts answering.
// `question()` is asked for anew each time; `busy()` says whether something is going on that is worth asking about often.
lucid.poller = (server, {question, told, lost, busy}) => {
  const [OFTEN, SELDOM, PATIENCE] = [200, 2500, 15000]; // milliseconds
  let [timer, round, failures] = [null, 0, 0];

  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  };
  const ask = async () => {
    const mine = ++round; // an answer that comes after a newer question was asked is dropped
    const late = new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error("no answer")));
    let answer;
    try {
      answer = await Promise.race([lucid.ask(server, "poll", question()), late]);
    } catch {
      if (mine !== round) return;
      failures += 1;
      if (failures > 1) lost(true); // one lost answer is no news
      later(Math.min(8000, 500 * 2 ** failures));
      return;
    }
    if (mine !== round) return;
    if (failures) lost(false);
    failures = 0;
    told(answer);
    later(busy() ? OFTEN : document.hidden ? 4 * SELDOM : SELDOM);
  };
  const now = () => later(0);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) now(); });
  addEventListener("online", now);
  now();
  return {now};
};

// The jobs that a page knows: its own ones, and the one of another page that it joined. Which of them are drawing, what
// to show in front, what a stop means.
lucid.jobBook = (kind) => {
  const key = `lucid.jobs.${kind}`;
  const KEEP = 24; // jobs whose pictures stay in the strip
  const jobs = new Map(); // id -> {own, told (as the server last told it)}, oldest first
  let queue = [];

  const remember = () => {
    const own = [...jobs].filter(([, job]) => job.own).map(([id]) => id);
    lucid.memory.write(key, own.slice(-8), ["sessionStorage"]);
  };
  const add = (id, own) => {
    if (jobs.has(id)) return;
    jobs.set(id, {own, told: null});
    while (jobs.size > KEEP) jobs.delete(jobs.keys().next().value);
    remember();
  };
  for (const id of lucid.memory.read(key) ?? []) add(id, true);

  const isFinal = (told) => ["done", "stopped", "failed"].includes(told.state);
  const mine = (told) => told.kind === kind && jobs.has(told.id);
  return {
    add,
    // What to ask about: jobs that were never told of, or may have changed.
    watched: () => Object.fromEntries(
      [...jobs].filter(([, {told}]) => !told || !isFinal(told)).map(([id, {told}]) => [id, told?.version ?? -1]),
    ),
    hear(answer) {
      queue = answer.queue;
      for (const [id, told] of Object.entries(answer.jobs)) {
        if (told) jobs.get(id).told = told;
        else jobs.delete(id);
      }
      // A page with nothing of its own joins what another page is drawing.
      const other = queue.find((told) => told.kind === kind && told.state === "running" && !jobs.has(told.id));
      if (other && ![...jobs.values()].some((job) => job.own)) add(other.id, false);
      remember();
      return other !== undefined && jobs.has(other.id) && !jobs.get(other.id).told;
    },
    // The job in front: one of ours that draws, else one that waits, else what another page draws.
    front() {
      const [ours, others] = [queue.filter(mine), queue.filter((told) => told.kind === kind && !jobs.has(told.id))];
      const running = (told) => told.state === "running";
      return ours.find(running) ?? ours[0] ?? others.find(running) ?? null;
    },
    isOurs: (told) => jobs.has(told.id),
    waitingOurs: () => queue.filter((told) => mine(told) && told.state === "waiting").length,
    queue: () => queue,
    // Whether jobs of this page are still to end, so that an answer is wanted soon although the panel is hidden.
    waitsForOurs: () => [...jobs.values()].some(({told}) => told && !isFinal(told)),
    busy: () => queue.length > 0 || [...jobs.values()].some(({told}) => !told || !isFinal(told)),
    // The job that ended last.
    last: () => [...jobs.values()].map(({told}) => told).filter((told) => told && isFinal(told))
      .sort((a, b) => a.finished - b.finished).pop() ?? null,
    told: (id) => jobs.get(id)?.told ?? null,
    // All pictures known here, newest job first, each job's in their order.
    pictures: () => [...jobs.values()].reverse().flatMap(({told}) => (told?.pictures ?? []).map((picture) => (
      {...picture, job: told.id, key: `${told.id}/${picture.index}`, source: picture.source ?? told.source}
    ))),
  };
};
