"""RRULE and Graph's ``patternedRecurrence``, both ways (microsoft: Recurrence and exceptions). Pure functions.

Graph has six patterns with one day each, and a range by dates. What goes beyond is refused with a sentence: the series
then stays as it is in the hub. A day of the month that a month does not have falls on its last day in Outlook, while
RFC 5545 passes such a month over; so ``dayOfMonth`` 31 is ``BYMONTHDAY=-1``, and a plain ``BYMONTHDAY=31`` is refused.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from calhub.calendar import rule as rules
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.frame import frame_of
from calhub.calendar.recurrence import Series, until_at, until_ts
from calhub.calendar.rule import Rule

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_INDEXES: Final = {1: "first", 2: "second", 3: "third", 4: "fourth", -1: "last"}
_ORDINALS: Final = {name: number for number, name in _INDEXES.items()}
_SURE: Final = 28  # every month has this day
_MOST: Final = 999  # numberOfOccurrences and interval that Outlook takes
_REACH: Final = 5 * 366 * 86400  # seconds around an occurrence in which its neighbours are looked for


class Unholdable(Exception):
    """Graph has no place for this; the message is one sentence for the user."""


def to_graph(content: Content) -> dict[str, Any] | None:
    """The ``recurrence`` of an event, None for a single one. Raises `Unholdable`, `InvalidEvent`.

    EXDATE and overrides are not part of it. The zone is not set: Graph takes the event's own.
    """
    if content.get("rdates"):
        raise Unholdable("Microsoft 365 cannot hold a series with added dates.")
    text = content.get("rrule")
    if not text:
        return None
    rule = rules.parse(text)
    start = datetime.fromisoformat(content["start"])
    if rule.sub_daily:
        raise Unholdable("Microsoft 365 cannot hold a series that repeats within a day.")
    if not rules.matches(rule, start, start):
        raise Unholdable("Microsoft 365 cannot hold a series whose start does not fit its rule.")
    return {"pattern": _pattern(_trimmed(rule, start), start), "range": _range(rule, content, start)}


def _trimmed(rule: Rule, start: datetime) -> Rule:
    """Without the parts that only repeat what the start says."""
    if rule.by_hour == (start.hour,):
        rule = replace(rule, by_hour=())
    if rule.by_minute == (start.minute,):
        rule = replace(rule, by_minute=())
    if rule.by_second == (start.second,):
        rule = replace(rule, by_second=())
    if rule.by_hour or rule.by_minute or rule.by_second:
        raise Unholdable("Microsoft 365 cannot hold a series that repeats within a day.")
    if rule.by_week_no or rule.by_year_day:
        raise Unholdable("Microsoft 365 cannot hold a rule by week or day of the year.")
    if rule.interval > _MOST:
        raise Unholdable("Microsoft 365 cannot hold a series with so long an interval.")
    return rule


def _pattern(rule: Rule, start: datetime) -> dict[str, Any]:
    match rule.freq:
        case "DAILY":
            return _daily(rule)
        case "WEEKLY":
            return _weekly(rule, start)
        case "MONTHLY":
            if rule.by_month:
                raise Unholdable("Microsoft 365 cannot hold a monthly rule for certain months only.")
            return _by_day_of("Monthly", rule, start)
        case _:
            return _yearly(rule, start)


def _daily(rule: Rule) -> dict[str, Any]:
    if rule.by_month or rule.by_month_day or rule.by_set_pos:
        raise Unholdable("Microsoft 365 cannot hold a daily rule for certain days only.")
    if not rule.by_day:
        return {"type": "daily", "interval": rule.interval}
    if rule.interval != 1:
        raise Unholdable("Microsoft 365 cannot hold a daily rule for certain days only.")
    return _weekly(rule, datetime.min)  # every day that is one of these is every week on these


def _weekly(rule: Rule, start: datetime) -> dict[str, Any]:
    if rule.by_month or rule.by_month_day or rule.by_set_pos:
        raise Unholdable("Microsoft 365 cannot hold a weekly rule for certain months or positions only.")
    days = [day for _, day in rule.by_day] or [start.weekday()]
    return {
        "type": "weekly",
        "interval": rule.interval,
        "daysOfWeek": [_DAYS[day] for day in days],
        "firstDayOfWeek": _DAYS[rule.week_start],
    }


def _yearly(rule: Rule, start: datetime) -> dict[str, Any]:
    if len(rule.by_month) > 1:
        raise Unholdable("Microsoft 365 cannot hold a yearly rule for several months.")
    if not rule.by_month and (rule.by_day or rule.by_month_day):
        raise Unholdable("Microsoft 365 cannot hold a yearly rule without a month.")
    month = rule.by_month[0] if rule.by_month else start.month
    return _by_day_of("Yearly", rule, start, month) | {"month": month}


def _by_day_of(period: str, rule: Rule, start: datetime, month: int | None = None) -> dict[str, Any]:
    """The pattern for one day a month, by its number or as the n-th of certain weekdays."""
    pattern: dict[str, Any] = {"interval": rule.interval}
    if rule.by_day:
        index, days = _relative(rule)
        return {"type": f"relative{period}", **pattern, "daysOfWeek": [_DAYS[day] for day in days], "index": index}
    return {"type": f"absolute{period}", **pattern, "dayOfMonth": _day_of_month(rule, start, month)}


def _day_of_month(rule: Rule, start: datetime, month: int | None) -> int:
    days, positions = rule.by_month_day or (start.day,), rule.by_set_pos
    if len(days) == 1 and positions in ((), (1,), (-1,)):
        if days[0] == -1:
            return 31
        if 0 < days[0] <= _shortest(month):
            return days[0]
        raise Unholdable("Microsoft 365 cannot hold a rule for a day that some months do not have.")
    if positions == (-1,) and days == tuple(range(_SURE, days[-1] + 1)):
        return days[-1]
    raise Unholdable("Microsoft 365 cannot hold a rule for several days of a month.")


def _shortest(month: int | None) -> int:
    """The last day that the month always has; None: that every month has."""
    return _SURE if month is None else monthrange(2023, month)[1]


def _relative(rule: Rule) -> tuple[str, list[int]]:
    """Index and weekdays. Several weekdays mean the first that comes, so only BYSETPOS says the same."""
    days, ordinals, numbers = [day for _, day in rule.by_day], {ordinal for ordinal, _ in rule.by_day}, rule.by_set_pos
    if len(days) == 1 and 0 not in ordinals and numbers in ((), (1,), (-1,)):
        numbers = tuple(ordinals)
    elif ordinals != {0}:
        numbers = ()
    if len(numbers) != 1 or numbers[0] not in _INDEXES or rule.by_month_day:
        raise Unholdable("Microsoft 365 cannot hold a rule for several weekdays of a month, or for the fifth of one.")
    return _INDEXES[numbers[0]], days


def _range(rule: Rule, content: Content, start: datetime) -> dict[str, Any]:
    first = start.date().isoformat()
    if rule.count is not None:
        if rule.count > _MOST:
            raise Unholdable(f"Microsoft 365 cannot hold a series of more than {_MOST} occurrences.")
        return {"type": "numbered", "startDate": first, "numberOfOccurrences": rule.count}
    frame = frame_of(content)
    until = until_ts(rule, frame)
    if until is None:
        return {"type": "noEnd", "startDate": first}
    wall = frame.wall(until)
    last = wall.date() if wall.time() >= start.time() else wall.date() - timedelta(days=1)
    return {"type": "endDate", "startDate": first, "endDate": max(last, start.date()).isoformat()}


def from_graph(recurrence: Mapping[str, Any], times: Content) -> str:
    """The RRULE value of a ``recurrence`` for an event with these time fields. Raises `InvalidEvent`."""
    try:
        rule = _rule(recurrence["pattern"])
        return str(replace(rule, **_end(recurrence.get("range") or {}, times)))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InvalidEvent("The recurrence of the series cannot be read.") from error


def _rule(pattern: Mapping[str, Any]) -> Rule:
    rule = Rule("DAILY", interval=int(pattern.get("interval") or 1))
    days = tuple(sorted((0, _DAYS.index(name.lower())) for name in pattern.get("daysOfWeek") or ()))
    kind = pattern["type"]
    if kind == "daily":
        return rule
    if kind == "weekly":
        if not days:
            raise ValueError("no days")
        # Where the week begins says nothing when every week counts.
        week_start = _DAYS.index((pattern.get("firstDayOfWeek") or "sunday").lower()) if rule.interval > 1 else 0
        return replace(rule, freq="WEEKLY", by_day=days, week_start=week_start)
    freq = {"Monthly": "MONTHLY", "Yearly": "YEARLY"}[kind.removeprefix("absolute").removeprefix("relative")]
    rule = replace(rule, freq=freq, by_month=(int(pattern["month"]),) if freq == "YEARLY" else ())
    if kind.startswith("absolute"):
        return _on_day(rule, int(pattern["dayOfMonth"]))
    ordinal = _ORDINALS[pattern.get("index") or "first"]
    if len(days) == 1:
        return replace(rule, by_day=((ordinal, days[0][1]),))
    if not days:
        raise ValueError("no days")
    return replace(rule, by_day=days, by_set_pos=(ordinal,))


def _on_day(rule: Rule, day: int) -> Rule:
    month = rule.by_month[0] if rule.by_month else None
    if day <= _shortest(month):
        return replace(rule, by_month_day=(day,))
    longest = 31 if month is None else monthrange(2024, month)[1]
    if day >= longest:
        return replace(rule, by_month_day=(-1,))
    return replace(rule, by_month_day=tuple(range(_SURE, day + 1)), by_set_pos=(-1,))


def _end(bounds: Mapping[str, Any], times: Content) -> dict[str, Any]:
    """COUNT or UNTIL. The end date is inclusive; UNTIL is the start's time on it."""
    kind = bounds.get("type") or "noEnd"
    if kind == "numbered":
        return {"count": int(bounds["numberOfOccurrences"])}
    if kind == "noEnd":
        return {}
    frame = frame_of(times)
    start = datetime.fromisoformat(times["start"])
    last = datetime.combine(date.fromisoformat(bounds["endDate"][:10]), start.time())
    return {"until": until_at(frame, frame.ts(last))}


