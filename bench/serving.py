"""The daemon, from one end to the other: delays, a storm of changes, reads meanwhile, what it costs when idle."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Final

import httpx

from bench import storm
from bench.corpus import MIDDLE, samples
from bench.daemon import Daemon, daemon, until
from bench.emulated import KINDS, NAME, Emulated, emulated
from bench.measure import Run, timed
from bench.server import NAME as SERVER_NAME
from bench.server import PATH, Server, instant, radicale, titled
from bench.tools import Calhub
from calhub.hub.database import Hub
from calhub.sync import engine
from calhub.sync.connect import connector

PARTS = ("idle", "delays", "storm", "reads", "pipeline")
#: Changes of which each is waited for, at the pace of somebody who works with a calendar.
CHANGES: Final = 40
_PAUSES: Final = (0.3, 1.0)
#: How often what is waited for is looked at.
_LOOK: Final = 0.002
#: With more events in one folder each pass takes as long as somebody is willing to wait for a change.
LIMIT: Final = 10_000
STORM_RATE: Final = 1000
STORM_SECONDS: Final = 30
READ_EVERY: Final = 0.01
IDLE_SECONDS: Final = 30.0
PIPELINE: Final = 1000
_WEEK: Final = f"/api/v1/occurrences?from={MIDDLE}&to={MIDDLE + timedelta(days=7)}"


def measure(run: Run, size: int, folder: str | None) -> None:
    """All cases at one size, each with a home of its own."""
    cases: Sequence[tuple[str, Callable[[Run, int, Path], None]]] = (
        ("idle", _idle), ("delays", _folder_delays), ("delays", _push_delays), ("delays", _caldav_delays),
        ("storm", _storm), ("reads", _reads), ("pipeline", _pipeline),
    )  # fmt: skip
    if size > LIMIT:
        run.results.leave_out(f"The daemon at {size:,} events in one folder.")
        return
    for part, case in cases:
        if run.wants(part):
            with TemporaryDirectory(prefix="calhub-bench-", dir=folder) as root:
                case(run, size, Path(root))


# What it costs when nothing happens


def _idle(run: Run, size: int, root: Path) -> None:
    calhub = Calhub(root / "calhub")
    with daemon(calhub) as served:
        run.results.add("idle, no account", size, "calhub", _busy(served), "%")
    _folder(calhub, root, size)
    with daemon(calhub) as served:
        until(lambda: calhub.count() == size and served.is_calm(), "the events are there")
        run.results.add("idle, watching a folder of these events", size, "calhub", _busy(served), "%")


def _busy(served: Daemon) -> float:
    """The share of one core's time that goes to a daemon which has nothing to do."""
    time.sleep(2)  # whatever the start left behind
    before = served.processor_seconds()
    time.sleep(IDLE_SECONDS)
    return (served.processor_seconds() - before) / IDLE_SECONDS * 100


# How long until a change is on the other side


def _folder_delays(run: Run, size: int, root: Path) -> None:
    calhub = Calhub(root / "calhub")
    place = _folder(calhub, root, size)
    chosen = {each.uid: each for each in samples(CHANGES)}
    with _settled(calhub, size) as served:

        def in_file(uid: str, title: str) -> bool:
            return f"SUMMARY:{title}\r\n" in (place / chosen[uid].file_name).read_bytes().decode()

        def rewrite(uid: str, title: str) -> None:
            storm.rewrite(place / chosen[uid].file_name, titled(chosen[uid].text, title))

        _delays(run, size, "file changed to visible by the API", served, list(chosen), rewrite, _shown(served))
        _delays(run, size, "write by the API to file", served, list(chosen), _written(served), in_file)


def _push_delays(run: Run, size: int, root: Path) -> None:
    """Of services that tell of changes: an event is renamed there, the message is sent, the API is asked."""
    for kind in KINDS:
        calhub = Calhub(root / kind)
        with emulated(kind, size) as service:
            calhub("account", "add", kind, kind, "--credentials", "-", "--calendars", NAME, given=service.sign_in())
            with _settled(calhub, size, services=True) as served:
                until(partial(_told, served), "the service tells of changes")
                _push(run, size, kind, served, service)


def _push(run: Run, size: int, kind: str, served: Daemon, service: Emulated) -> None:
    found = served.ask("/api/v1/events?limit=1000")["items"]
    names = {each["uid"]: each["title"] for each in found if not each.get("recurrence")}
    uids = list(names)[:CHANGES]

    def rename(uid: str, title: str) -> None:
        old, names[uid] = names[uid], title
        service.rename(old, title)

    _delays(run, size, f"change at {kind}, which tells, to visible by the API", served, uids, rename, _shown(served))


def _told(served: Daemon) -> bool:
    return any(each["state"] == "open" for each in served.ask("/health/detailed")["channels"])


def _caldav_delays(run: Run, size: int, root: Path) -> None:
    """To a server that is a program like any other, with its own time for each write."""
    calhub = Calhub(root / "calhub")
    files = {each.uid: each.file_name for each in samples(CHANGES)}
    with radicale(root, size) as server, _client(server) as client:
        calhub.connect(server)
        with _settled(calhub, size) as served:

            def at_server(uid: str, title: str) -> bool:
                text = client.get(f"{server.address.home_url}{PATH}/{files[uid]}").raise_for_status().text
                return f"SUMMARY:{title}" in text

            _delays(run, size, "write by the API to Radicale", served, list(files), _written(served), at_server)


