"""The journal: one intent around each remote write (I4, I5).

An intent is committed before the call begins and closed in the transaction that records the call's outcome. One that
is still open at the start of a pass means: the outcome is unknown (`calhub.sync.recover`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from calhub.calendar.event import Content
from calhub.hub import sql
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, Row

Op = Literal["create", "update", "delete"]
#: ``unknown``: no answer came, and the item has been looked at since.
Closing = Literal["done", "stale", "refused", "failed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Intent:
    id: int
    replica_id: int
    event_id: int
    uid: str
    run_id: int | None
    op: Op
    remote_id: str
    expected: str | None
    hub_rev: int
    content: Content | None
    before: Content | None
    before_raw: str | None
    after: str | None
    state: str  # as it was when read


def open_intent(
    conn: Connection,
    *,
    replica_id: int,
    event_id: int,
    uid: str,
    run_id: int | None,
    op: Op,
    remote_id: str,
    expected: str | None,
    hub_rev: int,
    content: Content | None,
    before: Content | None,
    before_raw: str | None,
    now: str,
) -> Intent:
    """Journal a write that is about to be made. Fails if the event has one open in this replica already."""
    values = {
        "replica_id": replica_id,
        "event_id": event_id,
        "uid": uid,
        "run_id": run_id,
        "op": op,
        "remote_id": remote_id,
        "expected": expected,
        "hub_rev": hub_rev,
        "content": None if content is None else dumps(content),
        "before": None if before is None else dumps({"content": before, "raw": before_raw}),
        "state": "open",
        "created": now,
    }
    row = sql.first(conn, f"{_INTENTS} WHERE id = ?", (sql.insert(conn, "intent", values),))
    assert row is not None
    return _intent(row)


def close_intent(
    conn: Connection, intent_id: int, state: Closing, *, now: str, after: str | None = None, error: str | None = None
) -> None:
    conn.execute(
        "UPDATE intent SET state = ?, closed = ?, after = ?, error = ? WHERE id = ? AND state = 'open'",
        (state, now, after, error, intent_id),
    )


def failed_identity(conn: Connection, replica_id: int, event_id: int) -> str | None:
    """The identity of the event's latest write, if it was a create that failed or was never answered.

    The next try takes it again: a create that arrives after all is then found, not doubled.
    """
    query = "SELECT op, state, remote_id FROM intent WHERE replica_id = ? AND event_id = ? ORDER BY id DESC LIMIT 1"
    op, state, remote_id = sql.first(conn, query, (replica_id, event_id)) or (None, None, None)
    return remote_id if op == "create" and state in ("failed", "unknown") else None


def creates(conn: Connection, replica_id: int, remote_ids: Sequence[str]) -> dict[str, list[Intent]]:
    """The creates under these identities that were not seen to succeed, oldest first."""
    found: dict[str, list[Intent]] = {}
    where = f"replica_id = ? AND {sql.within('remote_id')} AND op = 'create' AND state != 'done'"
    query = f"{_INTENTS} WHERE {where} ORDER BY id"
    for each in map(_intent, conn.execute(query, (replica_id, dumps(remote_ids)))):
        found.setdefault(each.remote_id, []).append(each)
    return found


def open_intents(conn: Connection, replica_id: int) -> list[Intent]:
    query = f"{_INTENTS} WHERE replica_id = ? AND state = 'open' ORDER BY id"
    return [_intent(row) for row in conn.execute(query, (replica_id,))]


def done_intents(conn: Connection, run_id: int) -> list[Intent]:
    """The writes a run made at its remote, oldest first."""
    query = f"{_INTENTS} WHERE run_id = ? AND state = 'done' ORDER BY id"
    return [_intent(row) for row in conn.execute(query, (run_id,))]


_INTENTS: Final = (
    "SELECT id, replica_id, event_id, uid, run_id, op, remote_id, expected, hub_rev, content, before, after, state "
    "FROM intent"
)


def _intent(row: Row) -> Intent:
    before = loads(row["before"]) if row["before"] else {"content": None, "raw": None}
    content = None if row["content"] is None else loads(row["content"])
    values = {**dict(row), "content": content, "before": before["content"], "before_raw": before["raw"]}
    return Intent(**values)
