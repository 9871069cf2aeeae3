"""RRULE: reading, canonical text and bare calendar arithmetic (RFC 5545 3.3.10 with errata 1913, 3747, 3779, 4271).

Everything here works on naive date-times. Who attaches a zone is `calhub.calendar.recurrence`.

Own arithmetic rather than a library's: a rule is evaluated period by period, so that a window far from the start is
reached by one division, and a hostile rule (``FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30``) can be cut off.
"""

from __future__ import annotations

import itertools
import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, TypeVar

from calhub.calendar.event import InvalidEvent

FREQUENCIES: Final = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

#: Work one evaluation may do, in days looked at: some 1300 years for any rule. Then the rule counts as exhausted.
#: So it does after as many instances.
MAX_WORK: Final = 500_000
#: The same for sub-daily rules, in steps looked at. Steps that cannot match are jumped over by the hour or the day.
MAX_STEPS: Final = 100_000

_STEP_SECONDS: Final = {"SECONDLY": 1, "MINUTELY": 60, "HOURLY": 3600}
_DAYS_IN_PERIOD: Final = {"YEARLY": 366, "MONTHLY": 31, "WEEKLY": 7, "DAILY": 1}
_NUMBERS: Final = {  # part: (field, smallest, largest, negative allowed)
    "BYSECOND": ("by_second", 0, 60, False),
    "BYMINUTE": ("by_minute", 0, 59, False),
    "BYHOUR": ("by_hour", 0, 23, False),
    "BYMONTHDAY": ("by_month_day", 1, 31, True),
    "BYYEARDAY": ("by_year_day", 1, 366, True),
    "BYWEEKNO": ("by_week_no", 1, 53, True),
    "BYMONTH": ("by_month", 1, 12, False),
    "BYSETPOS": ("by_set_pos", 1, 366, True),
}
_BY_DAY: Final = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL: Final = re.compile(r"\d{8}(T\d{6}Z?)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """One RRULE. ``until`` has the form it was written in (a date, naive, or UTC); ``by_day`` holds (ordinal, day)."""

    freq: str
    until: date | datetime | None = None
    count: int | None = None
    interval: int = 1
    by_second: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_hour: tuple[int, ...] = ()
    by_day: tuple[tuple[int, int], ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0

    @property
    def sub_daily(self) -> bool:
        """Whether it repeats within a day: such rules count real time, not wall time."""
        return self.freq in _STEP_SECONDS

    @property
    def once_a_day(self) -> bool:
        """Whether no day has more than one match: then `days` tells all there is."""
        return not (self.sub_daily or self.by_hour or self.by_minute or self.by_second or self.by_set_pos)

    def __str__(self) -> str:
        """The RRULE value, parts in RFC order, defaults left out."""
        parts = [f"FREQ={self.freq}"]
        if self.until is not None:
            parts.append(f"UNTIL={_until_text(self.until)}")
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        if self.interval != 1:
            parts.append(f"INTERVAL={self.interval}")
        days = ",".join(f"{ordinal or ''}{WEEKDAYS[day]}" for ordinal, day in self.by_day)
        for part in ("BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY", *itertools.islice(_NUMBERS, 3, None)):
            text = days if part == "BYDAY" else ",".join(map(str, getattr(self, _NUMBERS[part][0])))
            if text:
                parts.append(f"{part}={text}")
        if self.week_start:
            parts.append(f"WKST={WEEKDAYS[self.week_start]}")
        return ";".join(parts)


@lru_cache(maxsize=1024)
def parse(text: str) -> Rule:
    """Read an RRULE value; lenient where the meaning is plain: X- parts are passed over, so is COUNT beside UNTIL.

    Raises `InvalidEvent` for anything else the grammar does not allow.
    """
    parts = _split(text)
    freq = parts.pop("FREQ", "")
    if freq not in FREQUENCIES:
        raise InvalidEvent("The recurrence rule has no valid FREQ part.")
    until = _read_until(parts.pop("UNTIL")) if "UNTIL" in parts else None
    count = _positive(parts.pop("COUNT"), "COUNT") if "COUNT" in parts else None
    interval = _positive(parts.pop("INTERVAL", "1"), "INTERVAL")
    week_start = parts.pop("WKST", "MO")
    if week_start not in WEEKDAYS:
        raise InvalidEvent("WKST in the recurrence rule is not a weekday.")
    by_day = _read_days(parts.pop("BYDAY")) if "BYDAY" in parts else ()
    numbers = {_NUMBERS[part][0]: _read_numbers(part, value) for part, value in parts.items()}
    if freq not in ("MONTHLY", "YEARLY") or "by_week_no" in numbers:
        by_day = tuple(sorted({(0, day) for _, day in by_day}))  # an ordinal has no meaning here
    rule = Rule(freq, until, None if until else count, interval, by_day=by_day, week_start=WEEKDAYS.index(week_start))
    return replace(rule, **numbers)  # type: ignore[arg-type]  # all of these fields are tuples of int


def check_strictly(text: str) -> None:
    """What `parse` lets pass in foreign data but a person should hear about. Raises `InvalidEvent`."""
    rule, parts = parse(text), _split(text)
    if "UNTIL" in parts and "COUNT" in parts:
        raise InvalidEvent("A recurrence rule has either COUNT or UNTIL, not both.")
    if rule.freq not in ("MONTHLY", "YEARLY") and re.search(r"\d", parts.get("BYDAY", "")):
        raise InvalidEvent("A number before a weekday in BYDAY needs FREQ=MONTHLY or FREQ=YEARLY.")
    if rule.by_week_no and rule.freq != "YEARLY":
        raise InvalidEvent("BYWEEKNO needs FREQ=YEARLY.")
    if rule.by_month_day and rule.freq == "WEEKLY":
        raise InvalidEvent("BYMONTHDAY does not go with FREQ=WEEKLY.")
    if rule.by_year_day and rule.freq in ("DAILY", "WEEKLY", "MONTHLY"):
        raise InvalidEvent("BYYEARDAY does not go with FREQ=DAILY, WEEKLY or MONTHLY.")
    if rule.by_set_pos and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        raise InvalidEvent("BYSETPOS needs another BY part.")


def matches(rule: Rule, start: datetime, wall: datetime) -> bool:
    """Whether ``wall`` is one of the rule's own matches, for rules that are not sub-daily; COUNT and UNTIL aside."""
    return wall in walls(replace(rule, count=None), start, wall, wall)


def follow(rule: Rule, old: datetime, new: datetime) -> Rule:
    """The rule after its start was moved: BY parts that said what the old start was say the new.

    UNTIL is left alone. Whether the result matches ``new`` is for the caller to ask.
    """
    changed: dict[str, tuple[int, ...] | tuple[tuple[int, int], ...]] = {}
    days = (new.date() - old.date()).days
    if days and rule.freq == "WEEKLY":
        changed["by_day"] = tuple(sorted((0, (day + days) % 7) for _, day in rule.by_day))
    elif days and len(rule.by_day) == 1:
        changed["by_day"] = (_follow_weekday(rule.by_day[0], old, new),)
    for name, before, after in (
        ("by_month", old.month, new.month),
        ("by_month_day", old.day, new.day),
        ("by_hour", old.hour, new.hour),
        ("by_minute", old.minute, new.minute),
        ("by_second", old.second, new.second),
    ):
        if getattr(rule, name) == (before,):
            changed[name] = (after,)
    return replace(rule, **changed)  # type: ignore[arg-type]  # each name gets its own kind of tuple above


def _follow_weekday(by_day: tuple[int, int], old: datetime, new: datetime) -> tuple[int, int]:
    ordinal, weekday = by_day
    if weekday != old.weekday():
        return by_day
    if ordinal > 0:
        ordinal = (new.day - 1) // 7 + 1
    elif ordinal < 0:
        ordinal = -((monthrange(new.year, new.month)[1] - new.day) // 7 + 1)
    return ordinal, new.weekday()


def walls(rule: Rule, start: datetime, first: datetime, last: datetime) -> Iterator[datetime]:
    """The rule's matches from ``start`` up to the day of ``last``, in order, for rules that are not sub-daily.

    Those before ``first`` may be left out, unless the rule has a COUNT (to be applied by the caller, as is UNTIL).
    Ends early after `MAX_WORK`.
    """
    rule = _anchored(rule, start)
    times = sorted(itertools.starmap(time, itertools.product(rule.by_hour, rule.by_minute, rule.by_second)))
    opening = start.date() if rule.count is not None else max(start.date(), first.date())
    found = (
        wall
        for days in _periods(rule, start, first, last)
        for wall in _at(days, times, rule.by_set_pos, opening)  # lazily: a year may have 31 million
    )
    yield from (wall for wall in itertools.islice(found, MAX_WORK) if wall >= start)


def _at(days: list[date], times: list[time], positions: tuple[int, ...], opening: date) -> Iterator[datetime]:
    if not positions:
        return (datetime.combine(day, at) for day in days if day >= opening for at in times)
    picked = (divmod(index, len(times)) for index in _indexes(len(days) * len(times), positions))
    return (datetime.combine(days[day], times[at]) for day, at in picked)


def days(rule: Rule, start: datetime, first: datetime, last: datetime) -> Iterator[int]:
    """The days of `walls` as ordinals, several times faster; for rules that are `Rule.once_a_day`."""
    rule, begin = _anchored(rule, start), start.toordinal()
    narrowed = rule.by_month or rule.by_month_day
    if rule.freq == "DAILY" and not (narrowed or rule.by_year_day or rule.by_week_no or rule.by_day):
        period, opening, offsets = 1, begin, [0]
    elif rule.freq == "WEEKLY" and not narrowed:
        period, opening = 7, _week_of(start.date(), rule.week_start).toordinal()
        offsets = sorted((day - rule.week_start) % 7 for _, day in rule.by_day)
    else:
        found = itertools.chain.from_iterable(_periods(rule, start, first, last))
        return (ordinal for day in found if (ordinal := day.toordinal()) >= begin)
    step = period * rule.interval
    if rule.count is None:
        opening = max(opening, opening + (first.toordinal() - opening) // step * step)
    openings = range(opening, min(last.toordinal() + 1, opening + MAX_WORK // period * step), step)
    if len(offsets) == 1:
        every = range(openings.start + offsets[0], openings.stop + offsets[0], step)
        return itertools.dropwhile(lambda day: day < begin, every)
    return (day for opening in openings for offset in offsets if (day := opening + offset) >= begin)


def _periods(rule: Rule, start: datetime, first: datetime, last: datetime) -> Iterator[list[date]]:
    """The matching days of each period from that of ``start`` (or ``first``) on to the day of ``last``."""
    number = 0 if rule.count is not None else max(0, _period_of(rule, start, first))
    for _ in range(MAX_WORK // _DAYS_IN_PERIOD[rule.freq]):
        try:
            opening, days = _period(rule, start, number)
        except (OverflowError, ValueError):  # past the year 9999
            return
        if opening > last.date():
            return
        yield days
        number += 1


def steps(
    rule: Rule, start: datetime, first: datetime, last: datetime, local: Callable[[datetime], datetime]
) -> Iterator[datetime]:
    """As `walls`, for sub-daily rules: all in naive UTC, since these count real hours across a change of offset.

    ``local`` tells the naive wall time of a UTC time; BY parts are about that. Ends early after `MAX_STEPS`.
    """
    rule = _anchored(rule, local(start))
    step = timedelta(seconds=_STEP_SECONDS[rule.freq]) * rule.interval
    number = 0 if rule.count is not None else max(0, (first - start) // step - 1)
    left = MAX_WORK
    for _ in range(MAX_STEPS):
        try:
            instant = start + step * number
            wall = local(instant)
        except OverflowError:
            return
        if instant > last + timedelta(hours=1):  # an expanded BYMINUTE may lie before its step
            return
        skip = _distance(rule, wall)
        if skip:
            number += max(1, -(-skip // step))
            continue
        offset = instant - wall
        expanded = _expand_step(rule, wall)
        yield from (found + offset for found in expanded if found + offset >= start)
        left -= len(expanded)
        if left < 0:
            return
        number += 1


def _expand_step(rule: Rule, wall: datetime) -> list[datetime]:
    minutes = rule.by_minute if rule.freq == "HOURLY" else (wall.minute,)
    seconds = rule.by_second if rule.freq != "SECONDLY" else (wall.second,)
    found = [wall.replace(minute=minute, second=second) for minute in minutes for second in seconds]
    return _pick(found, rule.by_set_pos) if rule.by_set_pos else found


def _distance(rule: Rule, wall: datetime) -> timedelta:
    """How far the rule certainly has no match from ``wall`` on; zero if it has one in this step."""
    to_hour = timedelta(hours=1) - timedelta(minutes=wall.minute, seconds=wall.second)
    if not _day_matches(rule, wall.date()):
        to_midnight = timedelta(hours=24) - timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)
        # The night may be shorter than the clock says, so the last hours are taken one by one.
        return max(to_hour, to_midnight - timedelta(hours=4))
    if rule.by_hour and wall.hour not in rule.by_hour:
        return to_hour
    if rule.freq != "HOURLY" and rule.by_minute and wall.minute not in rule.by_minute:
        return timedelta(seconds=60 - wall.second)
    if rule.freq == "SECONDLY" and rule.by_second and wall.second not in rule.by_second:
        return timedelta(seconds=1)
    return timedelta(0)


def _anchored(rule: Rule, start: datetime) -> Rule:
    """The rule with what it leaves to DTSTART filled in (3.3.10: "derived from DTSTART")."""
    filled: dict[str, tuple[int, ...] | tuple[tuple[int, int], ...]] = {}
    if not (rule.by_week_no or rule.by_year_day or rule.by_month_day or rule.by_day):
        if rule.freq == "YEARLY" and not rule.by_month:
            filled["by_month"] = (start.month,)
        if rule.freq in ("YEARLY", "MONTHLY"):
            filled["by_month_day"] = (start.day,)
    if rule.freq in ("WEEKLY", "YEARLY") and not rule.by_day:
        by_week = rule.freq == "WEEKLY" or (rule.by_week_no and not rule.by_month_day and not rule.by_year_day)
        if by_week:
            filled["by_day"] = ((0, start.weekday()),)
    if not rule.by_second:
        filled["by_second"] = () if rule.freq == "SECONDLY" else (start.second,)
    elif 60 in rule.by_second:  # a leap second is not in our clocks (3.3.12)
        filled["by_second"] = tuple(sorted({min(59, second) for second in rule.by_second}))
    if not rule.by_minute and rule.freq not in ("SECONDLY", "MINUTELY"):
        filled["by_minute"] = (start.minute,)
    if not rule.by_hour and not rule.sub_daily:
        filled["by_hour"] = (start.hour,)
    return replace(rule, **filled)  # type: ignore[arg-type]  # each name gets its own kind of tuple above


def _period_of(rule: Rule, start: datetime, wall: datetime) -> int:
    """The number of the period ``wall`` lies in (or of the last one before it)."""
    if rule.freq == "YEARLY":
        return (wall.year - start.year) // rule.interval
    if rule.freq == "MONTHLY":
        return ((wall.year - start.year) * 12 + wall.month - start.month) // rule.interval
    if rule.freq == "WEEKLY":
        return (wall.date() - _week_of(start.date(), rule.week_start)).days // (7 * rule.interval)
    return (wall.date() - start.date()).days // rule.interval


def _period(rule: Rule, start: datetime, number: int) -> tuple[date, list[date]]:
    """First day and matching days of a period. Raises OverflowError or ValueError past the year 9999."""
    if rule.freq == "DAILY":
        day = start.date() + timedelta(days=number * rule.interval)
        return day, [day] if _day_matches(rule, day) else []
    if rule.freq == "WEEKLY":
        opening = _week_of(start.date(), rule.week_start) + timedelta(days=7 * number * rule.interval)
        offsets = sorted((day - rule.week_start) % 7 for _, day in rule.by_day)
        days = [opening + timedelta(days=offset) for offset in offsets]
        return opening, [day for day in days if _day_matches(rule, day)] if rule.by_month or rule.by_month_day else days
    if rule.freq == "MONTHLY":
        years, month = divmod(start.month - 1 + number * rule.interval, 12)
        opening = date(start.year + years, month + 1, 1)
        return opening, _days_in_month(rule, opening.year, opening.month)
    opening = date(start.year + number * rule.interval, 1, 1)
    months = rule.by_month or range(1, 13)
    return opening, [day for month in months for day in _days_in_month(rule, opening.year, month)]


def _days_in_month(rule: Rule, year: int, month: int) -> list[date]:
    if rule.by_month and month not in rule.by_month:
        return []
    first, length = monthrange(year, month)
    checked = bool(rule.by_year_day or rule.by_week_no)
    numbers: Iterable[int] = range(1, length + 1)
    if rule.by_month_day:
        numbers = sorted({n if n > 0 else length + 1 + n for n in rule.by_month_day} & set(numbers))
        checked |= bool(rule.by_day)
    elif rule.by_day:
        monthly = rule.freq == "MONTHLY" or bool(rule.by_month)  # else an ordinal counts within the year
        numbers = sorted({n for pair in rule.by_day for n in _numbers_of(pair, first, length, ordinals=monthly)})
        checked |= not monthly
    days = [date(year, month, number) for number in numbers]
    return [day for day in days if _day_matches(rule, day)] if checked else days


def _numbers_of(by_day: tuple[int, int], first: int, length: int, *, ordinals: bool) -> range:
    """The days of a month that are the weekday, or its nth; ``first`` is the weekday of the 1st."""
    ordinal, weekday = by_day
    found = range(1 + (weekday - first) % 7, length + 1, 7)
    if not ordinal or not ordinals:
        return found
    return found[ordinal - 1 : ordinal] if ordinal > 0 else found[ordinal : len(found) + ordinal + 1]


def _day_matches(rule: Rule, day: date) -> bool:
    if rule.by_month and day.month not in rule.by_month:
        return False
    if rule.by_month_day:
        length = monthrange(day.year, day.month)[1]
        if day.day not in rule.by_month_day and day.day - length - 1 not in rule.by_month_day:
            return False
    if rule.by_year_day:
        number, length = _day_of_year(day)
        if number not in rule.by_year_day and number - length - 1 not in rule.by_year_day:
            return False
    if rule.by_week_no:
        number, length = _week_number(day, rule.week_start)
        if number not in rule.by_week_no and number - length - 1 not in rule.by_week_no:
            return False
    return not rule.by_day or _weekday_matches(rule, day)


def _weekday_matches(rule: Rule, day: date) -> bool:
    weekday = day.weekday()
    if (0, weekday) in rule.by_day:
        return True
    ordinals = [ordinal for ordinal, wanted in rule.by_day if wanted == weekday]
    if not ordinals:
        return False
    if rule.freq == "MONTHLY" or rule.by_month:
        number, length = day.day, monthrange(day.year, day.month)[1]
    else:
        number, length = _day_of_year(day)
    return (number - 1) // 7 + 1 in ordinals or -((length - number) // 7 + 1) in ordinals


def _day_of_year(day: date) -> tuple[int, int]:
    return day.timetuple().tm_yday, 366 if isleap(day.year) else 365


def _week_of(day: date, week_start: int) -> date:
    return day - timedelta(days=(day.weekday() - week_start) % 7)


def _first_week(year: int, week_start: int) -> date:
    """Start of week 1: the first with at least four days in the year."""
    return _week_of(date(year, 1, 4), week_start)


def _week_number(day: date, week_start: int) -> tuple[int, int]:
    """The week's number and how many weeks its year has."""
    year = day.year
    if day < _first_week(year, week_start):
        year -= 1
    elif year < date.max.year and day >= _first_week(year + 1, week_start):
        year += 1
    opening = _first_week(year, week_start)
    length = (_first_week(year + 1, week_start) - opening).days // 7 if year < date.max.year else 52
    return (day - opening).days // 7 + 1, length


T = TypeVar("T")


def _pick(found: list[T], positions: tuple[int, ...]) -> list[T]:
    """BYSETPOS."""
    return [found[index] for index in _indexes(len(found), positions)]


def _indexes(size: int, positions: tuple[int, ...]) -> list[int]:
    indexes = {position - 1 if position > 0 else size + position for position in positions}
    return [index for index in sorted(indexes) if 0 <= index < size]


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().rstrip(";").upper().removeprefix("RRULE:").split(";"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name.startswith("X-") or (name, value) in (("RSCALE", "GREGORIAN"), ("SKIP", "OMIT")):
            continue
        if not equals or name not in {"FREQ", "UNTIL", "COUNT", "INTERVAL", "BYDAY", "WKST", *_NUMBERS}:
            raise InvalidEvent("The recurrence rule has a part that is unknown or without a value.")
        if name in parts:
            raise InvalidEvent(f"The recurrence rule has {name} twice.")
        parts[name] = value
    return parts


def _positive(text: str, part: str) -> int:
    if not re.fullmatch(r"\+?[0-9]{1,9}", text) or int(text) < 1:
        raise InvalidEvent(f"{part} in the recurrence rule must be a number of at least 1.")
    return int(text)


def _read_numbers(part: str, value: str) -> tuple[int, ...]:
    _, smallest, largest, negative = _NUMBERS[part]
    numbers = set()
    for text in value.split(","):
        if not re.fullmatch(r"[+-]?[0-9]{1,3}", text.strip()):
            raise InvalidEvent(f"{part} in the recurrence rule is not a list of numbers.")
        number = int(text)
        if not smallest <= (abs(number) if negative else number) <= largest:
            raise InvalidEvent(f"{part} in the recurrence rule is out of range.")
        numbers.add(number)
    return tuple(sorted(numbers))


def _read_days(value: str) -> tuple[tuple[int, int], ...]:
    days = set()
    for text in value.split(","):
        match = _BY_DAY.fullmatch(text.strip())
        ordinal = int(match[1] or 0) if match else 0
        if not match or abs(ordinal) > 53 or (match[1] and not ordinal):
            raise InvalidEvent("BYDAY in the recurrence rule is not a list of weekdays.")
        days.add((ordinal, WEEKDAYS.index(match[2])))
    return tuple(sorted(days, key=lambda day: (day[1], day[0])))


def _read_until(text: str) -> date | datetime:
    try:
        if not _UNTIL.fullmatch(text):
            moment = datetime.fromisoformat(text)  # as a person may write it
            if len(text) == 10:
                return moment.date()
            return moment.astimezone(UTC) if moment.tzinfo else moment
        return date.fromisoformat(text) if len(text) == 8 else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidEvent("UNTIL in the recurrence rule is not a date or time.") from None


def _until_text(until: date | datetime) -> str:
    if not isinstance(until, datetime):
        return until.strftime("%Y%m%d")
    return until.strftime("%Y%m%dT%H%M%S") + ("Z" if until.tzinfo else "")
