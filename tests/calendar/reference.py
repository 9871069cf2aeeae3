"""A second reading of RFC 5545 3.3.10, slow and plain: walk over every day, or every step, and ask if it belongs.

Shares no code with `calhub.calendar`. Rules must be valid; BY parts where the RFC says "not with this FREQ" are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
STEPS = {"SECONDLY": timedelta(seconds=1), "MINUTELY": timedelta(minutes=1), "HOURLY": timedelta(hours=1)}
ONE_DAY = timedelta(days=1)


class Reference:
    """A rule at a start (naive wall time) in a zone; UTC also stands for floating times and dates."""

    def __init__(self, rrule: str, start: datetime, zone: tzinfo = UTC) -> None:
        parts = dict(part.split("=") for part in rrule.split(";"))
        self.freq = parts["FREQ"]
        self.interval = int(parts.get("INTERVAL", "1"))
        self.count = int(parts["COUNT"]) if "COUNT" in parts else None
        self.until = parts.get("UNTIL")
        self.week_start = DAYS.index(parts.get("WKST", "MO"))
        self.by = {
            name: [int(number) for number in value.split(",")]
            for name, value in parts.items()
            if name.startswith("BY") and name != "BYDAY"
        }
        self.by_day = [
            (int(text[:-2] or 0), DAYS.index(text[-2:])) for text in parts.get("BYDAY", "").split(",") if text
        ]
        self.start, self.zone = start, zone
        self._fill_in()

    def _fill_in(self) -> None:
        """What the rule does not say, DTSTART does."""
        start, by = self.start, self.by
        if self.freq == "WEEKLY" and not self.by_day:
            self.by_day = [(0, start.weekday())]
        if self.freq in ("MONTHLY", "YEARLY") and not self.by_day and by.keys().isdisjoint({"BYMONTHDAY", "BYYEARDAY"}):
            if "BYWEEKNO" in by:
                self.by_day = [(0, start.weekday())]
            else:
                by["BYMONTHDAY"] = [start.day]
                if self.freq == "YEARLY":
                    by.setdefault("BYMONTH", [start.month])
        if self.freq not in STEPS:
            by.setdefault("BYHOUR", [start.hour])
        if self.freq not in ("MINUTELY", "SECONDLY"):
            by.setdefault("BYMINUTE", [start.minute])
        if self.freq != "SECONDLY":
            by.setdefault("BYSECOND", [start.second])

    # Instances

    def instances(self, last: datetime) -> list[datetime]:
        """All instances up to ``last`` (aware), in UTC and in order: DTSTART first, then what the rule adds."""
        start = instant(self.start, self.zone)
        flow = self._steps(start, last) if self.freq in STEPS else self._days(last)
        later = sorted(at for at in flow if at > start and (self.until is None or at <= self._until()))
        found = [start, *later][: self.count]
        return sorted(at for at in set(found) if at <= last)

    def _until(self) -> datetime:
        """As an instant; the reference wants it in its proper form: UTC for a zone, else local or a date."""
        assert self.until is not None
        at = datetime.fromisoformat(self.until)
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def _days(self, last: datetime) -> Iterator[datetime]:
        """Every day of every period, every time of the day."""
        first, days = self._period_start(self.start.date()), []
        while first <= last.date() + timedelta(days=400):
            days.append(first)
            first += ONE_DAY
        for number, period in groupby(days, self._period):
            if number % self.interval:
                continue
            walls = [wall for day in period if self._has_day(day) for wall in self._times(day)]
            for wall in self._positions(walls):
                if wall >= self.start:
                    yield instant(wall, self.zone)

    def _period_start(self, day: date) -> date:
        if self.freq == "WEEKLY":
            return day - timedelta(days=(day.weekday() - self.week_start) % 7)
        return {"YEARLY": day.replace(month=1, day=1), "MONTHLY": day.replace(day=1)}.get(self.freq, day)

    def _period(self, day: date) -> int:
        start = self._period_start(self.start.date())
        if self.freq == "YEARLY":
            return day.year - start.year
        if self.freq == "MONTHLY":
            return (day.year - start.year) * 12 + day.month - start.month
        return (day - start).days // (7 if self.freq == "WEEKLY" else 1)

    def _times(self, day: date) -> list[datetime]:
        walls = (
            datetime(day.year, day.month, day.day, hour, minute, second)
            for hour in self.by["BYHOUR"]
            for minute in self.by["BYMINUTE"]
            for second in self.by["BYSECOND"]
        )
        return sorted(set(walls))

    def _steps(self, start: datetime, last: datetime) -> Iterator[datetime]:
        """Every hour, minute or second of real time; what is in it is asked on the clock on the wall."""
        step = STEPS[self.freq]
        for number in range((last - start) // step + 2):
            wall = (start + number * step).astimezone(self.zone)
            if number % self.interval:
                continue
            opening = wall.replace(minute=0 if self.freq == "HOURLY" else wall.minute)
            if self.freq != "SECONDLY":
                opening = opening.replace(second=0)
            offset = wall.utcoffset() or timedelta(0)
            inside = []
            for minute in range(60 if self.freq == "HOURLY" else 1):
                for second in self.by.get("BYSECOND", [0]) if self.freq != "SECONDLY" else [0]:
                    local = opening.replace(tzinfo=None) + timedelta(minutes=minute, seconds=second)
                    if self._has_time(local) and self._has_day(local.date()):
                        inside.append(local)
            yield from sorted((local - offset).replace(tzinfo=UTC) for local in self._positions(inside))

    def _positions(self, found: list[datetime]) -> list[datetime]:
        wanted = self.by.get("BYSETPOS")
        if wanted is None:
            return found
        return [one for index, one in enumerate(found) if index + 1 in wanted or index - len(found) in wanted]

    # Days and times

    def _has_time(self, wall: datetime) -> bool:
        values = {"BYHOUR": wall.hour, "BYMINUTE": wall.minute, "BYSECOND": wall.second}
        return all(value in self.by.get(name, [value]) for name, value in values.items())

    def _has_day(self, day: date) -> bool:
        by, after_month = self.by, next_month(day)
        month_length = (after_month - day.replace(day=1)).days
        year_day, year_length = day.timetuple().tm_yday, date(day.year, 12, 31).timetuple().tm_yday
        if "BYMONTH" in by and day.month not in by["BYMONTH"]:
            return False
        if "BYMONTHDAY" in by and not {day.day, day.day - month_length - 1} & {*by["BYMONTHDAY"]}:
            return False
        if "BYYEARDAY" in by and not {year_day, year_day - year_length - 1} & {*by["BYYEARDAY"]}:
            return False
        if "BYWEEKNO" in by and not self._weeks(day) & {*by["BYWEEKNO"]}:
            return False
        return not self.by_day or any(self._is_weekday(day, ordinal, weekday) for ordinal, weekday in self.by_day)

    def _weeks(self, day: date) -> set[int]:
        """The number of its week, from the start and from the end of the year the week belongs to."""
        year, number = self._week(day)
        last = max(
            self._week(date(year, 12, each))[1] for each in range(22, 32) if self._week(date(year, 12, each))[0] == year
        )
        return {number, number - last - 1}

    def _week(self, day: date) -> tuple[int, int]:
        # A week belongs to the year that has at least four of its days, so its fourth.
        fourth = day - timedelta(days=(day.weekday() - self.week_start) % 7) + timedelta(days=3)
        return fourth.year, (fourth.timetuple().tm_yday + 6) // 7

    def _is_weekday(self, day: date, ordinal: int, weekday: int) -> bool:
        if day.weekday() != weekday or ordinal == 0:
            return day.weekday() == weekday
        if self.freq == "MONTHLY" or "BYMONTH" in self.by:
            first, after = day.replace(day=1), next_month(day)
        else:
            first, after = day.replace(month=1, day=1), date(day.year + 1, 1, 1)
        same = [first + timedelta(days=n) for n in range((after - first).days)]
        same = [each for each in same if each.weekday() == weekday]
        return len(same) >= abs(ordinal) and same[ordinal - 1 if ordinal > 0 else ordinal] == day


def next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """RFC 5545 3.3.5: a time that the clock shows twice is the first, one it skips has the offset before the gap."""
    offsets = [(wall.replace(tzinfo=UTC) + n * ONE_DAY).astimezone(zone).utcoffset() for n in (-2, -1, 0, 1, 2)]
    fitting = [
        at
        for offset in offsets
        if (at := (wall - (offset or timedelta(0))).replace(tzinfo=UTC)).astimezone(zone).replace(tzinfo=None) == wall
    ]
    return min(fitting) if fitting else (wall - (offsets[0] or timedelta(0))).replace(tzinfo=UTC)
