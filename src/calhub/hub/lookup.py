"""Bulk reads of events for a pass: many in one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from calhub.hub import sql
from calhub.hub.events import COLUMNS, StoredEvent, stored_event
from calhub.hub.jsontext import dumps
from calhub.hub.sql import Connection
from calhub.providers.base import Item


def events_by_uid(conn: Connection, calendar_id: int, uids: Sequence[str]) -> dict[str, StoredEvent]:
    """Events and tombstones of a calendar by UID."""
    query = f"SELECT {COLUMNS} FROM event WHERE calendar_id = ? AND {sql.within('uid')}"
    found = map(stored_event, conn.execute(query, (calendar_id, dumps(uids))))
    return {each.uid: each for each in found}


def events_by_id(conn: Connection, event_ids: Sequence[int]) -> dict[int, StoredEvent]:
    query = f"SELECT {COLUMNS} FROM event WHERE {sql.within('id')}"
    found = map(stored_event, conn.execute(query, (dumps(event_ids),)))
    return {each.id: each for each in found}


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
    taken = set(sql.column(conn, _MET, {"calendar": calendar_id, "replica": replica_id, "uids": uids}))
    names = dumps([item.remote_id for item in items])
    named = set(sql.column(conn, _NAMED, {"replica": replica_id, "names": names}))
    return [
        item
        for item in items
        if item.content is not None and item.uid and counted[item.uid] == 1 and item.uid not in taken
        if item.remote_id not in named
    ]


def asked_for(conn: Connection, event_ids: Sequence[int]) -> set[int]:
    """Those of the events whose newest revision is a person's own (or a rule's), not one a replica brought."""
    query = (
        f"SELECT e.id FROM event e JOIN change c ON c.seq = e.rev WHERE c.replica_id IS NULL AND {sql.within('e.id')}"
    )
    return set(sql.column(conn, query, (dumps(event_ids),)))


def live_twins(conn: Connection, replica_id: int, uids: Sequence[str]) -> dict[str, list[str]]:
    """For each UID the remote ids that show it now. More than one: the item moved, or there are two of it."""
    found: dict[str, list[str]] = {}
    query = (
        f"SELECT uid, remote_id FROM observation WHERE replica_id = ? AND {sql.within('uid')} "
        "AND gone = 0 AND problem IS NULL ORDER BY id"
    )
    for uid, remote_id in conn.execute(query, (replica_id, dumps(uids))):
        found.setdefault(uid, []).append(remote_id)
    return found
