"""Events with all that is stored about them, for those who work on calhub."""

from __future__ import annotations

from typing import Any, Final

from calhub.hub.jsontext import loads
from calhub.hub.sql import Connection

_EVENTS: Final = (
    "SELECT id, uid, rev, updated, deleted, content FROM event WHERE calendar_id = ? AND id > ? ORDER BY id LIMIT ?"
)
_LINKS: Final = (
    "SELECT l.replica_id, l.remote_id, l.version, l.hub_rev, l.synced, o.seen, o.pending, o.gone, o.raw "
    "FROM link l LEFT JOIN observation o ON o.replica_id = l.replica_id AND o.remote_id = l.remote_id "
    "WHERE l.event_id = ? ORDER BY l.replica_id"
)


def stored_events(conn: Connection, calendar_id: int, after: int, limit: int) -> list[dict[str, Any]]:
    """The events of a calendar with an id after this one, tombstones too, in the order of ids; ``links`` has each
    item they are tied to, with its text as the remote has it.
    """
    return [
        {
            **dict(row),
            "content": loads(row["content"]),
            "links": [dict(link) for link in conn.execute(_LINKS, (row["id"],))],
        }
        for row in conn.execute(_EVENTS, (calendar_id, after, limit)).fetchall()
    ]
