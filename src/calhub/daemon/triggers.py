"""What sets off passes besides the clock and the network: files that change, and commits to the hub by any process.

Each trigger is a thread that calls back when it has noticed something; what that means is for the engine to find out.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from watchfiles import Change, watch

from calhub.hub.migrate import open_plain
from calhub.ops import log

#: How often SQLite is asked whether somebody committed: reading one number in shared memory.
LOOK_SECONDS: Final = 0.05
#: Files are told of once nothing more has happened for ``_STEP_MS``, and after ``_LONGEST_MS`` anyway.
_STEP_MS: Final = 20
_LONGEST_MS: Final = 60
#: Once so long has passed, the watch is known to stand.
_SETTLED_MS: Final = 500


class Commits:
    """Calls ``noticed`` soon after each commit to the hub, whoever made it; several commits may count as one."""

    def __init__(self, path: Path, noticed: Callable[[], None]) -> None:
        self._path = path
        self._noticed = noticed
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="calhub-commits", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(open_plain(self._path)) as db:
            seen = None
            while not self._over.wait(LOOK_SECONDS):
                version = self._version(db)
                if version is not None and version != seen:
                    seen = version
                    self._noticed()

    def _version(self, db: sqlite3.Connection) -> int | None:
        try:
            # It changes with the commits of other connections, and all commits are other connections' here.
            found: int = db.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.OperationalError:  # the database is locked for a moment, or the disk is full
            return None
        return found


class Folders:
    """Calls ``noticed`` with the replicas in whose folder a file changed. `watch` says which folders there are."""

    def __init__(self, noticed: Callable[[set[int]], None]) -> None:
        self._noticed = noticed
        self._watched: dict[Path, set[int]] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, places: Mapping[int, Path]) -> set[int]:
        """Watch these folders, by replica, and no others; returns the replicas whose folder is there."""
        folders: dict[Path, set[int]] = {}
        for replica, place in places.items():
            if place.is_dir():
                folders.setdefault(place.resolve(), set()).add(replica)
        if folders != self._watched or (self._thread is not None and not self._thread.is_alive()):
            self.stop()
            self._watched, self._over = folders, threading.Event()
            if folders:
                self._thread = threading.Thread(target=self._run, name="calhub-folders", daemon=True)
                self._thread.start()
        return {replica for mine in folders.values() for replica in mine}

    def stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._watched = {}

    def _run(self) -> None:
        folders, over = self._watched, self._over
        fresh = True
        try:
            for changes in watch(
                *folders, watch_filter=_is_item, step=_STEP_MS, debounce=_LONGEST_MS, stop_event=over,
                recursive=False, raise_interrupt=False, rust_timeout=_SETTLED_MS, yield_on_timeout=True,
            ):  # fmt: skip
                if fresh:  # what happened while the watch was being set up was seen by nobody
                    fresh = False
                    self._noticed({replica for mine in folders.values() for replica in mine})
                changed = {Path(name).parent for _, name in changes} | {Path(name) for _, name in changes}
                if told := {replica for folder in changed & folders.keys() for replica in folders[folder]}:
                    self._noticed(told)
        except (OSError, RuntimeError) as error:  # a folder went away, or there are no more watches to be had
            log.get("daemon").warning("folders are not watched any more", error=str(error))


def _is_item(_change: Change, path: str) -> bool:
    """Files being written have other names until they are whole."""
    return not Path(path).name.startswith(".")
