"""What has to be written so that a rule's copies are what they should be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.fields import changed_fields, merge
from calhub.calendar.mark import copy_uid, marked
from calhub.hub.jsontext import dumps
from calhub.hub.rules import Copy, Key

Op = Literal["create", "update", "delete", "adopt"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One copy to be seen to. ``content`` is what to write; an ``adopt`` writes nothing, ``copy`` alone is stored.

    ``copy`` None: the copy is to be forgotten, too.
    """

    op: Op
    uid: str
    title: str
    copy: Copy | None
    content: Content | None = None
    fields: tuple[str, ...] = ()


@dataclass
class Spare:
    """Copies in the target that stand for nothing (any more), by UID, by their mark, and by when they are."""

    contents: dict[str, Content] = field(default_factory=dict)
    _by_mark: dict[str, str] = field(default_factory=dict)
    _by_time: dict[str, list[str]] = field(default_factory=dict)

    def add(self, uid: str, content: Content, mark: str | None = None) -> None:
        """One with a ``mark`` has another UID than it was made with, so it may be a person's own: it can only stand for
        what its mark says.
        """
        self.contents[uid] = content
        if mark is not None:
            self._by_mark[mark] = uid
        else:
            self._by_time.setdefault(when(content), []).append(uid)

    def take(self, uid: str, content: Content) -> str | None:
        """The UID of one that can stand for the copy from now on; it is spare no more."""
        found = self._by_mark.pop(uid, None)
        if found is None and self._by_time.get(when(content)):
            found = self._by_time[when(content)].pop(0)
        return found


def when(content: Content) -> str:
    """When an event takes place, as text: two that take place at the same times have the same."""
    return dumps([content.get(name) for name in (*TIME_UNIT, *RECURRENCE_UNIT)])


def plan_copies(
    rule_key: str,
    wanted: Mapping[Key, tuple[Content, int | None]],
    known: Mapping[Key, Copy],
    there: Mapping[str, Content],
    spare: Spare,
    *,
    keep_edits: bool,
) -> list[Step]:
    """The steps from ``known`` copies to the ``wanted`` ones, each with the end of its last instance.

    ``there`` is what the target's events say now, by UID, copies and spare ones included; those not in it are gone. A
    copy that somebody has edited or deleted is put back or, with ``keep_edits``, keeps what was changed in it.
    A copy that is wanted anew takes over a spare one that takes place at the same times, so that nothing is deleted
    just to be made again.
    """
    steps: list[Step] = []
    left = _left(wanted, known, there, spare)
    for key, (content, end_ts) in wanted.items():
        old = known.get(key)
        uid = old.uid if old else copy_uid(rule_key, *key)
        if old is None and uid not in there:
            uid = spare.take(uid, content) or left.take(uid, content) or uid
        face = marked(content, uid)
        copy = Copy(source_uid=key[0], part=key[1], uid=uid, face=face, end_ts=end_ts)
        target = _kept(old, there.get(uid), face) if keep_edits and old else face
        step = _towards(target, there.get(uid), copy)
        if step.op != "adopt" or old != copy:
            steps.append(step)
    taken = {step.uid for step in steps}
    for key, old in known.items():
        if key not in wanted and old.uid not in taken:
            steps.append(Step(op="delete", uid=old.uid, title=old.face.get("title", ""), copy=None))
    return steps


def _left(wanted: Mapping[Key, object], known: Mapping[Key, Copy], there: Mapping[str, Content], spare: Spare) -> Spare:
    """The known copies that are not wanted for what they stood for: of a series that was split, others stand for it."""
    left = Spare()
    for key, old in known.items():
        if key not in wanted and old.uid in there and old.uid not in spare.contents:
            left.add(old.uid, there[old.uid])
    return left


def _kept(old: Copy, now: Content | None, face: Content) -> Content | None:
    """The face with what somebody changed in the copy; None where they deleted it."""
    if now is None:
        return None
    return now if old.face == face else merge(old.face, now, face, prefer="hub").content


def _towards(target: Content | None, now: Content | None, copy: Copy) -> Step:
    title = copy.face.get("title", "")
    if target == now:
        return Step(op="adopt", uid=copy.uid, title=title, copy=copy)
    assert target is not None  # a copy that stays deleted is not there
    fields = tuple(changed_fields(now or {}, target))
    op: Op = "update" if now is not None else "create"
    return Step(op=op, uid=copy.uid, title=title, copy=copy, content=target, fields=fields)
