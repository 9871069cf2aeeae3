"""Links, observations and retries: what the hub knows of each remote item.

An *observation* is the item as the remote last showed it; a *link* ties it to an event, with the two faces of the
state both last agreed on. Nothing here decides anything: `calhub.sync.plan` does.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

from calhub.calendar.event import Content
from calhub.hub import sql
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, Row
from calhub.providers.base import Item

#: So many at a time, to bound memory and the length of a transaction.
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
        conn.executemany(_OBSERVE, rows)


def observe_gone(conn: Connection, replica_id: int, remote_ids: Iterable[str], *, now: str) -> None:
    """The items are certainly not there any more."""
    conn.executemany(
        "UPDATE observation SET gone = 1, content = NULL, raw = NULL, problem = NULL, pending = 1, seen = ? "
        f"WHERE {_ITEM} AND gone = 0",
        [(now, replica_id, remote_id) for remote_id in remote_ids],
    )


def settle(conn: Connection, replica_id: int, remote_ids: Iterable[str]) -> None:
    """The observations have been planned: nothing is left to do for them on the hub's side."""
    rows = [(replica_id, remote_id) for remote_id in remote_ids]
    conn.executemany(f"UPDATE observation SET pending = 0 WHERE {_ITEM}", rows)


def mark_problem(conn: Connection, replica_id: int, remote_id: str, reason: str) -> None:
    """Quarantine an item that could be read but not taken (a second item with one UID, say)."""
    conn.execute(
        f"UPDATE observation SET content = NULL, problem = ?, pending = 0 WHERE {_ITEM}",
        (reason, replica_id, remote_id),
    )


def quarantined_twins(conn: Connection, replica_id: int, remote_ids: Iterable[str]) -> list[str]:
    """Quarantined items with the UID of one of these."""
    theirs = f"SELECT uid FROM observation WHERE replica_id = ? AND {sql.within('remote_id')}"
    query = f"SELECT remote_id FROM observation WHERE replica_id = ? AND problem IS NOT NULL AND uid IN ({theirs})"
    return sql.column(conn, f"{query} ORDER BY id", (replica_id, replica_id, dumps(list(remote_ids))))


def pend_unlinked(conn: Connection, replica_id: int) -> None:
    """Plan the items again that no link ties to an event, though they are there and can be read."""
    conn.execute(
        "UPDATE observation SET pending = 1 WHERE replica_id = ? AND content IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM link l WHERE l.replica_id = observation.replica_id AND l.remote_id = observation.remote_id)",
        (replica_id,),
    )


def drop_observation(conn: Connection, replica_id: int, remote_id: str) -> None:
    conn.execute(f"DELETE FROM observation WHERE {_ITEM}", (replica_id, remote_id))


def pending_ids(conn: Connection, replica_id: int) -> list[str]:
    """Remote ids seen but not planned, in the order they were first seen."""
    query = "SELECT remote_id FROM observation WHERE replica_id = ? AND pending = 1 ORDER BY id"
    return sql.column(conn, query, (replica_id,))


def observations(conn: Connection, replica_id: int, remote_ids: Sequence[str]) -> dict[str, Observation]:
    query = f"SELECT {_OBSERVATION} FROM observation WHERE replica_id = ? AND {sql.within('remote_id')}"
    found = map(_observation, conn.execute(query, (replica_id, dumps(remote_ids))))
    return {each.remote_id: each for each in found}


_ITEM: Final = "replica_id = ? AND remote_id = ?"
_OBSERVATION: Final = "remote_id, uid, version, content, raw, gone, problem, modified"


