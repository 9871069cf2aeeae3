"""The journal: one intent around each remote write (I4, I5).

An intent is committed before the call begins and closed in the transaction that records the call's outcome. One that
is still open at the start of a pass means: the outcome is unknown (`calhub.sync.recover`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from calhub.calendar.event import Content
from calhub.hub.jsontext import dumps, loads
from calhub.hub.links import chunks
from calhub.hub.schema import intent

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


def failed_identity(conn: Connection, replica_id: int, event_id: int) -> str | None:
    """The identity of the event's latest write, if it was a create that failed or was never answered.

    The next try takes it again: a create that arrives after all is then found, not doubled.
    """
    query = select(intent.c.op, intent.c.state, intent.c.remote_id)
    query = query.where(intent.c.replica_id == replica_id, intent.c.event_id == event_id)
    last = conn.execute(query.order_by(intent.c.id.desc()).limit(1)).one_or_none()
    return last.remote_id if last is not None and last.op == "create" and last.state in ("failed", "unknown") else None


def creates(conn: Connection, replica_id: int, remote_ids: Sequence[str]) -> dict[str, list[Intent]]:
    """The creates under these identities that were not seen to succeed, oldest first."""
    found: dict[str, list[Intent]] = {}
    for part in chunks(remote_ids):
        rows = conn.execute(
            select(intent)
            .where(intent.c.replica_id == replica_id, intent.c.remote_id.in_(part))
            .where(intent.c.op == "create", intent.c.state != "done")
            .order_by(intent.c.id)
        )
        for row in rows:
            found.setdefault(row.remote_id, []).append(_intent(row))
    return found


def rename(conn: Connection, intent_id: int, remote_id: str) -> None:
    """The service has named the created item otherwise than we did."""
    conn.execute(update(intent).where(intent.c.id == intent_id).values(remote_id=remote_id))


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
