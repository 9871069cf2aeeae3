"""Links, observations and retries: what the hub knows of each remote item.

An *observation* is the item as the remote last showed it; a *link* ties it to an event, with the two faces of the
state both last agreed on. Nothing here decides anything: `calhub.sync.plan` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from calhub.calendar.event import Content
from calhub.hub.jsontext import dumps, loads
from calhub.hub.schema import conflict, event, link, observation, retry
from calhub.providers.base import Item

#: SQLite takes at most 32,766 parameters; a chunk also bounds memory.
CHUNK = 500

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Observation:
    """An item as the remote last showed it; ``content`` is None when it is gone or quarantined."""

    remote_id: str
    uid: str | None
    version: str | None
    content: Content | None
    raw: str | None
    gone: bool
    problem: str | None
    modified: str | None


@dataclass(frozen=True, kw_only=True)
class Link:
    id: int
    event_id: int
    remote_id: str
    base_remote: Content
    base_hub: Content
    version: str | None
    hub_rev: int


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


# --- observations -----------------------------------------------------------------------------------------------------


def observe_items(conn: Connection, replica_id: int, items: Iterable[Item], *, now: str) -> int:
    """Store items as the remote shows them; each waits to be planned. Returns how many there were."""
    rows = [
        {
            "replica_id": replica_id,
            "remote_id": item.remote_id,
            "uid": item.uid,
            "version": item.version,
            "content": None if item.content is None else dumps(item.content),
            "raw": item.raw,
            "gone": 0,
            "problem": item.problem,
            "pending": 1,
            "modified": item.modified,
            "seen": now,
        }
        for item in items
    ]
    if not rows:
        return 0
    statement = upsert(observation)
    new = statement.excluded
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["replica_id", "remote_id"],
            set_={name: new[name] for name in rows[0] if name not in ("replica_id", "remote_id")},
        ),
        rows,
    )
    return len(rows)


def observe_gone(conn: Connection, replica_id: int, remote_ids: Iterable[str], *, now: str) -> None:
    """The items are certainly not there any more."""
    rows = [{"key": remote_id} for remote_id in remote_ids]
    if rows:
        conn.execute(
            update(observation)
            .where(observation.c.replica_id == replica_id, observation.c.remote_id == bindparam("key"))
            .where(observation.c.gone == 0)
            .values(gone=1, content=None, raw=None, problem=None, pending=1, seen=now),
            rows,
        )


def settle(conn: Connection, replica_id: int, remote_ids: Iterable[str]) -> None:
    """The observations have been planned: nothing is left to do for them on the hub's side."""
    rows = [{"key": remote_id} for remote_id in remote_ids]
    if rows:
        conn.execute(
            update(observation)
            .where(observation.c.replica_id == replica_id, observation.c.remote_id == bindparam("key"))
            .values(pending=0),
            rows,
        )


def mark_problem(conn: Connection, replica_id: int, remote_id: str, reason: str) -> None:
    """Quarantine an item that could be read but not taken (a second item with one UID, say)."""
    conn.execute(
        update(observation)
        .where(observation.c.replica_id == replica_id, observation.c.remote_id == remote_id)
        .values(content=None, problem=reason, pending=0)
    )


def drop_observation(conn: Connection, replica_id: int, remote_id: str) -> None:
    conn.execute(
        delete(observation).where(observation.c.replica_id == replica_id, observation.c.remote_id == remote_id)
    )


def pending_ids(conn: Connection, replica_id: int) -> list[str]:
    """Remote ids seen but not planned, in the order they were first seen."""
    rows = conn.execute(
        select(observation.c.remote_id)
        .where(observation.c.replica_id == replica_id, observation.c.pending == 1)
        .order_by(observation.c.id)
    )
    return list(rows.scalars())


def observations(conn: Connection, replica_id: int, remote_ids: Sequence[str]) -> dict[str, Observation]:
    found: dict[str, Observation] = {}
    for part in chunks(remote_ids):
        rows = conn.execute(
            select(observation).where(observation.c.replica_id == replica_id, observation.c.remote_id.in_(part))
        )
        found.update((row.remote_id, _observation(row)) for row in rows)
    return found


def _observation(row: Any) -> Observation:
    return Observation(
        remote_id=row.remote_id,
        uid=row.uid,
        version=row.version,
        content=None if row.content is None else loads(row.content),
        raw=row.raw,
        gone=bool(row.gone),
        problem=row.problem,
        modified=row.modified,
    )


class KnownVersions:
    """The `calhub.providers.base.Known` of a replica, read once at the start of its pass."""

    def __init__(self, conn: Connection, replica_id: int) -> None:
        rows = conn.execute(
            select(observation.c.remote_id, observation.c.version).where(
                observation.c.replica_id == replica_id, observation.c.gone == 0
            )
        )
        self._versions: dict[str, str | None] = {row.remote_id: row.version for row in rows}

    def version(self, remote_id: str) -> str | None:
        return self._versions.get(remote_id)

    def __contains__(self, remote_id: object) -> bool:
        return remote_id in self._versions

    def ids(self) -> Iterator[str]:
        return iter(self._versions)


# --- links ------------------------------------------------------------------------------------------------------------


def set_link(
    conn: Connection,
    replica_id: int,
    event_id: int,
    remote_id: str,
    *,
    base_remote: Content,
    base_hub: Content,
    version: str | None,
    hub_rev: int,
    now: str,
) -> None:
    set_links(
        conn,
        [link_row(replica_id, event_id, remote_id, base_remote, base_hub, version, hub_rev, now)],
    )


