"""What waits for a person: conflicts, holds, dead letters and quarantined items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from calhub.hub import audit, sql
from calhub.hub.errors import InvalidValue, NotFound
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, Row

Side = Literal["hub", "remote"]


# --- conflicts --------------------------------------------------------------------------------------------------------


def note_conflict(
    conn: Connection, replica_id: int, event_id: int, state: str, fields: list[dict[str, Any]], *, now: str
) -> None:
    """Keep the values of a clash. While one is open for the event, a newer clash is folded into it by field.

    The side that has deleted the event has no values any more; what it had in the older clash stays.
    """
    waiting = open_conflict(conn, replica_id, event_id) if state == "open" else None
    if waiting is None:
        values = {"replica_id": replica_id, "event_id": event_id, "state": state, "fields": dumps(fields), "since": now}
        sql.insert(conn, "conflict", values)
        return
    merged = {entry["name"]: entry for entry in loads(waiting["fields"])}
    sides = next((entry for entry in fields if entry["name"] == "deleted"), {})
    for entry in fields:
        older = merged.get(entry["name"], entry)
        gone = {side: older[side] for side in ("hub", "remote") if sides.get(side) and entry is not sides}
        merged[entry["name"]] = {**entry, **gone, "base": older["base"]}
    sql.update(conn, "conflict", waiting["id"], {"fields": dumps(list(merged.values()))})


def open_conflict(conn: Connection, replica_id: int, event_id: int) -> Row | None:
    query = "SELECT * FROM conflict WHERE replica_id = ? AND event_id = ? AND state = 'open'"
    return sql.first(conn, query, (replica_id, event_id))


def withheld(conn: Connection, replica_id: int) -> dict[int, frozenset[str]]:
    """For each event with an open conflict in this replica, the names of the fields that must not be pushed."""
    rows = conn.execute("SELECT event_id, fields FROM conflict WHERE replica_id = ? AND state = 'open'", (replica_id,))
    found: dict[int, frozenset[str]] = {}
    for event_id, fields in rows:
        found[event_id] = found.get(event_id, frozenset()) | {entry["name"] for entry in loads(fields)}
    return found


_CONFLICTS: Final = (
    "SELECT k.*, e.uid, c.name AS calendar FROM conflict k JOIN event e ON e.id = k.event_id "
    "JOIN calendar c ON c.id = e.calendar_id"
)


def conflicts(conn: Connection, *, all_states: bool = False) -> list[dict[str, Any]]:
    """The conflicts that can still be decided or flipped, newest last, in the design's shape."""
    where = "" if all_states else "WHERE k.state != 'resolved'"
    return [_conflict_shape(row) for row in conn.execute(f"{_CONFLICTS} {where} ORDER BY k.id")]


def conflict_row(conn: Connection, conflict_id: int) -> Row:
    row = sql.first(conn, f"{_CONFLICTS} WHERE k.id = ?", (conflict_id,))
    if row is None:
        raise NotFound(f"There is no conflict {conflict_id}.", "List them with: calhub conflict list")
    return row


def get_conflict(conn: Connection, conflict_id: int) -> dict[str, Any]:
    return _conflict_shape(conflict_row(conn, conflict_id))


def close_conflict(conn: Connection, conflict_id: int, resolution: dict[str, str], *, now: str) -> None:
    sql.update(conn, "conflict", conflict_id, {"state": "resolved", "resolution": dumps(resolution), "closed": now})


def _conflict_shape(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "uid": row["uid"],
        "calendar": row["calendar"],
        "replica": row["replica_id"],
        "state": row["state"],
        "fields": loads(row["fields"]),
        "since": row["since"],
    }


def open_count(conn: Connection, replica_ids: list[int]) -> int:
    """Open conflicts and waiting holds among these replicas: what makes a sync exit with 4."""
    query = (
        f"SELECT (SELECT count(*) FROM conflict WHERE state = 'open' AND {sql.within('replica_id')}) "
        f"+ (SELECT count(*) FROM hold WHERE state = 'waiting' AND {sql.within('replica_id')})"
    )
    return int(sql.value(conn, query, (dumps(replica_ids),) * 2))


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
    query = "SELECT id FROM hold WHERE replica_id = ? AND side = ? AND state = 'waiting'"
    waiting = sql.value(conn, query, (replica_id, side))
    if waiting is None:
        sql.insert(conn, "hold", {"replica_id": replica_id, "side": side, "state": "waiting", "since": now, **values})
    else:
        sql.update(conn, "hold", waiting, values)


def decided_holds(conn: Connection, replica_id: int, side: Side) -> list[Row]:
    """The holds a person has released or discarded and no pass has carried out yet, oldest first."""
    query = "SELECT * FROM hold WHERE replica_id = ? AND side = ? AND state IN ('released', 'discarded') ORDER BY id"
    return conn.execute(query, (replica_id, side)).fetchall()


def finish_holds(
    conn: Connection, replica_id: int, side: Side, *, now: str,
    states: Sequence[str] = ("released", "discarded", "waiting"),
) -> None:  # fmt: skip
    """Close decided holds after they took effect, and waiting ones whose plan is no longer there."""
    conn.execute(
        f"UPDATE hold SET state = 'done', closed = ? WHERE replica_id = ? AND side = ? AND {sql.within('state')}",
        (now, replica_id, side, dumps(list(states))),
    )


def holds(conn: Connection) -> list[dict[str, Any]]:
    return [_hold_shape(row) for row in conn.execute("SELECT * FROM hold WHERE state = 'waiting' ORDER BY id")]


