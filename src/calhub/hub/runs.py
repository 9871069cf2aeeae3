"""Runs (the history of passes) and the answers to "how is it going": `why` and `status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from calhub.hub import accounts, audit, endpoints, inbox, modes, rules, sql
from calhub.hub.database import instant
from calhub.hub.errors import NotFound
from calhub.hub.events import StoredEvent
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, Row

COUNTERS = ("created", "updated", "deleted")


def empty_counts() -> dict[str, Any]:
    return {
        "pulled": dict.fromkeys(COUNTERS, 0),
        "pushed": dict.fromkeys(COUNTERS, 0),
        "conflicts": 0,
        "held": 0,
        "quarantined": 0,
    }


def start_run(conn: Connection, of: accounts.Replica, *, kind: str, now: str) -> int:
    """Begin a run of a replica and return its id."""
    names = {"account": of.account, "calendar": of.calendar, "remote": of.remote_name}
    return sql.insert(conn, "run", {"replica_id": of.id, **names, "kind": kind, "started": now})


def start_hub_run(conn: Connection, calendar: str, *, kind: str, now: str) -> int:
    """Begin a run that works in the hub only; ``calendar`` is empty for one that is about several."""
    names = {"account": "", "calendar": calendar, "remote": ""}
    return sql.insert(conn, "run", {**names, "kind": kind, "started": now})


def finish_run(
    conn: Connection,
    run_id: int,
    *,
    status: str,
    counts: dict[str, Any],
    errors: list[dict[str, Any]],
    requests: int,
    duration_ms: int,
    now: str,
) -> None:
    values = {
        "status": status,
        "counts": dumps(counts),
        "errors": dumps(errors),
        "requests": requests,
        "duration_ms": duration_ms,
        "finished": now,
    }
    sql.update(conn, "run", run_id, values)
    row = run_row(conn, run_id)
    moved = {
        f"{way} {what}": counts[way][what] for way in ("pulled", "pushed") for what in COUNTERS if counts[way][what]
    }
    if moved or status != "ok" or row["kind"] != "sync":  # a pass that found nothing to do is in the history only
        what = "pass" if row["kind"] == "sync" else row["kind"]
        audit.note(conn, what, run=run_id, account=row["account"], calendar=row["calendar"], status=status, **moved)


def run_shape(row: Row) -> dict[str, Any]:
    """The design's run shape; a run that was cut off reads as failed."""
    return {
        "id": row["id"],
        "account": row["account"],
        "calendar": row["calendar"],
        "remote": row["remote"],
        "kind": row["kind"],
        "status": row["status"] or "failed",
        **(empty_counts() | loads(row["counts"])),
        "errors": loads(row["errors"]),
        "requests": row["requests"],
        "duration_ms": row["duration_ms"] or 0,
        "dry_run": False,
        "started": row["started"],
    }


def history(conn: Connection, limit: int = 20, before: int | None = None) -> list[dict[str, Any]]:
    """The last runs, or those before the run with this id; newest first."""
    query = "SELECT * FROM run WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?"
    return [run_shape(row) for row in conn.execute(query, (before, before, limit))]


def trend(conn: Connection, now: datetime, hours: int) -> dict[str, Any]:
    """Passes that ended in the last hours: ``{"hours", "passes", "success_rate"}``, by the hour (UTC) they began in.

    A pass that a guard held has succeeded. ``changes`` counts events changed on either side.
    """
    rows = conn.execute(_TREND, (instant(now - timedelta(hours=hours)),)).fetchall()
    passes, succeeded = (sum(row[name] for row in rows) for name in ("passes", "succeeded"))
    return {
        "hours": [{**dict(row), "mean_ms": round(row["mean_ms"], 1)} for row in rows],
        "passes": passes,
        "success_rate": succeeded / passes if passes else None,
    }