@contextmanager
def _client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(auth=(server.address.username, server.address.password), trust_env=False) as client:
        yield client


def _delays(
    run: Run, size: int, case: str, served: Daemon, uids: Sequence[str],
    change: Callable[[str, str], object], arrived: Callable[[str, str], bool],
) -> None:  # fmt: skip
    """One change after another, each waited for from its beginning."""
    random, taken = Random(size), []
    for number, uid in enumerate(uids):
        title = f"{case} {number}"
        began = time.perf_counter()
        change(uid, title)
        until(partial(arrived, uid, title), case, every=_LOOK)
        taken.append(time.perf_counter() - began)
        time.sleep(random.uniform(*_PAUSES))
    assert served.ask("/api/v1/conflicts")["items"] == []
    run.results.spread(case, size, "calhub", taken, tail=95)


def _shown(served: Daemon) -> Callable[[str, str], bool]:
    return lambda uid, title: served.title(uid) == title


def _written(served: Daemon) -> Callable[[str, str], object]:
    return lambda uid, title: served.ask(f"/api/v1/events/{uid}", "PATCH", {"title": title})


# A storm


def _storm(run: Run, size: int, root: Path) -> None:
    """All that another program writes gets into the hub, while somebody reads."""
    calhub = Calhub(root / "calhub")
    place = _folder(calhub, root, size)
    changes = STORM_RATE * STORM_SECONDS
    wanted = {storm.chosen(number, size): storm.title(number) for number in range(changes)}
    with _settled(calhub, size) as served:
        before = served.megabytes(peak=False)
        command = [sys.executable, "-m", "bench.storm", str(place), *map(str, (size, changes, STORM_RATE))]
        with _Reading(served) as reading, subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            offered = float(writer.stdout.readline())
            last = sorted(wanted.values())
            drained = timed(until, lambda: _stormed(calhub) == last, "all changes are in the hub")
        peak = served.megabytes(peak=True)
        assert calhub.count() == size
    add = run.results.add
    add("storm of changed files, offered", size, "calhub", offered, "/s")
    add("storm of changed files, until the last is in the hub", size, "calhub", drained)
    add("storm of changed files, memory before", size, "calhub", before, "MB")
    add("storm of changed files, memory at most", size, "calhub", peak, "MB")
    run.results.spread("agenda of a week by the API during the storm", size, "calhub", reading.taken)


def _stormed(calhub: Calhub) -> list[str]:
    """The titles the storm left in the hub."""
    with closing(sqlite3.connect(calhub.home / "hub.db")) as db:
        rows = db.execute("SELECT title FROM event WHERE deleted = 0 AND title LIKE 'Storm %'")
        return sorted(title for (title,) in rows)


class _Reading:
    """Somebody who asks for a week a hundred times a second, in a thread; ``taken`` are the seconds of each."""

    def __init__(self, served: Daemon) -> None:
        self.taken: list[float] = []
        self._served = served
        self._over = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> _Reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(READ_EVERY):
            self.taken.append(timed(self._served.fetch, _WEEK))


# Reads while a calendar comes in


def _reads(run: Run, size: int, root: Path) -> None:
    """Of a week, while a calendar with these events comes in, and when it is there."""
    calhub = Calhub(root / "calhub")
    calhub("calendar", "add", "Mine")
    with instant(root, size) as server, daemon(calhub) as served:
        with _Reading(served) as meanwhile:
            calhub.add(server)
            until(lambda: calhub.count() == size, "the calendar is there", every=0.2)
        with _Reading(served) as afterwards:
            time.sleep(5)
    run.results.spread("agenda of a week by the API during a first pull", size, "calhub", meanwhile.taken)
    run.results.spread("agenda of a week by the API", size, "calhub", afterwards.taken)


# From answer to commit


def _pipeline(run: Run, size: int, root: Path) -> None:
    """Changes at a server that answers at once, observed, merged, journalled and committed by one pass."""
    calhub = Calhub(root / "calhub")
    with instant(root, size) as server:
        calhub.connect(server)
        calhub.sync()
        calhub("replica", "set", SERVER_NAME, "--guard-share", "1")
        for turn in range(run.repeats):
            server.change(PIPELINE, f"Changed {turn}")
            with Hub.open(calhub.home) as hub:
                seconds = timed(engine.sync, hub, connector(hub))
            assert calhub.count(f"Changed {turn}") == PIPELINE
            run.results.add("changes, from the server's answer to the hub", size, "calhub", PIPELINE / seconds, "/s")


# In common


def _folder(calhub: Calhub, root: Path, size: int) -> Path:
    """An account with a folder of these events; where its files are."""
    place = root / "files" / "work"
    place.mkdir(parents=True)
    for each in samples(size):
        (place / each.file_name).write_bytes(each.text.encode())
    calhub("account", "add", "folder", "disk", "--url", str(place.parent), "--calendars", "all")
    calhub("replica", "set", "work", "--guard-number", str(10 * size))
    return place


@contextmanager
def _settled(calhub: Calhub, size: int, *, services: bool = False) -> Iterator[Daemon]:
    """A daemon that has these events and nothing more to do."""
    with daemon(calhub, services=services) as served:
        until(lambda: calhub.count() == size and served.is_calm(), "the events are there")
        yield served
