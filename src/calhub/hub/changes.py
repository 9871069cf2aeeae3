"""The ordered change log: what happened in the hub, each change with its ``seq``.

Rows are written by `calhub.hub.events` in the transaction of the change itself, so the log never says more or less
than the events do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from calhub.calendar.event import Content
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, column, value

Op = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Change:
    """One change of one event. ``fields`` are path names (``title``, ``attendees/a@x``), empty for a delete.

    ``before`` is the content before, None for a create. ``replica_id`` is the replica that brought it, None for a
    person, a rule or an undo.
    """

    seq: int
    calendar_id: int
    event_id: int
    uid: str
    op: Op
    fields: tuple[str, ...]
    before: Content | None
    replica_id: int | None
    run_id: int | None
    at: str


#: Of meta: the ``seq`` of the latest change that was removed from the log.
_FORGOTTEN: Final = "changes forgotten"

_COLUMNS: Final = "seq, calendar_id, event_id, uid, op, fields, before, replica_id, run_id, at"
_SINCE: Final = f"SELECT {_COLUMNS} FROM change WHERE calendar_id = ? AND seq > ? ORDER BY seq"
_OF_RUN: Final = f"SELECT {_COLUMNS} FROM change WHERE run_id = ? ORDER BY seq"


def changes_since(conn: Connection, seq: int, calendar_id: int) -> list[Change]:
    """The changes in one calendar after ``seq``, oldest first. An event may occur several times."""
    return [_change(row) for row in conn.execute(_SINCE, (calendar_id, seq))]


def uids_since(conn: Connection, seq: int, calendar_id: int) -> list[str]:
    """The UIDs of the events of one calendar that changed after ``seq``, each once, the first to change first."""
    query = "SELECT uid FROM change WHERE calendar_id = ? AND seq > ? ORDER BY seq"
    return list(dict.fromkeys(column(conn, query, (calendar_id, seq))))


def run_changes(conn: Connection, run_id: int) -> list[Change]:
    """The changes one run made in the hub, oldest first."""
    return [_change(row) for row in conn.execute(_OF_RUN, (run_id,))]


def log_after(conn: Connection, seq: int, limit: int, calendars: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """The next rows of the log, of all calendars or of these: ``{"seq", "uid", "calendar" (its name, None where it is
    gone), "op", "fields", "at"}``, never what is in an event.
    """
    query = (
        "SELECT c.seq, c.uid, calendar.name AS calendar, c.op, c.fields, c.at FROM change c "
        "LEFT JOIN calendar ON calendar.id = c.calendar_id WHERE c.seq > :seq "
        "AND (:calendars IS NULL OR c.calendar_id IN (SELECT value FROM json_each(:calendars))) "
        "ORDER BY c.seq LIMIT :limit"
    )
    values = {"seq": seq, "limit": limit, "calendars": None if calendars is None else dumps(calendars)}
    return [{**dict(row), "fields": loads(row["fields"])} for row in conn.execute(query, values)]


def is_whole_after(conn: Connection, seq: int) -> bool:
    """Whether the log holds everything that came after ``seq``: old rows may be gone, or the hub be an older one."""
    last = last_seq(conn)
    first = value(conn, "SELECT min(seq) FROM change")
    forgotten = int(value(conn, "SELECT value FROM meta WHERE key = ?", (_FORGOTTEN,)) or 0)
    return seq == last or (forgotten <= seq < last and first is not None and first <= seq + 1)


def forget(conn: Connection, condition: str, values: Mapping[str, Any]) -> int:
    """Remove rows of the log, and remember up to where it may have gaps. Returns how many; ``condition`` is SQL."""
    last = value(conn, f"SELECT max(seq) FROM change WHERE {condition}", values)
    if last is None:
        return 0
    # The rows before it need not all go: the oldest one left says nothing of those that came later.
    conn.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) "
        "ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
        (_FORGOTTEN, last),
    )
    return conn.execute(f"DELETE FROM change WHERE {condition}", values).rowcount


def last_seq(conn: Connection) -> int:
    """The ``seq`` of the latest change; 0 before the first. Never given out twice, also when old rows are removed."""
    found = value(conn, "SELECT seq FROM sqlite_sequence WHERE name = 'change'")
    return 0 if found is None else int(found)


def _change(row: Sequence[Any]) -> Change:
    seq, calendar_id, event_id, uid, op, fields, before, replica_id, run_id, at = row
    return Change(
        seq=seq,
        calendar_id=calendar_id,
        event_id=event_id,
        uid=uid,
        op=cast(Op, op),
        fields=tuple(loads(fields)),
        before=None if before is None else loads(before),
        replica_id=replica_id,
        run_id=run_id,
        at=at,
    )
