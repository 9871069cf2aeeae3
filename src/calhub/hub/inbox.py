"""What waits for a person: conflicts, holds and quarantined items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, insert, or_, select, update

from calhub.hub.errors import InvalidValue, NotFound
from calhub.hub.jsontext import dumps, loads
from calhub.hub.schema import calendar, conflict, event, hold, observation, replica

Side = Literal["hub", "remote"]


# --- conflicts --------------------------------------------------------------------------------------------------------


def note_conflict(
    conn: Connection, replica_id: int, event_id: int, state: str, fields: list[dict[str, Any]], *, now: str
) -> None:
    """Keep the values of a clash. While one is open for the event, a newer clash is folded into it by field."""
    waiting = open_conflict(conn, replica_id, event_id) if state == "open" else None
    if waiting is None:
        conn.execute(
            insert(conflict).values(
                replica_id=replica_id, event_id=event_id, state=state, fields=dumps(fields), since=now
            )
        )
        return
    merged = {entry["name"]: entry for entry in loads(waiting.fields)}
    for entry in fields:
        base = merged.get(entry["name"], entry)["base"]
        merged[entry["name"]] = {**entry, "base": base}
    conn.execute(update(conflict).where(conflict.c.id == waiting.id).values(fields=dumps(list(merged.values()))))


def open_conflict(conn: Connection, replica_id: int, event_id: int) -> Any | None:
    return conn.execute(
        select(conflict).where(
            conflict.c.replica_id == replica_id, conflict.c.event_id == event_id, conflict.c.state == "open"
        )
    ).one_or_none()


def withheld(conn: Connection, replica_id: int) -> dict[int, frozenset[str]]:
    """For each event with an open conflict in this replica, the names of the fields that must not be pushed."""
    rows = conn.execute(
        select(conflict.c.event_id, conflict.c.fields).where(
            conflict.c.replica_id == replica_id, conflict.c.state == "open"
        )
    )
    found: dict[int, frozenset[str]] = {}
    for event_id, fields in rows:
        found[event_id] = found.get(event_id, frozenset()) | {entry["name"] for entry in loads(fields)}
    return found


def _conflicts() -> Select[Any]:
    return (
        select(conflict, event.c.uid, calendar.c.name.label("calendar"))
        .join(event, event.c.id == conflict.c.event_id)
        .join(calendar, calendar.c.id == event.c.calendar_id)
    )


def conflicts(conn: Connection, *, all_states: bool = False) -> list[dict[str, Any]]:
    """The conflicts that can still be decided or flipped, newest last, in the design's shape."""
    query = _conflicts()
    if not all_states:
        query = query.where(conflict.c.state != "resolved")
    return [_conflict_shape(row) for row in conn.execute(query.order_by(conflict.c.id))]


