"""Times of iCalendar in the terms of content: wall times, zones, recurrence ids, durations (RFC 5545 3.3.4 to 3.3.6).

A wall time that a clock shows twice means its first showing, one that it skips means the offset before the gap
(3.3.5). So the second showing has no wall time in its zone; where it is needed, the time is given in UTC.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple

from calhub.calendar import zones as all_zones
from calhub.calendar.event import TIME_UNIT, Content, InvalidEvent
from calhub.calendar.lines import Params
from calhub.calendar.zones import ZoneTable

#: Fields of the series as a whole; an instance has none of them.
SERIES_FIELDS: Final = frozenset({"rrule", "rdates", "exdates", "overrides", "zones"})
#: Properties that speak about the series and so are never shared with its instances.
SERIES_EXTRA: Final = frozenset({"RRULE", "EXRULE", "RDATE", "EXDATE", "RECURRENCE-ID"})

_DURATION: Final = re.compile(
    r"([+-])?P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?"
)


class Moment(NamedTuple):
    """A point of a calendar: ``wall`` is an ISO date or local date-time; no zone = floating."""

    wall: str
    zone: str | None = None

    @property
    def is_date(self) -> bool:
        return len(self.wall) == 10


class Duration(NamedTuple):
    """``days`` are nominal (same wall time), ``seconds`` exact; both have the same sign."""

    days: int
    seconds: int


@lru_cache(maxsize=8192)
def _parse(value: str) -> tuple[str, bool]:
    """ISO text of a DATE or DATE-TIME value, and whether it ends in Z. Raises `InvalidEvent`."""
    text = value.strip().upper()
    utc = text.endswith("Z")
    digits = text.removesuffix("Z")
    try:
        if not digits.isascii() or not (digits[:8] + digits[9:]).isdigit():
            raise ValueError(digits)
        if len(digits) == 8 and not utc:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat(), False
        if len(digits) != 15 or digits[8] != "T":
            raise ValueError(digits)
        second = min(59, int(digits[13:])) if digits[13:] == "60" else int(digits[13:])  # leap second (3.3.12)
        day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
        return datetime(*day, int(digits[9:11]), int(digits[11:13]), second).isoformat(), utc
    except ValueError:
        raise InvalidEvent("The event has a date or time that cannot be read.") from None


def read_utc(value: str) -> str | None:
    """The wall time of a DATE-TIME in UTC; None for anything else."""
    try:
        wall, utc = _parse(value)
    except InvalidEvent:
        return None
    return wall if utc else None


def read_moment(params: Params, value: str, table: ZoneTable) -> Moment:
    """A DATE or DATE-TIME property value. A trailing Z wins over a TZID; an unknown TZID counts as floating."""
    wall, utc = _parse(value)
    if len(wall) == 10 or params.get("VALUE", "").upper() == "DATE":
        return Moment(wall[:10])
    if utc:
        return Moment(wall, "UTC")
    tzid = params.get("TZID")
    return Moment(wall, table.resolve(tzid) if tzid else None)


def write_value(moment: Moment) -> str:
    """``20261121``, ``20261121T100000`` or, in UTC, ``20261121T100000Z``."""
    return moment.wall.replace("-", "").replace(":", "") + ("Z" if moment.zone == "UTC" else "")


def parse_duration(value: str) -> Duration:
    """A DURATION value. Raises `InvalidEvent`."""
    text = value.strip().upper()
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()[1:]):
        raise InvalidEvent("The event has a duration that cannot be read.")
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups()[1:])
    sign = -1 if match[1] == "-" else 1
    return Duration(sign * (7 * weeks + days), sign * (3600 * hours + 60 * minutes + seconds))


def write_duration(duration: Duration) -> str:
    """The one canonical spelling: days, then hours, minutes and seconds (``P7D``, ``-PT1H30M``, ``PT0S``)."""
    days, seconds = abs(duration.days), abs(duration.seconds)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    sign = "-" if duration.days < 0 or duration.seconds < 0 else ""
    if not days and not time:
        return "PT0S"
    return f"{sign}P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"


class Frame:
    """What a time is read against: the zones of a content and, for recurrence ids, its start."""

    def __init__(self, content: Content, zones: Mapping[str, str] | None = None) -> None:
        self.start: str = content["start"]
        self.end: str = content.get("end") or self.start
        self.all_day = bool(content.get("all_day"))
        self.zone: str | None = content.get("time_zone")
        self.end_zone: str | None = content.get("end_time_zone") or self.zone
        self.zones: Mapping[str, str] = content.get("zones", {}) if zones is None else zones

    def tzinfo(self, zone: str | None) -> tzinfo:
        return all_zones.tzinfo(zone, self.zones) if zone else UTC

    def instant(self, moment: Moment) -> datetime:
        """In UTC; floating times and dates as if they were UTC. Raises `InvalidEvent` outside of years 1 to 9999."""
        try:
            local = datetime.fromisoformat(moment.wall).replace(tzinfo=self.tzinfo(moment.zone))
            return local.astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise InvalidEvent("The event has a date or time out of range.") from error

    def at(self, instant: datetime, zone: str | None) -> Moment:
        """The moment of an instant in a zone, or in UTC where the zone's wall time would mean another instant."""
        try:
            local = instant.astimezone(self.tzinfo(zone))
        except (OverflowError, ValueError) as error:
            raise InvalidEvent("The event has a date or time out of range.") from error
        moment = Moment(local.replace(tzinfo=None).isoformat(), zone)
        if local.fold and self.instant(moment) != instant:
            return Moment(instant.replace(tzinfo=None).isoformat(), "UTC")
        return moment

    def recurrence_id(self, moment: Moment) -> str:
        """The canonical recurrence id of a moment in any form: a date stands for the instance of that day."""
        if self.all_day:
            return moment.wall[:10]
        wall = moment.wall + self.start[10:] if moment.is_date else moment.wall
        if self.zone is None:
            return wall
        instant = self.instant(Moment(wall, moment.zone or self.zone))
        try:
            text = instant.astimezone(self.tzinfo(self.zone)).isoformat()
        except OverflowError as error:
            raise InvalidEvent("The event has a date or time out of range.") from error
        return text.removesuffix("+00:00") + "Z" if self.zone == "UTC" else text

    def slot(self, rid: str) -> Moment:
        """The start a recurrence id names, in the series' zone if that can express it."""
        try:
            time = datetime.fromisoformat(rid)
        except ValueError:
            raise InvalidEvent("An instance of the event has an identity that is not a date or time.") from None
        if self.all_day:
            return Moment(rid[:10])
        if self.zone is None or time.tzinfo is None:
            return Moment(time.replace(tzinfo=None).isoformat(), self.zone)
        return self.at(time, self.zone)

    def slot_wall(self, rid: str) -> str:
        """The wall time, or date, that a recurrence id shows."""
        return rid[:10] if self.all_day else rid[:19]

    def times(self, start: Moment, length: timedelta | None = None, end_zone: str | None = None) -> Content:
        """The time fields of an instance from ``start``, with the series' exact duration (in days when all-day)."""
        if length is None:
            length = self.instant(Moment(self.end, self.end_zone)) - self.instant(Moment(self.start, self.zone))
        try:
            if self.all_day:
                end = Moment((date.fromisoformat(start.wall) + length).isoformat())
            else:
                end = self.at(self.instant(start) + length, end_zone or self.end_zone)
        except OverflowError as error:
            raise InvalidEvent("The event has a date or time out of range.") from error
        return time_fields(start, end)


