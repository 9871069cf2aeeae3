"""What a rule was told: checked once, when the rule is made, and kept in the words of the command line."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from calhub.calendar.zones import canonical_zone
from calhub.hub.errors import InvalidValue
from calhub.hub.rules import Kind

#: Why an event may be passed over. An event that is free, declined or cancelled keeps nobody busy.
SKIPS: Final = ("free", "declined", "cancelled", "tentative", "all-day", "private")
NEVER_BUSY: Final = frozenset({"free", "declined", "cancelled"})

#: Fields a copy can have beside its times, by kind of rule. Attendees and what lets one take part never get public.
KEEPABLE: Final[dict[Kind, frozenset[str]]] = {
    "mirror": frozenset(
        {
            "title", "description", "location", "url", "color", "status", "categories", "attendees", "organizer",
            "alarms", "priority", "geo", "attachments", "conferences",
        }
    ),
    "publish": frozenset({"title", "description", "location", "url", "color", "status", "categories", "geo"}),
}  # fmt: skip
_TIMES: Final = frozenset({"start", "end"})

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_SPAN: Final = re.compile(r"(\d{1,5})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PLACEHOLDERS: Final = frozenset({"calendar", "title"})

#: How far copies made one by one go where a rule has no window.
_PAST: Final = timedelta(days=30)
_FUTURE: Final = timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Options:
    """A rule's options, ready for use. ``hours`` are minutes of the day, the second exclusive; ``days`` 0 is Monday."""

    kind: Kind
    skip: frozenset[str] = frozenset()
    title_match: re.Pattern[str] | None = None
    title_not: re.Pattern[str] | None = None
    category: frozenset[str] = frozenset()
    hours: tuple[int, int] = (0, 24 * 60)
    days: frozenset[int] = frozenset(range(7))
    time_zone: str | None = None
    past: timedelta | None = None
    future: timedelta | None = None
    cutoff: timedelta | None = None
    owner: str | None = None
    keep: frozenset[str] = frozenset()
    title: str | None = None
    prefix: str = ""
    footer: str = ""
    color: str | None = None
    private: bool = False
    busy: bool = True
    buffer: timedelta = timedelta()
    merge: bool = False
    on_edit: Literal["restore", "keep"] = "restore"

    @property
    def looks_at_clock(self) -> bool:
        """Whether some instances of a series may be taken for the time of day or week they are at."""
        return self.hours != (0, 24 * 60) or len(self.days) < 7

    def window(self, now_ts: int) -> tuple[int, int]:
        """From when to when copies are made one by one. Whole days, so that it moves once a day."""
        day = now_ts - now_ts % 86400
        past, future = self.past or _PAST, self.future or _FUTURE
        return day - int(past.total_seconds()), day + 86400 + int(future.total_seconds())

    def reach(self, now_ts: int) -> tuple[int | None, int | None]:
        """From when to when an event must take place for a copy to be made; None = no matter when."""
        start = None if self.past is None else self.window(now_ts)[0]
        return start, None if self.future is None else self.window(now_ts)[1]


def read(kind: Kind, given: Mapping[str, Any]) -> Options:
    """Options from the words they are stored in. Raises `InvalidValue` with one sentence for what is wrong."""
    read_by = _COMMON | (_MIRROR if kind == "mirror" else _PUBLISH)
    unknown = sorted(given.keys() - read_by.keys())
    if unknown:
        raise InvalidValue(f"A {kind} rule has no option {_flag(unknown[0])}.", f"See `calhub rule add {kind} --help`.")
    skip: frozenset[str] = frozenset({"cancelled", "private"} if kind == "publish" else NEVER_BUSY)
    values: dict[str, Any] = {}
    for name, value in given.items():
        try:
            values |= read_by[name](value)
        except (ValueError, re.error) as error:
            raise InvalidValue(f"{_flag(name)}: {error}.", f"See `calhub rule add {kind} --help`.") from None
    values["skip"] = skip | values.get("skip", frozenset())
    if kind == "publish":
        values = {"keep": frozenset({"title", "location", "description"}), "busy": False} | values
    else:
        values = {"keep": frozenset(), "title": "Busy"} | values
        if values.pop("alarms", False):
            values["keep"] |= {"alarms"}
        if "title" in values["keep"] and "title" not in given:
            values["title"] = None
    return Options(kind=kind, **values)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _words(value: Any) -> list[str]:
    """A list, or its words with commas between."""
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]


