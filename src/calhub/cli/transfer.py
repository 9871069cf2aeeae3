"""``import`` and ``export``: whole iCalendar files into and out of one calendar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from calhub.cli.context import session
from calhub.cli.failures import CommandError, usage
from calhub.cli.output import Json, emit, note, progress, table

if TYPE_CHECKING:
    from calhub.calendar.event import Content
    from calhub.hub.database import Hub
    from calhub.hub.sql import Connection

    Read = tuple[str | None, Content | None, str | None]  # UID, content, problem


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE.ics", help="An iCalendar file, or - for standard input.")],
    calendar: Annotated[str, typer.Option("--calendar", help="The calendar's name or id.")],
    json: Json = False,
) -> None:
    """Put all events of a file into a calendar: all of them, or none when the file is cut off.

    Events that cannot be kept are named and left out. Importing the same file again changes nothing.
    """
    from calhub.calendar.event import InvalidEvent
    from calhub.hub import accounts

    bad: list[dict[str, Any]] = []
    with _events(_read(file)) as entries, session(context).hub() as hub, progress(quiet=json) as step:
        with hub.read() as conn:
            chosen = accounts.calendar(conn, calendar)
        try:
            with hub.transaction() as conn:
                counts = _put(hub, conn, chosen.id, _good(entries, bad, step), bad)
        except InvalidEvent as error:
            raise CommandError(str(error), "Nothing was imported; get the file again.") from error
    document = {**counts, "quarantined": bad}

    def render() -> None:
        row = (*counts.values(), len(bad))
        table(("Created", "Updated", "Unchanged", "Left out"), [row], empty="")
        for one in bad:
            note(f"{one['uid'] or 'without UID'}: {one['reason']}")

    emit(document, json, render)


#: A file of so many bytes holds enough events to have them read by a second process.
_LARGE = 1_000_000


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


def _good(
    entries: Iterable[Read], bad: list[dict[str, Any]], step: Callable[[str, int, int | None], None]
) -> Iterator[tuple[str, Content]]:
    """The events that can be kept; the others are added to ``bad``. Raises `InvalidEvent` when the file is cut off."""
    for number, (uid, content, problem) in enumerate(entries, 1):
        if content is not None and uid:
            yield uid, content
        else:
            bad.append({"uid": uid, "reason": problem or "It has no UID."})
        step("Importing events", number, None)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}.", "Name an iCalendar file.") from None


#: Put together in one go; also how much is put again one by one when one of them cannot be kept.
_BATCH = 500


def _put(
    hub: Hub, conn: Connection, calendar_id: int, good: Iterator[tuple[str, Content]], bad: list[dict[str, Any]]
) -> dict[str, int]:
    """Store the events and count what became of them; those the hub cannot keep are added to ``bad``."""
    from calhub.calendar.event import InvalidEvent
    from calhub.hub import events
    from calhub.hub.lookup import events_by_uid

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


def export(
    context: typer.Context,
    calendar: Annotated[str, typer.Option("--calendar", help="The calendar's name or id.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here; default: standard output.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a calendar as one VCALENDAR. A FILE is replaced only once it is complete."""
    from calhub.calendar.ical import write_calendar
    from calhub.hub import accounts, events

    if json and output is None:
        raise usage("With --json the calendar needs a file to go to.", "Name one with -o FILE.")
    with session(context).hub() as hub, hub.read() as conn:
        chosen = accounts.calendar(conn, calendar)
        written = 0

        def objects() -> Iterator[tuple[str, Content]]:
            nonlocal written
            for stored in events.events(conn, chosen.id):
                written += 1
                yield stored.uid, stored.content

        pieces = write_calendar(objects(), name=chosen.name, now=hub.clock())
        if output is None:
            _copy(pieces, sys.stdout.buffer)
            return
        with _whole_file(output) as file:
            _copy(pieces, file)
    document = {"calendar": chosen.name, "events": written, "file": str(output)}
    emit(document, json, lambda: note(f"{written} events of {chosen.name} are in {output}."))


def _copy(pieces: Iterable[str], file: BinaryIO) -> None:
    for piece in pieces:
        file.write(piece.encode())
    file.flush()


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name at the end; after a failure whatever had the name is as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("xb") as file:
            yield file
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
