"""Runs (the history of passes) and the answers to "how is it going": `why` and `status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from calhub.hub import accounts, inbox
from calhub.hub.database import instant
from calhub.hub.errors import NotFound
from calhub.hub.events import StoredEvent
from calhub.hub.jsontext import dumps, loads
from calhub.hub.schema import calendar, conflict, event, hold, intent, link, replica, retry, run

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
    row = conn.execute(
        insert(run)
        .values(
            replica_id=of.id, account=of.account, calendar=of.calendar, remote=of.remote_name, kind=kind, started=now
        )
        .returning(run.c.id)
    )
    return int(row.scalar_one())


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
    conn.execute(
        update(run)
        .where(run.c.id == run_id)
        .values(
            status=status,
            counts=dumps(counts),
            errors=dumps(errors),
            requests=requests,
            duration_ms=duration_ms,
            finished=now,
        )
    )


def run_shape(row: Any) -> dict[str, Any]:
    """The design's run shape; a run that was cut off reads as failed."""
    return {
        "id": row.id,
        "account": row.account,
        "calendar": row.calendar,
        "remote": row.remote,
        "kind": row.kind,
        "status": row.status or "failed",
        **(empty_counts() | loads(row.counts)),
        "errors": loads(row.errors),
        "requests": row.requests,
        "duration_ms": row.duration_ms or 0,
        "dry_run": False,
        "started": row.started,
    }


def history(conn: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """The last runs, newest first."""
    return [run_shape(row) for row in conn.execute(select(run).order_by(run.c.id.desc()).limit(limit))]


def last_sync(conn: Connection, replica_id: int) -> Any | None:
    """The newest run of a sync over this replica: its row of the history, None before the first."""
    newest = select(run).where(run.c.replica_id == replica_id, run.c.kind == "sync").order_by(run.c.id.desc()).limit(1)
    return conn.execute(newest).one_or_none()


def run_row(conn: Connection, run_id: int) -> Any:
    row = conn.execute(select(run).where(run.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id}.", "List the runs with: calhub history")
    return row


def remotes_of(conn: Connection, event_id: int) -> list[dict[str, Any]]:
    """Where an event is held: the ``remotes`` of the event shape."""
    rows = conn.execute(
        select(link.c.remote_id, link.c.synced, link.c.replica_id, retry.c.error, replica.c.account_id, calendar.c.name)
        .join(replica, replica.c.id == link.c.replica_id)
        .join(calendar, calendar.c.id == replica.c.calendar_id)
        .outerjoin(retry, (retry.c.replica_id == link.c.replica_id) & (retry.c.event_id == link.c.event_id))
        .where(link.c.event_id == event_id)
        .order_by(link.c.replica_id)
    ).all()
    names = {account.id: account.name for account in accounts.accounts(conn)}
    return [
        {
            "account": names[row.account_id],
            "calendar": row.name,
            "id": row.remote_id,
            "synced": row.synced,
            "error": row.error,
        }
        for row in rows
    ]


def why(conn: Connection, stored: StoredEvent) -> dict[str, Any]:
    """Which replica holds the event under which id, since when, and what is in its way."""
    rows = conn.execute(
        select(
            replica.c.id, link.c.remote_id, link.c.synced, link.c.hub_rev, retry.c.error, retry.c.next_try,
            select(func.count()).where(
                intent.c.replica_id == replica.c.id, intent.c.event_id == stored.id, intent.c.state == "open"
            ).scalar_subquery().label("open_intents"),
        )
        .outerjoin(link, (link.c.replica_id == replica.c.id) & (link.c.event_id == stored.id))
        .outerjoin(retry, (retry.c.replica_id == replica.c.id) & (retry.c.event_id == stored.id))
        .where(replica.c.calendar_id == stored.calendar_id)
        .order_by(replica.c.id)
    ).all()  # fmt: skip
    clashes = select(conflict.c.id).where(conflict.c.event_id == stored.id, conflict.c.state != "resolved")
    waiting = select(hold.c.id, hold.c.plan).where(
        hold.c.replica_id.in_([row.id for row in rows]), hold.c.state == "waiting"
    )
    return {
        "uid": stored.uid,
        "calendar": accounts.calendar(conn, stored.calendar_id).name,
        "replicas": [
            {
                "replica": row.id,
                "remote_id": row.remote_id,
                "synced_at": row.synced,
                "pending": bool(row.open_intents) or row.hub_rev != stored.rev,
                "error": row.error,
                "next_try": row.next_try,
            }
            for row in rows
        ],
        "copies": [],
        "copy_of": None,
        "conflicts": list(conn.execute(clashes.order_by(conflict.c.id)).scalars()),
        "holds": [row.id for row in conn.execute(waiting) if any(step[1] == stored.uid for step in loads(row.plan))],
    }


def status(conn: Connection) -> dict[str, Any]:
    """Everything at a glance, in the design's shape."""
    replicas = [replica_shape(conn, each) for each in accounts.replicas(conn)]
    dead = select(func.count()).select_from(retry).where(retry.c.next_try.is_(None))
    open_conflicts = select(func.count()).select_from(conflict).where(conflict.c.state == "open")
    return {
        "accounts": [account_shape(conn, each) for each in accounts.accounts(conn)],
        "replicas": replicas,
        "pending": sum(each["pending"] for each in replicas),
        "conflicts": int(conn.execute(open_conflicts).scalar_one()),
        "holds": len(inbox.holds(conn)),
        "dead_letters": int(conn.execute(dead).scalar_one()),
        "quarantined": inbox.quarantine_count(conn),
        "failures": failures(conn),
    }


def failures(conn: Connection) -> list[dict[str, Any]]:
    """Writes that failed and wait: with ``next_try`` for their time, without it (dead letters) for a person."""
    rows = conn.execute(
        select(retry, event.c.uid, calendar.c.name)
        .join(event, event.c.id == retry.c.event_id)
        .join(calendar, calendar.c.id == event.c.calendar_id)
        .where(retry.c.attempts > 0)
        .order_by(retry.c.replica_id, event.c.uid)
    )
    return [
        {
            "uid": row.uid,
            "calendar": row.name,
            "replica": row.replica_id,
            "attempts": row.attempts,
            "error": row.error,
            "next_try": row.next_try,
        }
        for row in rows
    ]


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
    count = select(func.count()).select_from(event).where(event.c.calendar_id == of.id, event.c.deleted == 0)
    return {
        "id": of.id,
        "name": of.name,
        "color": of.color,
        "time_zone": of.time_zone,
        "events": int(conn.execute(count).scalar_one()),
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


def pending(conn: Connection, of: accounts.Replica) -> int:
    """Events whose newest revision this replica has not carried out yet; none for one that only pulls."""
    if of.direction == "pull":
        return 0
    joined = event.outerjoin(link, (link.c.event_id == event.c.id) & (link.c.replica_id == of.id))
    count = (
        select(func.count())
        .select_from(joined)
        .where(event.c.calendar_id == of.calendar_id)
        .where((link.c.id.is_(None) & (event.c.deleted == 0)) | (link.c.hub_rev != event.c.rev))
    )
    return int(conn.execute(count).scalar_one())
