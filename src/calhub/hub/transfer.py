"""Whole iCalendar files into a calendar, and a calendar as one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent
from calhub.hub import events
from calhub.hub.accounts import Calendar
from calhub.hub.database import Hub
from calhub.hub.lookup import events_by_uid
from calhub.hub.sql import Connection

#: What is being done, how far, of how many.
Progress = Callable[[str, int, int | None], None]

Read = tuple[str | None, Content | None, str | None]  # UID, content, problem

#: Put together in one go; also how much is put again one by one when one of them cannot be kept.
_BATCH: Final = 500

#: A file of so many bytes holds enough events to have them read by a second process.
_LARGE: Final = 1_000_000


def import_file(hub: Hub, calendar_id: int, data: bytes, step: Progress = lambda *_: None) -> dict[str, Any]:
    """Put all events of a file into a calendar, and return the design's import shape.

    What cannot be kept is named and left out. Raises `InvalidEvent`, with nothing imported, for what is no iCalendar
    file or is cut off.
    """
    bad: list[dict[str, Any]] = []
    with _events(data) as entries, hub.transaction() as conn:
        counts = _put(hub, conn, calendar_id, _good(entries, bad, step), bad)
    return {**counts, "quarantined": bad}


@contextmanager
def _events(data: bytes) -> Iterator[Iterator[Read]]:
    """The events of a file. A large one is read by a second process, begun at once, while the first one stores them."""
    if len(data) < _LARGE:
        from calhub.calendar.ical import read_events

        yield read_events(data)
        return
    from calhub.ops.apart import Apart

    helper: Apart[bytes, Read] = Apart("calhub.calendar.ical", "read_events")
    with helper:
        helper.give(data)
        yield helper.take()


def _good(entries: Iterable[Read], bad: list[dict[str, Any]], step: Progress) -> Iterator[tuple[str, Content]]:
    """The events that can be kept; the others are added to ``bad``. Raises `InvalidEvent` when the file is cut off."""
    for number, (uid, content, problem) in enumerate(entries, 1):
        if content is not None and uid:
            yield uid, content
        else:
            bad.append({"uid": uid, "reason": problem or "It has no UID."})
        step("Importing events", number, None)


def _put(
    hub: Hub, conn: Connection, calendar_id: int, good: Iterator[tuple[str, Content]], bad: list[dict[str, Any]]
) -> dict[str, int]:
    """Store the events and count what became of them; those the hub cannot keep are added to ``bad``."""
    now = hub.now()
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    while batch := list(islice(good, _BATCH)):
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
    from calhub.calendar.ical import write_calendar

    objects = ((stored.uid, stored.content) for stored in events.events(conn, calendar.id))
    return write_calendar(objects, name=calendar.name, now=hub.clock())
