"""What everybody can do, and how a calendar looks to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Protocol, TypedDict, TypeVar, Unpack
from zoneinfo import ZoneInfo

#: Where everybody lives.
ZONE: Final = "Europe/Berlin"

T = TypeVar("T")


@dataclass(frozen=True, order=True, kw_only=True)
class Entry:
    """An event, or an instance that differs from its series.

    ``start`` and ``end`` are wall times in `ZONE` ("2026-11-23T10:00:00"), or days, the end exclusive. ``cancelled``
    are the days on which a series has no instance.
    """

    start: str
    title: str
    end: str
    location: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    repeats: bool = False
    instance: bool = False
    cancelled: tuple[str, ...] = ()


class Fields(TypedDict, total=False):
    """What can be typed in. Times as in `Entry`; ``start`` and ``end`` go together."""

    title: str
    location: str
    description: str
    categories: Sequence[str]
    start: str
    end: str


class Person(Protocol):
    """Events are found by their title, as people do it; `KeyError` where there is not exactly one.

    ``day`` ("2026-11-30") is the one on which the series has the instance.
    """

    def entries(self) -> list[Entry]:
        """Everything in the calendar, sorted."""

    def add(self, *, days: int = 1, weeks: int = 1, **fields: Unpack[Fields]) -> None:
        """A new event; with ``days`` or ``weeks`` a series of so many, one a day or a week."""

    def edit(self, event: str, **fields: Unpack[Fields]) -> None: ...

    def edit_instance(self, event: str, day: str, **fields: Unpack[Fields]) -> None: ...

    def cancel_instance(self, event: str, day: str) -> None: ...

    def delete(self, event: str) -> None: ...


def rule_of(days: int, weeks: int) -> str:
    """The RRULE (RFC 5545 3.3.10) of a new event; empty for a single one."""
    if days > 1:
        return f"FREQ=DAILY;COUNT={days}"
    return f"FREQ=WEEKLY;COUNT={weeks}" if weeks > 1 else ""


def is_day(moment: str) -> bool:
    """Whether a time is that of an all-day event."""
    return len(moment) == 10


def aware(moment: str) -> datetime:
    """A wall time with its offset."""
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(ZONE))


def wall(moment: datetime) -> str:
    """The wall time of an instant."""
    return moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None).isoformat()


def shifted(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def excepted(lines: Iterable[str]) -> Iterator[str]:
    """The days of EXDATE lines (RFC 5545 3.8.5.1), in UTC, in `ZONE` or all-day."""
    for line in lines:
        head, _, values = line.partition(":")
        for value in values.split(",") if head.partition(";")[0] == "EXDATE" else ():
            moment = datetime.fromisoformat(value)
            yield wall(moment)[:10] if moment.tzinfo else moment.date().isoformat()


def the(found: Sequence[T], title: str) -> T:
    """The only one of them. Raises KeyError."""
    if len(found) != 1:
        raise KeyError(f"{len(found)} events called {title!r}")
    return found[0]
