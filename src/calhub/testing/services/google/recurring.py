"""Instances of a series as the emulated Google Calendar sees them: by dateutil, apart from calhub's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

Body: TypeAlias = dict[str, Any]
KINDS: Final = ("RRULE", "EXRULE", "RDATE", "EXDATE")


def instant(moment: Mapping[str, Any], zone: str) -> datetime:
    """The moment of a ``start`` or ``end`` in UTC; a date is midnight in ``zone``. Raises ValueError."""
    if moment.get("date"):
        return _utc(datetime.combine(date.fromisoformat(moment["date"]), time.min), zone)
    found = datetime.fromisoformat(moment["dateTime"])
    return found.astimezone(UTC) if found.tzinfo else _utc(found, moment.get("timeZone") or zone)


def starts(master: Body, zone: str, after: datetime | None = None) -> Iterator[datetime]:
    """Original starts of the instances as wall times in the series' zone, in order; endless where the rule is."""
    first = _wall(master["start"], zone)
    excepted = {wall for line in _lines(master, "EXDATE") for wall in _dates(line, master, zone)}
    added = sorted({first, *(wall for line in _lines(master, "RDATE") for wall in _dates(line, master, zone))})
    flow: Iterator[datetime] = iter(added)
    rules = _lines(master, "RRULE")
    if rules:
        found = rrulestr("\n".join(_local_until(line, master, zone) for line in rules), dtstart=first, forceset=True)
        for extra in added:
            found.rdate(extra)
        flow = iter(found) if after is None else found.xafter(after, inc=True)
    return (wall for wall in flow if wall not in excepted and (after is None or wall >= after))


def is_instance(master: Body, wall: datetime, zone: str) -> bool:
    return next(starts(master, zone, wall), None) == wall


def suffix(master: Body, wall: datetime, zone: str) -> str:
    """What an instance id has after the underscore (google: Resources and identity)."""
    if master["start"].get("date"):
        return f"{wall:%Y%m%d}"
    return f"{_utc(wall, _zone(master, zone)):%Y%m%dT%H%M%SZ}"


def wall_of_suffix(master: Body, text: str, zone: str) -> datetime | None:
    try:
        if master["start"].get("date"):
            return datetime.strptime(text, "%Y%m%d")
        found = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return found.astimezone(ZoneInfo(_zone(master, zone))).replace(tzinfo=None)


def original(master: Body, wall: datetime, zone: str) -> Body:
    """``originalStartTime`` of an instance, which is its start unless it was moved."""
    if master["start"].get("date"):
        return {"date": f"{wall:%Y-%m-%d}"}
    name = _zone(master, zone)
    return {"dateTime": _utc(wall, name).astimezone(ZoneInfo(name)).isoformat(), "timeZone": name}


def end(master: Body, wall: datetime, zone: str) -> Body:
    """``end`` of an instance: the master's exact duration later, in the zone of the master's end."""
    length = instant(master["end"], zone) - instant(master["start"], zone)
    if master["start"].get("date"):
        return {"date": f"{wall + timedelta(days=round(length / timedelta(days=1))):%Y-%m-%d}"}
    name = master["end"].get("timeZone") or _zone(master, zone)
    finish = _utc(wall, _zone(master, zone)) + length
    return {"dateTime": finish.astimezone(ZoneInfo(name)).isoformat(), "timeZone": name}


def _zone(master: Body, zone: str) -> str:
    return master["start"].get("timeZone") or zone


def _wall(moment: Mapping[str, Any], zone: str) -> datetime:
    if moment.get("date"):
        return datetime.combine(date.fromisoformat(moment["date"]), time.min)
    name = moment.get("timeZone") or zone
    return instant(moment, zone).astimezone(ZoneInfo(name)).replace(tzinfo=None)


def _utc(wall: datetime, zone: str) -> datetime:
    return wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _lines(master: Body, kind: str) -> Sequence[str]:
    return [line for line in master.get("recurrence", ()) if line.startswith(kind)]


def _dates(line: str, master: Body, zone: str) -> list[datetime]:
    """The wall times of an RDATE or EXDATE line. Raises ValueError."""
    head, _, values = line.partition(":")
    params = dict(part.split("=", 1) for part in head.split(";")[1:])
    target = ZoneInfo(_zone(master, zone))
    found = []
    for text in values.split(","):
        if len(text) == 8:
            found.append(datetime.strptime(text, "%Y%m%d"))
        elif text.endswith("Z"):
            moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            found.append(moment.astimezone(target).replace(tzinfo=None))
        else:
            moment = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(params.get("TZID", target.key)))
            found.append(moment.astimezone(target).replace(tzinfo=None))
    return found


def _local_until(line: str, master: Body, zone: str) -> str:
    """The rule with UNTIL as wall time, since it is evaluated on wall times."""
    parts = []
    for part in line.split(";"):
        name, _, value = part.partition("=")
        if name == "UNTIL" and value.endswith("Z"):
            moment = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            value = f"{moment.astimezone(ZoneInfo(_zone(master, zone))):%Y%m%dT%H%M%S}"
        parts.append(f"{name}={value}" if value else name)
    return ";".join(parts)


def check(body: Body, zone: str) -> str | None:
    """What is wrong with the recurrence of an event, or None (google: Recurrence and exceptions)."""
    lines = body.get("recurrence")
    if not lines:
        return None
    if not isinstance(lines, list) or any(line.split(":")[0].split(";")[0] not in KINDS for line in lines):
        return "Invalid recurrence line."
    timed = not body["start"].get("date")
    if timed and not (body["start"].get("timeZone") and body["end"].get("timeZone")):
        return "Missing time zone definition for start time."
    for line in lines:
        until = next((part[6:] for part in line.partition(":")[2].split(";") if part.startswith("UNTIL=")), None)
        if until is not None and until.endswith("Z") != timed:
            return "Invalid recurrence rule: UNTIL."
    try:
        next(starts(body, zone), None)
    except (ValueError, KeyError, TypeError):
        return "Invalid recurrence rule."
    return None
