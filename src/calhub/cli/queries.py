"""``agenda`` and ``search``: questions to the hub. Cold start counts here, so nothing heavy is imported."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Final

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import usage
from calhub.cli.output import Json, clean, emit, note, styled
from calhub.cli.times import moment, stamp

Shape = dict[str, Any]

_ALL_DAY: Final = "all day"
_WIDTH: Final = 13  # of "09:00 - 10:00"


def agenda(
    context: typer.Context,
    begin: Annotated[str, typer.Argument(metavar="[FROM]", help="First day or instant.")] = "today",
    end: Annotated[str, typer.Argument(metavar="[TO]", help="Where to stop, exclusive; +7d counts from FROM.")] = "+7d",
    calendar: Annotated[str | None, typer.Option("--calendar", help="Only this calendar.")] = None,
    json: Json = False,
) -> None:
    """What takes place when: the next seven days, or from FROM up to TO."""
    here = session(context)
    now = datetime.now(UTC)
    first = moment(begin, here.zone, now=now)
    last = moment(end, here.zone, now=now, base=first)
    if last <= first:
        raise usage(
            "The range is empty: TO is not after FROM.", "TO is exclusive: agenda 2026-11-21 2026-11-22 shows one day."
        )
    found = _ask(here, calendar, first, last)
    emit(found, json, lambda: _print_days(found, here.zone, first, last))


def _ask(here: Session, calendar: str | None, first: datetime, last: datetime) -> list[Shape]:
    from calhub.hub.agenda import agenda as occurrences
    from calhub.hub.agenda import reader

    if not _has_hub(here):
        return []
    with reader(here.home) as db:
        calendar_id = _calendar_id(db, calendar)
        return occurrences(db, stamp(first), stamp(last), calendar_id, zone=here.zone)


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help='Words; "in quotes" a phrase; the last may be unfinished.')],
    begin: Annotated[str | None, typer.Option("--from", help="Only occurrences from this day or instant on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only occurrences before this day or instant.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    calendar: Annotated[str | None, typer.Option("--calendar", help="Only this calendar.")] = None,
    json: Json = False,
) -> None:
    """Find events by title, description, place or people, best first."""
    from calhub.hub.agenda import reader
    from calhub.hub.agenda import search as hits

    here = session(context)
    now = datetime.now(UTC)
    first = None if begin is None else moment(begin, here.zone, now=now)
    last = None if end is None else moment(end, here.zone, now=now, base=first)
    if first is not None and last is not None and last <= first:
        raise usage("The range is empty: --to is not after --from.", "--to is exclusive.")
    found: list[Shape] = []
    if _has_hub(here):
        with reader(here.home) as db:
            calendar_id = _calendar_id(db, calendar)
            start_ts, end_ts = (None if at is None else stamp(at) for at in (first, last))
            found = hits(db, query, start_ts, end_ts, limit, calendar_id=calendar_id)
    emit(found, json, lambda: _print_hits(found, here.zone))


def _calendar_id(db: sqlite3.Connection, calendar: str | None) -> int | None:
    if calendar is None:
        return None
    from calhub.hub import accounts

    return accounts.calendar(db, calendar).id


def _has_hub(here: Session) -> bool:
    if (here.home / "hub.db").exists():
        return True
    note(f"There is no hub in {here.home} yet: add an account or a calendar first.")
    return False


# How occurrences are shown


def _print_days(found: list[Shape], zone: tzinfo, first: datetime, last: datetime) -> None:
    """Grouped by local day; what spans several days is on each of them, as far as they are in the range."""
    if not found:
        note("Nothing takes place then.")
        return
    today = datetime.now(zone).date()
    final = (last - timedelta(microseconds=1)).astimezone(zone).date()
    days: dict[date, list[tuple[str, Shape]]] = {}
    for one in found:
        begins, ends = _wall(one["start"], zone), _wall(one["end"], zone)
        # without length it is on its day; an end at midnight belongs to the day before
        until = max(begins, ends - timedelta(microseconds=1)).date()
        day = max(begins.date(), first.date())
        while day <= min(until, final):
            days.setdefault(day, []).append((_when(one, begins, ends, day), one))
            day += timedelta(days=1)
    lines: list[str] = []
    for day in sorted(days):
        name = f"{day:%A}, {day.day} {day:%B %Y}"
        lines += ["", styled(name, "bold") + (styled("  today", "green") if day == today else "")]
        # what fills the whole day first; the order within is the hub's
        entries = sorted(days[day], key=lambda entry: entry[0] != _ALL_DAY)
        lines += [f"  {styled(when.ljust(_WIDTH), 'dim')}  {_line(one)}" for when, one in entries]
    print("\n".join(lines[1:]))


def _print_hits(found: Iterable[Shape], zone: tzinfo) -> None:
    lines = []
    for one in found:
        begins, ends = _wall(one["start"], zone), _wall(one["end"], zone)
        when = f"{begins:%Y-%m-%d}  {_when(one, begins, ends, begins.date()).ljust(_WIDTH)}"
        lines.append(f"{styled(when, 'dim')}  {_line(one)}  {styled(clean(one['uid']), 'dim')}")
    if lines:
        print("\n".join(lines))
    else:
        note("Nothing found.")


def _wall(text: str, zone: tzinfo) -> datetime:
    """What the reader's clock shows, naive: dates and floating times as they are, others in ``zone``."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        return at
    try:
        return at.astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):  # the first or last day of the calendar
        return at.replace(tzinfo=None)


def _when(one: Shape, begins: datetime, ends: datetime, day: date) -> str:
    midnight = datetime.combine(day, time())
    next_midnight = midnight + timedelta(days=1) if day < date.max else datetime.max
    starts_before, goes_on = begins < midnight, ends > next_midnight
    if one["all_day"] or (begins <= midnight and ends >= next_midnight):
        return _ALL_DAY
    if starts_before:
        return f"until {_clock(ends)}"
    if goes_on:
        return f"from {_clock(begins)}"
    return _clock(begins) if begins == ends else f"{_clock(begins)} - {_clock(ends)}"


def _clock(at: datetime) -> str:
    # a listing of a month calls this often, and strftime takes five times as long
    return at.isoformat()[11:16]


def _line(one: Shape) -> str:
    parts = [clean(one["title"]) or styled("(no title)", "dim")]
    if one["status"] != "confirmed":
        parts.append(styled(f"({one['status']})", "yellow"))
    if one["location"]:
        parts.append(styled(f"@ {clean(one['location'])}", "dim"))
    parts.append(styled(f"[{clean(one['calendar'])}]", "dim"))
    return " ".join(parts)
