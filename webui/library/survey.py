"""One look at the model folders: everything that was found, described file by file, what somebody waits for first.

Listing ten thousand files takes a tenth of a second, reading their headers most of a minute. So the library lists them at
once and reads them in a thread of its own, and whoever names a file that was not read yet has it read next.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from threading import Condition, Thread

from webui.library.descriptions import Descriptions
from webui.library.model_file import ModelFile
from webui.library.names import aliases, fold
from webui.library.scan import Found, Scan

Described = Mapping[Found, ModelFile]
Publish = Callable[[Described], None]

_READ_FIRST = ("checkpoint", "vae", "taesd")  # few, and nothing can be drawn without them
_READ_NEXT = ("embedding", "hypernetwork")  # small, and named by plain words
_BATCH = 25  # files described at a time: between two of them somebody may ask for another
_EVERY = 0.3  # seconds between two looks at what was read so far, at least
_INDEXING_SHARE = 10  # and so many times as long as it took to make the last of them


class Survey:
    """Describes what ``seen`` holds and calls ``publish`` with all that is described so far, and again as it grows.

    ``known`` are the descriptions of the last look. :meth:`begin` reads the few files that everything needs and starts a
    thread for the others.
    """

    def __init__(self, seen: Scan, descriptions: Descriptions, known: Described, publish: Publish) -> None:
        self.total = len(seen.found)
        self._found = tuple(seen.found)
        self._descriptions = descriptions
        self._known = known
        self._publish = publish
        self._changed = Condition()
        self._described: dict[Found, ModelFile] = {}
        self._waiting = dict.fromkeys(sorted(seen.found, key=_turn))
        self._urgent: list[Found] = []
        self._published: set[Found] = set()
        self._over = False
        self._stopping = False
        self._thread: Thread | None = None
        self._by_alias: dict[str, list[Found]] = {}

    @property
    def done(self) -> int:
        """How many files are described and published so far, of ``total``: who sees all done sees all of them."""
        return len(self._published)

    @property
    def over(self) -> bool:
        return self._over

    def begin(self) -> None:
        remembered = self._descriptions.remembered() if any(found not in self._known for found in self._found) else {}
        first = [found for found in self._waiting if found.kind in _READ_FIRST or found in self._known]
        self._describe(first, remembered)
        self._tell()
        if not self._waiting:
            self._end()
            return
        self._thread = Thread(target=self._run, args=(remembered,), name="library", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End early; what was read is remembered."""
        self._stopping = True
        self.wait()

    def wait(self) -> None:
        """Until everything is described."""
        with self._changed:
            self._changed.wait_for(lambda: self._over)

    def want(self, named: Iterable[str], paths: Iterable[str] = (), words: str = "") -> None:
        """Wait until no file is unread that goes by one of these names, has one of the paths, or whose name is in ``words``.

        ``words``: a prompt's letters, folded, without spaces; embeddings are named there without any tag.
        """
        if self._over:
            return
        wanted = self._meant(named, set(paths), words)
        with self._changed:
            self._urgent += [found for found in wanted if found in self._waiting]
            self._changed.wait_for(lambda: self._over or all(found in self._published for found in wanted))

    def _meant(self, named: Iterable[str], paths: set[str], words: str) -> list[Found]:
        if not self._by_alias:
            by_alias = defaultdict(list)
            for found in self._found:
                for alias in aliases(found, found.path.stem):
                    by_alias[alias].append(found)
            self._by_alias = dict(by_alias)
        meant = [found for name in named for found in self._by_alias.get(fold(name), ())]
        # names depend on one another: "a" is called "people/a" once there is a second "a"
        meant += [alike for found in meant for alike in self._by_alias[fold(found.path.stem)]]
        if paths:
            meant += [found for found in self._found if str(found.path) in paths]
        if words:
            meant += [found for found in self._found if "".join(found.path.stem.casefold().split()) in words]
        return [found for found in dict.fromkeys(meant) if found not in self._published]

    def _run(self, remembered: Mapping[str, tuple[str, str]]) -> None:
        told, took = time.monotonic(), 0.0
        try:
            while self._waiting and not self._stopping:
                with self._changed:
                    urgent, self._urgent = self._urgent, []
                batch = [found for found in urgent if found in self._waiting] or list(islice(self._waiting, _BATCH))
                self._describe(batch, remembered)
                if urgent or time.monotonic() - told > max(_EVERY, _INDEXING_SHARE * took):
                    begun = time.monotonic()
                    self._tell()
                    told = time.monotonic()
                    took = told - begun
            self._tell()
        finally:
            self._end()

    def _describe(self, batch: list[Found], remembered: Mapping[str, tuple[str, str]]) -> None:
        described = self._descriptions.of(batch, self._known, remembered)
        with self._changed:
            self._described |= described
            for found in batch:
                del self._waiting[found]

    def _tell(self) -> None:
        self._publish({found: self._described[found] for found in self._found if found in self._described})
        with self._changed:
            self._published = set(self._described)
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _turn(found: Found) -> int:
    return 0 if found.kind in _READ_FIRST else 1 if found.kind in _READ_NEXT else 2
