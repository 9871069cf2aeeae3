"""Replicas that have not gone through a whole pass since the hub was put back from a backup.

Such a hub is older than its remotes, and may be wrong about what it would delete there. Each of these replicas has a
row of ``meta``, ``restored:ID``, with the hub's last ``seq`` at that moment; what a person does afterwards has a later
one.
"""

from __future__ import annotations

import sqlite3

from calhub.hub.sql import Connection, value

_ONE = "restored:{}"


def mark_all(db: sqlite3.Connection) -> None:
    """Have every replica read its remote from the beginning, and remember why; part of the caller's transaction."""
    db.execute("UPDATE replica SET cursor = NULL, phase = 'initial'")
    db.execute("UPDATE observation SET pending = 1")
    db.execute("UPDATE endpoint SET seq = -1")  # they were told of what this hub does not know
    db.execute(
        "INSERT OR REPLACE INTO meta (key, value) "
        "SELECT 'restored:' || id, (SELECT coalesce(max(seq), 0) FROM change) FROM replica"
    )


def since(conn: Connection, replica_id: int) -> int | None:
    """The hub's ``seq`` when it was restored; None once the replica has gone through a pass, or without a restore."""
    found = value(conn, "SELECT value FROM meta WHERE key = ?", (_ONE.format(replica_id),))
    return None if found is None else int(found)


def over(conn: Connection, replica_id: int) -> None:
    """The replica has gone through: from now on it is like any other."""
    conn.execute("DELETE FROM meta WHERE key = ?", (_ONE.format(replica_id),))
