// The picture of an editor, to the server and back, and its memory in the browser over a reload.

lucid.inputs = {
  address: (id) => `lucid/inputs/${id}`,
  // Hand a picture in: {id, width, height, has_alpha}. Throws an Error that says what is wrong with it.
  async add(blob) {
    let answer;
    try {
      answer = await fetch("lucid/inputs", {method: "POST", body: blob});
    } catch {
      throw new Error("The picture was not taken, because the server does not answer. Try again when it is back.");
    }
    const told = await answer.json().catch(() => ({error: `The server did not take the picture (${answer.status}).`}));
    if (!answer.ok) throw new Error(told.error);
    return told;
  },
  // The picture of that id, decoded; null when the server does not have it (any more).
  async image(id) {
    const image = new Image();
    image.src = this.address(id);
    try {
      await image.decode();
      return image;
    } catch {
      return null;
    }
  },
};

// What a page's editors hold, each page's own; a new page begins with what the last one had. IndexedDB, since pictures are too
// large for the other stores. A browser that refuses it remembers nothing.
lucid.drawings = (() => {
  const KEEP = 12; // of all pages
  const page = (() => {
    const id = lucid.memory.read("lucid.page") ?? Math.random().toString(36).slice(2);
    lucid.memory.write("lucid.page", id, ["sessionStorage"]);
    return id;
  })();
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  let opening = null;
  const store = async (mode) => {
    opening ??= (() => {
      const request = indexedDB.open("lucid", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("drawings", {keyPath: "key"});
      return done(request);
    })();
    return (await opening).transaction("drawings", mode).objectStore("drawings");
  };
  return {
    async read(tab) {
      try {
        const all = (await done((await store("readonly")).getAll())).filter((one) => one.tab === tab);
        return all.find((one) => one.key === `${page}/${tab}`) ?? all.sort((a, b) => b.at - a.at)[0] ?? null;
      } catch {
        return null;
      }
    },
    async write(tab, drawing) {
      try {
        const drawings = await store("readwrite");
        await done(drawings.put({...drawing, tab, key: `${page}/${tab}`, at: Date.now()}));
        const all = await done(drawings.getAll());
        for (const old of all.sort((a, b) => b.at - a.at).slice(KEEP)) drawings.delete(old.key);
      } catch { /* refused or full: it is not remembered */ }
    },
  };
})();