def conflict_row(conn: Connection, conflict_id: int) -> Any:
    row = conn.execute(_conflicts().where(conflict.c.id == conflict_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no conflict {conflict_id}.", "List them with: calhub conflict list")
    return row


def get_conflict(conn: Connection, conflict_id: int) -> dict[str, Any]:
    return _conflict_shape(conflict_row(conn, conflict_id))


def close_conflict(conn: Connection, conflict_id: int, resolution: dict[str, str], *, now: str) -> None:
    conn.execute(
        update(conflict)
        .where(conflict.c.id == conflict_id)
        .values(state="resolved", resolution=dumps(resolution), closed=now)
    )


def _conflict_shape(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "uid": row.uid,
        "calendar": row.calendar,
        "replica": row.replica_id,
        "state": row.state,
        "fields": loads(row.fields),
        "since": row.since,
    }


def open_count(conn: Connection, replica_ids: list[int]) -> int:
    """Open conflicts and waiting holds among these replicas: what makes a sync exit with 4."""
    clashes = select(func.count()).select_from(conflict)
    clashes = clashes.where(conflict.c.replica_id.in_(replica_ids), conflict.c.state == "open")
    holding = select(func.count()).select_from(hold)
    holding = holding.where(hold.c.replica_id.in_(replica_ids), hold.c.state == "waiting")
    return int(conn.execute(clashes).scalar_one()) + int(conn.execute(holding).scalar_one())


# --- holds ------------------------------------------------------------------------------------------------------------


def set_hold(
    conn: Connection, replica_id: int, side: Side, reason: str, counts: dict[str, int], plan: list[Any], *, now: str
) -> None:
    """Hold a plan back; a waiting hold of the same replica and side is brought up to date."""
    values = {
        "reason": reason,
        "creates": counts["create"],
        "updates": counts["update"],
        "deletes": counts["delete"],
        "plan": dumps(plan),
    }
    waiting = conn.execute(
        select(hold.c.id).where(hold.c.replica_id == replica_id, hold.c.side == side, hold.c.state == "waiting")
    ).scalar_one_or_none()
    if waiting is None:
        conn.execute(insert(hold).values(replica_id=replica_id, side=side, state="waiting", since=now, **values))
    else:
        conn.execute(update(hold).where(hold.c.id == waiting).values(**values))


def decided_holds(conn: Connection, replica_id: int, side: Side) -> Sequence[Any]:
    """The holds a person has released or discarded and no pass has carried out yet, oldest first."""
    return conn.execute(
        select(hold)
        .where(hold.c.replica_id == replica_id, hold.c.side == side, hold.c.state.in_(("released", "discarded")))
        .order_by(hold.c.id)
    ).all()


def finish_holds(conn: Connection, replica_id: int, side: Side, *, now: str, waiting_too: bool) -> None:
    """Close decided holds after they took effect, and waiting ones whose plan is no longer there."""
    states = ("released", "discarded", "waiting") if waiting_too else ("released", "discarded")
    conn.execute(
        update(hold)
        .where(hold.c.replica_id == replica_id, hold.c.side == side, hold.c.state.in_(states))
        .values(state="done", closed=now)
    )


def holds(conn: Connection) -> list[dict[str, Any]]:
    rows = conn.execute(select(hold).where(hold.c.state == "waiting").order_by(hold.c.id))
    return [_hold_shape(row) for row in rows]


def get_hold(conn: Connection, hold_id: int) -> dict[str, Any]:
    """The hold's shape, with what it holds back: ``plan`` is a list of [op, uid, mark]."""
    row = _hold(conn, hold_id)
    return _hold_shape(row) | {"plan": loads(row.plan)}


def release_hold(conn: Connection, hold_id: int, *, now: str) -> dict[str, Any]:
    return _decide(conn, hold_id, "released", now)


def discard_hold(conn: Connection, hold_id: int, *, now: str) -> dict[str, Any]:
    return _decide(conn, hold_id, "discarded", now)


def _decide(conn: Connection, hold_id: int, state: str, now: str) -> dict[str, Any]:
    row = _hold(conn, hold_id)
    if row.state != "waiting":
        raise InvalidValue(f"Hold {hold_id} is already {row.state}.", "List the waiting ones with: calhub hold list")
    conn.execute(update(hold).where(hold.c.id == hold_id).values(state=state, closed=now))
    return _hold_shape(_hold(conn, hold_id))


def _hold(conn: Connection, hold_id: int) -> Any:
    row = conn.execute(select(hold).where(hold.c.id == hold_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no hold {hold_id}.", "List them with: calhub hold list")
    return row


def _hold_shape(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "replica": row.replica_id,
        "side": row.side,
        "state": row.state,
        "reason": row.reason,
        "creates": row.creates,
        "updates": row.updates,
        "deletes": row.deletes,
        "since": row.since,
    }


# --- quarantine -------------------------------------------------------------------------------------------------------


def quarantine(conn: Connection, *, replica_id: int | None = None) -> list[dict[str, Any]]:
    query = _quarantine().where(observation.c.problem.is_not(None))
    if replica_id is not None:
        query = query.where(observation.c.replica_id == replica_id)
    return [_quarantine_shape(row) for row in conn.execute(query.order_by(observation.c.id))]


def get_quarantined(conn: Connection, observation_id: int) -> dict[str, Any]:
    """One quarantined item with its text as the remote holds it."""
    row = conn.execute(
        _quarantine().where(observation.c.id == observation_id, observation.c.problem.is_not(None))
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no quarantined item {observation_id}.", "List them with: calhub quarantine list")
    return _quarantine_shape(row) | {"text": row.raw}


def quarantine_count(conn: Connection, replica_id: int | None = None) -> int:
    query = select(func.count()).select_from(observation).where(observation.c.problem.is_not(None))
    if replica_id is not None:
        query = query.where(or_(observation.c.replica_id == replica_id))
    return int(conn.execute(query).scalar_one())


def _quarantine() -> Select[Any]:
    return (
        select(observation, calendar.c.name.label("calendar"))
        .join(replica, replica.c.id == observation.c.replica_id)
        .join(calendar, calendar.c.id == replica.c.calendar_id)
    )


def _quarantine_shape(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "replica": row.replica_id,
        "calendar": row.calendar,
        "remote_id": row.remote_id,
        "uid": row.uid,
        "reason": row.problem,
        "since": row.seen,
    }
