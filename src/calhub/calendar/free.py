"""Busy and free time, as stretches ``(start, end)`` of seconds since 1970. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

Stretch = tuple[int, int]


def merge(stretches: Iterable[Stretch], start: int, end: int) -> list[Stretch]:
    """The time covered by any of them within ``[start, end)``, in order; stretches that overlap or meet are one."""
    merged: list[Stretch] = []
    for first, last in sorted((max(first, start), min(last, end)) for first, last in stretches):
        if first >= last:
            continue
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def gaps(busy: Sequence[Stretch], start: int, end: int) -> Iterator[Stretch]:
    """The rest of ``[start, end)``; ``busy`` is merged."""
    for first, last in busy:
        if start < first:
            yield start, first
        start = last
    if start < end:
        yield start, end


def working(start: int, end: int, zone: tzinfo, hours: tuple[int, int], days: frozenset[int]) -> Iterator[Stretch]:
    """The parts of ``[start, end)`` at these minutes of the day, on these days of the week (0 is Monday), by the clock
    of ``zone``. A day of which the clocks leave something out or repeat something is shorter or longer by that.
    """
    day = datetime.fromtimestamp(start, zone).date()
    while (midnight := datetime.combine(day, datetime.min.time(), zone)).timestamp() < end:
        if day.weekday() in days:
            first, last = ((midnight + timedelta(minutes=minute)).timestamp() for minute in hours)
            yield max(start, int(first)), min(end, int(last))
        day += timedelta(days=1)


def slots(busy: Sequence[Stretch], within: Iterable[Stretch], seconds: int) -> Iterator[Stretch]:
    """The free stretches of at least so many seconds in each of the stretches ``within``."""
    for start, end in within:
        for first, last in gaps(merge(busy, start, end), start, end):
            if last - first >= seconds:
                yield first, last
