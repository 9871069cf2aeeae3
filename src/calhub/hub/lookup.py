"""Bulk reads of events for a pass: many at once, in bounded chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from calhub.hub.events import StoredEvent
from calhub.hub.jsontext import dumps, loads
from calhub.hub.links import chunks
from calhub.hub.schema import change, event, observation
from calhub.providers.base import Item

_columns = (
    event.c.id, event.c.calendar_id, event.c.uid, event.c.content, event.c.rev, event.c.updated, event.c.deleted,
)  # fmt: skip


def events_by_uid(conn: Connection, calendar_id: int, uids: Sequence[str]) -> dict[str, StoredEvent]:
    """Events and tombstones of a calendar by UID."""
    found: dict[str, StoredEvent] = {}
    for part in chunks(uids):
        query = select(*_columns).where(event.c.calendar_id == calendar_id, event.c.uid.in_(part))
        found.update((stored.uid, stored) for stored in _read(conn, query))
    return found


def events_by_id(conn: Connection, event_ids: Sequence[int]) -> dict[int, StoredEvent]:
    found: dict[int, StoredEvent] = {}
    for part in chunks(event_ids):
        found.update((stored.id, stored) for stored in _read(conn, select(*_columns).where(event.c.id.in_(part))))
    return found


def _read(conn: Connection, query: Select[Any]) -> list[StoredEvent]:
    return [
        StoredEvent(
            id=row.id,
            calendar_id=row.calendar_id,
            uid=row.uid,
            content=loads(row.content),
            rev=row.rev,
            updated=row.updated,
            deleted=bool(row.deleted),
        )
        for row in conn.execute(query)
    ]


_MET: Final = (
    "SELECT uid FROM event WHERE calendar_id = :calendar AND uid IN (SELECT value FROM json_each(:uids)) UNION ALL "
    "SELECT uid FROM observation WHERE replica_id = :replica AND gone = 0 "
    "AND uid IN (SELECT value FROM json_each(:uids))"
)
_NAMED: Final = (
    "SELECT remote_id FROM link WHERE replica_id = :replica AND remote_id IN (SELECT value FROM json_each(:names)) "
    "UNION ALL SELECT remote_id FROM intent WHERE replica_id = :replica "
    "AND remote_id IN (SELECT value FROM json_each(:names))"
)


def strangers(conn: Connection, calendar_id: int, replica_id: int, items: Sequence[Item]) -> list[Item]:
    """The events among the items that meet nothing: no event or item of their UID, no link or write of their name."""
    counted = Counter(item.uid for item in items)
    uids = dumps([uid for uid in counted if uid])
    taken = set(conn.exec_driver_sql(_MET, {"calendar": calendar_id, "replica": replica_id, "uids": uids}).scalars())
    names = dumps([item.remote_id for item in items])
    named = set(conn.exec_driver_sql(_NAMED, {"replica": replica_id, "names": names}).scalars())
    return [
        item
        for item in items
        if item.content is not None and item.uid and counted[item.uid] == 1 and item.uid not in taken
        if item.remote_id not in named
    ]


def asked_for(conn: Connection, event_ids: Sequence[int]) -> set[int]:
    """Those of the events whose newest revision is a person's own (or a rule's), not one a replica brought."""
    found: set[int] = set()
    for part in chunks(event_ids):
        query = select(event.c.id).join(change, change.c.seq == event.c.rev)
        found.update(conn.execute(query.where(event.c.id.in_(part), change.c.replica_id.is_(None))).scalars())
    return found


def live_twins(conn: Connection, replica_id: int, uids: Sequence[str]) -> dict[str, list[str]]:
    """For each UID the remote ids that show it now. More than one: the item moved, or there are two of it."""
    found: dict[str, list[str]] = {}
    for part in chunks(uids):
        rows = conn.execute(
            select(observation.c.uid, observation.c.remote_id)
            .where(observation.c.replica_id == replica_id, observation.c.uid.in_(part))
            .where(observation.c.gone == 0, observation.c.problem.is_(None))
            .order_by(observation.c.id)
        )
        for uid, remote_id in rows:
            found.setdefault(uid, []).append(remote_id)
    return found
