"""The real ``calhub sync`` is killed at chosen moments of a pull and of a push, then run until idle.

    python -m tests.process.killing --seed 1 --kills 50

prints where each kill hit, and fails if anything was lost or made twice. A row is repeated with its seed and number
(``--only``); moments counted in the write-ahead log are as near as two runs of one program are.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.process.relay import Moment, Relay

from calhub.calendar.event import Content
from calhub.calendar.ical import read_object
from calhub.hub import accounts, events, inbox, runs
from calhub.hub.backup import check
from calhub.hub.database import Hub
from calhub.testing.corpus import samples
from calhub.testing.servers import CalDAVServer, radicale

PULLED: Final = 5_000
#: What the calendar of the pushes holds, and the 500 edits; updates and deletes stay below the guard's share of 30 %.
LINKED, CREATES, UPDATES, DELETES = 420, 260, 120, 120
#: More cycles than these and the sync does not come to rest.
CYCLES: Final = 6

Contents = dict[str, Content]


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Where one kill hit."""

    moment: Moment
    requests: int  # begun
    writes: int  # done by the server
    intents: int  # open in the hub
    links: int


@dataclass(kw_only=True)
class Scenario:
    """A home and a calendar at the server, both as they are before the sync, and what must come of it."""

    name: str
    folder: Path  # the calendar in the server's storage
    expected: Contents
    moments: list[tuple[str, int]]  # kinds with the highest number to draw