def check_exceptions(content: Content) -> None:
    """Raise `Unholdable` for overrides that Graph cannot hold.

    An occurrence stays between its neighbours: it is not moved to or past the day of either
    (ErrorOccurrenceCrossingBoundary).
    """
    if not content.get("overrides"):
        return
    series = Series(content)
    for ts in series.overrides:
        if not any(True for _ in series.starts(ts, ts + 1)):
            raise Unholdable("Microsoft 365 cannot hold an occurrence that the rule of its series does not have.")
    moved = dict(_moved(series))

    def day_of(ts: int) -> date:
        return moved.get(ts) or series.frame.wall(ts).date()

    for ts, day in moved.items():
        before = [at for at, _ in series.starts(ts - _REACH, ts) if not series.excluded(at)]
        after = next((at for at, _ in series.starts(ts + 1, ts + _REACH) if not series.excluded(at)), None)
        if before and day <= day_of(before[-1]):
            raise Unholdable("Microsoft 365 does not let an occurrence move to or before the day of the previous one.")
        if after is not None and day >= day_of(after):
            raise Unholdable("Microsoft 365 does not let an occurrence move to or past the day of the next one.")


def _moved(series: Series) -> Iterator[tuple[int, date]]:
    """(original start, day it is on now) of each moved occurrence, seen from the zone of the series."""
    for found in series.overridden(-(1 << 40), 1 << 40):
        if found.patch and "start" in found.patch:
            yield series.frame.read(found.recurrence_id or ""), series.frame.wall(found.start_ts).date()
