"""Google and Microsoft 365, emulated in a process of their own: first pull, a pass with nothing new, many edits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.emulated import KINDS, NAME, Emulated, emulated
from bench.measure import Run, timed
from bench.tools import Calhub
from calhub.hub import accounts, events
from calhub.hub.database import Hub

PARTS = ("providers",)
EDITS = 500
#: At Microsoft 365 each series is a request, of which it allows 10,000 in ten minutes.
MICROSOFT_LIMIT = 10_000


def measure(run: Run, size: int, folder: str | None) -> None:
    """All cases at one size, at both services."""
    for kind in KINDS:
        if kind == "microsoft" and size > MICROSOFT_LIMIT:
            run.results.leave_out(f"{kind} at {size:,} events: by its own limits, a first pull takes over an hour")
            continue
        with TemporaryDirectory(prefix="calhub-bench-", dir=folder) as root, emulated(kind, size) as service:
            _measure(run, kind, size, Calhub(Path(root) / "calhub"), service)


def _measure(run: Run, kind: str, size: int, calhub: Calhub, service: Emulated) -> None:
    for _ in run.turns(["calhub"], size, long=True):
        shutil.rmtree(calhub.home, ignore_errors=True)
        calhub("account", "add", kind, kind, "--credentials", "-", "--calendars", NAME, given=service.sign_in())
        seconds = timed(calhub.sync)
        assert calhub.count() == size
        run.results.add(f"first pull, {kind}", size, "calhub", size / seconds, "/s")
    _pass(calhub)  # may see changes of the second that the first one ended in
    run.results.add(f"nothing changed, {kind}", size, "calhub", _pass(calhub)["requests"], "requests")

    calhub("replica", "set", NAME, "--guard-share", "1")  # of 1,000 events it would hold as many edits
    edited = _edit(calhub.home)
    done = _pass(calhub)
    assert done["pushed"]["updated"] == edited == EDITS
    case = f"{EDITS} edits, {kind}"
    run.results.add(case, size, "calhub", done["requests"], "requests")
    run.results.add(case, size, "floor", EDITS, "requests")  # one by one: a bare PATCH each


def _pass(calhub: Calhub) -> dict[str, Any]:
    """The run of one sync."""
    (run,) = json.loads(calhub("sync", "--json"))["runs"]
    assert isinstance(run, dict)
    return run


def _edit(home: Path) -> int:
    """Give the first events another title in the hub, as the user would; how many."""
    with Hub.open(home) as hub, hub.transaction() as conn:
        calendar = accounts.calendar(conn, NAME)
        chosen = list(events.events(conn, calendar.id))[:EDITS]
        for stored in chosen:
            content = {**stored.content, "title": f"{stored.content['title']}, edited"}
            events.put_event(conn, calendar.id, stored.uid, content, now=hub.now())
    return len(chosen)
