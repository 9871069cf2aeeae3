"""Messages to endpoints: cut from the change log, kept until they have been delivered.

The change log is the queue. A message is cut and the endpoint's place in the log moved on in one transaction, so a
crash loses no change and puts none into two messages. Only so many messages of an endpoint wait at a time; what else
happened stays in the log, which keeps it for them (`calhub.hub.retention`), and goes into fuller messages later.

Delivery is at least once: a message keeps its id in every attempt, so that receivers can tell a repetition.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from calhub.hub import changes, endpoints, sql
from calhub.hub.database import instant
from calhub.hub.endpoints import LOST, Endpoint
from calhub.hub.errors import InvalidValue, NotFound
from calhub.hub.jsontext import dumps
from calhub.hub.sql import Connection

State = Literal["pending", "delivered", "dead"]

#: Changes in one message: about 16 kB, as Standard Webhooks would have messages below 20 kB.
MOST_ITEMS: Final = 100
#: Messages of an endpoint that wait at a time.
MOST_WAITING: Final = 100
#: That a message was delivered is kept for so long.
KEPT: Final = timedelta(days=1)

_FIELDS: Final = "id, endpoint_id AS webhook, type, state, attempts, next_try, tried, status, error, created"


@dataclass(frozen=True)
class Due:
    """A message whose time has come."""

    id: str
    endpoint_id: int
    body: str
    attempts: int
    failing_since: str | None  # of the endpoint


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of an attempt. ``next_try`` is None unless the state is pending; until ``rests_until`` no message goes
    to the endpoint; ``disabled`` is why it is told nothing any more.
    """

    state: State
    status: int | None = None
    error: str | None = None
    next_try: str | None = None
    rests_until: str | None = None
    disabled: str | None = None


def behind(conn: Connection, seq: int) -> list[int]:
    """The active endpoints that have not been told everything up to this change and may have one more message."""
    query = (
        "SELECT id FROM endpoint WHERE state = 'active' AND seq < ? AND "
        "(SELECT count(*) FROM message WHERE endpoint_id = endpoint.id AND state = 'pending') < ? ORDER BY id"
    )
    return sql.column(conn, query, (seq, MOST_WAITING))


def cut(conn: Connection, endpoint_id: int, now: datetime) -> None:
    """Make the next message of an endpoint that is `behind`, if any of its calendars changed."""
    of = endpoints.endpoint(conn, endpoint_id)
    last = changes.last_seq(conn)
    if not changes.is_whole_after(conn, of.seq):
        _store(conn, of, "changes.lost", {"seq": last}, now)
    else:
        chosen = endpoints.calendar_ids(conn, of)
        items = changes.log_after(conn, of.seq, MOST_ITEMS, chosen)
        if items:
            _store(conn, of, "changes", {"items": [_told(each) for each in items]}, now)
        if len(items) == MOST_ITEMS:
            last = items[-1]["seq"]
    sql.update(conn, "endpoint", of.id, {"seq": last})


def body(kind: str, data: dict[str, Any], now: datetime) -> str:
    """A message as it is sent."""
    return dumps({"type": kind, "timestamp": instant(now), "data": data})


def new_id() -> str:
    """The id of a message: opaque, without a full stop."""
    return f"msg_{secrets.token_hex(16)}"


def due(conn: Connection, now: str, busy: Collection[int]) -> list[Due]:
    """The message to be sent next for each endpoint that is neither resting nor among the ``busy``, the longest due
    first.
    """
    query = (
        "SELECT m.id, m.endpoint_id, m.body, m.attempts, e.failing_since FROM endpoint e JOIN message m ON m.number = "
        "(SELECT number FROM message WHERE endpoint_id = e.id AND state = 'pending' AND next_try <= :now "
        "ORDER BY next_try, number LIMIT 1) WHERE e.state = 'active' AND coalesce(e.rests_until, '') <= :now "
        "AND e.id NOT IN (SELECT value FROM json_each(:busy)) ORDER BY m.next_try, m.number"
    )
    return [Due(**dict(row)) for row in conn.execute(query, {"now": now, "busy": dumps(sorted(busy))})]


def next_due(conn: Connection, busy: Collection[int]) -> str | None:
    """When the next message is due, of endpoints that are not ``busy``; None where none waits."""
    query = (
        "SELECT min(max(m.next_try, coalesce(e.rests_until, ''))) FROM message m "
        "JOIN endpoint e ON e.id = m.endpoint_id WHERE m.state = 'pending' AND e.state = 'active' "
        f"AND NOT {sql.within('e.id')}"
    )
    found: str | None = sql.value(conn, query, (dumps(sorted(busy)),))
    return found


