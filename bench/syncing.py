"""Pull, no change, remote changes, local changes: calhub and vdirsyncer against one Radicale, and the bare REPORT."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx

from bench.measure import Results, timed, turns
from bench.tools import CALENDAR, Calhub, Vdirsyncer
from calhub.hub import accounts, events
from calhub.hub.database import Hub
from calhub.testing.corpus import samples
from calhub.testing.servers import CalDAVServer, radicale

REMOTE_CHANGES = 100
LOCAL_CHANGES = 200
_SYNC = """<?xml version="1.0"?>
<d:sync-collection xmlns:d="DAV:"><d:sync-token>{token}</d:sync-token>
<d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>"""
_MULTIGET = """<?xml version="1.0"?>
<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<prop><getetag/><C:calendar-data/></prop>{hrefs}</C:calendar-multiget>"""
#: Radicale answers 400 to more than 10,000 VEVENTs in one REPORT, overrides counted.
_CHUNK = 5_000
_HREF = re.compile(r"<href>[^<]+\.ics</href>")
_TOKEN = re.compile(r"<(?:\w+:)?sync-token>([^<]+)<")
_SUMMARY = re.compile(r"^SUMMARY:.*\r?\n(?:[ \t].*\r?\n)*", re.MULTILINE)


class Server:
    """Radicale with the corpus in its one calendar, and a bare HTTP client to it."""

    def __init__(self, server: CalDAVServer, size: int) -> None:
        self.address = server
        self.size = size
        self._client = httpx.Client(auth=(server.username, server.password), timeout=600, trust_env=False)
        self._url = f"{server.home_url}{CALENDAR}/"

    def report(self, token: str = "") -> str:
        """One sync-collection REPORT, read but not parsed: the floor of a pass. Returns the new token."""
        found = _TOKEN.search(self._report(_SYNC.format(token=token)))
        assert found is not None
        return found[1]

    def bodies(self) -> None:
        """The listing, then all bodies in as few REPORTs as Radicale allows, not parsed: the floor of a first pull."""
        hrefs = _HREF.findall(self._report(_SYNC.format(token="")))
        for first in range(0, len(hrefs), _CHUNK):
            self._report(_MULTIGET.format(hrefs="".join(hrefs[first : first + _CHUNK])))

    def _report(self, body: str) -> str:
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        answer = self._client.request("REPORT", self._url, content=body.encode(), headers=headers)
        return answer.raise_for_status().text

    def change(self, count: int, mark: str) -> None:
        """Give ``count`` events another title, as somebody else's program would."""
        for each in samples(count):
            text = _SUMMARY.sub(f"SUMMARY:{mark}\r\n", each.text, count=1)
            headers = {"Content-Type": "text/calendar; charset=utf-8"}
            self._client.put(self._url + each.file_name, content=text.encode(), headers=headers).raise_for_status()


def measure(results: Results, root: Path, size: int, repeats: int) -> None:
    """All cases at one size."""
    _store(root / "collection-root" / "user" / CALENDAR, size)
    with radicale(root) as address:
        server = Server(address, size)
        server.bodies()  # fills Radicale's own cache, which is nobody's merit
        calhub, peer = Calhub(root / "calhub"), Vdirsyncer(root / "vdirsyncer")
        work = {"calhub": calhub.sync, "vdirsyncer": peer.sync}
        for turn in turns(list(work), repeats):
            calhub.connect(address)
            peer.connect(address)
            results.add("first pull", size, "floor", timed(server.bodies))
            for who in turn:
                results.add("first pull", size, who, timed(work[who]))
        _repeated(results, server, calhub, peer, repeats)


def _repeated(results: Results, server: Server, calhub: Calhub, peer: Vdirsyncer, repeats: int) -> None:
    size = server.size
    work: dict[str, Callable[[], None]] = {"calhub": calhub.sync, "vdirsyncer": peer.sync}
    for number, turn in enumerate(turns(list(work), repeats)):
        token = server.report()
        results.add("nothing changed", size, "floor", timed(server.report, token))
        for who in turn:
            results.add("nothing changed", size, who, timed(work[who]))
        mark = f"Changed remotely {number}"
        server.change(REMOTE_CHANGES, mark)
        results.add(f"{REMOTE_CHANGES} remote changes", size, "floor", timed(server.report, token))
        for who in turn:
            results.add(f"{REMOTE_CHANGES} remote changes", size, who, timed(work[who]))
        _check(calhub, peer, mark, REMOTE_CHANGES)
    for number, turn in enumerate(turns(list(work), repeats)):
        for who in turn:
            mark = f"Changed by {who} {number}"
            if who == "calhub":
                _edit_hub(calhub.home, mark)
            else:
                _edit_folder(peer.folder, mark)
            results.add(f"{LOCAL_CHANGES} local changes", size, who, timed(work[who]))
            for sync in work.values():  # both know of it before the next one writes
                sync()
            _check(calhub, peer, mark, LOCAL_CHANGES)


def _check(calhub: Calhub, peer: Vdirsyncer, mark: str, count: int) -> None:
    """Both have the changes, or what was measured was something else."""
    with closing(sqlite3.connect(calhub.home / "hub.db")) as db:
        ours = db.execute("SELECT count(*) FROM event WHERE title = ?", (mark,)).fetchone()[0]
    theirs = sum(f"SUMMARY:{mark}".encode() in path.read_bytes() for path in peer.folder.glob("*.ics"))
    assert (ours, theirs) == (count, count), f"{mark}: {ours} in the hub and {theirs} in the folder, not {count}"


def _store(folder: Path, size: int) -> None:
    """Write the corpus straight into Radicale's storage."""
    folder.mkdir(parents=True)
    (folder / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR", "D:displayname": CALENDAR}))
    for each in samples(size):
        (folder / each.file_name).write_bytes(each.text.encode())


def _edit_hub(home: Path, mark: str) -> None:
    with Hub.open(home) as hub, hub.transaction() as conn:
        calendar = accounts.calendar(conn, CALENDAR)
        for each in samples(LOCAL_CHANGES, first=500):
            stored = events.find_event(conn, each.uid)
            events.put_event(conn, calendar.id, each.uid, {**stored.content, "title": mark}, now=hub.now())


def _edit_folder(folder: Path, mark: str) -> None:
    wanted = {each.uid for each in samples(LOCAL_CHANGES, first=500)}
    for path in folder.glob("*.ics"):
        text = path.read_bytes().decode()
        uid = re.search(r"^UID:(.+?)\r?$", text, re.MULTILINE)
        if uid is not None and uid[1] in wanted:
            path.write_bytes(_SUMMARY.sub(f"SUMMARY:{mark}\r\n", text, count=1).encode())