_CHANGES: Final = " + ".join(
    f"coalesce(json_extract(counts, '$.{way}.{what}'), 0)" for way in ("pulled", "pushed") for what in COUNTERS
)
_TREND: Final = (
    "SELECT substr(started, 1, 13) || ':00:00.000Z' AS hour, count(*) AS passes, "
    f"sum(status <> 'failed') AS succeeded, sum({_CHANGES}) AS changes, avg(duration_ms) AS mean_ms "
    "FROM run WHERE kind = 'sync' AND status IS NOT NULL AND started >= ? GROUP BY hour ORDER BY hour"
)


def last_id(conn: Connection) -> int:
    """The id of the latest run; 0 before the first."""
    return int(sql.value(conn, "SELECT coalesce(max(id), 0) FROM run"))


def since(conn: Connection, after: int, ids: Iterable[int]) -> list[Row]:
    """The runs after one, and those with these ids, oldest first."""
    query = f"SELECT * FROM run WHERE id > ? OR {sql.within('id')} ORDER BY id"
    return conn.execute(query, (after, dumps(list(ids)))).fetchall()


def last_sync(conn: Connection, replica_id: int) -> Row | None:
    """The newest run of a sync over this replica: its row of the history, None before the first."""
    newest = "SELECT * FROM run WHERE replica_id = ? AND kind = 'sync' ORDER BY id DESC LIMIT 1"
    return sql.first(conn, newest, (replica_id,))


def run_row(conn: Connection, run_id: int) -> Row:
    row = sql.first(conn, "SELECT * FROM run WHERE id = ?", (run_id,))
    if row is None:
        raise NotFound(f"There is no run {run_id}.", "List the runs with: calhub history")
    return row


def remotes_of(conn: Connection, event_id: int) -> list[dict[str, Any]]:
    """Where an event is held: the ``remotes`` of the event shape."""
    query = (
        "SELECT a.name AS account, c.name AS calendar, l.remote_id AS id, l.synced, retry.error FROM link l "
        "JOIN replica r ON r.id = l.replica_id JOIN calendar c ON c.id = r.calendar_id "
        f"JOIN account a ON a.id = r.account_id {_RETRIES} WHERE l.event_id = ? ORDER BY l.replica_id"
    )
    return [dict(row) for row in conn.execute(query, (event_id,))]


_RETRIES: Final = "LEFT JOIN retry ON retry.replica_id = l.replica_id AND retry.event_id = l.event_id"


def event_shape(conn: Connection, stored: StoredEvent) -> dict[str, Any]:
    """The design's event shape, with where the event is held."""
    from calhub.calendar.render import event_shape as shown

    return shown(
        stored.uid, stored.content, calendar=accounts.calendar(conn, stored.calendar_id).name, rev=stored.rev,
        updated=stored.updated, remotes=remotes_of(conn, stored.id),
    )  # fmt: skip


def why(conn: Connection, stored: StoredEvent) -> dict[str, Any]:
    """Which replica holds the event under which id, since when, and what is in its way; what rules made of it, and of
    what a rule made it.
    """
    rows = conn.execute(_REPLICAS_OF, {"event": stored.id, "calendar": stored.calendar_id}).fetchall()
    clashes = "SELECT id FROM conflict WHERE event_id = ? AND state != 'resolved' ORDER BY id"
    waiting = f"SELECT id, plan FROM hold WHERE state = 'waiting' AND {sql.within('replica_id')}"
    held = conn.execute(waiting, (dumps([row["id"] for row in rows]),))
    return {
        "uid": stored.uid,
        "calendar": accounts.calendar(conn, stored.calendar_id).name,
        "replicas": [
            {
                "replica": row["id"],
                "remote_id": row["remote_id"],
                "synced_at": row["synced"],
                "pending": bool(row["under_way"]) or row["hub_rev"] != stored.rev,
                "error": row["error"],
                "next_try": row["next_try"],
            }
            for row in rows
        ],
        "copies": rules.copies_of(conn, stored.calendar_id, stored.uid),
        "copy_of": rules.origin(conn, stored.calendar_id, stored.uid),
        "conflicts": sql.column(conn, clashes, (stored.id,)),
        "holds": [hold for hold, plan in held if any(step[1] == stored.uid for step in loads(plan))],
    }


