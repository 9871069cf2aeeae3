"""Time zones: what a TZID stands for, as a canonical name, as a `tzinfo` and as a VTIMEZONE.

A TZID is a label (RFC 5545 3.2.19). It is resolved in this order: an IANA name in any case, also an old one; the tail
of a vendor's path (``/mozilla.org/20050126_1/Europe/Berlin``); a Windows name; ``X-LIC-LOCATION`` or ``TZURL`` of the
embedded VTIMEZONE; that VTIMEZONE itself, as a private zone; the offset of a display name
(``(UTC+01:00) Amsterdam``). A known name wins over embedded rules, which are often stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from datetime import tzinfo as _tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo

from calhub.calendar import rule as rules
from calhub.calendar.event import InvalidEvent
from calhub.calendar.lines import parse_line, unfold

_DISPLAY_NAME = re.compile(r"\((?:UTC|GMT)(?:([+-])(\d{1,2})[:.]?(\d{2})?)?\)")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_HORIZON = 2049  # the last year whose transitions are listed where no yearly rule fits
_RULE_YEARS = 12  # a pattern of that many years has met every weekday; a shorter one may be chance (Asia/Jerusalem)


@cache
def _iana() -> dict[str, str]:
    """Every IANA name in lower case -> the canonical spelling of its zone.

    The database links Europe/Oslo to Europe/Berlin since their rules agree after 1970. People live in Oslo, and rules
    may part again: a name that a country has in zone.tab is canonical. Other links are followed.
    """
    folder = files("tzdata") / "zoneinfo"
    rows = [line.split() for line in (folder / "tzdata.zi").read_text("utf-8").splitlines() if line[:2] in ("Z ", "L ")]
    table = (folder / "zone.tab").read_text("utf-8").splitlines()
    own = {line.split("\t")[2] for line in table if line and not line.startswith("#")}
    links = {row[2]: row[1] for row in rows if row[0] == "L"}
    names = {}
    for name in [*links, *(row[1] for row in rows if row[0] == "Z")]:
        target = name
        while target not in own and target in links:
            target = links[target]
        names[name.lower()] = "UTC" if target in ("Etc/UTC", "Etc/GMT") else target
    names.pop("factory", None)
    return names | {"z": "UTC", "tzone://microsoft/utc": "UTC", "coordinated universal time": "UTC"}


@cache
def _windows() -> dict[str, str]:
    # Imported late: most texts name IANA zones.
    from tzlocal.windows_tz import win_tz

    return {name.lower(): zone for name, zone in win_tz.items()}


@cache
def windows_zone(name: str) -> str | None:
    """The Windows name for a zone as content names it (CLDR windowsZones), or None where there is none.

    The way back by `canonical_zone` leads to the zone that stands for all of its Windows zone: for Europe/Oslo to
    Europe/Berlin.
    """
    from tzlocal.windows_tz import tz_win

    return "UTC" if name == "UTC" else tz_win.get(name)


@lru_cache(maxsize=4096)
def canonical_zone(tzid: str) -> str | None:
    """The canonical IANA name a TZID stands for by itself (``"UTC"`` for all names of UTC), or None."""
    name = tzid.strip().strip('"').lower()
    if found := _iana().get(name):
        return found
    if "/" in name:
        parts = name.split("/")
        for start in range(max(1, len(parts) - 3), len(parts)):
            if found := _iana().get("/".join(parts[start:])):
                return found
    windows = _windows().get(name)
    return _iana().get(windows.lower()) if windows else None


def tzinfo(name: str, zones: Mapping[str, str] | None) -> _tzinfo:
    """The rules of a zone as content names it: ``"UTC"``, a key of ``zones`` (VTIMEZONE texts), or an IANA name.

    Raises `InvalidEvent` for any other name, or a VTIMEZONE that cannot be used.
    """
    if name == "UTC":
        return UTC
    if zones and name in zones:
        return _private_zone(zones[name])
    return _iana_zone(name)


@lru_cache(maxsize=1024)
def _iana_zone(name: str) -> _tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        raise InvalidEvent("The time zone is not known here.") from error


@lru_cache(maxsize=256)
def _private_zone(text: str) -> _tzinfo:
    from icalendar import Timezone

    for name, _, value in filter(None, map(parse_line, unfold(text))):
        rule = rules.parse(value) if name == "RRULE" else None
        if rule and (rule.freq != "YEARLY" or not rule.once_a_day or rule.by_year_day or rule.by_week_no):
            # Seconds of looping for a hostile rule; no real zone has one.
            raise InvalidEvent("The time zone has rules that are not yearly.")
    try:
        component = Timezone.from_ical(text)
        if not isinstance(component, Timezone):
            raise ValueError("not a VTIMEZONE")
        zone: _tzinfo = component.to_tz(lookup_tzid=False)
        zone.utcoffset(datetime(2026, 1, 1))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise InvalidEvent("The time zone's own rules cannot be read.") from error
    return zone


class ZoneTable:
    """The labels of one iCalendar text. ``used`` collects the private zones that were asked for."""

    def __init__(self, definitions: Callable[[], Mapping[str, str]]) -> None:
        """``definitions`` gives the text's VTIMEZONEs by TZID; it is called only when a label is no known name."""
        self._definitions = definitions
        self._found: dict[str, str | None] = {}
        self.used: dict[str, str] = {}

    def resolve(self, tzid: str) -> str | None:
        """The zone as content names it; None when nothing is known: the time is then floating."""
        if tzid not in self._found:
            self._found[tzid] = canonical_zone(tzid) or self._embedded(tzid) or self._displayed(tzid)
        return self._found[tzid]

    def labels(self) -> dict[str, str]:
        """Zone -> a label the text has for it, for the labels defined or asked for so far; its own name first."""
        for tzid in self._definitions():
            self.resolve(tzid)
        found = {zone: tzid for tzid, zone in self._found.items() if zone is not None}
        return found | {zone: zone for tzid, zone in self._found.items() if zone == tzid}

    def _embedded(self, tzid: str) -> str | None:
        text = self._definitions().get(tzid)
        if text is None:
            return None
        for line in unfold(text):
            name, _, value = line.partition(":")
            if name.upper() in ("X-LIC-LOCATION", "TZURL") and (zone := canonical_zone(value.removesuffix(".ics"))):
                return zone
        try:
            _private_zone(text)
        except InvalidEvent:
            return None
        self.used[tzid] = text
        return tzid

    def _displayed(self, tzid: str) -> str | None:
        match = _DISPLAY_NAME.match(tzid)
        if not match:
            return None
        minutes = int(match[2] or 0) * 60 + int(match[3] or 0)
        offset = timedelta(minutes=-minutes if match[1] == "-" else minutes)
        if not offset:
            return "UTC"
        if abs(offset) >= timedelta(hours=24):
            return None
        self.used[tzid] = "\r\n".join(
            ["BEGIN:VTIMEZONE", f"TZID:{tzid}", *_observance("STANDARD", "", [datetime(1970, 1, 1)], offset, offset),
             "END:VTIMEZONE", ""]
        )  # fmt: skip
        return tzid


