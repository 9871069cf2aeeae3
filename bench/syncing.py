"""Pull, no change, remote changes, local changes: calhub and vdirsyncer against one Radicale, and the bare REPORT."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.measure import Results, timed, turns
from bench.server import SUMMARY, Server, serve
from bench.tools import CALENDAR, Calhub, Vdirsyncer
from calhub.hub import accounts, events
from calhub.hub.database import Hub
from calhub.testing.corpus import samples

REMOTE_CHANGES = 100
LOCAL_CHANGES = 200


def measure(results: Results, root: Path, size: int, repeats: int) -> None:
    """All cases at one size."""
    with serve(root, size) as server:
        address = server.address
        server.bodies()  # fills Radicale's own cache, which is nobody's merit
        calhub, peer = Calhub(root / "calhub"), Vdirsyncer(root / "vdirsyncer")
        work = {"calhub": calhub.sync, "vdirsyncer": peer.sync}
        for turn in turns(list(work), repeats):
            calhub.connect(address)
            peer.connect(address)
            results.add("first pull", size, "floor", timed(server.bodies))
            for who in turn:
                results.add("first pull", size, who, timed(work[who]))
        _repeated(results, server, calhub, peer, size, repeats)


def _repeated(results: Results, server: Server, calhub: Calhub, peer: Vdirsyncer, size: int, repeats: int) -> None:
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
            path.write_bytes(SUMMARY.sub(f"SUMMARY:{mark}\r\n", text, count=1).encode())
