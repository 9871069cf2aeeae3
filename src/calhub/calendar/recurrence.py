"""Instances of an event in time: pure, bounded, exact across changes of offset.

Rules are evaluated on naive wall times (`calhub.calendar.rule`); the zone is attached afterwards by RFC 5545 3.3.5: a
wall time in a gap takes the offset before it, one that happens twice is the first. Durations of timed events are exact
(added in UTC), those of all-day events are whole days. Sub-daily rules count in UTC. Timestamps of floating and
all-day times are computed as if UTC. DTSTART is the first instance even where the rule does not match it (and counts
for COUNT).
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, islice
from typing import Final, NamedTuple, TypeVar

from calhub.calendar import rule as rules
from calhub.calendar.event import TIME_UNIT, Content, InvalidEvent
from calhub.calendar.frame import DAY, EPOCH, FIRST, FIRST_TS, LAST, LAST_TS, Days, Frame, frame_of
from calhub.calendar.reach import Reach

#: Instances one call of `expand` brings, unless told otherwise.
LIMIT: Final = 10_000

#: Wall time and UTC are never further apart than this, a skipped day included.
_SLACK: Final = timedelta(days=2)


class Occurrence(NamedTuple):
    """One instance. ``recurrence_id`` is None for a single event; ``start`` and ``end`` are as in the occurrence table.

    ``patch`` is the instance's override, None where it is as the master says.
    """

    recurrence_id: str | None
    start: str
    end: str
    start_ts: int
    end_ts: int
    patch: Content | None


def is_recurring(content: Content) -> bool:
    """Whether the event has recurrence ids at all."""
    return "rrule" in content or "rdates" in content or "exdates" in content or "overrides" in content


def times_of(content: Content) -> tuple[int, int]:
    """Start and end of the event (of a series: of its master) as timestamps.

    Without an end: one day when all-day, else no length. An end that the clocks put before the start is the start.
    Raises `InvalidEvent` or ValueError for times that `validate` would refuse.
    """
    frame = frame_of(content)
    start = frame.ts(datetime.fromisoformat(content["start"]))
    return start, _end_of(content, frame, start)


def _end_of(content: Content, frame: Frame, start: int) -> int:
    text = content.get("end")
    if text is None:
        return start + DAY if frame.all_day else start
    if "end_time_zone" in content:
        frame = frame_of(content, "end_time_zone")
    end = frame.ts(datetime.fromisoformat(text))
    if frame.all_day:
        return max(end, start + DAY)
    return max(end, start)


def expand(content: Content, start_ts: int, end_ts: int, *, limit: int = LIMIT) -> Iterator[Occurrence]:
    """Instances that overlap ``[start_ts, end_ts)``, by start; an instance without length counts where it starts.

    A moved instance is found where it is now, not where it was; one whose id the rule does not produce is shown too.
    Cancelled instances are left out. Ends after ``limit`` instances, and where evaluating the rule takes more than
    `rule.MAX_WORK`: a hostile rule has fewer instances, it never hangs. Content must have passed `validate`.
    """
    if not is_recurring(content):
        start, end = times_of(content)
        if limit > 0 and _overlaps(start, end, start_ts, end_ts):
            frame = frame_of(content)
            end_frame = frame_of(content, "end_time_zone") if "end_time_zone" in content else frame
            yield Occurrence(None, frame.spell(start), end_frame.spell(end), start, end, None)
        return
    series = Series(content)
    found, overridden = series.regular(start_ts, end_ts), series.overridden(start_ts, end_ts)
    if overridden:
        found = _merged(found, overridden)
    yield from islice(found, max(0, limit))


def _merged(many: Iterator[Occurrence], few: Sequence[Occurrence]) -> Iterator[Occurrence]:
    """Both in one, by start; `heapq.merge` asks for the key of each of the many."""
    place = 0
    for one in many:
        while place < len(few) and few[place].start_ts < one.start_ts:
            yield few[place]
            place += 1
        yield one
    yield from few[place:]


def _overlaps(start: int, end: int, range_start: int, range_end: int) -> bool:
    if end > LAST_TS + 2 * DAY:  # no date can tell
        return False
    return start < range_end and (end > range_start or start == end == range_start)


T = TypeVar("T")


def _in_order(found: Iterable[tuple[int, T]], slack: int) -> Iterator[tuple[int, T]]:
    """What comes with its time, sorted by that, where none is more than ``slack`` seconds after a later one."""
    waiting: list[tuple[int, T]] = []
    for each in found:
        while waiting and waiting[0][0] < each[0] - slack:
            yield heapq.heappop(waiting)
        heapq.heappush(waiting, each)
    yield from sorted(waiting)


class Series:
    """A recurring event, read once."""

    def __init__(self, content: Content) -> None:
        """Raises `InvalidEvent` or ValueError for content that `validate` would refuse."""
        self.content = content
        self.frame = frame_of(content)
        self.end_frame = frame_of(content, "end_time_zone") if "end_time_zone" in content else self.frame
        self.start = datetime.fromisoformat(content["start"])
        self.start_ts, end_ts = times_of(content)
        self.duration = end_ts - self.start_ts
        self.rule = rules.parse(content["rrule"]) if content.get("rrule") else None
        self.until = None if self.rule is None else until_ts(self.rule, self.frame)
        self.rdates: dict[int, int | None] = {}
        for text in content.get("rdates", ()):
            first, _, last = text.partition("/")
            self.rdates[self.frame.read(first)] = self.frame.read(last) if last else None
        # On a timed series a bare date takes out all instances of that day.
        bare = {text for text in content.get("exdates", ()) if len(text) == 10 and not self.frame.all_day}
        self.exdays = {date.fromisoformat(text) for text in bare}
        self.exdates = {self.frame.read(text) for text in content.get("exdates", ()) if text not in bare}
        self.overrides: dict[int, tuple[str, Content]] = {
            self.frame.read(rid): (rid, patch) for rid, patch in content.get("overrides", {}).items()
        }
        #: Where overrides with ``following`` begin to hold, in order, and what each does.
        self._begins = sorted(ts for ts, (_, patch) in self.overrides.items() if patch.get("following"))
        self._reaches = [self._reach(ts) for ts in self._begins]

    def rule_starts(self, start_ts: int, end_ts: int) -> Iterator[tuple[datetime, int]]:
        """DTSTART and the rule's instances as (wall time, timestamp), in order; a superset of those in the range.

        The wall time is the one the rule speaks of, which in a gap is not the one on the clock.
        """
        yield self.start, self.start_ts
        rule = self.rule
        if rule is None:
            return
        stop = end_ts if self.until is None else min(end_ts, self.until + 1)
        flow = (self._steps if rule.sub_daily else self._walls)(rule, _within(start_ts), _within(stop))
        bound = LAST_TS if self.until is None else self.until
        later = (found for found in flow if self.start_ts < found[1] <= bound)
        yield from later if rule.count is None else islice(later, rule.count - 1)

    def _walls(self, rule: rules.Rule, start_ts: int, stop: int) -> Iterator[tuple[datetime, int]]:
        first, last = self.frame.wall(start_ts) - _SLACK, self.frame.wall(stop) + _SLACK
        found = ((self.frame.ts(wall), wall) for wall in rules.walls(rule, self.start, first, last))
        # A gap puts its walls after others.
        ordered = found if self.frame.zone is UTC else _in_order(found, DAY)
        yield from ((wall, ts) for ts, wall in ordered)

    def _steps(self, rule: rules.Rule, start_ts: int, stop: int) -> Iterator[tuple[datetime, int]]:
        clock = Frame(UTC)
        wall = (lambda utc: utc) if self.frame.zone is UTC else (lambda utc: self.frame.wall(clock.ts(utc)))
        bounds = [clock.wall(ts) for ts in (self.start_ts, start_ts, stop)]
        for utc in rules.steps(rule, bounds[0], bounds[1], bounds[2], wall):
            yield wall(utc), clock.ts(utc)

    def starts(self, start_ts: int, end_ts: int) -> Iterator[tuple[int, int]]:
        """(start, end) of all instances that start in the range, in order, each once; exceptions not yet taken out."""
        seen = set()
        by_rule = ((ts, ts + self.duration) for _, ts in self.rule_starts(start_ts, end_ts))
        for start, end in heapq.merge(self._added(), by_rule, key=lambda times: times[0]):
            if start_ts <= start < end_ts and start not in seen:
                seen.add(start)
                yield start, end

    def _added(self) -> list[tuple[int, int]]:
        """(start, end) of the RDATEs, in order."""
        return [(ts, ts + self.duration if end is None else end) for ts, end in sorted(self.rdates.items())]

    def excluded(self, ts: int) -> bool:
        """Whether an EXDATE takes this instance out."""
        return ts in self.exdates or (bool(self.exdays) and self.frame.wall(ts).date() in self.exdays)

    def regular(self, start_ts: int, end_ts: int) -> Iterator[Occurrence]:
        """The instances without an override of their own that overlap the range, by start."""
        if self._reaches:
            return self._carried(start_ts, end_ts)
        rule, clock = self.rule, self.frame.days
        plain = self.end_frame == self.frame and not self.exdays and not self.start.microsecond
        if rule is None or clock is None or not rule.once_a_day or not plain:
            longest = max([end - start for start, end in self._added()] + [self.duration])
            return self._one_by_one(self.starts(start_ts - longest, end_ts), start_ts, end_ts)
        found = self._once_a_day(rule, clock, start_ts, end_ts)
        added = list(self._one_by_one(self._added(), start_ts, end_ts))
        return _merged(found, added) if added else found

    def _one_by_one(self, times: Iterable[tuple[int, int]], start_ts: int, end_ts: int) -> Iterator[Occurrence]:
        for start, end in times:
            if start in self.overrides or self.excluded(start) or not _overlaps(start, end, start_ts, end_ts):
                continue
            text = self.frame.spell(start)
            yield Occurrence(text, text, self.end_frame.spell(end), start, end, None)

    def _once_a_day(self, rule: rules.Rule, clock: Days, start_ts: int, end_ts: int) -> Iterator[Occurrence]:
        """What `_one_by_one` finds by the rule, several times faster: offsets are looked up by day, not by instance."""
        frame, duration, taken = self.frame, self.duration, self.exdates | self.overrides.keys() | self.rdates.keys()
        bound = LAST_TS if self.until is None else self.until
        at = self.start.hour * 3600 + self.start.minute * 60 + self.start.second
        at_text, end_at, end_text = frame.time_text(at), at, frame.time_text(at)
        left, previous = rule.count or -1, None
        first = frame.wall(_within(start_ts - duration)) - _SLACK
        last = frame.wall(_within(min(end_ts, bound + 1))) + _SLACK
        for ordinal in chain((self.start.toordinal(),), rules.days(rule, self.start, first, last)):
            day = clock[ordinal]
            start = day[0] + at if day else frame.ts(datetime.combine(date.fromordinal(ordinal), self.start.time()))
            if previous is not None and (start == self.start_ts or start > bound):
                continue
            if not left:
                return
            left -= 1
            repeated, previous = start == previous, start
            end = start + duration
            if repeated or start in taken or not _overlaps(start, end, start_ts, end_ts):
                continue
            text = day[1] + at_text + day[2] if day else frame.spell(start)
            day = clock[ordinal + (at + duration) // DAY]
            if day and 0 <= end - day[0] < DAY:
                if end - day[0] != end_at:
                    end_at = end - day[0]
                    end_text = frame.time_text(end_at)
                yield Occurrence(text, text, day[1] + end_text + day[2], start, end, None)
            else:
                yield Occurrence(text, text, frame.spell(end), start, end, None)

    def _carried(self, start_ts: int, end_ts: int) -> Iterator[Occurrence]:
        """`regular`, where some instances are under an earlier override, and so perhaps out of order."""
        lengths = [self.duration, *(end - start for start, end in self._added())]
        lengths += [reach.length for reach in self._reaches if reach.length is not None]
        shifts = [0, *(reach.seconds for reach in self._reaches)]
        early, late = min(shifts) - 2 * DAY, max(shifts) + 2 * DAY  # moved by the clock, so not just as far
        placed = (self._placed(*slot) for slot in self.starts(start_ts - max(lengths) - late, end_ts - early))
        found = ((each.start_ts, each) for each in placed if each)
        for start, each in _in_order(found, late - early):
            if _overlaps(start, each.end_ts, start_ts, end_ts):
                yield each

    def _placed(self, slot: int, slot_end: int) -> Occurrence | None:
        if slot in self.overrides or self.excluded(slot):
            return None
        rid, reach = self.frame.spell(slot), self.reach_at(slot)
        if reach is None:
            return Occurrence(rid, rid, self.end_frame.spell(slot_end), slot, slot_end, None)
        if (times := reach.place(slot, slot_end)) is None:
            return None
        start, end = times
        return Occurrence(rid, reach.frame.spell(start), reach.end_frame.spell(end), start, end, reach.patch)

    def reach_at(self, slot: int) -> Reach | None:
        """The last override with ``following`` up to this slot."""
        index = bisect_right(self._begins, slot)
        return self._reaches[index - 1] if index else None

    def patch_at(self, slot: int) -> Content:
        """How the instance differs from the master: by its own override, or by an earlier one for all that follow."""
        return self.overrides[slot][1] if slot in self.overrides else self.carried(slot)

    def carried(self, slot: int) -> Content:
        """What the instance would have from an override with ``following``, as a patch for it alone."""
        reach = self.reach_at(slot)
        if reach is None:
            return {}
        patch = {name: value for name, value in reach.patch.items() if name not in ("following", "start", "end")}
        placed = reach.place(*times_of(self.times_at(slot)))
        if placed is not None and any(name in reach.patch for name in TIME_UNIT):
            patch["start"] = _wall_text(reach.frame, placed[0])
            patch["end"] = _wall_text(reach.end_frame, placed[1])
        return patch

    def _reach(self, ts: int) -> Reach:
        patch = self.overrides[ts][1]
        start, end, *frames = self._patched(ts, patch)
        exact = self.rule is not None and self.rule.sub_daily
        own = times_of(self.times_at(ts))
        return Reach.of(patch, own, (start, end), (self.frame, frames[0], frames[1]), exact=exact)

    def overridden(self, start_ts: int, end_ts: int) -> list[Occurrence]:
        """The instances with override that overlap the range now, by start."""
        found = []
        for ts, (rid, patch) in self.overrides.items():
            if patch.get("status") == "cancelled":
                continue
            occurrence = self._overridden(ts, rid, patch)
            if _overlaps(occurrence.start_ts, occurrence.end_ts, start_ts, end_ts):
                found.append(occurrence)
        return sorted(found, key=lambda occurrence: (occurrence.start_ts, occurrence.recurrence_id))

    def _overridden(self, ts: int, rid: str, patch: Content) -> Occurrence:
        start, end, frame, end_frame = self._patched(ts, patch)
        return Occurrence(rid, frame.spell(start), end_frame.spell(end), start, end, patch)

    def _patched(self, ts: int, patch: Content) -> tuple[int, int, Frame, Frame]:
        times = self.times_at(ts)
        if any(name in patch for name in TIME_UNIT):
            times = patched_times(times, patch, self.content.get("zones"))
        frame = frame_of(times)
        return *times_of(times), frame, frame_of(times, "end_time_zone") if "end_time_zone" in times else frame

    def times_at(self, ts: int) -> Content:
        """The time fields (and ``zones``) of the unpatched instance with this original start."""
        names = ("all_day", "time_zone", "end_time_zone", "zones")
        times = {name: self.content[name] for name in names if name in self.content}
        end = self.rdates.get(ts)
        end = ts + self.duration if end is None else end
        times["start"] = _wall_text(self.frame, ts)
        if "end" in self.content or end != ts:
            times["end"] = _wall_text(self.end_frame, end)
        return times


def patched_times(times: Content, patch: Content, private: dict[str, str] | None) -> Content:
    """The time fields of an instance under its override: a moved start takes the end along, unless that is given."""
    start, end = times_of(times)
    result = {name: value for name, value in times.items() if name != "zones"}
    for name in TIME_UNIT:
        if name in patch:
            result[name] = patch[name]
    result = {name: value for name, value in result.items() if value is not None}
    if private:
        result["zones"] = private
    frame = frame_of(result)
    if frame.all_day:
        result["start"] = result["start"][:10]
    if "end" not in patch and "end" in result:
        moved = frame.ts(datetime.fromisoformat(result["start"])) + end - start
        result["end"] = _wall_text(frame_of(result, "end_time_zone"), moved)
    return result


def _within(ts: int) -> int:
    """The nearest moment that every zone can show."""
    return max(FIRST_TS, min(LAST_TS, ts))


def _wall_text(frame: Frame, ts: int) -> str:
    wall = frame.wall(ts).isoformat()
    return wall[:10] if frame.all_day else wall


def until_ts(rule: rules.Rule, frame: Frame) -> int | None:
    """The last moment of a rule, inclusive. UNTIL in the wrong form is read as RFC 5545 would have it written.

    A date on a timed series is the end of that day there; a UTC time on an all-day series its date.
    """
    until = rule.until
    if until is None:
        return None
    if not isinstance(until, datetime):
        return frame.ts(datetime.combine(until, time.min if frame.all_day else time(23, 59, 59)))
    return frame.read(until.isoformat())


def canonical_rrule(text: str, content: Content) -> str:
    """The RRULE value in its canonical form, UNTIL in the form that goes with the event's start.

    Raises `InvalidEvent` for a rule that cannot be read.
    """
    rule, frame = rules.parse(text), frame_of(content)
    ts = until_ts(rule, frame)
    if ts is None:
        return str(rule)
    return str(replace(rule, until=until_at(frame, ts)))


def until_at(frame: Frame, ts: int) -> date | datetime:
    """A moment in the form UNTIL must have (3.3.10): a date, floating, or UTC."""
    if frame.all_day:
        return frame.wall(ts).date()
    return frame.wall(ts) if frame.floating else EPOCH + timedelta(seconds=ts)


def canonical_recurrence_id(content: Content, spelling: str) -> str:
    """The recurrence id for any spelling of the instant, RFC 3339 or iCalendar; without offset in the master's zone.

    A date on a timed series stands for the master's time on that day. Does not ask whether there is such an instance.
    Raises `InvalidEvent` for what is no date or time.
    """
    frame, text = frame_of(content), spelling.strip().upper()
    try:
        if not frame.all_day and len(text.replace("-", "")) == 8:
            at = datetime.fromisoformat(content["start"]).time()
            return frame.spell(frame.ts(datetime.combine(date.fromisoformat(text), at)))
        return frame.spell(frame.read(text))
    except (ValueError, OverflowError):
        raise InvalidEvent("The recurrence id is not a date or time in RFC 3339 form.") from None


def validate(content: Content) -> None:
    """Whether the event's times and recurrence can be evaluated; after this `expand` raises nothing.

    Raises `InvalidEvent`.
    """
    _validate_times(content)
    if not is_recurring(content):
        return
    if content.get("rrule"):
        rules.parse(content["rrule"])
    for name in ("rdates", "exdates"):
        for text in content.get(name, ()):
            for part in text.split("/"):
                canonical_recurrence_id(content, part)
    for rid, patch in content.get("overrides", {}).items():
        canonical_recurrence_id(content, rid)
        if patch.get("following", True) is not True:
            raise InvalidEvent("An override is for its one instance or, with following true, for all later ones too.")
        for name in ("start", "end"):
            if patch.get(name) is not None or (name == "start" and name in patch):
                _wall_of(patch[name], name)
    try:
        Series(content).overridden(FIRST_TS, LAST_TS)
    except (ValueError, OverflowError) as error:
        if isinstance(error, InvalidEvent):
            raise
        raise InvalidEvent("The event's recurrence holds a date or time that cannot be read.") from None


def _validate_times(content: Content) -> None:
    if not content.get("start"):
        raise InvalidEvent("The event has no start.")
    for name in ("time_zone", "end_time_zone"):
        frame_of(content, name)
    start = _wall_of(content["start"], "start")
    end = _wall_of(content["end"], "end") if "end" in content else start
    all_day = bool(content.get("all_day"))
    if any(name in content and all_day != (len(content[name]) == 10) for name in ("start", "end")):
        raise InvalidEvent("An all-day event has dates, any other has dates with times.")
    if content.get("end_time_zone") in (None, content.get("time_zone")):
        early = end < start
    else:
        early = frame_of(content, "end_time_zone").ts(end) < frame_of(content).ts(start)
    if early:
        raise InvalidEvent("The event ends before it starts.")


def _wall_of(text: str, name: str) -> datetime:
    try:
        wall = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise InvalidEvent(f"The event's {name} is not a date or time.") from None
    if wall.tzinfo is not None or not FIRST <= wall <= LAST:
        raise InvalidEvent(f"The event's {name} is not a local time between the years 2 and 9998.")
    return wall