def _skip(value: Any) -> dict[str, Any]:
    words = frozenset(word.lower() for word in _words(value))
    wrong = sorted(words - set(SKIPS))
    if wrong:
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(SKIPS)}")
    return {"skip": words}


def _fields(value: Any, kind: Kind) -> dict[str, Any]:
    words = frozenset(_words(value)) - _TIMES
    wrong = sorted(words - KEEPABLE[kind])
    if wrong:
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(sorted(KEEPABLE[kind]))}")
    return {"keep": words}


def _pattern(value: Any) -> re.Pattern[str]:
    return re.compile(str(value), re.IGNORECASE)


def _hours(value: Any) -> dict[str, Any]:
    found = _HOURS.fullmatch(str(value).strip())
    first, last = (0, 0) if found is None else (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4]))
    if not first < last <= 24 * 60:
        raise ValueError(f"{value!r} is no stretch of a day like 09:00-18:00")
    return {"hours": (first, last)}


def _days(value: Any) -> dict[str, Any]:
    days: set[int] = set()
    for word in _words(str(value).lower()):
        first, _, last = word.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ValueError(f"{word!r} names no days; write mon-fri or sat,sun")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return {"days": frozenset(days)}


def span(value: Any) -> timedelta:
    """A length of time: ``15m``, ``2h``, ``90d``, ``4w``. Raises ValueError."""
    found = _SPAN.fullmatch(str(value).strip().lower())
    if found is None:
        raise ValueError(f"{value!r} is no length of time like 15m, 2h or 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _zone(value: Any) -> dict[str, Any]:
    zone = canonical_zone(str(value))
    if zone is None:
        raise ValueError(f"{value!r} is no time zone like Europe/Paris")
    return {"time_zone": zone}


def _template(value: Any) -> dict[str, Any]:
    names = {name for _, name, _, _ in string.Formatter().parse(str(value)) if name is not None}
    if names - _PLACEHOLDERS:
        raise ValueError(f"{value!r} has a place for something else than {{calendar}} or {{title}}")
    return {"title": str(value)}


def _one_of(name: str, *words: str) -> Any:
    def check(value: Any) -> dict[str, Any]:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return {name: value}

    return check


_COMMON: Final[dict[str, Any]] = {
    "skip": _skip,
    "title_match": lambda value: {"title_match": _pattern(value)},
    "title_not": lambda value: {"title_not": _pattern(value)},
    "category": lambda value: {"category": frozenset(word.casefold() for word in _words(value))},
    "hours": _hours,
    "days": _days,
    "time_zone": _zone,
    "past": lambda value: {"past": span(value)},
    "future": lambda value: {"future": span(value)},
    "title": _template,
    "prefix": lambda value: {"prefix": str(value)},
    "color": lambda value: {"color": str(value)},
    "on_edit": _one_of("on_edit", "restore", "keep"),
}
_MIRROR: Final[dict[str, Any]] = {
    "keep": lambda value: _fields(value, "mirror"),
    "owner": lambda value: {"owner": str(value).lower()},
    "private": lambda value: {"private": bool(value)},
    "alarms": lambda value: {"alarms": bool(value)},
    "buffer": lambda value: {"buffer": span(value)},
    "merge": lambda value: {"merge": bool(value)},
}
_PUBLISH: Final[dict[str, Any]] = {
    "fields": lambda value: _fields(value, "publish"),
    "cutoff": lambda value: {"cutoff": span(value)},
    "show_as": lambda value: {"busy": _one_of("show_as", "free", "busy")(value)["show_as"] == "busy"},
    "footer": lambda value: {"footer": str(value)},
}