def link_row(
    replica_id: int,
    event_id: int,
    remote_id: str,
    base_remote: Content,
    base_hub: Content,
    version: str | None,
    hub_rev: int,
    now: str,
) -> dict[str, Any]:
    return {
        "replica_id": replica_id,
        "event_id": event_id,
        "remote_id": remote_id,
        "base_remote": dumps(base_remote),
        "base_hub": None if base_hub == base_remote else dumps(base_hub),
        "version": version,
        "hub_rev": hub_rev,
        "synced": now,
    }


def set_links(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Make or move links. An event has one link in a replica, so a new remote_id replaces the old one."""
    if not rows:
        return
    statement = upsert(link)
    new = statement.excluded
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["replica_id", "event_id"],
            set_={name: new[name] for name in rows[0] if name not in ("replica_id", "event_id")},
        ),
        rows,
    )


def drop_link(conn: Connection, link_id: int) -> None:
    conn.execute(delete(link).where(link.c.id == link_id))


def link_count(conn: Connection, replica_id: int) -> int:
    return int(conn.execute(select(func.count()).select_from(link).where(link.c.replica_id == replica_id)).scalar_one())


def links_by_remote(conn: Connection, replica_id: int, remote_ids: Sequence[str]) -> dict[str, Link]:
    found: dict[str, Link] = {}
    for part in chunks(remote_ids):
        rows = conn.execute(select(link).where(link.c.replica_id == replica_id, link.c.remote_id.in_(part)))
        found.update((row.remote_id, _link(row)) for row in rows)
    return found


def links_by_event(conn: Connection, replica_id: int, event_ids: Sequence[int]) -> dict[int, Link]:
    found: dict[int, Link] = {}
    for part in chunks(event_ids):
        rows = conn.execute(select(link).where(link.c.replica_id == replica_id, link.c.event_id.in_(part)))
        found.update((row.event_id, _link(row)) for row in rows)
    return found


def is_forgettable(conn: Connection, event_id: int) -> bool:
    """Whether a tombstone has served: no link waits for its deletion, no conflict could bring the event back (I7)."""
    linked = exists().where(link.c.event_id == event_id)
    disputed = exists().where(conflict.c.event_id == event_id, conflict.c.state != "resolved")
    return not conn.execute(select(or_(linked, disputed))).scalar_one()


def _link(row: Any) -> Link:
    base_remote = loads(row.base_remote)
    return Link(
        id=row.id,
        event_id=row.event_id,
        remote_id=row.remote_id,
        base_remote=base_remote,
        base_hub=base_remote if row.base_hub is None else loads(row.base_hub),
        version=row.version,
        hub_rev=row.hub_rev,
    )


def dirty_events(conn: Connection, replica_id: int, calendar_id: int, since: int, *, everything: bool) -> list[int]:
    """Events changed since ``since`` whose newest revision the replica's link has not seen.

    With ``everything`` those changed before too, except the ones that wait for a retry or are dead letters.
    """
    unseen = or_(link.c.id.is_(None), link.c.hub_rev != event.c.rev)
    joined = event.outerjoin(link, and_(link.c.event_id == event.c.id, link.c.replica_id == replica_id))
    query = select(event.c.id).select_from(joined).where(event.c.calendar_id == calendar_id, unseen)
    query = query.where(or_(event.c.deleted == 0, link.c.id.is_not(None)))
    waiting = exists().where(retry.c.replica_id == replica_id, retry.c.event_id == event.c.id)
    query = query.where(or_(event.c.rev > since, ~waiting) if everything else event.c.rev > since)
    return list(conn.execute(query.order_by(event.c.rev)).scalars())


# --- retries ----------------------------------------------------------------------------------------------------------


def due_retries(conn: Connection, replica_id: int, now: str) -> list[int]:
    rows = conn.execute(
        select(retry.c.event_id).where(retry.c.replica_id == replica_id, retry.c.next_try <= now).order_by("event_id")
    )
    return list(rows.scalars())


def attempts(conn: Connection, replica_id: int, event_id: int) -> int:
    found = conn.execute(
        select(retry.c.attempts).where(retry.c.replica_id == replica_id, retry.c.event_id == event_id)
    ).scalar_one_or_none()
    return found or 0


def set_retry(
    conn: Connection, replica_id: int, event_id: int, *, attempts: int, error: str, next_try: str | None
) -> None:
    """Remember a failed write. ``next_try`` None is a dead letter."""
    values = {"attempts": attempts, "error": error, "next_try": next_try}
    conn.execute(
        upsert(retry)
        .values(replica_id=replica_id, event_id=event_id, **values)
        .on_conflict_do_update(index_elements=["replica_id", "event_id"], set_=values)
    )


def see_revision(conn: Connection, replica_id: int, event_id: int, rev: int) -> None:
    """The link is up to this revision of the event: nothing of it is left to be written."""
    conn.execute(update(link).where(link.c.replica_id == replica_id, link.c.event_id == event_id).values(hub_rev=rev))


def clear_retry(conn: Connection, replica_id: int, event_ids: Iterable[int]) -> None:
    for part in chunks(list(event_ids)):
        conn.execute(delete(retry).where(retry.c.replica_id == replica_id, retry.c.event_id.in_(part)))


def drop_retries(conn: Connection, replica_id: int) -> None:
    """Nothing is written there any more, so nothing waits to be."""
    conn.execute(delete(retry).where(retry.c.replica_id == replica_id))


def requeue(conn: Connection, replica_id: int, event_id: int, *, now: str) -> None:
    """Have the next push look at the event, whatever the change log says; a backoff under way ends."""
    conn.execute(
        upsert(retry)
        .values(replica_id=replica_id, event_id=event_id, attempts=0, next_try=now)
        .on_conflict_do_update(index_elements=["replica_id", "event_id"], set_={"next_try": now})
    )