class Rig:
    """One server behind a relay, the two scenarios, and a process to kill."""

    def __init__(self, root: Path, server: CalDAVServer, relay: Relay, *, pulled: int = PULLED) -> None:
        self._root, self._relay, self._server = root, relay, server
        self._home = root / "home"
        self._storage = root / "server" / "collection-root" / server.username
        self.pull = self._prepare_pull(pulled)
        self.push = self._prepare_push()

    # Preparing

    def _prepare_pull(self, count: int) -> Scenario:
        folder = self._store("pull", count)
        self._connect("pull")
        self._keep("pull", folder)
        changes = self._sync_to_the_end()
        expected = _hub(self._home)
        assert expected == _server(folder)
        assert len(expected) == count
        whole = [("bytes", self._relay.bytes), ("log", changes)]
        bounds = [("arrives", self._relay.requests), *whole, *whole]  # few requests: nearly all happens between them
        return Scenario(name="pull", folder=folder, expected=expected, moments=bounds)

    def _prepare_push(self) -> Scenario:
        folder = self._store("push", LINKED)
        self._connect("push")
        self._sync_to_the_end()
        _edit(self._home)
        self._keep("push", folder)
        edits = CREATES + UPDATES + DELETES
        bounds = [("arrives", edits), ("answered", edits), ("answered", edits), ("log", edits // 2)]
        return Scenario(name="push", folder=folder, expected=_hub(self._home), moments=bounds)

    def _store(self, name: str, count: int) -> Path:
        """A calendar of the corpus, written straight into the server's storage."""
        folder = self._storage / name
        folder.mkdir(parents=True)
        (folder / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR", "D:displayname": name}))
        for each in samples(count):
            (folder / each.file_name).write_bytes(each.text.encode())
        return folder

    def _connect(self, name: str) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        who = ("--username", self._server.username, "--password-stdin")
        self._calhub("account", "add", "caldav", "dav", "--url", self._relay.url, *who, "--calendars", name)

    def _keep(self, name: str, folder: Path) -> None:
        shutil.copytree(self._home, self._root / f"{name}-home")
        shutil.copytree(folder, self._root / f"{name}-folder")

    def _reset(self, scenario: Scenario) -> None:
        places = (
            [(self._home, "home")] if scenario is self.pull else [(self._home, "home"), (scenario.folder, "folder")]
        )
        for place, kept in places:
            shutil.rmtree(place)
            shutil.copytree(self._root / f"{scenario.name}-{kept}", place)

    # Running

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "CALHUB_HOME": str(self._home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        command = [sys.executable, "-m", "calhub.cli", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def _calhub(self, *arguments: str) -> Any:
        """What a command prints with --json; it must go well."""
        process = self._start(*arguments, "--json")
        out, err = process.communicate(self._server.password)
        assert process.returncode == 0, out + err
        return json.loads(out)

    def _sync_to_the_end(self) -> int:
        """A sync nobody kills; returns how often its write-ahead log was seen to change."""
        self._relay.arm(None)
        process = self._start("sync")
        changes = self._watch(process, None)
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        return changes

    def _watch(self, process: subprocess.Popen[str], number: int | None) -> int:
        """Count the changes of the write-ahead log until the process ends; kill it after so many."""
        log = self._home / "hub.db-wal"
        changes, last = 0, None
        while process.returncode is None:
            now = log.stat().st_mtime_ns if log.exists() else None
            changes, last = changes + (now != last), now
            if number is not None and changes >= number:
                process.kill()
            try:
                process.wait(timeout=0.001)
            except subprocess.TimeoutExpired:
                continue
        return changes

    def kill(self, scenario: Scenario, chance: random.Random) -> Hit:
        """Run a sync and kill it at a moment drawn; one that was over before is drawn again from where it began."""
        while True:
            kind, highest = chance.choice(scenario.moments)
            moment = Moment(kind, chance.randint(1, highest))  # type: ignore[arg-type]  # one of Kind
            process = self._start("sync")
            self._relay.arm(moment, process.kill)
            self._watch(process, moment.number if kind == "log" else None)
            process.communicate()
            self._relay.wait_until_quiet()
            if process.returncode == -9:
                writes = sum(each.method in ("PUT", "DELETE") for each in self._relay.passed)
                return Hit(moment=moment, requests=self._relay.requests, writes=writes, **self._look())
            assert process.returncode == 0
            self._reset(scenario)

    def _look(self) -> dict[str, int]:
        """Open intents and links, read from a copy, so that the next process finds everything as it was left."""
        with tempfile.TemporaryDirectory() as folder:
            for path in self._home.glob("hub.db*"):
                shutil.copy(path, folder)
            with closing(sqlite3.connect(Path(folder) / "hub.db")) as db:
                query = "SELECT (SELECT count(*) FROM intent WHERE state = 'open'), (SELECT count(*) FROM link)"
                intents, links = db.execute(query).fetchone()
        return {"intents": intents, "links": links}

    def round(self, scenario: Scenario, chance: random.Random, kills: int = 1) -> list[Hit]:
        """Kill so often in a row, run until idle, compare. Raises AssertionError if anything is not as it must be."""
        self._reset(scenario)
        made: list[str] = []
        hits = []
        for _ in range(kills):
            hits.append(self.kill(scenario, chance))
            made += self._creations()
        for _ in range(CYCLES):
            self._relay.arm(None)
            reports = self._calhub("sync")["runs"]
            made += self._creations()
            if not any(sum(report[side].values()) for report in reports for side in ("pulled", "pushed")):
                break
        else:
            raise AssertionError(f"The sync did not come to rest in {CYCLES} cycles.")
        assert not [each for each in self._relay.passed if each.method in ("PUT", "DELETE")]
        self._compare(scenario, made)
        return hits

    def _creations(self) -> list[str]:
        return [each.path for each in self._relay.passed if each.method == "PUT" and each.creates and each.status < 300]

    def _compare(self, scenario: Scenario, made: list[str]) -> None:
        """Nothing lost, nothing twice: hub, server and expectation are equal, item by item."""
        hub, server = _hub(self._home), _server(scenario.folder)
        assert hub.keys() == scenario.expected.keys() == server.keys()
        wrong = [uid for uid, content in scenario.expected.items() if not content == hub[uid] == server[uid]]
        assert wrong == []
        assert [path for path, count in Counter(made).items() if count > 1] == []
        if scenario is self.push:
            assert len(made) == CREATES
        assert check(self._home) == []
        assert self._look()["intents"] == 0
        with Hub.open(self._home) as opened, opened.read() as conn:
            assert inbox.conflicts(conn) == []
            waiting = runs.status(conn)
        assert {name: waiting[name] for name in waiting if isinstance(waiting[name], int) and waiting[name]} == {}


@contextmanager
def rig(root: Path, *, pulled: int = PULLED) -> Iterator[Rig]:
    """A rig in ``root``, which is not removed."""
    with radicale(root / "server") as server:
        relay = Relay(server.url)
        try:
            yield Rig(root, server, relay, pulled=pulled)
        finally:
            relay.close()


def rounds(made: Rig, seed: int, kills: int, only: int | None = None) -> Iterator[tuple[int, str, list[Hit]]]:
    """Rounds by number until there were so many kills, the two scenarios by turns; every fifth round kills twice."""
    number = hits = 0
    while hits < kills:
        number += 1
        in_a_row = 2 if number % 5 == 0 and kills - hits > 1 else 1
        hits += in_a_row
        if only in (None, number):
            scenario = made.push if number % 2 else made.pull
            found = made.round(scenario, random.Random(f"{seed}/{number}"), in_a_row)
            yield number, scenario.name, found


def _edit(home: Path) -> None:
    """The 500 edits of a person, each with a token of its own."""
    with Hub.open(home) as hub, hub.transaction() as conn:
        [calendar] = accounts.calendars(conn)
        stored = list(events.events(conn, calendar.id))
        for number, each in enumerate(stored[:UPDATES]):
            content = {**each.content, "title": f"updated-{number}", "location": f"place-{number}"}
            events.put_event(conn, calendar.id, each.uid, content, now=hub.now())
        for each in stored[UPDATES : UPDATES + DELETES]:
            events.delete_event(conn, each.id, now=hub.now())
        for number in range(CREATES):
            content = {**stored[number].content, "title": f"created-{number}"}
            events.put_event(conn, calendar.id, f"created-{number}@kill", content, now=hub.now())


def _hub(home: Path) -> Contents:
    with Hub.open(home, create=False) as hub, hub.read() as conn:
        [calendar] = accounts.calendars(conn)
        return {stored.uid: stored.content for stored in events.events(conn, calendar.id)}


def _server(folder: Path) -> Contents:
    readings = [read_object(path.read_bytes()) for path in folder.glob("*.ics")]
    found = {reading.uid: reading.content for reading in readings}
    assert len(found) == len(readings), "an event is there twice"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill calhub sync, run it again, compare.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", type=int, help="only the round with this number")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calhub-kill-") as folder, rig(Path(folder)) as made:
        print(f"seed {asked.seed}: {PULLED} events to pull, {CREATES} + {UPDATES} + {DELETES} edits to push")
        print("round  what  killed at        requests  writes  open intents  links")
        for number, name, hits in rounds(made, asked.seed, asked.kills, asked.only):
            for hit in hits:
                row = f"{number:5}  {name}  {hit.moment!s:15}  {hit.requests:8}  {hit.writes:6}  {hit.intents:12}"
                print(f"{row}  {hit.links:5}", flush=True)
    print("Nothing was lost, nothing is there twice.")


if __name__ == "__main__":
    main()