def _observation(row: Row) -> Observation:
    content = row["content"]
    return Observation(
        **{**dict(row), "content": None if content is None else loads(content), "gone": bool(row["gone"])}
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
            row = sql.first(conn, f"{_KNOWN} AND remote_id = ?", (self._replica_id, remote_id))
        if row is None:
            self._absent.add(remote_id)
        else:
            self._versions[remote_id] = row[1]

    def _load(self) -> None:
        if not self._whole:
            with self._read() as conn:
                rows = conn.execute(_KNOWN, (self._replica_id,)).fetchall()
            self._versions, self._whole = dict(rows), True


_KNOWN: Final = "SELECT remote_id, version FROM observation WHERE replica_id = ? AND gone = 0"


# --- links ------------------------------------------------------------------------------------------------------------


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
    """Make or move a link. An event has one link in a replica, so a new remote_id replaces the old one."""
    hub_text = None if base_hub == base_remote else dumps(base_hub)
    conn.execute(_LINK, (replica_id, event_id, remote_id, dumps(base_remote), hub_text, version, hub_rev, now))


def link_new(conn: Connection, replica_id: int, taken: Iterable[tuple[int, Item]], *, now: str) -> None:
    """Link events (by id) that were just made of these items: both bases are what the event says now."""
    conn.executemany(
        "INSERT INTO link (replica_id, event_id, remote_id, base_remote, version, hub_rev, synced) "
        "SELECT ?, id, ?, content, ?, rev, ? FROM event WHERE id = ?",
        [(replica_id, item.remote_id, item.version, now, event_id) for event_id, item in taken],
    )


def drop_link(conn: Connection, link_id: int) -> None:
    conn.execute("DELETE FROM link WHERE id = ?", (link_id,))


def link_count(conn: Connection, replica_id: int) -> int:
    return int(sql.value(conn, "SELECT count(*) FROM link WHERE replica_id = ?", (replica_id,)))


def any_alive(conn: Connection, replica_id: int) -> bool:
    """Whether any linked item is still there."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM link JOIN observation USING (replica_id, remote_id) "
        "WHERE replica_id = ? AND gone = 0)"
    )
    return bool(sql.value(conn, query, (replica_id,)))


def links_by_remote(conn: Connection, replica_id: int, remote_ids: Sequence[str]) -> dict[str, Link]:
    query = f"SELECT {_COLUMNS} FROM link WHERE replica_id = ? AND {sql.within('remote_id')}"
    return {row["remote_id"]: _link(row) for row in conn.execute(query, (replica_id, dumps(remote_ids)))}


def links_by_event(conn: Connection, replica_id: int, event_ids: Sequence[int]) -> dict[int, Link]:
    query = f"SELECT {_COLUMNS} FROM link WHERE replica_id = ? AND {sql.within('event_id')}"
    return {row["event_id"]: _link(row) for row in conn.execute(query, (replica_id, dumps(event_ids)))}


_COLUMNS: Final = "id, event_id, remote_id, base_remote, base_hub, version, hub_rev"


def _link(row: Row) -> Link:
    base_remote = loads(row["base_remote"])
    base_hub = base_remote if row["base_hub"] is None else loads(row["base_hub"])
    return Link(**{**dict(row), "base_remote": base_remote, "base_hub": base_hub})


def dirty_events(conn: Connection, replica_id: int, calendar_id: int, since: int, *, everything: bool) -> list[int]:
    """Events changed since ``since`` whose newest revision the replica's link has not seen.

    With ``everything`` those changed before too, except the ones that wait for a retry or are dead letters.
    """
    idle = "NOT EXISTS (SELECT 1 FROM retry r WHERE r.replica_id = :replica AND r.event_id = e.id)"
    query = (
        "SELECT e.id FROM event e LEFT JOIN link l ON l.event_id = e.id AND l.replica_id = :replica "
        "WHERE e.calendar_id = :calendar AND (l.id IS NULL OR l.hub_rev != e.rev) "
        f"AND (e.deleted = 0 OR l.id IS NOT NULL) AND (e.rev > :since{f' OR {idle}' if everything else ''}) "
        "ORDER BY e.rev"
    )
    return sql.column(conn, query, {"replica": replica_id, "calendar": calendar_id, "since": since})


# --- retries ----------------------------------------------------------------------------------------------------------


def due_retries(conn: Connection, replica_id: int, now: str) -> list[int]:
    query = "SELECT event_id FROM retry WHERE replica_id = ? AND next_try <= ? ORDER BY event_id"
    return sql.column(conn, query, (replica_id, now))


def next_retry(conn: Connection, replica_id: int) -> str | None:
    """When the first of the writes that failed may be tried again."""
    found: str | None = sql.value(conn, "SELECT min(next_try) FROM retry WHERE replica_id = ?", (replica_id,))
    return found


def attempts(conn: Connection, replica_id: int, event_id: int) -> int:
    query = "SELECT attempts FROM retry WHERE replica_id = ? AND event_id = ?"
    return sql.value(conn, query, (replica_id, event_id)) or 0


def set_retry(
    conn: Connection, replica_id: int, event_id: int, *, attempts: int, error: str, next_try: str | None
) -> None:
    """Remember a failed write. ``next_try`` None is a dead letter."""
    conn.execute(
        f"{_RETRY} attempts = excluded.attempts, error = excluded.error, next_try = excluded.next_try",
        (replica_id, event_id, attempts, error, next_try),
    )


def see_revision(conn: Connection, replica_id: int, event_id: int, rev: int) -> None:
    """The link is up to this revision of the event: nothing of it is left to be written."""
    conn.execute("UPDATE link SET hub_rev = ? WHERE replica_id = ? AND event_id = ?", (rev, replica_id, event_id))


def move_base(conn: Connection, link_id: int, base_hub: Content) -> None:
    """Agree on what the hub has now; what the remote shows stays as it is."""
    conn.execute("UPDATE link SET base_hub = ? WHERE id = ?", (dumps(base_hub), link_id))


def clear_retry(conn: Connection, replica_id: int, event_ids: Iterable[int]) -> None:
    rows = [(replica_id, event_id) for event_id in event_ids]
    conn.executemany("DELETE FROM retry WHERE replica_id = ? AND event_id = ?", rows)


def drop_retries(conn: Connection, replica_id: int) -> None:
    """Nothing is written there any more, so nothing waits to be."""
    conn.execute("DELETE FROM retry WHERE replica_id = ?", (replica_id,))


def requeue(conn: Connection, replica_id: int, event_id: int, *, now: str) -> None:
    """Have the next push look at the event, whatever the change log says; a backoff under way ends."""
    conn.execute(f"{_RETRY} next_try = excluded.next_try", (replica_id, event_id, 0, None, now))


_RETRY: Final = (
    "INSERT INTO retry (replica_id, event_id, attempts, error, next_try) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (replica_id, event_id) DO UPDATE SET"
)
