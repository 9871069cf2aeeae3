"""Which instances of an event a rule takes. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

from calhub.calendar.event import RECURRENCE_UNIT, Content
from calhub.calendar.frame import Frame
from calhub.rules.options import Options

#: After so many days every weekday has been looked at.
_WEEK = 8


def instance(content: Content, patch: Content | None = None) -> Content:
    """What one instance says: the master's fields (times included, as of the master), with those of its override."""
    fields = {name: value for name, value in content.items() if name not in (*RECURRENCE_UNIT, "overrides")}
    return {name: value for name, value in (fields | (patch or {})).items() if value is not None}


def takes(options: Options, fields: Content, me: frozenset[str]) -> bool:
    """Whether the rule takes an instance with these fields, whenever that is.

    ``me`` are the addresses of whoever owns the source calendar: an event they have declined does not keep them busy.
    """
    if options.skip & set(_traits(fields, me)):
        return False
    title = fields.get("title", "")
    if options.title_match is not None and not options.title_match.search(title):
        return False
    if options.title_not is not None and options.title_not.search(title):
        return False
    return not options.category or any(word.casefold() in options.category for word in fields.get("categories", ()))


def _traits(fields: Content, me: frozenset[str]) -> list[str]:
    """The words of ``--skip`` that hold for an instance."""
    mine = [who.get("status") for address, who in fields.get("attendees", {}).items() if address in me]
    found = {
        "free": not fields.get("busy", True),
        "cancelled": fields.get("status") == "cancelled",
        "declined": "declined" in mine,
        "tentative": fields.get("status") == "tentative" or "tentative" in mine,
        "all-day": bool(fields.get("all_day")),
        "private": "privacy" in fields,
    }
    return [word for word, holds in found.items() if holds]


def in_hours(options: Options, start_ts: int, end_ts: int, *, wall_time: bool, zone: tzinfo) -> bool:
    """Whether any of the time lies in the hours and on the days of the rule, by the clock of ``zone``.

    ``wall_time``: the timestamps are those of an all-day or floating event, which has no zone of its own.
    """
    if not options.looks_at_clock:
        return True
    clock = Frame(zone)
    start, end = (Frame(UTC).wall(ts) if wall_time else clock.wall(ts) for ts in (start_ts, end_ts))
    for number in range(min((end.date() - start.date()).days + 1, _WEEK)):
        day = datetime.combine(start.date(), time.min) + timedelta(days=number)
        first, last = (day + timedelta(minutes=minutes) for minutes in options.hours)
        if day.weekday() in options.days and start < last and (end > first or start == end >= first):
            return True
    return False