def time_fields(start: Moment, end: Moment) -> Content:
    """``start``, ``end`` and the flags and zones they need."""
    fields: Content = {"start": start.wall, "end": end.wall}
    if start.is_date:
        fields["all_day"] = True
    if start.zone:
        fields["time_zone"] = start.zone
        if end.zone and end.zone != start.zone:
            fields["end_time_zone"] = end.zone
    return fields


def read_end(start: Moment, end: Moment | None, duration: Duration | None, frame: Frame) -> Moment:
    """The end of an event (RFC 5545 3.6.1): DTEND, or DURATION, or their default; never before the start.

    An end of another value type raises `InvalidEvent`; one before the start is clamped to it, an all-day event lasts
    at least a day.
    """
    if end is not None and end.is_date != start.is_date:
        raise InvalidEvent("The event's end is a date and its start a time, or the other way round.")
    if end is None:
        end = add(start, duration, frame) if duration else start
    elif start.zone is None or end.zone is None:
        end = Moment(end.wall, start.zone)  # a mix of floating and zoned is invalid; the start decides
    if start.is_date:
        return end if end.wall > start.wall else add(start, Duration(1, 0), frame)
    if end.zone == start.zone:
        return end if end.wall > start.wall else start
    return end if frame.instant(end) >= frame.instant(start) else start