_REPLICAS_OF: Final = (
    "SELECT r.id, l.remote_id, l.synced, l.hub_rev, retry.error, retry.next_try, EXISTS "
    "(SELECT 1 FROM intent i WHERE i.replica_id = r.id AND i.event_id = :event AND i.state = 'open') AS under_way "
    "FROM replica r LEFT JOIN link l ON l.replica_id = r.id AND l.event_id = :event "
    "LEFT JOIN retry ON retry.replica_id = r.id AND retry.event_id = :event "
    "WHERE r.calendar_id = :calendar ORDER BY r.id"
)


def status(conn: Connection) -> dict[str, Any]:
    """Everything at a glance, in the design's shape."""
    replicas = [replica_shape(conn, each) for each in accounts.replicas(conn)]
    return {
        "accounts": [account_shape(conn, each) for each in accounts.accounts(conn)],
        "replicas": replicas,
        "pending": sum(each["pending"] for each in replicas),
        "conflicts": sql.value(conn, "SELECT count(*) FROM conflict WHERE state = 'open'"),
        "holds": len(inbox.holds(conn)),
        "dead_letters": sql.value(conn, "SELECT count(*) FROM retry WHERE next_try IS NULL"),
        "quarantined": inbox.quarantine_count(conn),
        "failures": failures(conn),
        "webhooks": endpoints.summary(conn),
        "dry_run": modes.dry_run_since(conn),
    }


def failures(conn: Connection) -> list[dict[str, Any]]:
    """Writes that failed and wait: with ``next_try`` for their time, without it (dead letters) for a person."""
    query = (
        "SELECT e.uid, c.name AS calendar, t.replica_id AS replica, t.attempts, t.error, t.next_try FROM retry t "
        "JOIN event e ON e.id = t.event_id JOIN calendar c ON c.id = e.calendar_id "
        "WHERE t.attempts > 0 ORDER BY t.replica_id, e.uid"
    )
    return [dict(row) for row in conn.execute(query)]


def account_shape(conn: Connection, of: accounts.Account) -> dict[str, Any]:
    breaker = accounts.breaker(conn, of.id)
    until = None if breaker.until is None else instant(breaker.until)
    return {
        "name": of.name,
        "provider": of.provider,
        "state": of.state,
        "error": of.error if until is None else f"{of.error or 'It kept failing.'} Left alone until {until}.",
        **asdict(of.schedule),
        "breaker": {"state": breaker.state, "failures": breaker.failures, "until": until},
        "calendars": len(accounts.replicas(conn, account_id=of.id)),
    }


def calendar_shape(conn: Connection, of: accounts.Calendar) -> dict[str, Any]:
    count = "SELECT count(*) FROM event WHERE calendar_id = ? AND deleted = 0"
    return {
        "id": of.id,
        "name": of.name,
        "color": of.color,
        "time_zone": of.time_zone,
        "events": sql.value(conn, count, (of.id,)),
        "replicas": [each.id for each in accounts.replicas(conn, calendar_id=of.id)],
    }


def replica_shape(conn: Connection, of: accounts.Replica) -> dict[str, Any]:
    return {
        "id": of.id,
        "calendar": of.calendar,
        "account": of.account,
        "remote": of.remote_id,
        "remote_name": of.remote_name,
        "direction": of.direction,
        "conflicts": of.conflicts,
        "state": of.state,
        "last_success": of.last_success,
        "error": of.error,
        "pending": pending(conn, of),
    }


def age(moment: str | None, now: datetime) -> float | None:
    """Seconds since an instant as the hub spells it; None where there is none."""
    return None if moment is None else max((now - datetime.fromisoformat(moment)).total_seconds(), 0.0)


def pending(conn: Connection, of: accounts.Replica) -> int:
    """Events whose newest revision this replica has not carried out yet; none for one that only pulls."""
    if of.direction == "pull":
        return 0
    count = (
        "SELECT count(*) FROM event e LEFT JOIN link l ON l.event_id = e.id AND l.replica_id = ? "
        "WHERE e.calendar_id = ? AND ((l.id IS NULL AND e.deleted = 0) OR l.hub_rev != e.rev)"
    )
    return int(sql.value(conn, count, (of.id, of.calendar_id)))
