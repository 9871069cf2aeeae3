"""The reader's time zone, and dates and times as people type them."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from calhub.cli.failures import usage

_LOCALTIME: Final = Path("/etc/localtime")
_LONGEST_S: Final = 366 * 86400
_STEP: Final = re.compile(r"([+-]?)(\d{1,5})([hdw])", re.IGNORECASE)
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_HINT: Final = "Write 2026-11-21, 2026-11-21T10:00, today, tomorrow, yesterday, now, or +7d."


def zone_named(name: str) -> tzinfo | None:
    """The zone of this IANA name, or None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def system_zone_name() -> str:
    """The IANA name of the zone this computer is set to: TZ, else the link /etc/localtime, else UTC."""
    asked = os.environ.get("TZ", "").removeprefix(":")
    if asked:
        name = _name_of_file(Path(asked)) if asked.startswith("/") else asked
        return name if name and zone_named(name) else "UTC"
    return _name_of_file(_LOCALTIME) or "UTC"


def _name_of_file(path: Path) -> str | None:
    try:
        parts = path.resolve().parts
    except OSError:
        return None
    if "zoneinfo" not in parts:
        return None
    last = len(parts) - 1 - parts[::-1].index("zoneinfo")
    inside = [part for part in parts[last + 1 :] if part not in ("posix", "right")]
    name = "/".join(inside)
    return name if name and zone_named(name) else None


def moment(text: str, zone: tzinfo, *, now: datetime, base: datetime | None = None) -> datetime:
    """The instant a user means. Dates are midnight in ``zone``; ``+7d`` counts from ``base`` (default: today).

    Raises a usage error for anything else.
    """
    word = text.strip().lower()
    today = datetime.combine(now.astimezone(zone).date(), time(), zone)
    if word == "now":
        return now.astimezone(zone)
    if word in _DAYS:
        return _midnight(today.date() + timedelta(days=_DAYS[word]), zone)
    step = _STEP.fullmatch(word)
    try:
        if step is not None:
            sign, number, unit = step.groups()
            # wall-clock arithmetic: a day later is the same time of day, also across a change of the clocks
            return (base or today) + timedelta(**{_UNITS[unit]: int(f"{sign}{number}")})
        if len(word) == 10:
            return _midnight(date.fromisoformat(word), zone)
        found = datetime.fromisoformat(text.strip())
        return found.replace(tzinfo=zone) if found.tzinfo is None else found.astimezone(zone)
    except (ValueError, OverflowError):
        raise usage(f"{text!r} is not a date or time.", _HINT) from None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def stamp(at: datetime) -> int:
    """Whole seconds since 1970. The ends of the calendar (years 1 and 9999) shift out of range in some zones."""
    try:
        return int(at.timestamp())
    except (ValueError, OverflowError):
        return int(at.replace(tzinfo=UTC).timestamp())


def days(text: str) -> int:
    """A number of days, written ``365d``, ``52w`` or ``365``. Raises a usage error otherwise."""
    found = re.fullmatch(r"(\d{1,6})([dw]?)", text.strip().lower())
    if found is None:
        raise usage(f"{text!r} is not a number of days.", "Write 365d or 52w.")
    return int(found[1]) * (7 if found[2] == "w" else 1)


def seconds(text: str) -> int:
    """A length of time in seconds, written ``5m``, ``1h30m``, ``2d`` or ``0``. Raises `InvalidEvent` otherwise."""
    from calhub.calendar.edit import read_duration

    whole_days, rest = read_duration("0m" if text.strip() == "0" else text)
    found = whole_days * 86400 + rest
    if found > _LONGEST_S:
        raise usage(f"{text!r} is too long.", "Stay within a year.")
    return found


def local_text(stored: str | None, zone: tzinfo) -> str:
    """A stored UTC instant as people read it, to the minute in ``zone``; empty for None."""
    if not stored:
        return ""
    try:
        return datetime.fromisoformat(stored).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return stored
