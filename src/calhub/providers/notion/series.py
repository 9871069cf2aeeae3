"""An event as the rows that share its UID: its own row, and one for each occurrence that has one. Pure.

A single event is one row. A series has a row with its rule, and rows for the occurrences that were changed; where the
replica asks for it (``series`` is ``occurrences``), also for all others in a window, so that Notion shows them. A row
missing in that window is an occurrence that was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from calhub.calendar.event import TIME_UNIT, Content, InvalidEvent
from calhub.calendar.ical_time import instance, instance_patch
from calhub.calendar.ical_write import canonical
from calhub.calendar.move import follow
from calhub.calendar.recurrence import Series, canonical_recurrence_id
from calhub.providers.base import Item
from calhub.providers.notion import recurrence, values
from calhub.providers.notion.recurrence import Window, Written
from calhub.providers.notion.rows import Row, changed, content_of, digest, wanted
from calhub.providers.notion.schema import Columns
from calhub.providers.notion.values import FLOATING, Unreadable, rich_text


@dataclass(frozen=True)
class Group:
    """The rows of one event.

    ``surplus``: rows that say to be an occurrence which another row is already. ``moved``: the date of the series is
    not the one its rule and the occurrences refer to.
    """

    head: Row
    occurrences: Mapping[str, Row] = field(default_factory=dict)  # by recurrence id
    surplus: Sequence[Row] = ()
    content: Content | None = None
    problem: str | None = None
    moved: bool = False

    @property
    def item(self) -> Item:
        uid = self.head.uid
        return Item(
            remote_id=self.head.id,
            version=digest(uid, self.content or self.problem, self.head.columns.mark),
            uid=uid,
            content=self.content,
            problem=self.problem,
            modified=max(row.modified for row in (self.head, *self.occurrences.values())),
        )


def is_part(row: Row) -> bool:
    """Whether other rows may belong to the same event."""
    return row.rule.is_series or row.rule.instance is not None


def group(rows: Iterable[Row]) -> tuple[list[Group], list[Row]]:
    """The events that the rows make, and occurrences whose series is not there. Order does not matter."""
    heads: dict[str, list[Row]] = {}
    parts: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.created, row.id)):
        (heads if row.rule.instance is None else parts).setdefault(row.uid, []).append(row)
    groups = []
    for uid, found in heads.items():
        # A second row with the same UID is a copy somebody made; the engine reports it.
        groups += [compose(found[0], parts.pop(uid, [])), *(compose(row, []) for row in found[1:])]
    return groups, [row for found in parts.values() for row in found]


def compose(head: Row, parts: Sequence[Row]) -> Group:
    """Read an event from its rows."""
    try:
        return _compose(head, parts)
    except (Unreadable, InvalidEvent) as error:
        return Group(head, problem=str(error))
    except (ValueError, OverflowError):
        return Group(head, problem="The row's dates or its recurrence cannot be read.")


def _compose(head: Row, parts: Sequence[Row]) -> Group:
    if not head.is_dated:
        return Group(head, problem="The row has no date any more.")
    if not head.rule.is_series:
        return Group(head, surplus=parts, content=head.content())
    zone = head.zone(recurrence.zone_of(head.rule))
    now = head.content(zone)
    then = _as_written(head, now)
    occurrences: dict[str, Row] = {}
    surplus = []
    for row in parts:
        assert row.rule.instance is not None
        rid = canonical_recurrence_id(then, row.rule.instance)
        if rid in occurrences or not row.is_dated:
            surplus.append(row)
        else:
            occurrences[rid] = row
    content = then | _overrides(then, occurrences, _zone_name(now))
    content = _without_deleted(content, head.rule.rows, occurrences)
    times: Content = {name: now[name] for name in TIME_UNIT if name in now}
    moved = any(then.get(name) != times.get(name) for name in TIME_UNIT)
    if moved:
        content = follow(content, times)
        occurrences = _renamed(then, times, occurrences)
    return Group(head, occurrences, surplus, canonical(content), moved=moved)


def _as_written(head: Row, now: Content) -> Content:
    """The series as it was when its rule was written: with the start that the exceptions refer to."""
    fields = {name: value for name, value in now.items() if name not in TIME_UNIT}
    anchor = recurrence.read(head.rule, now)
    if bool(anchor.get("all_day")) == bool(now.get("all_day")):
        length = datetime.fromisoformat(now["end"]) - datetime.fromisoformat(now["start"])
        anchor["end"] = (datetime.fromisoformat(anchor["start"]) + length).isoformat()[: len(anchor["start"])]
    return fields | anchor


def _overrides(series: Content, occurrences: Mapping[str, Row], zone: str) -> Content:
    patches = {}
    for rid, row in occurrences.items():
        own, written = row.content(zone), row.rule.written
        patch = instance_patch(series, rid, own)
        if written is not None and written.digest == digest(own):  # nobody edited it: what else differs, fell behind
            patch = {name: value for name, value in patch.items() if name in written.fields}
        if patch:
            patches[rid] = patch
    return {"overrides": patches} if patches else {}


def _without_deleted(content: Content, rows: Window | None, occurrences: Mapping[str, Row]) -> Content:
    if rows is None:
        return content
    deleted = [rid for rid in _recurrence_ids(content, rows) if rid not in occurrences]
    return content | ({"exdates": sorted({*content.get("exdates", ()), *deleted})} if deleted else {})


def _recurrence_ids(content: Content, window: Window) -> Iterator[str]:
    """Of the occurrences whose original start is in the window, but for the first: the series' own row shows that."""
    series = Series(content)
    for start, _ in series.starts(*window.seconds):
        if start != series.start_ts and not series.excluded(start):
            yield series.frame.spell(start)


