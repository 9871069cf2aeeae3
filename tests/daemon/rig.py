"""A real ``calhub serve`` and what it keeps in step, for tests that make it suffer."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from calhub.calendar.event import Content
from calhub.calendar.ical import read_object
from calhub.cli import main
from calhub.hub import accounts, events, sql
from calhub.hub.backup import check
from calhub.hub.database import Hub
from calhub.testing.davserver import CALENDAR, PASSWORD, USERNAME, DavServer

#: For conditions that come true in a moment on a machine with nothing else to do.
DEADLINE: Final = 60.0

Contents = dict[str, Content]


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds; fails with ``what`` after the deadline."""
    tick, end = threading.Event(), time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        tick.wait(0.02)


class Daemon:
    """``calhub serve`` on a home, as a process. `start` and `kill` may follow one another."""

    def __init__(self, home: Path, log: Path) -> None:
        self.home = home
        self.log = log
        self.environment: dict[str, str] = {}  # besides what there is
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, *options: str) -> None:
        """Return once it says where it is."""
        with self.log.open("wb") as output:
            command = [sys.executable, "-m", "calhub.cli", "serve", "--port", "0", *options]
            self._process = subprocess.Popen(command, env=self._environment(), stderr=output)

        def said() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            return re.search(r" at (http://\S+)\n", self.log.read_text()) is not None

        eventually(said, "the daemon says where it is")
        found = re.search(r" at (http://\S+)\n", self.log.read_text())
        assert found is not None
        self.url = found[1]

    def calhub(self, *arguments: str, stdin: str = "", code: int | None = 0) -> Any:
        """What a command prints with --json; it runs in this process, beside the daemon's two. ``code`` None: any."""
        out, given = io.TextIOWrapper(io.BytesIO()), sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        try:
            with redirect_stdout(out), redirect_stderr(io.StringIO()):
                found = main.run(["--home", str(self.home), *arguments, "--json"])
        finally:
            sys.stdin = given
        out.seek(0)
        text = out.read()
        assert code in (found, None), text
        return json.loads(text)

    def refused(self, *options: str) -> tuple[int, str]:
        """``calhub serve`` on the home, which is to be in vain: its exit status and what it says."""
        command = [sys.executable, "-m", "calhub.cli", "serve", *options]
        done = subprocess.run(command, env=self._environment(), capture_output=True, timeout=DEADLINE, check=False)
        return done.returncode, done.stderr.decode()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        return self._process.wait(timeout=DEADLINE)

    def kill(self) -> None:
        """As the system does it when memory is short. The engine ends by itself."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Ask it to end; returns its exit status. Nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGTERM)
        return self.wait()

    @property
    def engine(self) -> int | None:
        """The process id of the engine there is now."""
        assert self._process is not None
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(found[0]) if found else None

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, trust_env=False)

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=body, trust_env=False, timeout=DEADLINE)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "CALHUB_HOME": str(self.home)}


@contextmanager
def daemon(home: Path, log: Path) -> Iterator[Daemon]:
    """A daemon that is not running yet, and is not any more afterwards; ``log`` is what it says at its terminal."""
    made = Daemon(home, log)
    try:
        yield made
    finally:
        if made._process is not None and made._process.poll() is None:
            made.stop()


class Pair:
    """One calendar at a CalDAV server and in a folder, with a hub in between; ``url`` is the way to the server."""

    def __init__(self, root: Path, dav: DavServer, url: str = "") -> None:
        self.dav = dav
        self.url = url or dav.url
        self.folder = root / "service" / "work"
        self.folder.mkdir(parents=True)

    def connect(self, daemon: Daemon) -> None:
        self.hub = daemon.home
        who = ("--url", self.url, "--username", USERNAME, "--password-stdin")
        daemon.calhub("account", "add", "caldav", "dav", *who, "--calendars", "none", stdin=PASSWORD)
        daemon.calhub("account", "add", "folder", "disk", "--url", str(self.folder.parent), "--calendars", "none")
        daemon.calhub("replica", "add", "Work", "dav", CALENDAR)
        daemon.calhub("replica", "add", "Work", "disk", "work")
        for replica in ("1", "2"):  # storms are what these tests are about
            daemon.calhub("replica", "set", replica, "--guard-number", "100000")

    def put(self, uid: str, title: str) -> None:
        """Another program writes a file, as such programs do: whole or not at all."""
        partial = self.folder / f".{uid}.partial"
        partial.write_bytes(ics(uid, title).encode())
        partial.rename(self.folder / f"{uid}.ics")

    def put_remote(self, uid: str, title: str) -> None:
        self.dav.store(f"{uid}.ics", ics(uid, title))

    def in_folder(self) -> Contents:
        return _contents([path.read_bytes() for path in self.folder.glob("*.ics")])

    def at_server(self) -> Contents:
        return _contents([text.encode() for _, text in list(self.dav.items.values())])

    def in_hub(self) -> Contents:
        with Hub.open(self.hub, create=False) as hub, hub.read() as conn:
            [calendar] = accounts.calendars(conn)
            return {stored.uid: stored.content for stored in events.events(conn, calendar.id)}

    def titles(self) -> dict[str, str]:
        return {uid: content["title"] for uid, content in self.in_hub().items()}

    def agree_on(self, titles: dict[str, str]) -> bool:
        """Whether all three hold just these events, by UID, with these titles."""
        hub = self.in_hub()
        return {uid: each["title"] for uid, each in hub.items()} == titles and (
            hub == self.in_folder() == self.at_server()
        )

    def assert_whole(self) -> None:
        """Nothing is left open, and the database is sound."""
        assert check(self.hub) == []
        assert self.open_intents() == 0
        with Hub.open(self.hub, create=False) as hub, hub.read() as conn:
            assert sql.value(conn, "SELECT count(*) FROM conflict") == 0
        assert self.dav.complaints == []

    def open_intents(self) -> int:
        """Writes of which nobody knows what came."""
        with Hub.open(self.hub, create=False) as hub, hub.read() as conn:
            return int(sql.value(conn, "SELECT count(*) FROM intent WHERE state = 'open'"))

    def failures(self) -> int:
        """How often in a row the server's account has failed."""
        with Hub.open(self.hub, create=False) as hub, hub.read() as conn:
            return accounts.breaker(conn, accounts.account(conn, "dav").id).failures

    def creations(self) -> list[str]:
        """The items made at the server, in the order of the requests: one twice was made twice."""
        return [each.path for each in self.dav.seen("PUT") if each.headers.get("if-none-match") == "*"]

    def passes(self) -> int:
        """How many there have been."""
        with Hub.open(self.hub, create=False) as hub, hub.read() as conn:
            return int(sql.value(conn, "SELECT count(*) FROM run"))


class Storm:
    """Edits by other programs on both sides, in a thread of its own; each event has one writer."""

    def __init__(self, pair: Pair, *, edits: int, seed: int) -> None:
        self.titles: dict[str, str] = {}
        self.made = 0
        self._pair, self._edits, self._chance = pair, edits, random.Random(seed)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Storm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        pace = threading.Event()
        for number in range(self._edits):
            uid = f"{self._chance.choice('fr')}{self._chance.randrange(40)}"
            self.titles[uid] = f"edit {number}"
            (self._pair.put if uid.startswith("f") else self._pair.put_remote)(uid, f"edit {number}")
            self.made = number + 1
            pace.wait(0.003)


def ics(uid: str, title: str) -> str:
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}",
        "DTSTAMP:20261101T000000Z", "DTSTART:20261123T090000Z", "DTEND:20261123T100000Z", f"SUMMARY:{title}",
        "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    return "\r\n".join(lines)


def _contents(texts: list[bytes]) -> Contents:
    readings = [read_object(text) for text in texts]
    found = {reading.uid: reading.content for reading in readings}
    assert len(found) == len(readings), "an event is there twice"
    return found
