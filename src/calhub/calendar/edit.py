"""What people do to events, in the spellings they use. Pure functions from content to content.

Spellings: a date ``2026-11-21``; a time ``2026-11-21T10:00`` or ``2026-11-21 10:00``, also with seconds, with an
offset or ``Z``; a duration ``90m``, ``1h30m``, ``2d``, ``PT1H``. A time without offset is wall time in the zone given.
Every bad input raises `InvalidEvent` with one sentence; nothing is changed in place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from calhub.calendar import move, recurrence, zones
from calhub.calendar.details import set_attendees, set_details, texts
from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content, InvalidEvent
from calhub.calendar.fields import used_zones
from calhub.calendar.following import hand_on, rebase
from calhub.calendar.frame import DAY, Frame, frame_of
from calhub.calendar.recurrence import Series
from calhub.calendar.rule import Rule, check_strictly, matches

_HOUR: Final = 3600
_FOREVER: Final = 1 << 40  # seconds; beyond every year a calendar has
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)?)?")
_PLAIN_DURATION: Final = re.compile(
    r"(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:(\d{1,6})H)?(?:(\d{1,7})M(?:IN)?)?(?:(\d{1,8})S)?"
)
_ISO_DURATION: Final = re.compile(
    r"P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?"
)


def new_content(
    *,
    title: str,
    start: str,
    end: str | None = None,
    duration: str | None = None,
    all_day: bool = False,
    time_zone: str | None = None,
    rrule: str | None = None,
    location: str | None = None,
    description: str | None = None,
    attendees: Iterable[str] = (),
    details: Mapping[str, Any] | None = None,
) -> Content:
    """A new event. It is all-day too where ``start`` is a date; without end it lasts an hour, or a day.

    ``time_zone`` None: floating, or UTC for a start with an offset. ``end`` is exclusive, also for all-day events.
    ``details`` are further fields, see `calhub.calendar.details`.
    """
    if not title.strip():
        raise InvalidEvent("An event needs a title.")
    content = _timed({}, start, end, duration, all_day, time_zone)
    content |= texts(title=title, location=location, description=description)
    set_attendees(content, attendees)
    set_details(content, details or {})
    if rrule:
        content["rrule"] = _read_rrule(rrule, content)
    recurrence.validate(content)
    return content


def edit_content(
    content: Content,
    *,
    title: str | None = None,
    start: str | None = None,
    end: str | None = None,
    duration: str | None = None,
    all_day: bool | None = None,
    time_zone: str | None = None,
    rrule: str | None = None,
    location: str | None = None,
    description: str | None = None,
    attendees: Iterable[str] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Content:
    """The event changed where an argument is given; an empty text clears the field, an empty rrule ends the series.

    A new start takes the end along unless that is given, too; a date moves a timed event to that day. A series
    takes its exceptions, overrides and UNTIL along by the same wall time. ``time_zone`` alone keeps the wall time.
    ``attendees`` not empty replaces the list (who stays keeps status and role); one empty address clears it.
    A new rrule drops the exceptions and overrides of instances that are no more. ``details`` are further fields, see
    `calhub.calendar.details`.
    """
    result = dict(content)
    if any(value is not None for value in (start, end, duration, time_zone)) or all_day:
        times = _timed(content, start, end, duration, bool(all_day), time_zone)
        result = _moved(content, times, rule_given=rrule is not None)
    for name, text in (("title", title), ("location", location), ("description", description)):
        if text is not None:
            result.pop(name, None)
    result |= texts(title=title, location=location, description=description)
    set_attendees(result, attendees or ())
    set_details(result, details or {})
    if rrule is not None:
        result = _with_rrule(result, rrule)
    if "zones" in result:
        used = {zone: text for zone, text in result.pop("zones").items() if zone in used_zones(result)}
        result |= {"zones": used} if used else {}
    recurrence.validate(result)
    return result


def edit_occurrence(content: Content, recurrence_id: str, *, rrule: str | None = None, **changes: Any) -> Content:
    """The series with one instance changed; arguments as for `edit_content`, but no rrule.

    ``recurrence_id`` may be any spelling of the instant. An instance that is as the master says has no override.
    """
    if rrule is not None:
        raise InvalidEvent("One occurrence cannot have a recurrence rule of its own.")
    series, rid, ts = _locate(content, recurrence_id)
    content = hand_on(series, ts)
    plain = {name: value for name, value in content.items() if name not in (*RECURRENCE_UNIT, "overrides")}
    plain = {name: value for name, value in plain.items() if name not in TIME_UNIT} | series.times_at(ts)
    edited = edit_content(_under(plain, series.patch_at(ts), series, ts), **changes)
    names = (plain.keys() | edited.keys()) - {"zones"}
    new_patch = {name: edited.get(name) for name in names if edited.get(name) != plain.get(name)}
    if new_patch.keys() & {"start", "end"}:  # both or neither: a start alone would move the end along
        new_patch |= {"start": edited["start"], "end": edited["end"]}
    result = _without_override(content, rid)
    rest = Series(result)
    if new_patch != rest.carried(ts) or rid not in _regular_ids(rest, ts):
        result = _with_overrides(result, result.get("overrides", {}) | {rid: new_patch})
    return result


def delete_occurrence(content: Content, recurrence_id: str) -> Content:
    """The series with one instance cancelled: its override goes, its id is in ``exdates``."""
    series, rid, ts = _locate(content, recurrence_id)
    result = _without_override(hand_on(series, ts), rid)
    if rid in _regular_ids(series, ts):
        result["exdates"] = sorted({*content.get("exdates", ()), rid})
    return result


def split_following(content: Content, recurrence_id: str) -> tuple[Content, Content]:
    """The series up to the instance, and a new series from it on, each with its share of COUNT and of exceptions.

    Raises `InvalidEvent` for the first instance: there is nothing before it.
    """
    series, _, ts = _locate(content, recurrence_id)
    earlier = (at in series.overrides or not series.excluded(at) for at, _ in series.starts(-_FOREVER, ts))
    if ts <= series.start_ts or not any(earlier):
        raise InvalidEvent("This is the first occurrence; edit or delete the whole series instead.")
    old, new = _halves(series, ts)
    before = [at for _, at in series.rule_starts(-_FOREVER, ts) if at < ts]
    following = next(((wall, at) for wall, at in series.rule_starts(ts, _FOREVER) if at >= ts), None)
    if following is None:  # only added dates are left
        new.pop("rrule", None)
        following = (series.frame.wall(ts), ts)
    elif series.rule is not None:
        old["rrule"] = _ended(series.rule, series, ts)
        if series.rule.count is not None:
            new["rrule"] = str(replace(series.rule, count=series.rule.count - len(before)))
    wall, at = following
    new |= {name: value for name, value in series.times_at(at).items() if name in TIME_UNIT}
    new["start"] = wall.isoformat()[:10] if series.frame.all_day else wall.isoformat()
    own = series.frame.spell(at)
    rdates = [text for text in new.get("rdates", ()) if text != own]
    new.pop("rdates", None)
    return old, rebase(new | ({"rdates": rdates} if rdates else {}), series, at)


def _halves(series: Series, ts: int) -> tuple[Content, Content]:
    """The content twice, with the exceptions and overrides before ``ts`` and from it on."""
    content, frame = series.content, series.frame
    halves: tuple[Content, Content] = ({}, {})
    for late, half in enumerate(halves):
        half |= {name: value for name, value in content.items() if name not in ("rdates", "exdates", "overrides")}
        for name in ("rdates", "exdates", "overrides"):
            mine = [text for text in content.get(name, ()) if (frame.read(text.partition("/")[0]) >= ts) == bool(late)]
            if mine:
                half[name] = {rid: content[name][rid] for rid in mine} if name == "overrides" else mine
    return halves


def _ended(rule: Rule, series: Series, ts: int) -> str:
    """The rule cut off just before ``ts``."""
    last = ts - (DAY if series.frame.all_day else 1)
    until = recurrence.until_at(series.frame, last if series.until is None else min(last, series.until))
    return str(replace(rule, until=until, count=None))


def _locate(content: Content, recurrence_id: str) -> tuple[Series, str, int]:
    """The series and the canonical id and timestamp of one of its visible instances. Raises `InvalidEvent`."""
    if not recurrence.is_recurring(content):
        raise InvalidEvent("The event does not repeat, so it has no single occurrences.")
    rid = recurrence.canonical_recurrence_id(content, recurrence_id)
    series = Series(content)
    ts = series.frame.read(rid)
    if ts in series.overrides:
        return series, series.overrides[ts][0], ts
    if rid not in _regular_ids(series, ts):
        raise InvalidEvent("The series has no occurrence with this recurrence id.")
    if series.excluded(ts) or series.carried(ts).get("status") == "cancelled":
        raise InvalidEvent("This occurrence has been cancelled.")
    return series, rid, ts


def _regular_ids(series: Series, ts: int) -> list[str]:
    """The id of the instance at this moment, if rule, start or added dates have one."""
    return [series.frame.spell(start) for start, _ in series.starts(ts, ts + 1)]


def _under(plain: Content, patch: Content, series: Series, ts: int) -> Content:
    """The instance as a single event."""
    times = recurrence.patched_times(series.times_at(ts), patch, None) if patch.keys() & {*TIME_UNIT} else {}
    result = {name: value for name, value in plain.items() if not times or name not in TIME_UNIT} | times
    result |= {name: value for name, value in patch.items() if name not in ("following", *TIME_UNIT)}
    return {name: value for name, value in result.items() if value is not None}


def _without_override(content: Content, rid: str) -> Content:
    return _with_overrides(content, {key: value for key, value in content.get("overrides", {}).items() if key != rid})


def _with_overrides(content: Content, overrides: Content) -> Content:
    result = {name: value for name, value in content.items() if name != "overrides"}
    if overrides:
        result["overrides"] = dict(sorted(overrides.items()))
    return result


def _with_rrule(content: Content, rrule: str) -> Content:
    if not rrule.strip():
        return {name: value for name, value in content.items() if name not in (*RECURRENCE_UNIT, "overrides")}
    result = content | {"rrule": _read_rrule(rrule, content)}
    series = Series(result)
    exdates = [text for text in content.get("exdates", ()) if _still(series, text)]
    overrides = {rid: patch for rid, patch in content.get("overrides", {}).items() if _still(series, rid)}
    result = _with_overrides(result, overrides)
    result.pop("exdates", None)
    return result | ({"exdates": exdates} if exdates else {})


def _still(series: Series, rid: str) -> bool:
    return bool(_regular_ids(series, series.frame.read(rid)))


def _read_rrule(text: str, content: Content) -> str:
    check_strictly(text)
    return recurrence.canonical_rrule(text, content)


def _moved(content: Content, times: Content, *, rule_given: bool) -> Content:
    """The event with new time fields; a series as a whole. Raises `InvalidEvent` where its rule cannot follow."""
    if not recurrence.is_recurring(content):
        return {name: value for name, value in content.items() if name not in TIME_UNIT} | times
    result = move.follow(content, times)
    if not rule_given and _off_rule(result) and not _off_rule(content):
        raise InvalidEvent("The recurrence rule has no occurrence on the new start; give a new rule as well.")
    return result


def _off_rule(content: Content) -> bool:
    """Whether the rule by itself does not bring the start."""
    rule = Series(content).rule
    start = datetime.fromisoformat(content["start"])
    return rule is not None and not rule.sub_daily and not matches(rule, start, start)


def _timed(
    content: Content, start: str | None, end: str | None, duration: str | None, all_day: bool, time_zone: str | None
) -> Content:
    """All time fields after an edit; ``content`` is empty for a new event."""
    if end is not None and duration is not None:
        raise InvalidEvent("Give either an end or a duration, not both.")
    moment = None if start is None else _read_moment(start, "start")
    dated = not isinstance(moment, datetime)
    if all_day and not dated:
        raise InvalidEvent("An all-day event starts on a date without a time.")
    if all_day or (dated and (not content or content.get("all_day"))):
        return _whole_days(content, moment, end, duration)
    if isinstance(moment, datetime):
        wall = moment
    else:  # a date moves the event to that day
        wall = datetime.fromisoformat(content["start"])
        wall = wall if moment is None else datetime.combine(moment, wall.time())
    zone = content.get("time_zone") if time_zone is None else _read_zone(time_zone)
    if zone is None and wall.tzinfo is not None:
        zone = "UTC"
    times = {"time_zone": zone} if zone else {}
    if "end_time_zone" in content and time_zone is None:
        times["end_time_zone"] = content["end_time_zone"]
    frames = times | {"zones": content.get("zones", {})}
    times["start"] = _wall(wall, frame_of(frames)).isoformat()
    return times | _timed_end(content, frames | times, end, duration)


def _timed_end(content: Content, times: Content, end: str | None, duration: str | None) -> Content:
    """The ``end`` that goes with a timed start: as given, or as long as it was, or an hour."""
    frame, end_frame = frame_of(times), frame_of(times, "end_time_zone")
    wall = datetime.fromisoformat(times["start"])
    if end is not None:
        moment = _read_moment(end, "end")
        if not isinstance(moment, datetime):
            raise InvalidEvent("The end needs a time, as the start has one.")
        last = _wall(moment, end_frame)
        early = last < wall if end_frame == frame else end_frame.ts(last) < frame.ts(wall)
        if early:
            raise InvalidEvent("The event would end before it starts.")
        return {"end": last.isoformat()}
    if duration is not None:
        days, seconds = read_duration(duration)
        return {"end": end_frame.wall(frame.ts(wall + timedelta(days=days)) + seconds).isoformat()}
    if not content or content.get("all_day"):
        return {"end": end_frame.wall(frame.ts(wall) + _HOUR).isoformat()}
    if "end" not in content:
        return {}
    first, last_ts = recurrence.times_of(content)
    return {"end": end_frame.wall(frame.ts(wall) + last_ts - first).isoformat()}


def _whole_days(content: Content, day: date | None, end: str | None, duration: str | None) -> Content:
    first = date.fromisoformat(content["start"][:10]) if day is None else day
    if end is not None:
        last = _read_moment(end, "end")
        if isinstance(last, datetime):
            raise InvalidEvent("An all-day event ends on a date without a time.")
        if last <= first:
            raise InvalidEvent("The end of an all-day event is the day after its last day, so it is after the start.")
    elif duration is not None:
        days, seconds = read_duration(duration)
        if seconds or not days:
            raise InvalidEvent("An all-day event lasts whole days, such as 2d.")
        last = first + timedelta(days=days)
    else:
        last = first + timedelta(days=_days_of(content))
    return {"start": first.isoformat(), "end": last.isoformat(), "all_day": True}


def _days_of(content: Content) -> int:
    """How many days the event touches."""
    if "end" not in content:
        return 1
    start, end = (datetime.fromisoformat(content[name]) for name in ("start", "end"))
    return max(1, -(-(end - datetime.combine(start, time.min)) // timedelta(days=1)))


def _read_moment(text: str, name: str) -> date | datetime:
    spelled = text.strip().upper()
    problem = f"The {name} is not a date or time such as 2026-11-21 or 2026-11-21T10:00."
    if not _MOMENT.fullmatch(spelled):
        raise InvalidEvent(problem)
    try:
        moment = datetime.fromisoformat(spelled)
    except ValueError:
        raise InvalidEvent(problem) from None
    if not 1600 <= moment.year <= 9000:
        raise InvalidEvent(f"The {name} is not between the years 1600 and 9000.")
    return moment.date() if len(spelled) == 10 else moment


def _wall(moment: datetime, frame: Frame) -> datetime:
    """The wall time in the event's zone. Raises `InvalidEvent` for a moment that has none of its own there."""
    if moment.tzinfo is None:
        return moment
    if frame.floating:
        raise InvalidEvent("The event is in no time zone, so its times have no offset.")
    ts = frame.read(moment.isoformat())
    wall = frame.wall(ts)
    if frame.ts(wall) != ts:
        raise InvalidEvent("The clocks show this time twice and only the first can be kept; give it in the zone UTC.")
    return wall


def _read_zone(text: str) -> str:
    zone = zones.canonical_zone(text)
    if zone is None:
        raise InvalidEvent("The time zone is not known; use an IANA name such as Europe/Berlin.")
    return zone


def read_duration(text: str) -> tuple[int, int]:
    """Days (of whatever length) and seconds. Raises `InvalidEvent`."""
    spelled = "".join(text.split()).upper()
    match = _PLAIN_DURATION.fullmatch(spelled) or _ISO_DURATION.fullmatch(spelled)
    if not match or not any(match.groups()):
        raise InvalidEvent("The duration is not one such as 90m, 1h30m, 2d or PT1H.")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return weeks * 7 + days, hours * _HOUR + minutes * 60 + seconds
