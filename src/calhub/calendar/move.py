"""A series moved as a whole: to another time, zone or form (timed, floating, all-day)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time

from calhub.calendar import rule as rules
from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.frame import frame_of
from calhub.calendar.recurrence import Series, patched_times, until_at, until_ts


def follow(content: Content, times: Content) -> Content:
    """The series with the time fields ``times``: everything that hangs on its start is moved by the same wall time.

    That is the ids in ``rdates``, ``exdates`` and ``overrides``, UNTIL, and BY parts that said what the start was.
    Instances that had been moved by themselves stay where they are. ``times`` may bring ``zones`` it needs.
    """
    private = content.get("zones", {}) | times.get("zones", {})
    times = {name: times[name] for name in TIME_UNIT if name in times}
    old, new = frame_of(content), frame_of(times | {"zones": private})
    before, after = datetime.fromisoformat(content["start"]), datetime.fromisoformat(times["start"])

    def moved(ts: int) -> int:
        wall = old.wall(ts) + (after - before)
        return new.ts(datetime.combine(wall, time.min) if new.all_day else wall)

    def respell(text: str) -> str:
        return "/".join(new.spell(moved(old.read(part))) for part in text.split("/"))

    result = {name: value for name, value in content.items() if name not in TIME_UNIT} | times
    for name in ("rdates", "exdates"):
        if name in content:
            result[name] = sorted(map(respell, content[name]))
    if "overrides" in content:
        patches = _anchored_overrides(content, times).items()
        result["overrides"] = {respell(rid): patch for rid, patch in patches}
    if "rrule" in content:
        rule = rules.follow(rules.parse(content["rrule"]), before, after)
        until = until_ts(rule, old)
        result["rrule"] = str(rule if until is None else replace(rule, until=until_at(new, moved(until))))
    return result


def _anchored_overrides(content: Content, times: Content) -> dict[str, Content]:
    """The overrides, with all their time fields spelled out where the master's zone or form will be another."""
    overrides: dict[str, Content] = content["overrides"]
    if all(content.get(name) == times.get(name) for name in ("all_day", "time_zone", "end_time_zone")):
        return overrides
    series, result = Series(content), dict(overrides)
    for ts, (rid, patch) in series.overrides.items():
        if any(name in patch for name in TIME_UNIT):
            own = patched_times(series.times_at(ts), patch, content.get("zones"))
            kept = {name: own.get(name) for name in TIME_UNIT if name in own or name in times}
            rest = {name: value for name, value in patch.items() if name not in TIME_UNIT}
            result[rid] = rest | {n: v for n, v in kept.items() if n in ("start", "end") or v != times.get(n)}
    return result