def get_hold(conn: Connection, hold_id: int) -> dict[str, Any]:
    """The hold's shape, with what it holds back: ``plan`` is a list of [op, uid, mark]."""
    row = _hold(conn, hold_id)
    return _hold_shape(row) | {"plan": loads(row["plan"])}


def release_hold(conn: Connection, hold_id: int, *, now: str) -> dict[str, Any]:
    return _decide(conn, hold_id, "released", now)


def discard_hold(conn: Connection, hold_id: int, *, now: str) -> dict[str, Any]:
    return _decide(conn, hold_id, "discarded", now)


def _decide(conn: Connection, hold_id: int, state: str, now: str) -> dict[str, Any]:
    row = _hold(conn, hold_id)
    if row["state"] != "waiting":
        raise InvalidValue(f"Hold {hold_id} is already {row['state']}.", "List the waiting ones with: calhub hold list")
    sql.update(conn, "hold", hold_id, {"state": state, "closed": now})
    audit.note(conn, f"hold {state}", hold=hold_id, replica=row["replica_id"])
    return _hold_shape(_hold(conn, hold_id))


def _hold(conn: Connection, hold_id: int) -> Row:
    row = sql.first(conn, "SELECT * FROM hold WHERE id = ?", (hold_id,))
    if row is None:
        raise NotFound(f"There is no hold {hold_id}.", "List them with: calhub hold list")
    return row


def _hold_shape(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "replica": row["replica_id"],
        "side": row["side"],
        "state": row["state"],
        "reason": row["reason"],
        "creates": row["creates"],
        "updates": row["updates"],
        "deletes": row["deletes"],
        "since": row["since"],
    }


# --- dead letters -----------------------------------------------------------------------------------------------------


def dead_letters(conn: Connection, *, uid: str | None = None, calendar_id: int | None = None) -> list[dict[str, Any]]:
    """Writes that were given up: refused for good, or failed too often. All, or those of an event or a calendar.

    ``since`` is when the change was made that has not been written: a newer one would have been tried at once.
    """
    rows = conn.execute(_DEAD_LETTERS, {"uid": uid, "calendar": calendar_id})
    return [dict(row) for row in rows]


def retry_dead_letters(
    conn: Connection, *, uid: str | None = None, calendar_id: int | None = None, now: str
) -> list[dict[str, Any]]:
    """Have the next push try them once more; returns them as they were. Raises `NotFound` for an event without any."""
    found = dead_letters(conn, uid=uid, calendar_id=calendar_id)
    if uid is not None and not found:
        raise NotFound(f'No write of the event "{uid}" was given up.', "List those with: calhub dead-letter list")
    for each in found:
        conn.execute(_RETRY, (now, each["replica"], each["uid"], each["calendar"]))
        audit.note(conn, "dead letter retried", replica=each["replica"], uid=each["uid"])
    return found


_DEAD_LETTERS: Final = (
    "SELECT e.uid, c.name AS calendar, a.name AS account, t.replica_id AS replica, "
    "CASE WHEN e.deleted THEN 'delete' WHEN l.id IS NULL THEN 'create' ELSE 'update' END AS op, "
    "t.attempts, t.error, max(e.updated, r.created) AS since FROM retry t "
    "JOIN event e ON e.id = t.event_id JOIN calendar c ON c.id = e.calendar_id "
    "JOIN replica r ON r.id = t.replica_id JOIN account a ON a.id = r.account_id "
    "LEFT JOIN link l ON l.replica_id = t.replica_id AND l.event_id = t.event_id "
    "WHERE t.next_try IS NULL AND (:uid IS NULL OR e.uid = :uid) AND (:calendar IS NULL OR c.id = :calendar) "
    "ORDER BY t.replica_id, e.uid"
)
_RETRY: Final = (
    "UPDATE retry SET next_try = ? WHERE next_try IS NULL AND replica_id = ? AND event_id = "
    "(SELECT e.id FROM event e JOIN calendar c ON c.id = e.calendar_id WHERE e.uid = ? AND c.name = ?)"
)


# --- quarantine -------------------------------------------------------------------------------------------------------


def quarantine(conn: Connection, *, replica_id: int | None = None) -> list[dict[str, Any]]:
    query = f"{_QUARANTINE} AND {_OF_REPLICA} ORDER BY o.id"
    return [_quarantine_shape(row) for row in conn.execute(query, {"replica": replica_id})]


def get_quarantined(conn: Connection, observation_id: int) -> dict[str, Any]:
    """One quarantined item with its text as the remote holds it."""
    row = sql.first(conn, f"{_QUARANTINE} AND o.id = ?", (observation_id,))
    if row is None:
        raise NotFound(f"There is no quarantined item {observation_id}.", "List them with: calhub quarantine list")
    return _quarantine_shape(row) | {"text": row["raw"]}


def quarantine_count(conn: Connection, replica_id: int | None = None) -> int:
    query = f"SELECT count(*) FROM observation o WHERE o.problem IS NOT NULL AND {_OF_REPLICA}"
    return int(sql.value(conn, query, {"replica": replica_id}))


_QUARANTINE: Final = (
    "SELECT o.*, c.name AS calendar FROM observation o JOIN replica r ON r.id = o.replica_id "
    "JOIN calendar c ON c.id = r.calendar_id WHERE o.problem IS NOT NULL"
)
_OF_REPLICA: Final = "(:replica IS NULL OR o.replica_id = :replica)"


def _quarantine_shape(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "replica": row["replica_id"],
        "calendar": row["calendar"],
        "remote_id": row["remote_id"],
        "uid": row["uid"],
        "reason": row["problem"],
        "since": row["seen"],
    }
