"""Overrides with ``following`` where a series is edited: they outlive the instance they begin at."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from calhub.calendar import move
from calhub.calendar.event import TIME_UNIT, Content, InvalidEvent
from calhub.calendar.recurrence import Occurrence, Series, expand

_FOREVER: Final = 1 << 40  # seconds; beyond every year a calendar has
#: So many instances must be where they were after a series was rebased.
_COMPARED: Final = 100


def hand_on(series: Series, ts: int) -> Content:
    """The series with its override at ``ts`` for that instance alone; the next one takes over what it said of later."""
    content, overrides = series.content, dict(series.overrides)
    rid, patch = overrides.get(ts, ("", {}))
    if not patch.get("following"):
        return content
    result = content["overrides"] | {rid: {name: value for name, value in patch.items() if name != "following"}}
    for at, _ in series.starts(ts + 1, _FOREVER):
        if at in overrides and overrides[at][1].get("following"):
            break
        if at not in overrides and not series.excluded(at):
            result[series.frame.spell(at)] = series.patch_at(at) | {"following": True}
            break
    return content | {"overrides": dict(sorted(result.items()))}


def rebase(content: Content, series: Series, at: int) -> Content:
    """``content``, which is the ``series`` from its instance ``at`` on, with what an override said of all of it as the
    master's own word. Every instance stays as it was.

    Raises `InvalidEvent` where the rule cannot follow to the times of the override.
    """
    reach = series.reach_at(at)
    if reach is None:
        return content
    said = {name: value for name, value in reach.patch.items() if name not in ("following", *TIME_UNIT)}
    carried = series.carried(at)
    own = Series(content)
    overrides = {
        rid: _against(said, content, patch | _times(own, ts, patch))
        for ts, (rid, patch) in own.overrides.items()
        if ts > at or not patch.get("following")
    }
    result = {name: value for name, value in (content | said).items() if name != "overrides" and value is not None}
    result |= {"overrides": overrides} if overrides else {}
    times: Content = {name: source[name] for source in (content, carried) for name in TIME_UNIT if name in source}
    times = {name: value for name, value in times.items() if value is not None}
    if any(content.get(name) != times.get(name) for name in TIME_UNIT):
        result = move.follow(result, times)
    later = (
        found for found in expand(series.content, -_FOREVER, _FOREVER, limit=_FOREVER) if _slot(series, found) >= at
    )
    if _places(later) != _places(expand(result, -_FOREVER, _FOREVER)):
        raise InvalidEvent("The recurrence rule cannot follow an earlier change; edit these occurrences one by one.")
    return result


def _against(said: Content, content: Content, patch: Content) -> Content:
    """A patch of ``content`` as one of ``content`` with the fields that were ``said``."""
    whole = {name: content.get(name) for name in said} | patch
    return {name: value for name, value in whole.items() if name not in said or value != said[name]}


def _times(series: Series, ts: int, patch: Content) -> Content:
    """The times of an instance that was not moved, so that it stays when the series moves."""
    if any(name in patch for name in TIME_UNIT):
        return {}
    return {name: value for name, value in series.times_at(ts).items() if name in TIME_UNIT}


def _slot(series: Series, found: Occurrence) -> int:
    return series.frame.read(found.recurrence_id or "")


def _places(found: Iterable[Occurrence]) -> list[tuple[int, int]]:
    return [(each.start_ts, each.end_ts) for each in islice(found, _COMPARED)]