def add(start: Moment, duration: Duration, frame: Frame) -> Moment:
    """``start`` plus nominal days, then exact seconds (3.3.6)."""
    try:
        if start.is_date:
            days = duration.days + duration.seconds // 86400
            return Moment((date.fromisoformat(start.wall) + timedelta(days=days)).isoformat())
        shifted = datetime.fromisoformat(start.wall) + timedelta(days=duration.days)
        moment = Moment(shifted.isoformat(), start.zone)
        if not duration.seconds:
            return moment
        return frame.at(frame.instant(moment) + timedelta(seconds=duration.seconds), start.zone)
    except OverflowError as error:
        raise InvalidEvent("The event has a date or time out of range.") from error


def shared(content: Content) -> Content:
    """What an instance has from its series unless its patch says otherwise: all but times and series fields."""
    fields = {key: value for key, value in content.items() if key not in SERIES_FIELDS and key not in TIME_UNIT}
    if "extra" in fields and not SERIES_EXTRA.isdisjoint(fields["extra"]):
        fields["extra"] = {name: lines for name, lines in fields["extra"].items() if name not in SERIES_EXTRA}
        if not fields["extra"]:
            del fields["extra"]
    return fields


def instance(content: Content, rid: str) -> Content:
    """One instance as an event of its own: the series' fields, moved to its slot, with its override applied."""
    frame = Frame(content)
    patch: Content = content.get("overrides", {}).get(rid, {})
    fields = shared(content)
    if any(key in patch for key in TIME_UNIT):
        fields |= _patched_times(frame, content, rid, patch)
    else:
        fields |= _slot_times(frame, content, rid)
    for key, value in patch.items():
        if value is None:
            fields.pop(key, None)
        elif key not in TIME_UNIT:
            fields[key] = value
    return fields


def _patched_times(frame: Frame, content: Content, rid: str, patch: Content) -> Content:
    start = Moment(patch.get("start") or frame.slot_wall(rid), patch.get("time_zone", frame.zone))
    end_zone = patch.get("end_time_zone", content.get("end_time_zone")) or start.zone
    if patch.get("end"):
        return time_fields(start, Moment(patch["end"], end_zone))
    if start.is_date == frame.all_day:
        return frame.times(start, end_zone=end_zone)
    return time_fields(start, read_end(start, None, None, frame))


def instance_patch(content: Content, rid: str, own: Content) -> Content:
    """The patch that makes `instance` give ``own``.

    Times are in it only if the instance lies elsewhere than its slot; then ``start`` and ``end`` both are, and zone and
    all-day flags where they differ from the series'. (`instance` also takes a patch with one of the two: an end
    not given moves with the start.)
    """
    frame = Frame(content)
    base = shared(content)
    patch: Content = {}
    if not _same_times(frame, _slot_times(frame, content, rid), own):
        patch = {"start": own["start"], "end": own["end"]}
        patch |= {key: own.get(key) for key in TIME_UNIT[2:] if own.get(key) != content.get(key)}
    for key in base.keys() | own.keys():
        if key not in TIME_UNIT and own.get(key) != base.get(key):
            patch[key] = own.get(key)
    return patch


def _slot_times(frame: Frame, content: Content, rid: str) -> Content:
    """The time fields of an instance that was not moved; an RDATE period has its own length."""
    rdates = content.get("rdates", ())
    index = bisect_left(rdates, rid + "/")  # they are sorted, and there may be very many
    if index < len(rdates) and rdates[index].startswith(rid + "/"):
        last = frame.slot(rdates[index][len(rid) + 1 :])
        return frame.times(frame.slot(rid), frame.instant(last) - frame.instant(frame.slot(rid)))
    return frame.times(frame.slot(rid))


def _same_times(frame: Frame, one: Content, two: Content) -> bool:
    if one == {key: two[key] for key in TIME_UNIT if key in two}:
        return True
    if one.get("all_day") != two.get("all_day") or ("time_zone" in one) != ("time_zone" in two):
        return False
    return _instants(frame, one) == _instants(frame, two)


def _instants(frame: Frame, times: Mapping[str, Any]) -> tuple[datetime, datetime]:
    zone = times.get("time_zone")
    end_zone = times.get("end_time_zone", zone)
    return frame.instant(Moment(times["start"], zone)), frame.instant(Moment(times["end"], end_zone))
