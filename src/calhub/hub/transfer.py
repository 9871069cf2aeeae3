"""Whole iCalendar files into a calendar, and a calendar as one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical import read_calendar, write_calendar
from calhub.hub import events
from calhub.hub.accounts import Calendar
from calhub.hub.database import Hub
from calhub.hub.lookup import events_by_uid
from calhub.hub.sql import Connection

#: Put together in one go; also how much is put again one by one when one of them cannot be kept.
_BATCH: Final = 500


def import_file(
    hub: Hub, calendar_id: int, data: bytes, step: Callable[[str, int, int | None], None] = lambda *_: None
) -> dict[str, Any]:
    """Put all events of a file into a calendar, and return the design's import shape.

    What cannot be kept is named and left out. Raises `InvalidEvent`, with nothing imported, for what is no iCalendar
    file or is cut off.
    """
    good: list[tuple[str, Content]] = []
    bad: list[dict[str, Any]] = []
    for entry in read_calendar(data):
        if entry.content is not None and entry.uid:
            good.append((entry.uid, entry.content))
        else:
            bad.append({"uid": entry.uid, "reason": entry.problem or "It has no UID."})
        step("Reading events", len(good) + len(bad), None)
    with hub.transaction() as conn:
        counts = _put(hub, conn, calendar_id, good, bad)
    return {**counts, "quarantined": bad}


def _put(
    hub: Hub, conn: Connection, calendar_id: int, good: Sequence[tuple[str, Content]], bad: list[dict[str, Any]]
) -> dict[str, int]:
    """Store the events and count what became of them; those the hub cannot keep are added to ``bad``."""
    now = hub.now()
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    for place in range(0, len(good), _BATCH):
        batch = good[place : place + _BATCH]
        before = events_by_uid(conn, calendar_id, [uid for uid, _ in batch])
        rows = [(calendar_id, uid, content) for uid, content in batch]
        try:
            with hub.transaction():  # a savepoint
                stored = events.put_events(conn, rows, now=now)
        except InvalidEvent:
            stored = []
            for row in rows:
                try:
                    with hub.transaction():  # a savepoint
                        stored.append(events.put_event(conn, *row, now=now))
                except InvalidEvent as error:
                    bad.append({"uid": row[1], "reason": str(error)})
        for one in stored:
            old = before.get(one.uid)
            if old is None or old.deleted:
                counts["created"] += 1
            else:
                counts["unchanged" if old.rev == one.rev else "updated"] += 1
    return counts


def export(hub: Hub, conn: Connection, calendar: Calendar) -> Iterator[str]:
    """The calendar as one VCALENDAR, in pieces."""
    objects = ((stored.uid, stored.content) for stored in events.events(conn, calendar.id))
    return write_calendar(objects, name=calendar.name, now=hub.clock())
