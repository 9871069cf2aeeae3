"""Differences between contents by field: diff, apply, three-way merge, projection. Pure functions.

A *path* names a field or a part of one: ``("title",)``, ``("attendees", address)``, ``("overrides", id, field)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from calhub.calendar.event import KEYED_FIELDS, RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.frame import frame_of
from calhub.calendar.move import follow
from calhub.calendar.recurrence import Series, is_recurring

Path: TypeAlias = tuple[str, ...]
Patch: TypeAlias = dict[Path, tuple[Any, Any]]

#: Keyed fields whose values are records, compared and merged by their own fields.
RECORDS: Final = ("attendees", "overrides")

#: What a clash shows for an instance that one side cancelled by an EXDATE.
CANCELLED: Final = {"status": "cancelled"}


class Cleared(Enum):
    """In a `diff`, for a field of an override: the instance explicitly lacks it, while the master may have it."""

    CLEARED = "cleared"


CLEARED: Final = Cleared.CLEARED


@dataclass(frozen=True)
class Clash:
    """The same thing changed differently on both sides. ``name`` is a path's name; values None where absent.

    A cancelled instance whose edit survived shows as `CANCELLED` on the side that cancelled it.
    """

    name: str
    base: Any
    hub: Any
    remote: Any


@dataclass(frozen=True)
class Merge:
    """The merged content, and what of one side it does not hold."""

    content: Content
    clashes: tuple[Clash, ...]


def path_name(path: Path) -> str:
    """The path as users see it: ``overrides/2026-11-21/title``."""
    return "/".join(path)


def diff(base: Content, other: Content) -> Patch:
    """What turns ``base`` into ``other``: path -> (old, new), None = absent (in an override see `Cleared`).

    A keyed entry that is there on one side only is one path; where both sides have it, attendees and overrides are
    told apart by field. ``apply(base, diff(base, other)) == other``.
    """
    patch: Patch = {}
    for name in sorted(base.keys() | other.keys()):
        old, new = base.get(name), other.get(name)
        if old == new:
            continue
        if name not in KEYED_FIELDS:
            patch[name,] = (old, new)
            continue
        patch.update(_diff_keyed(name, old or {}, new or {}))
    return patch


def _diff_keyed(name: str, base: Mapping[str, Any], other: Mapping[str, Any]) -> Patch:
    patch: Patch = {}
    for key in sorted(base.keys() | other.keys()):
        old, new = base.get(key), other.get(key)
        if old == new:
            continue
        if name not in RECORDS or old is None or new is None:
            patch[name, key] = (old, new)
            continue
        for field in sorted(old.keys() | new.keys()):
            before, after = (CLEARED if side.get(field, "") is None else side.get(field) for side in (old, new))
            if before != after:
                patch[name, key, field] = (before, after)
    return patch


def apply(content: Content, patch: Patch) -> Content:
    """``content`` with the new values of ``patch``, whatever the old ones were; the argument stays as it is.

    A record that is added where there is one already takes over its fields.
    """
    result = dict(content)
    for path, (_, new) in patch.items():
        if len(path) == 1:
            _put(result, path[0], new)
            continue
        group = dict(result.get(path[0], {}))
        if len(path) == 3:
            record = dict(group.get(path[1], {}))
            _put(record, path[2], new)
            group[path[1]] = record
        elif path[0] in RECORDS and new is not None:
            group[path[1]] = group.get(path[1], {}) | new
        else:
            _put(group, path[1], new)
        _put(result, path[0], group or None)
    return result


def _put(target: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        target.pop(key, None)
    else:
        target[key] = None if value is CLEARED else value


def changed_fields(a: Content, b: Content) -> list[str]:
    """Names of the paths in which two contents differ, sorted."""
    return sorted(map(path_name, diff(a, b)))


def project(content: Content, keeps: frozenset[str]) -> Content:
    """What is left of the content where only the fields ``keeps`` can be held. Meaning is kept as far as that goes.

    Overrides are projected too; one that says nothing any more is left out. Without ``end_time_zone`` the end is
    told in the zone of the start. Without ``time_zone`` a single event is told in UTC, a floating one as if it were; a
    series stays in its zone, since a rule means something else in another one. `restore` is the way back.
    """
    if "time_zone" not in keeps:
        content, keeps = _in_utc(content), keeps | {"time_zone"}
    if content.keys() <= keeps and "overrides" not in content:
        return content
    if "end_time_zone" in content and "end_time_zone" not in keeps:
        content = _end_in_start_zone(content)
    result = {name: value for name, value in content.items() if name in keeps}
    if "overrides" in result:
        patches = {rid: _project_override(patch, keeps) for rid, patch in result["overrides"].items()}
        patches = {rid: patch for rid, patch in patches.items() if patch or not content["overrides"][rid]}
        _put(result, "overrides", patches or None)
    return result


def restore(content: Content, held: Content, keeps: frozenset[str]) -> Content:
    """``content`` with what a provider that keeps ``keeps`` now holds of it: the inverse of `project`.

    The result projects to ``held``; fields that cannot be held stay, and times are told in the zones of ``content``
    unless ``held`` moves them to another one.
    """
    mine = project(content, keeps)
    patch = diff(mine, held)
    if not any((name,) in patch for name in TIME_UNIT):
        return apply(content, patch)
    result = apply(content, {path: pair for path, pair in patch.items() if path[0] not in TIME_UNIT})
    times: Content = {name: held[name] for name in TIME_UNIT if name in held}
    if not held.get("all_day") and not mine.get("all_day") and held.get("time_zone") == mine.get("time_zone"):
        times = _told_as(content, times | {"zones": held.get("zones", {})})
    return {name: value for name, value in result.items() if name not in TIME_UNIT} | times


def _told_as(content: Content, times: Content) -> Content:
    """The moments of ``times`` by the clocks of ``content``: its zone, the zone of its end, or floating."""
    told: Content = {name: content[name] for name in ("time_zone", "end_time_zone") if name in content}
    for name, zone in (("start", "time_zone"), ("end", "end_time_zone")):
        if name in times:
            moment = frame_of(times, zone).ts(datetime.fromisoformat(times[name]))
            told[name] = frame_of(content, zone).wall(moment).isoformat()
    return told


def _in_utc(content: Content) -> Content:
    if content.get("all_day") or "start" not in content or is_recurring(content) or content.get("time_zone") == "UTC":
        return content
    times = _told_as({"time_zone": "UTC"}, content)
    return {name: value for name, value in content.items() if name not in TIME_UNIT} | times


def _project_override(patch: Content, keeps: frozenset[str]) -> Content:
    return {name: value for name, value in patch.items() if name in keeps}


def _end_in_start_zone(content: Content) -> Content:
    result = {name: value for name, value in content.items() if name != "end_time_zone"}
    if "end" in content:
        end = frame_of(content, "end_time_zone").ts(datetime.fromisoformat(content["end"]))
        result["end"] = frame_of(content).wall(end).isoformat()
    return result


def merge(base: Content | None, hub: Content, remote: Content, *, prefer: Literal["hub", "remote"]) -> Merge:
    """Three-way merge by path. What one side changed is taken; what both changed equally is agreed.

    What both changed differently is a `Clash`, and the ``prefer``-red side's value is taken. The time fields go
    together, and so do the recurrence rule and its exceptions; but while both sides have the same rule, ``exdates``
    and ``rdates`` merge as sets, as ``categories`` do. An instance edited on one side and dropped or cancelled on the
    other stays, as a clash, whichever side is preferred. Where the start was moved, the recurrence ids of the other
    side are moved along before they are compared. ``base`` None is an empty base.

    No value is in the result that neither side has (ids moved along apart). Valid contents merge to a valid content.
    """
    merger = _Merger(prefer)
    base = base or {}
    times = merger.unit((), TIME_UNIT, base, hub, remote)
    private = {zone: text for side in (base, remote, hub) for zone, text in side.get("zones", {}).items()}
    base, hub, remote = (_along(side, times, private) for side in (base, hub, remote))
    result = times | merger.recurrence(base, hub, remote)
    for name in sorted({*base, *hub, *remote} - {*TIME_UNIT, *RECURRENCE_UNIT}):
        old, ours, theirs = (side.get(name) for side in (base, hub, remote))
        if name == "overrides":
            value: Any = merger.overrides(base, hub, remote)
        elif name == "categories":
            value = _merge_sets(old, ours, theirs)
        elif name == "attendees":
            value = merger.attendees(old or {}, ours or {}, theirs or {})
        elif name in KEYED_FIELDS:
            value = merger.keys((name,), old or {}, ours or {}, theirs or {})
        else:
            value = merger.whole((name,), old, ours, theirs)
        _put(result, name, value if value or name not in (*KEYED_FIELDS, "categories") else None)
    merger.revive(result, base, hub, remote)
    _complete_zones(result, *((hub, remote) if prefer == "hub" else (remote, hub)))
    return Merge(result, tuple(merger.clashes))


class _Absent(Enum):
    ABSENT = "absent"


_ABSENT: Final = _Absent.ABSENT


class _Merger:
    """One merge: the preference and the clashes so far. None is a value in overrides, so absence is `_ABSENT`."""

    def __init__(self, prefer: Literal["hub", "remote"]) -> None:
        self.prefer = prefer
        self.clashes: list[Clash] = []

    def clash(self, path: Path, *values: Any) -> None:
        base, hub, remote = (None if value is _ABSENT else value for value in values)
        self.clashes.append(Clash(path_name(path), base, hub, remote))

    def whole(self, path: Path, base: Any, hub: Any, remote: Any) -> Any:
        if hub == remote or remote == base:
            return hub
        if hub == base:
            return remote
        self.clash(path, base, hub, remote)
        return hub if self.prefer == "hub" else remote

    def unit(self, prefix: Path, names: Iterable[str], base: Content, hub: Content, remote: Content) -> Content:
        """Fields that come from one side together."""
        old, ours, theirs = ({name: side[name] for name in names if name in side} for side in (base, hub, remote))
        if ours == theirs or theirs == old:
            return ours
        if ours == old:
            return theirs
        for name in names:
            values = [side.get(name, _ABSENT) for side in (old, ours, theirs)]
            if values[1] != values[2]:
                self.clash((*prefix, name), *values)
        return ours if self.prefer == "hub" else theirs

    def recurrence(self, base: Content, hub: Content, remote: Content) -> Content:
        if hub.get("rrule") != remote.get("rrule"):
            return self.unit((), RECURRENCE_UNIT, base, hub, remote)
        result = {"rrule": hub["rrule"]} if "rrule" in hub else {}
        for name in ("rdates", "exdates"):
            _put(result, name, _merge_sets(base.get(name), hub.get(name), remote.get(name)) or None)
        return result

    def keys(self, prefix: Path, base: Content, hub: Content, remote: Content) -> Content:
        """Key by key, each value as a whole."""
        result = {}
        for key in sorted({*base, *hub, *remote}):
            value = self.whole((*prefix, key), *(side.get(key, _ABSENT) for side in (base, hub, remote)))
            if value is not _ABSENT:
                result[key] = value
        return result

    def attendees(self, base: Content, hub: Content, remote: Content) -> Content:
        result = {}
        for address in sorted({*base, *hub, *remote}):
            path = ("attendees", address)
            if address in hub and address in remote:
                result[address] = self.keys(path, base.get(address, {}), hub[address], remote[address])
            else:
                value = self.whole(path, *(side.get(address, _ABSENT) for side in (base, hub, remote)))
                if value is not _ABSENT:
                    result[address] = value
        return result

    def overrides(self, base: Content, hub: Content, remote: Content) -> Content:
        result = {}
        old, ours, theirs = (side.get("overrides", {}) for side in (base, hub, remote))
        for rid in sorted({*ours, *theirs}):
            if rid in ours and rid in theirs:
                patch = self.override(rid, old.get(rid, {}), ours[rid], theirs[rid])
                # An override that lost all its fields says what the master says.
                if patch or not ours[rid] or not theirs[rid]:
                    result[rid] = patch
                continue
            patch = ours[rid] if rid in ours else theirs[rid]
            if patch == old.get(rid):
                continue
            result[rid] = patch
            if rid in old:
                self.clash(("overrides", rid), old[rid], _instance(hub, rid), _instance(remote, rid))
        return result

    def override(self, rid: str, base: Content, hub: Content, remote: Content) -> Content:
        prefix = ("overrides", rid)
        times = self.unit(prefix, TIME_UNIT, base, hub, remote)
        rest = ({key: value for key, value in side.items() if key not in TIME_UNIT} for side in (base, hub, remote))
        return times | self.keys(prefix, *rest)

    def revive(self, result: Content, base: Content, hub: Content, remote: Content) -> None:
        """An instance that one side cancelled and the other edited stays."""
        both = set(result.get("exdates", ())) & result.get("overrides", {}).keys()
        for side in (hub, remote):
            both -= set(side.get("exdates", ())) & side.get("overrides", {}).keys()  # that side means it so
        if not both:
            return
        _put(result, "exdates", [text for text in result["exdates"] if text not in both] or None)
        known = {clash.name for clash in self.clashes}
        for rid in sorted(both):
            path = ("overrides", rid)
            if path_name(path) not in known:
                self.clash(path, *(_instance(side, rid) for side in (base, hub, remote)))


def _instance(side: Content, rid: str) -> Content | None:
    """What a side makes of one instance, for a clash."""
    patch: Content | None = side.get("overrides", {}).get(rid)
    if patch is None and rid in side.get("exdates", ()):
        return CANCELLED
    return patch


def _merge_sets(base: list[str] | None, hub: list[str] | None, remote: list[str] | None) -> list[str]:
    old, ours, theirs = set(base or ()), set(hub or ()), set(remote or ())
    return sorted((ours & theirs) | (ours - old) | (theirs - old))


def _along(side: Content, times: Content, private: Mapping[str, str]) -> Content:
    """The side with its recurrence as it would be had it the merged times too.

    Not where the start was only moved to another instance of the same series: then ids stay what they are.
    """
    recurring = any(name in side for name in (*RECURRENCE_UNIT, "overrides"))
    own = {name: side[name] for name in TIME_UNIT if name in side}
    if not recurring or own == times or "start" not in side or "start" not in times:
        return side
    known = side | {"zones": private}
    moved = {name: value for name, value in known.items() if name not in TIME_UNIT} | times
    if _starts_at(known, moved) or _starts_at(moved, known):
        return side
    followed = follow(known, times)
    return {name: followed[name] for name in (*RECURRENCE_UNIT, "overrides") if name in followed} | {
        name: value for name, value in side.items() if name not in (*RECURRENCE_UNIT, "overrides")
    }


def _starts_at(series: Content, other: Content) -> bool:
    """Whether ``other`` starts at an instance of the series by the same clock."""
    frame = frame_of(series)
    if frame != frame_of(other):
        return False
    start = frame.ts(datetime.fromisoformat(other["start"]))
    return any(start == found for found, _ in Series(series).starts(start, start + 1))


def _complete_zones(result: Content, *sides: Content) -> None:
    """Bring the definition of each private zone the result is in, from the side that is in it too."""
    for side in sides:
        for zone, text in side.get("zones", {}).items():
            if zone in used_zones(result) and zone in used_zones(side) and zone not in result.get("zones", {}):
                result["zones"] = result.get("zones", {}) | {zone: text}


def used_zones(content: Content) -> set[str]:
    """Names of all zones the event and its overrides are in."""
    patches = [content, *content.get("overrides", {}).values()]
    return {patch[name] for patch in patches for name in ("time_zone", "end_time_zone") if patch.get(name)}
