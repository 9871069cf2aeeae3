"""Edits that people make, carried out: in the hub, and where asked for at every remote at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from calhub.calendar.event import Content
from calhub.hub import events
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.hub.errors import Outdated
from calhub.hub.sql import Connection
from calhub.providers.base import Provider
from calhub.sync import atomic

Connect = Callable[[Account], Provider]


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
