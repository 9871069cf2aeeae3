"""The journal: one intent around each remote write (I4, I5).

An intent is committed before the call begins and closed in the transaction that records the call's outcome. One that
is still open at the start of a pass means: the outcome is unknown (`calhub.sync.recover`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from calhub.calendar.event import Content
from calhub.hub.jsontext import dumps, loads
from calhub.hub.schema import intent

Op = Literal["create", "update", "delete"]
Closing = Literal["done", "stale", "refused", "failed"]


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
    row = conn.execute(
        insert(intent).returning(intent),
        {
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
        },
    ).one()
    return _intent(row)


def close_intent(
    conn: Connection, intent_id: int, state: Closing, *, now: str, after: str | None = None, error: str | None = None
) -> None:
    conn.execute(
        update(intent)
        .where(intent.c.id == intent_id, intent.c.state == "open")
        .values(state=state, closed=now, after=after, error=error)
    )


def failed_create(conn: Connection, replica_id: int, event_id: int, *, before: int | None = None) -> Intent | None:
    """The event's latest write (before the intent given), if it was a create that failed.

    The next try takes its identity: a create that arrives after all is then found, not doubled.
    """
    query = select(intent).where(intent.c.replica_id == replica_id, intent.c.event_id == event_id)
    if before is not None:
        query = query.where(intent.c.id < before)
    last = conn.execute(query.order_by(intent.c.id.desc()).limit(1)).one_or_none()
    return _intent(last) if last is not None and (last.op, last.state) == ("create", "failed") else None


def open_intents(conn: Connection, replica_id: int) -> list[Intent]:
    rows = conn.execute(
        select(intent).where(intent.c.replica_id == replica_id, intent.c.state == "open").order_by(intent.c.id)
    )
    return [_intent(row) for row in rows]


def done_intents(conn: Connection, run_id: int) -> list[Intent]:
    """The writes a run made at its remote, oldest first."""
    rows = conn.execute(select(intent).where(intent.c.run_id == run_id, intent.c.state == "done").order_by(intent.c.id))
    return [_intent(row) for row in rows]


def _intent(row: Any) -> Intent:
    before = loads(row.before) if row.before else {"content": None, "raw": None}
    return Intent(
        id=row.id,
        replica_id=row.replica_id,
        event_id=row.event_id,
        uid=row.uid,
        run_id=row.run_id,
        op=row.op,
        remote_id=row.remote_id,
        expected=row.expected,
        hub_rev=row.hub_rev,
        content=None if row.content is None else loads(row.content),
        before=before["content"],
        before_raw=before["raw"],
        after=row.after,
        state=row.state,
    )
