"""Edits that people make, carried out: in the hub, and where asked for at every remote at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from calhub.calendar.edit import delete_occurrence, edit_content, edit_occurrence, split_following
from calhub.calendar.event import Content
from calhub.hub import events
from calhub.hub.accounts import Account, Calendar
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue, Outdated
from calhub.hub.events import StoredEvent
from calhub.hub.sql import Connection

if TYPE_CHECKING:
    from calhub.providers.base import Provider

Connect = Callable[[Account], "Provider"]


def write(
    hub: Hub,
    calendar_id: int,
    changed: Mapping[str, Content | None],
    *,
    connect: Connect | None = None,
    revs: Mapping[str, int | None] | None = None,
) -> None:
    """Put (or with None delete) events of a calendar by UID, all or none of them.

    With ``connect`` it is atomic: every remote has taken them on return, or nothing is changed anywhere (see
    `calhub.sync.atomic.write` for what that raises). ``revs`` are the revisions that the edit is based on, None for an
    event that must not be there yet; where one is another by now, `Outdated` is raised and nothing is changed.
    """
    if connect is not None:
        _write_atomically(hub, connect, calendar_id, changed, revs or {})
        return
    with hub.transaction() as conn:
        check(conn, calendar_id, revs or {})
        for uid, content in changed.items():
            if content is not None:
                events.put_event(conn, calendar_id, uid, content, now=hub.now())
            elif (stored := events.event(conn, calendar_id, uid)) is not None:
                events.delete_event(conn, stored.id, now=hub.now())


def change(
    stored: StoredEvent, changes: Mapping[str, Any], *, occurrence: str | None, following: str | None
) -> tuple[str, dict[str, Content | None]]:
    """Which events an edit writes, and the UID of the one it is about in the end.

    ``changes`` are arguments of `edit_content`. With ``occurrence`` one instance changes; with ``following`` the series
    ends before that instance and a new one, under a new UID, goes on from there. Raises `InvalidEvent`.
    """
    _one_of(occurrence, following)
    uid = stored.uid
    if occurrence is not None:
        return uid, {uid: edit_occurrence(stored.content, occurrence, **changes)}
    if following is not None:
        earlier, later = split_following(stored.content, following)
        key = str(uuid4())
        return key, {key: edit_content(later, **changes), uid: earlier}
    return uid, {uid: edit_content(stored.content, **changes)}


def without(stored: StoredEvent, *, occurrence: str | None, following: str | None) -> Content | None:
    """What is left of an event after deleting it (None), one instance, or an instance and all after it."""
    _one_of(occurrence, following)
    if occurrence is not None:
        return delete_occurrence(stored.content, occurrence)
    return None if following is None else split_following(stored.content, following)[0]


def move(conn: Connection, stored: StoredEvent, goal: Calendar, *, now: str) -> None:
    """Move an event to another calendar; its UID stays. Raises `InvalidValue`."""
    if goal.id == stored.calendar_id:
        raise InvalidValue(f'The event is in "{goal.name}" already.', "Name another calendar.")
    if events.event(conn, goal.id, stored.uid) is not None:
        raise InvalidValue(f'"{goal.name}" has an event "{stored.uid}" already.', "Delete one of the two first.")
    events.put_event(conn, goal.id, stored.uid, stored.content, now=now)
    events.delete_event(conn, stored.id, now=now)


def _one_of(occurrence: str | None, following: str | None) -> None:
    if occurrence is not None and following is not None:
        raise InvalidValue("--occurrence and --following exclude each other.", "Name one of them.")


def check(conn: Connection, calendar_id: int, revs: Mapping[str, int | None]) -> None:
    """Raise `Outdated` unless each event is at the revision given."""
    for uid, rev in revs.items():
        stored = events.event(conn, calendar_id, uid)
        if (None if stored is None else stored.rev) != rev:
            raise Outdated(f'The event "{uid}" was changed meanwhile; nothing was written.', "Look at it again.")


def _write_atomically(
    hub: Hub,
    connect: Connect,
    calendar_id: int,
    changed: Mapping[str, Content | None],
    revs: Mapping[str, int | None],
) -> None:
    """One event after the other; when a later one fails, the earlier ones are put back, atomically too."""
    from calhub.sync import atomic  # an edit in the hub alone needs none of the engine

    with hub.read() as conn:
        before = {uid: events.event(conn, calendar_id, uid) for uid in changed}
    done: list[str] = []
    try:
        for uid, content in changed.items():
            mine = {name: rev for name, rev in revs.items() if name == uid}
            based = partial(check, calendar_id=calendar_id, revs=mine)
            atomic.write(hub, connect, calendar_id, uid, content, check=based)
            done.append(uid)
    except BaseException:
        for uid in reversed(done):
            old = before[uid]
            atomic.write(hub, connect, calendar_id, uid, None if old is None else old.content)
        raise
