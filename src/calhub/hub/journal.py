"""The journal: one intent around each remote write (I4, I5).

An intent is committed before the call begins and closed in the transaction that records the call's outcome. One that
is still open at the start of a pass means: the outcome is unknown (`calhub.sync.recover`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from calhub.calendar.event import Content
from calhub.hub import audit, sql
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
    closing = (
        "UPDATE intent SET state = ?, closed = ?, after = ?, error = ? WHERE id = ? AND state = 'open' "
        "RETURNING replica_id, uid, op, run_id"
    )
    row = sql.first(conn, closing, (state, now, after, error, intent_id))
    if row is not None:
        audit.note(
            conn, "write", replica=row["replica_id"], uid=row["uid"], op=row["op"], run=row["run_id"], outcome=state
        )


def arrived(conn: Connection, replica_id: int, identity: str, version: str | None, *, now: str) -> None:
    """Record that a create under this identity was done after all: its item has been found, at this version."""
    latest = "SELECT max(id) FROM intent WHERE replica_id = ? AND remote_id = ? AND op = 'create'"
    conn.execute(
        f"UPDATE intent SET state = 'done', closed = ?, after = ?, error = NULL WHERE id = ({latest})",
        (now, version, replica_id, identity),
    )


def failed_identity(conn: Connection, replica_id: int, event_id: int) -> str | None:
    """The identity of the event's latest write, if it was a create that failed or was never answered.

    The next try takes it again: a create that arrives after all is then found, not doubled.
    """
    query = "SELECT op, state, remote_id FROM intent WHERE replica_id = ? AND event_id = ? ORDER BY id DESC LIMIT 1"
    op, state, remote_id = sql.first(conn, query, (replica_id, event_id)) or (None, None, None)
    return remote_id if op == "create" and state in ("failed", "unknown") else None


def creates(conn: Connection, replica_id: int, identities: Sequence[str]) -> dict[str, list[Intent]]:
    """The creates under these identities, by identity, oldest first; none from before one that was seen to be done."""
    return _creates(conn, replica_id, "remote_id", identities)


def creates_of(conn: Connection, replica_id: int, event_ids: Sequence[int]) -> dict[str, list[Intent]]:
    """The same for the creates of these events."""
    return _creates(conn, replica_id, "event_id", event_ids)


def _creates(
    conn: Connection, replica_id: int, column: str, keys: Sequence[str] | Sequence[int]
) -> dict[str, list[Intent]]:
    found: dict[str, list[Intent]] = {}
    query = f"{_INTENTS} WHERE replica_id = ? AND {sql.within(column)} AND op = 'create' ORDER BY id"
    for each in map(_intent, conn.execute(query, (replica_id, dumps(keys)))):
        if each.state == "done":
            found.pop(each.remote_id, None)
        else:
            found.setdefault(each.remote_id, []).append(each)
    return found


def rename(conn: Connection, intent_id: int, remote_id: str) -> None:
    """The service has named the created item otherwise than we did."""
    sql.update(conn, "intent", intent_id, {"remote_id": remote_id})


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
