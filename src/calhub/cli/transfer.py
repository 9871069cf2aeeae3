"""``import`` and ``export``: whole iCalendar files into and out of one calendar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from calhub.cli.context import session
from calhub.cli.failures import CommandError, usage
from calhub.cli.output import Json, emit, note, progress, table


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
    from calhub.hub.transfer import import_file

    data = _read(file)
    with session(context).hub() as hub, progress(quiet=json) as step:
        with hub.read() as conn:
            chosen = accounts.calendar(conn, calendar)
        try:
            document = import_file(hub, chosen.id, data, step)
        except InvalidEvent as error:
            raise CommandError(str(error), "Nothing was imported; get the file again.") from error

    def render() -> None:
        bad = document["quarantined"]
        row = (document["created"], document["updated"], document["unchanged"], len(bad))
        table(("Created", "Updated", "Unchanged", "Left out"), [row], empty="")
        for one in bad:
            note(f"{one['uid'] or 'without UID'}: {one['reason']}")

    emit(document, json, render)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}.", "Name an iCalendar file.") from None


def export(
    context: typer.Context,
    calendar: Annotated[str, typer.Option("--calendar", help="The calendar's name or id.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here; default: standard output.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a calendar as one VCALENDAR. A FILE is replaced only once it is complete."""
    from calhub.hub import accounts, runs, transfer

    if json and output is None:
        raise usage("With --json the calendar needs a file to go to.", "Name one with -o FILE.")
    with session(context).hub() as hub, hub.read() as conn:
        chosen = accounts.calendar(conn, calendar)
        written = runs.calendar_shape(conn, chosen)["events"]
        pieces = transfer.export(hub, conn, chosen)
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
