"""Rules: busy blocks of one calendar in four others, in a hub of their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.corpus import MIDDLE, samples
from bench.measure import Run, timed
from calhub.calendar.event import Content
from calhub.calendar.ical import read_object
from calhub.hub import accounts, events, rules
from calhub.hub.database import Hub
from calhub.rules.derive import derive

PARTS = ("rules",)
TARGETS = "BCDE"
EDITS = 100
_FIRST, _FURTHER = "first derivation of busy blocks in 4 calendars", "one further edit derived, 4 calendars"


def measure(run: Run, size: int, folder: str | None) -> None:
    """A first derivation, then single edits, each moving an event by an hour."""
    found = [read_object(each.text) for each in samples(size)]
    for turn in run.turns(("calhub",), size, long=True):
        with TemporaryDirectory(prefix="calhub-bench-", dir=folder) as root, Hub.open(Path(root)) as hub:
            calendar_id = _furnish(hub, [(each.uid, each.content) for each in found])
            run.results.add(_FIRST, size, turn[0], timed(derive, hub), "s")
            _count(hub, calendar_id)
            spent = []
            for number in range(EDITS):
                with hub.transaction() as conn:
                    events.put_event(conn, calendar_id, "edited", _meeting(number), now=hub.now())
                began = time.perf_counter()
                derive(hub)
                spent.append(time.perf_counter() - began)
            run.results.spread(_FURTHER, size, turn[0], spent)


def _furnish(hub: Hub, found: list[tuple[str, Content]]) -> int:
    with hub.transaction() as conn:
        source = accounts.add_calendar(conn, "A", hub.now()).id
        rows = [*found, ("edited", _meeting(-1))]
        events.put_events(conn, [(source, uid, content) for uid, content in rows], now=hub.now())
        for name in TARGETS:
            accounts.add_calendar(conn, name, hub.now())
            rules.add_rule(conn, "mirror", "A", name, {}, hub.now())
    return source


def _meeting(number: int) -> Content:
    start = datetime.combine(MIDDLE, datetime.min.time(), UTC).replace(tzinfo=None) + timedelta(hours=number)
    end = start + timedelta(hours=1)
    return {"title": "Meeting", "start": start.isoformat(), "end": end.isoformat(), "time_zone": "Europe/Berlin"}


def _count(hub: Hub, calendar_id: int) -> None:
    """Each busy event has its copies, or the figures mean nothing."""
    with hub.read() as conn:
        counts = {rules.copy_count(conn, each.id) for each in rules.rules(conn, calendar_id=calendar_id)}
        busy = sum(each.content.get("busy", True) for each in events.events(conn, calendar_id))
    if len(counts) != 1 or not 0.5 * busy < min(counts) <= busy:
        raise RuntimeError(f"{busy} busy events, but {sorted(counts)} copies")