def attempted(conn: Connection, of: Due, result: Result, now: str) -> None:
    """Note what came of an attempt. Nothing happens where the message is gone, or was settled meanwhile."""
    row = {
        "state": result.state, "attempts": of.attempts + 1, "next_try": result.next_try, "tried": now,
        "status": result.status, "error": result.error,
    }  # fmt: skip
    columns = ", ".join(f"{name} = :{name}" for name in row)
    # What was delivered is not sent again, so its text need not be kept.
    change = f"UPDATE message SET {columns}, body = iif(:state = 'delivered', NULL, body)"
    noted = conn.execute(f"{change} WHERE id = :id AND state = 'pending'", row | {"id": of.id})
    if not noted.rowcount:
        return
    delivered = result.state == "delivered"
    conn.execute(
        "UPDATE endpoint SET failing_since = iif(?, NULL, coalesce(failing_since, ?)), rests_until = ? WHERE id = ?",
        (delivered, now, result.rests_until, of.endpoint_id),
    )
    if result.disabled is not None:
        endpoints.disable(conn, of.endpoint_id, result.disabled)


def messages(
    conn: Connection,
    limit: int,
    *,
    endpoint_id: int | None = None,
    state: State | None = None,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """The latest messages, newest first, or those before the one with this ``number``, without their texts."""
    query = (
        f"SELECT number, {_FIELDS} FROM message WHERE (:endpoint IS NULL OR endpoint_id = :endpoint) "
        "AND (:state IS NULL OR state = :state) AND (:before IS NULL OR number < :before) "
        "ORDER BY number DESC LIMIT :limit"
    )
    values = {"endpoint": endpoint_id, "state": state, "before": before, "limit": limit}
    return [dict(row) for row in conn.execute(query, values)]


def resend(conn: Connection, message_id: str, now: str) -> dict[str, Any]:
    """Have a message sent now, as if for the first time but under its id; returns its shape.

    Raises `NotFound`, and `InvalidValue` for one that was delivered or whose endpoint is disabled.
    """
    row = sql.first(conn, f"SELECT {_FIELDS} FROM message WHERE id = ?", (message_id,))
    if row is None:
        raise NotFound(f"There is no message {message_id}.", "List them with: calhub webhook messages")
    if row["state"] == "delivered":
        raise InvalidValue(f"The message {message_id} was delivered, and is not kept.")
    _ensure_active(conn, row["webhook"])
    _revive(conn, "id = ?", message_id, now)
    return dict(row) | {"state": "pending", "attempts": 0, "next_try": now}


def resend_dead(conn: Connection, endpoint_id: int, now: str) -> int:
    """Likewise for all dead messages of an endpoint; returns how many. Raises `NotFound` and `InvalidValue`."""
    _ensure_active(conn, endpoint_id)
    return _revive(conn, "endpoint_id = ? AND state = 'dead'", endpoint_id, now)


def drop_delivered(conn: Connection, now: datetime) -> None:
    """Forget what was delivered more than a day ago."""
    conn.execute("DELETE FROM message WHERE state = 'delivered' AND tried < ?", (instant(now - KEPT),))


def drop_expired(conn: Connection, before: str) -> None:
    """Forget dead messages last tried before this instant, and older ones that wait for a disabled endpoint.

    Such an endpoint has lost changes, and is told so should it be enabled.
    """
    conn.execute("DELETE FROM message WHERE state = 'dead' AND tried < ?", (before,))
    stale = "state = 'pending' AND created < ? AND endpoint_id IN (SELECT id FROM endpoint WHERE state = 'disabled')"
    conn.execute(
        f"UPDATE endpoint SET seq = {LOST} WHERE id IN (SELECT endpoint_id FROM message WHERE {stale})", (before,)
    )
    conn.execute(f"DELETE FROM message WHERE {stale}", (before,))


def _store(conn: Connection, of: Endpoint, kind: str, data: dict[str, Any], now: datetime) -> None:
    row = {
        "id": new_id(), "endpoint_id": of.id, "type": kind, "body": body(kind, data, now), "next_try": instant(now),
        "created": instant(now),
    }  # fmt: skip
    sql.insert(conn, "message", row)


def _told(change: dict[str, Any]) -> dict[str, Any]:
    """A change as it leaves the house: ``attendees/ann@example.org`` and the like would name people."""
    return change | {"fields": sorted({name.partition("/")[0] for name in change["fields"]})}


def _ensure_active(conn: Connection, endpoint_id: int) -> None:
    if endpoints.endpoint(conn, endpoint_id).state != "active":
        raise InvalidValue(f"Webhook {endpoint_id} is disabled.", f"Run: calhub webhook enable {endpoint_id}")


def _revive(conn: Connection, condition: str, value: str | int, now: str) -> int:
    statement = f"UPDATE message SET state = 'pending', attempts = 0, next_try = ? WHERE {condition}"
    return conn.execute(statement, (now, value)).rowcount