def _renamed(then: Content, times: Content, occurrences: Mapping[str, Row]) -> dict[str, Row]:
    """The rows by the recurrence ids that they have once the series is moved."""
    ids = sorted(occurrences)
    moved = follow(then | {"overrides": {rid: {"title": rid} for rid in ids}}, times)["overrides"]
    return {rid: occurrences[patch["title"]] for rid, patch in moved.items()}


def _zone_name(content: Content) -> str:
    return str(content.get("time_zone") or FLOATING)


# Writing.


@dataclass(frozen=True)
class Target:
    """What the rows of an event are to show: field -> value, of its own row and of the occurrences'."""

    head: dict[str, Any]
    occurrences: dict[str, dict[str, Any]]  # by recurrence id


def target(
    uid: str, content: Content, columns: Columns, *, window: Window | None = None, with_zone: bool = True
) -> Target:
    """The rows for an event; with ``window`` all its occurrences in there get one. Raises `InvalidEvent`."""
    single = {name: value for name, value in content.items() if name not in ("rrule", "rdates", "exdates", "overrides")}
    head = wanted(single, columns, with_zone=with_zone) | {"uid": rich_text(uid)}
    text = recurrence.write(content, window)
    if "recurrence" in columns:
        head["recurrence"] = rich_text(text)
    occurrences = {}
    overrides = content.get("overrides", {}) if text else {}
    rids = {*overrides, *(_recurrence_ids(content, window) if window and text else ())}
    for rid in sorted(rids):
        own = wanted(instance(content, rid), columns, with_zone=with_zone)
        written = Written(digest(content_of(own, _zone_name(single))), frozenset(overrides.get(rid, ())))
        own |= {"uid": rich_text(uid), "recurrence": rich_text(recurrence.write_instance(rid, written))}
        occurrences[rid] = own
    return Target(head, occurrences)


def head_changes(found: Group, target: Target, content: Content) -> dict[str, Any]:
    """What to write to the event's own row. A rule that says the same in other words is left as somebody wrote it."""
    result = changed(found.head, target.head)
    names = ("rrule", "rdates", "exdates", "start", "all_day", "time_zone")
    before = found.content or {}
    same = all(before.get(name) == content.get(name) for name in names)
    if "recurrence" in result and same and not found.moved and _rows(target) == found.head.rule.rows:
        del result["recurrence"]
    if "uid" in result and not target.occurrences:
        del result["uid"]  # a row somebody made in Notion is known by its id
    return result


def is_outdated(found: Group, target: Target) -> bool:
    """Whether an event that says what it should lacks rows, has too many, or has some that its series has left behind.

    What the rows say is no matter here: a service may spell a value otherwise each time it is written.
    """
    if found.content is None or not found.head.rule.is_series:
        return False
    shown = {rid: values.plain(row.shown["recurrence"]) for rid, row in found.occurrences.items()}
    if shown != {rid: values.plain(own["recurrence"]) for rid, own in target.occurrences.items()}:
        return True
    return found.moved or found.head.rule.rows != _rows(target)


def _rows(target: Target) -> Window | None:
    return recurrence.parse(values.plain(target.head["recurrence"])).rows


def window_around(today: datetime, past: int, future: int) -> Window:
    """So many days back and ahead, moving on once a month."""
    first = today.date().replace(day=1)
    return Window(first - timedelta(days=past), first + timedelta(days=future + 31))
