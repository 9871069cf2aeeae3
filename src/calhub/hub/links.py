"""Links, observations and retries: what the hub knows of each remote item.

An *observation* is the item as the remote last showed it; a *link* ties it to an event, with the two faces of the
state both last agreed on. Nothing here decides anything: `calhub.sync.plan` does.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from calhub.calendar.event import Content
from calhub.hub.jsontext import dumps, loads
from calhub.hub.schema import event, link, observation, retry
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


_OBSERVE: Final = (
    "INSERT INTO observation (replica_id, remote_id, uid, version, content, raw, gone, problem, pending, modified, "
    "seen) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT (replica_id, remote_id) DO UPDATE SET "
    "uid = excluded.uid, version = excluded.version, content = excluded.content, raw = excluded.raw, gone = 0, "
    "problem = excluded.problem, pending = excluded.pending, modified = excluded.modified, seen = excluded.seen"
)


def observe_items(
    conn: Connection, replica_id: int, items: Iterable[Item], *, now: str, settled: Container[str] = ()
) -> None:
    """Store items as the remote shows them; each waits to be planned, but for the remote ids in ``settled``."""
    rows = [
        (
            replica_id, item.remote_id, item.uid, item.version, None if item.content is None else dumps(item.content),
            item.raw, item.problem, int(item.remote_id not in settled), item.modified, now,
        )
        for item in items
    ]  # fmt: skip
    if rows:
        conn.exec_driver_sql(_OBSERVE, rows)


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
    rows = [(replica_id, remote_id) for remote_id in remote_ids]
    if rows:
        conn.exec_driver_sql("UPDATE observation SET pending = 0 WHERE replica_id = ? AND remote_id = ?", rows)


def mark_problem(conn: Connection, replica_id: int, remote_id: str, reason: str) -> None:
    """Quarantine an item that could be read but not taken (a second item with one UID, say)."""
    conn.execute(
        update(observation)
        .where(observation.c.replica_id == replica_id, observation.c.remote_id == remote_id)
        .values(content=None, problem=reason, pending=0)
    )


def quarantined_twins(conn: Connection, replica_id: int, remote_ids: Iterable[str]) -> list[str]:
    """Quarantined items with the UID of one of these."""
    rows = conn.exec_driver_sql(_TWINS, (replica_id, replica_id, dumps(list(remote_ids))))
    return list(rows.scalars())


_TWINS: Final = (
    "SELECT remote_id FROM observation WHERE replica_id = ? AND problem IS NOT NULL AND uid IN (SELECT uid "
    "FROM observation WHERE replica_id = ? AND remote_id IN (SELECT value FROM json_each(?))) ORDER BY id"
)


def pend_unlinked(conn: Connection, replica_id: int) -> None:
    """Plan the items again that no link ties to an event, though they are there and can be read."""
    linked = exists().where(link.c.replica_id == replica_id, link.c.remote_id == observation.c.remote_id)
    conn.execute(
        update(observation)
        .where(observation.c.replica_id == replica_id, observation.c.content.is_not(None), ~linked)
        .values(pending=1)
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
    """The `calhub.providers.base.Known` of a replica. Only what is asked for is read: in most passes that is little."""

    def __init__(self, read: Callable[[], AbstractContextManager[Connection]], replica_id: int) -> None:
        """``read`` opens a connection, as `calhub.hub.database.Hub.read` does."""
        self._read = read
        self._replica_id = replica_id
        self._versions: dict[str, str | None] = {}
        self._absent: set[str] = set()
        self._whole = False

    def version(self, remote_id: str) -> str | None:
        return self._versions[remote_id] if remote_id in self else None

    def __contains__(self, remote_id: object) -> bool:
        asked = self._whole or remote_id in self._versions or remote_id in self._absent
        if not asked and isinstance(remote_id, str):
            self._ask(remote_id)
        return remote_id in self._versions

    def ids(self) -> Iterator[str]:
        self._load()
        return iter(self._versions)

    def _ask(self, remote_id: str) -> None:
        if len(self._versions) + len(self._absent) >= CHUNK:  # so many questions: one for everything is faster
            self._load()
            return
        with self._read() as conn:
            row = conn.exec_driver_sql(f"{_KNOWN} AND remote_id = ?", (self._replica_id, remote_id)).fetchone()
        if row is None:
            self._absent.add(remote_id)
        else:
            self._versions[remote_id] = row[1]

    def _load(self) -> None:
        if not self._whole:
            with self._read() as conn:
                rows = conn.exec_driver_sql(_KNOWN, (self._replica_id,)).fetchall()
            self._versions, self._whole = {row[0]: row[1] for row in rows}, True


_KNOWN: Final = "SELECT remote_id, version FROM observation WHERE replica_id = ? AND gone = 0"


# --- links ------------------------------------------------------------------------------------------------------------


_LinkRow = tuple[int, int, str, str, str | None, str | None, int, str]
_LINK: Final = (
    "INSERT INTO link (replica_id, event_id, remote_id, base_remote, base_hub, version, hub_rev, synced) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (replica_id, event_id) DO UPDATE SET remote_id = excluded.remote_id, "
    "base_remote = excluded.base_remote, base_hub = excluded.base_hub, version = excluded.version, "
    "hub_rev = excluded.hub_rev, synced = excluded.synced"
)


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
) -> _LinkRow:
    hub_text = None if base_hub == base_remote else dumps(base_hub)
    return replica_id, event_id, remote_id, dumps(base_remote), hub_text, version, hub_rev, now


def set_links(conn: Connection, rows: Sequence[_LinkRow]) -> None:
    """Make or move links. An event has one link in a replica, so a new remote_id replaces the old one."""
    if rows:
        conn.exec_driver_sql(_LINK, list(rows))


def drop_link(conn: Connection, link_id: int) -> None:
    conn.execute(delete(link).where(link.c.id == link_id))


def link_count(conn: Connection, replica_id: int) -> int:
    return int(conn.execute(select(func.count()).select_from(link).where(link.c.replica_id == replica_id)).scalar_one())


def any_alive(conn: Connection, replica_id: int) -> bool:
    """Whether any linked item is still there."""
    there = (observation.c.replica_id == link.c.replica_id) & (observation.c.remote_id == link.c.remote_id)
    query = select(link.c.id).join(observation, there).where(link.c.replica_id == replica_id, observation.c.gone == 0)
    return conn.execute(query.limit(1)).first() is not None


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
