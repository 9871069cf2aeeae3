"""The copies of one event: whole where they can be, one for each instance where not. Pure.

A series stays a series with its exceptions. Its instances are copied one by one, over a window, only where no series
says the same: where the rule takes some of them for the hours they are at, or takes single ones of a series it does not
take, or where a buffer goes over midnight and the recurrence rule cannot follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from itertools import islice
from typing import Final

from calhub.calendar.event import TIME_UNIT, Content, InvalidEvent
from calhub.calendar.frame import frame_of
from calhub.calendar.move import follow
from calhub.calendar.recurrence import Occurrence, Series, expand, is_recurring, patched_times, times_of
from calhub.rules import choice, face
from calhub.rules.options import Options

_FAR: Final = 1 << 40  # seconds; beyond every year a calendar has
#: So many instances must be where they should be after a series was widened.
_COMPARED: Final = 200


@dataclass(frozen=True, kw_only=True)
class View:
    """What a rule sees events with. ``calendar``, ``zone`` and ``me`` are the source's: its name, its time zone, the
    addresses of its owner; ``window`` is from when to when copies are made one by one, as timestamps.
    """

    options: Options
    calendar: str
    zone: tzinfo
    me: frozenset[str]
    window: tuple[int, int]


def copies(content: Content, view: View) -> dict[str, Content]:
    """The copies of an event by part: the empty part is all of it, others are recurrence ids. Empty: none."""
    if view.options.kind == "publish" and "privacy" in content:
        return {}  # an instance of a private series is private, whatever it says itself
    if not is_recurring(content):
        fields = choice.instance(content)
        taken = choice.takes(view.options, fields, view.me) and _in_hours(view, fields, *times_of(content))
        found = {"": _widened(face.times(content) | _told(view, fields), view.options.buffer)} if taken else {}
    else:
        whole = _series(content, view)
        found = dict(_singles(content, view)) if whole is None else whole
    return {part: face.with_bare_zones(copy) for part, copy in found.items()}


def busy(content: Content, view: View) -> Iterator[tuple[int, int, bool]]:
    """Start, end and whether all-day of each instance the rule takes in the window, buffers included."""
    series = Series(content) if is_recurring(content) else None
    buffer = int(view.options.buffer.total_seconds())
    for found in expand(content, *view.window):
        fields = _fields(content, series, found)
        if choice.takes(view.options, fields, view.me) and _in_hours(view, fields, found.start_ts, found.end_ts):
            all_day = bool(fields.get("all_day"))
            around = 0 if all_day else buffer
            yield found.start_ts - around, found.end_ts + around, all_day


def merged(found: Iterable[tuple[int, int, bool]], view: View) -> dict[str, Content]:
    """One copy for each stretch of time in which there is always something; days stay apart from hours."""
    told = _told(view, {})
    result: dict[str, Content] = {}
    stretches: list[list[int]] = []
    for all_day in (False, True):
        stretches.clear()
        for start, end in sorted((start, end) for start, end, whole in found if whole is all_day):
            if stretches and start <= stretches[-1][1]:
                stretches[-1][1] = max(end, stretches[-1][1])
            else:
                stretches.append([start, end])
        times = {"all_day": True} if all_day else {"time_zone": getattr(view.zone, "key", "UTC")}
        frame = frame_of(times)
        for start, end in stretches:
            walls = [frame.wall(ts).isoformat()[: 10 if all_day else 19] for ts in (start, end)]
            result[frame.spell(start)] = times | {"start": walls[0], "end": walls[1]} | told
    return result


def last_end(content: Content) -> int | None:
    """When the last instance of an event ends, as a timestamp; None where there is no last one within sight."""
    if not is_recurring(content):
        return times_of(content)[1]
    rule = Series(content).rule
    if rule is not None and rule.count is None and rule.until is None:
        return None
    ends = [each.end_ts for each in expand(content, -_FAR, _FAR)]
    return max(ends, default=times_of(content)[1])


def takes_place(content: Content, start_ts: int | None, end_ts: int | None) -> bool:
    """Whether any instance lies in the range; None = open."""
    if start_ts is None and end_ts is None:
        return True
    found = expand(content, -_FAR if start_ts is None else start_ts, _FAR if end_ts is None else end_ts)
    return next(found, None) is not None


def _told(view: View, fields: Content) -> Content:
    return face.fields(view.options, fields, view.calendar)


def _in_hours(view: View, fields: Content, start_ts: int, end_ts: int) -> bool:
    no_zone = bool(fields.get("all_day")) or "time_zone" not in fields
    return choice.in_hours(view.options, start_ts, end_ts, wall_time=no_zone, zone=view.zone)


def _series(content: Content, view: View) -> dict[str, Content] | None:
    """The series as one copy; none where the rule takes no instance; None where a series cannot say it."""
    overrides = content.get("overrides", {})
    if not choice.takes(view.options, choice.instance(content), view.me):
        some = any(choice.takes(view.options, choice.instance(content, each), view.me) for each in overrides.values())
        return None if some else {}
    copy, thinned = _as_series(content, view)
    if thinned and next(expand(copy, -_FAR, _FAR), None) is None:
        return {}
    if view.options.looks_at_clock:
        held = [
            _in_hours(view, choice.instance(copy, each.patch), each.start_ts, each.end_ts)
            for each in expand(copy, *view.window)
        ]
        if not all(held):
            return None if any(held) else {}
    if view.options.buffer and not copy.get("all_day"):
        wider = _widened_series(copy, view.options.buffer)
        return None if wider is None else {"": wider}
    return {"": copy}


def _as_series(content: Content, view: View) -> tuple[Content, bool]:
    """The copy, with an exception for each instance the rule does not take, and whether there are such."""
    series, master = Series(content), _told(view, choice.instance(content))
    copy, exdates, overrides = face.times(content) | master, set(content.get("exdates", ())), {}
    for ts, (rid, patch) in series.overrides.items():
        fields = choice.instance(content, patch)
        if choice.takes(view.options, fields, view.me):
            own = face.patch(_told(view, fields), master, patch)
            if own or next(series.starts(ts, ts + 1), None) is None:  # the rule itself has no such instance
                overrides[rid] = own
        elif patch.get("following"):
            overrides[rid] = {"following": True, "status": "cancelled"}
        else:
            exdates.add(rid)
    copy |= {"exdates": sorted(exdates)} if exdates else {}
    copy |= {"overrides": overrides} if overrides else {}
    return copy, len(overrides) + len(exdates) > len(overrides) + len(content.get("exdates", ()))


def _singles(content: Content, view: View) -> Iterator[tuple[str, Content]]:
    """A single event for each instance the rule takes in the window."""
    series = Series(content)
    for found in expand(content, *view.window):
        fields = _fields(content, series, found)
        if choice.takes(view.options, fields, view.me) and _in_hours(view, fields, found.start_ts, found.end_ts):
            assert found.recurrence_id is not None  # it is a series
            yield found.recurrence_id, _widened(face.times(fields) | _told(view, fields), view.options.buffer)


def _fields(content: Content, series: Series | None, found: Occurrence) -> Content:
    """The instance as an event of its own."""
    if series is None or found.recurrence_id is None:
        return choice.instance(content)
    slot = series.frame.read(found.recurrence_id)
    patch, times = series.patch_at(slot), series.times_at(slot)
    if any(name in patch for name in TIME_UNIT):
        times = patched_times(times, patch, content.get("zones"))
    fields = choice.instance(content, patch)
    return {name: value for name, value in fields.items() if name not in (*TIME_UNIT, "following")} | times


def _widened(content: Content, buffer: timedelta) -> Content:
    if not buffer or content.get("all_day"):
        return content
    start, end = times_of(content)
    seconds = int(buffer.total_seconds())
    frames = frame_of(content), frame_of(content, "end_time_zone")
    moved = zip(("start", "end"), frames, (start - seconds, end + seconds), strict=True)
    return content | {name: frame.wall(ts).isoformat() for name, frame, ts in moved}


def _widened_series(copy: Content, buffer: timedelta) -> Content | None:
    """The series with each instance widened; None where its rule cannot follow."""
    own: Content = {name: copy[name] for name in (*TIME_UNIT, "zones") if name in copy}
    series = Series(copy)
    overrides = {}
    for ts, (rid, patch) in series.overrides.items():
        moved = {name: value for name, value in patch.items() if name in TIME_UNIT}
        if moved:
            times = _widened(patched_times(series.times_at(ts), patch, copy.get("zones")), buffer)
            patch = patch | {name: times[name] for name in ("start", "end")}
        overrides[rid] = patch
    try:
        wider = follow(copy | ({"overrides": overrides} if overrides else {}), _widened(own, buffer))
    except InvalidEvent:
        return None
    seconds = int(buffer.total_seconds())
    wanted = sorted(
        (each.start_ts, each.end_ts) if len(each.start) == 10 else (each.start_ts - seconds, each.end_ts + seconds)
        for each in islice(expand(copy, -_FAR, _FAR), _COMPARED)
    )
    shown = sorted((each.start_ts, each.end_ts) for each in islice(expand(wider, -_FAR, _FAR), _COMPARED))
    return wider if wanted == shown else None