@lru_cache(maxsize=512)
def vtimezone(name: str, year: int) -> tuple[str, ...]:
    """The logical lines of a VTIMEZONE for an IANA zone, right from the start of ``year`` (1900 at the earliest).

    Yearly rules go on for ever; transitions that follow none (Ramadan) are listed until 2049. RFC 5545 3.6.5.
    """
    zone = _iana_zone(name)
    start = datetime(max(1900, min(year, _HORIZON - _RULE_YEARS)), 1, 1, tzinfo=UTC)
    first = start.astimezone(zone)
    offset = first.utcoffset() or timedelta(0)
    lines = ["BEGIN:VTIMEZONE", f"TZID:{name}"]
    lines += _observance("STANDARD", first.tzname() or name, [datetime(start.year, 1, 1)], offset, offset)
    groups: dict[tuple[timedelta, timedelta, str], list[datetime]] = {}
    for when, before, after, label in _transitions(zone, start):
        groups.setdefault((before, after, label), []).append(when)
    for (before, after, label), times in groups.items():
        kind = "DAYLIGHT" if after > before else "STANDARD"
        listed, rule = _yearly_rule(times)
        if listed:
            lines += _observance(kind, label, listed, before, after)
        if rule:
            lines += _observance(kind, label, times[len(listed) : len(listed) + 1], before, after, rule)
    return (*lines, "END:VTIMEZONE")


def _transitions(zone: _tzinfo, start: datetime) -> list[tuple[datetime, timedelta, timedelta, str]]:
    """``(local time before, offset before, offset after, name after)`` of each change up to the horizon."""
    days = (datetime(_HORIZON + 1, 1, 1, tzinfo=UTC) - start).days
    found = []
    for low, high in pairwise(start + timedelta(days=day) for day in range(0, days + 3, 3)):
        before, after = low.astimezone(zone).utcoffset(), high.astimezone(zone).utcoffset()
        if before is None or after is None or before == after:
            continue
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
            low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
        found.append(((high + before).replace(tzinfo=None), before, after, high.astimezone(zone).tzname() or ""))
    return found


def _yearly_rule(times: list[datetime]) -> tuple[list[datetime], str | None]:
    """The times before the rule that holds up to the horizon, and that rule, if there is one."""
    last = times[-1]
    weeks = {(last.day - 1) // 7 + 1, -1}
    start = len(times)
    for index in range(len(times) - 1, -1, -1):
        time = times[index]
        own = {(time.day - 1) // 7 + 1} | ({-1} if (time + timedelta(days=7)).month != time.month else set())
        same = (time.month, time.weekday(), time.time()) == (last.month, last.weekday(), last.time())
        if not same or not weeks & own or time.year != last.year - (len(times) - 1 - index):
            break
        weeks &= own
        start = index
    if last.year < _HORIZON or len(times) - start < _RULE_YEARS:
        return times, None
    return times[:start], f"FREQ=YEARLY;BYMONTH={last.month};BYDAY={max(weeks)}{_WEEKDAYS[last.weekday()]}"


def _observance(
    kind: str, label: str, times: list[datetime], before: timedelta, after: timedelta, rule: str | None = None
) -> list[str]:
    lines = [f"BEGIN:{kind}", f"DTSTART:{times[0]:%Y%m%dT%H%M%S}"]
    if rule:
        lines.append(f"RRULE:{rule}")
    elif times[1:]:
        lines.append("RDATE:" + ",".join(f"{time:%Y%m%dT%H%M%S}" for time in times[1:]))
    if label:
        lines.append(f"TZNAME:{label}")
    return [*lines, f"TZOFFSETFROM:{_offset(before)}", f"TZOFFSETTO:{_offset(after)}", f"END:{kind}"]


def _offset(offset: timedelta) -> str:
    seconds = int(abs(offset).total_seconds())
    text = f"{seconds // 3600:02}{seconds // 60 % 60:02}" + (f"{seconds % 60:02}" if seconds % 60 else "")
    return ("-" if offset < timedelta(0) else "+") + text
