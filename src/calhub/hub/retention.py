"""What the hub may forget: old runs, the journal and change log that only those need, rows that belong to nothing."""

from __future__ import annotations

from typing import Final

from calhub.hub import changes, messages, removed
from calhub.hub.sql import Connection

#: Kept of each replica, however old.
KEEP_RUNS: Final = 100
#: Kept however many.
KEEP_DAYS: Final = 30

_RUNS: Final = (
    "DELETE FROM run WHERE started < :before AND id IN (SELECT id FROM (SELECT id, row_number() OVER "
    "(PARTITION BY replica_id ORDER BY id DESC) AS place FROM run) WHERE place > :keep)"
)
# An intent that failed is needed while its event waits for another try: that goes out under the same identity.
_INTENTS: Final = (
    "DELETE FROM intent WHERE state <> 'open' AND closed < :before "
    "AND (run_id IS NULL OR run_id NOT IN (SELECT id FROM run)) AND NOT EXISTS "
    "(SELECT 1 FROM retry WHERE retry.replica_id = intent.replica_id AND retry.event_id = intent.event_id)"
)
# Replicas that only pull never read the log. Of events that wait to be written, the log tells who asked for it.
_CHANGES: Final = (
    "at < :before AND (run_id IS NULL OR run_id NOT IN (SELECT id FROM run)) "
    "AND seq <= (SELECT coalesce(min(seen), 9223372036854775807) FROM "
    "(SELECT hub_seq AS seen FROM replica WHERE direction <> 'pull' UNION ALL SELECT seq FROM rule "
    "UNION ALL SELECT seq FROM endpoint WHERE state = 'active')) "
    "AND event_id NOT IN (SELECT event_id FROM retry UNION SELECT id FROM event WHERE deleted = 1)"
)
_OF_REPLICAS: Final = ("link", "observation", "retry", "intent", "conflict", "hold")


def drop_expired(conn: Connection, *, keep_runs: int, before: str) -> dict[str, int]:
    """Drop runs that are neither among the last ``keep_runs`` of their replica nor younger than ``before``, then what
    is older than ``before`` and needed by no run that is left, no replica, no rule and no active endpoint. Returns how
    many rows, by table.
    """
    values = {"before": before, "keep": keep_runs}
    counts = {
        "runs": conn.execute(_RUNS, values).rowcount,
        "intents": conn.execute(_INTENTS, values).rowcount,
        "changes": changes.forget(conn, _CHANGES, values),
    }
    removed.drop_expired(conn)
    messages.drop_expired(conn, before)
    return counts


def drop_strays(conn: Connection) -> dict[str, int]:
    """Drop rows of replicas that are gone, links of events that are. The database keeps such rows from arising; one
    that was repaired by hand may have them. Returns how many rows, by table.
    """
    gone = "replica_id NOT IN (SELECT id FROM replica)"
    counts = {each: conn.execute(f"DELETE FROM {each} WHERE {gone}").rowcount for each in _OF_REPLICAS}
    counts["link"] += conn.execute("DELETE FROM link WHERE event_id NOT IN (SELECT id FROM event)").rowcount
    return counts
