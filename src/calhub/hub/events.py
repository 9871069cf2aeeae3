"""Events: the one place that writes them, with everything that follows from their content.

A write keeps five things in step, in the caller's transaction: the event's row, its participants, its occurrences over
the horizon, its search text, and a row in the change log. ``rev`` is the ``seq`` of an event's latest change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.fields import diff, path_name
from calhub.hub import horizon
from calhub.hub.accounts import calendar as find_calendar
from calhub.hub.changes import last_seq
from calhub.hub.errors import Ambiguous, NotFound
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, column, value


@dataclass(frozen=True)
class StoredEvent:
    """An event as stored. ``content`` is the reader's own copy; a tombstone keeps the last one."""

    id: int
    calendar_id: int
    uid: str
    content: Content
    rev: int
    updated: str
    deleted: bool


Row = tuple[int, str, Content]  # calendar id, UID, content

COLUMNS: Final = "id, calendar_id, uid, content, rev, updated, deleted"
_BY_KEY: Final = f"SELECT {COLUMNS} FROM event WHERE calendar_id = ? AND uid = ?"
_BY_KEYS: Final = f"SELECT {COLUMNS} FROM event WHERE calendar_id = ? AND uid IN (SELECT value FROM json_each(?))"
_BY_ID: Final = f"SELECT {COLUMNS} FROM event WHERE id = ?"
_BY_UID: Final = f"SELECT {COLUMNS} FROM event WHERE uid = ? AND deleted = 0 ORDER BY id"
_OF_CALENDAR: Final = f"SELECT {COLUMNS} FROM event WHERE calendar_id = ? AND deleted = 0 ORDER BY id"

# Ids are not used again as long as the change log knows them: undo and history name events by id.
_LAST_ID: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM event), 0), coalesce((SELECT max(event_id) FROM change), 0))"
)

_INSERT: Final = (
    "INSERT INTO event (content, title, location, status, privacy, busy, all_day, rrule, rev, updated, deleted, "
    "calendar_id, uid, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)"
)
_UPDATE: Final = (
    "UPDATE event SET content = ?, title = ?, location = ?, status = ?, privacy = ?, busy = ?, all_day = ?, rrule = ?, "
    "rev = ?, updated = ?, deleted = 0 WHERE id = ?"
)
_BURY: Final = "UPDATE event SET deleted = 1, rev = ?, updated = ? WHERE id = ?"
_FORGET: Final = (
    "DELETE FROM event WHERE id = ? AND deleted = 1 "
    "AND NOT EXISTS (SELECT 1 FROM link WHERE link.event_id = event.id) "
    "AND NOT EXISTS (SELECT 1 FROM conflict WHERE conflict.event_id = event.id AND conflict.state != 'resolved') "
    "AND NOT EXISTS (SELECT 1 FROM replica JOIN intent ON intent.replica_id = replica.id "
    "WHERE replica.calendar_id = event.calendar_id AND intent.event_id = event.id AND intent.uid = event.uid "
    "AND intent.op = 'create' AND intent.state IN ('open', 'stale', 'unknown') "
    "AND NOT EXISTS (SELECT 1 FROM intent later WHERE later.replica_id = intent.replica_id "
    "AND later.remote_id = intent.remote_id AND later.id > intent.id AND later.op = 'create' AND later.state = 'done'))"
)
_LOG: Final = (
    "INSERT INTO change (seq, calendar_id, event_id, uid, op, fields, before, replica_id, run_id, at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_PARTICIPANT: Final = "INSERT INTO participant (event_id, email, name, role, status) VALUES (?, ?, ?, ?, ?)"
_ADD_SEARCH: Final = (
    "INSERT INTO event_search (rowid, title, description, location, participants) VALUES (?, ?, ?, ?, ?)"
)
_DROP_PARTICIPANTS: Final = "DELETE FROM participant WHERE event_id = ?"
_DROP_OCCURRENCES: Final = "DELETE FROM occurrence WHERE event_id = ?"
_DROP_SEARCH: Final = "DELETE FROM event_search WHERE rowid = ?"


# Writing


def put_event(
    conn: Connection,
    calendar_id: int,
    uid: str,
    content: Content,
    *,
    now: str,
    replica_id: int | None = None,
    run_id: int | None = None,
) -> StoredEvent:
    """Insert, update or undelete one event. An equal content changes nothing: no new rev, no change row.

    Undeleting is logged as a create. A series that cannot be expanded is stored with its first occurrence only.
    Raises `InvalidEvent` when not even that has a readable start or the text is not Unicode.
    """
    return put_events(conn, [(calendar_id, uid, content)], now=now, replica_id=replica_id, run_id=run_id)[0]


def put_events(
    conn: Connection, rows: Sequence[Row], *, now: str, replica_id: int | None = None, run_id: int | None = None
) -> list[StoredEvent]:
    """`put_event` for many at once, in order, and several times faster. All or, on an exception, none are stored.

    The result has one entry for each row. A key that comes twice is put twice, the later content staying.
    """
    stored: list[StoredEvent] = []
    for batch in _without_repeats(rows):
        stored += _Batch(conn, now, replica_id, run_id).put(batch)
    return stored


def delete_event(
    conn: Connection, event_id: int, *, now: str, replica_id: int | None = None, run_id: int | None = None
) -> StoredEvent | None:
    """Turn an event into a tombstone and return it; it keeps its content. None when there is nothing to delete."""
    before = event_by_id(conn, event_id)
    if before is None or before.deleted:
        return None
    seq = last_seq(conn) + 1
    text = _encode(before.content)
    change = (seq, before.calendar_id, event_id, before.uid, "delete", "[]", text, replica_id, run_id, now)
    conn.execute(_LOG, change)
    conn.execute(_BURY, (seq, now, event_id))
    for statement in (_DROP_PARTICIPANTS, _DROP_OCCURRENCES, _DROP_SEARCH):
        conn.execute(statement, (event_id,))
    return StoredEvent(event_id, before.calendar_id, before.uid, before.content, seq, now, True)


def forget_tombstone(conn: Connection, event_id: int) -> None:
    """Remove a tombstone that has served (I7): nothing could bring the event back. The change log stays.

    It is needed while a link waits for the deletion, a conflict waits for a person, or a create of the event, whose end
    nobody knows, may still show up at a remote.
    """
    conn.execute(_FORGET, (event_id,))


# Reading


def event(conn: Connection, calendar_id: int, uid: str, deleted: bool = False) -> StoredEvent | None:
    """The event with this UID in this calendar; tombstones only where ``deleted`` asks for them too."""
    row = conn.execute(_BY_KEY, (calendar_id, uid)).fetchone()
    found = None if row is None else stored_event(row)
    return None if found is not None and found.deleted and not deleted else found


def event_by_id(conn: Connection, event_id: int) -> StoredEvent | None:
    """The event or tombstone with this id."""
    row = conn.execute(_BY_ID, (event_id,)).fetchone()
    return None if row is None else stored_event(row)


def find_event(conn: Connection, uid: str, calendar: int | str | None = None) -> StoredEvent:
    """The live event with this UID, in the calendar named or in the only one that has it.

    Raises `NotFound`, and `Ambiguous` when several calendars have it and none is named.
    """
    rows = [stored_event(row) for row in conn.execute(_BY_UID, (uid,))]
    if calendar is not None:
        chosen = find_calendar(conn, calendar)
        rows = [one for one in rows if one.calendar_id == chosen.id]
        if not rows:
            raise NotFound(f'There is no event "{uid}" in the calendar "{chosen.name}".', "Look for it with search.")
    if not rows:
        raise NotFound(f'There is no event "{uid}".', "Look for it with `calhub search`.")
    if len(rows) > 1:
        names = [find_calendar(conn, one.calendar_id).name for one in rows]
        hint = f"Say which with --calendar: {', '.join(names)}."
        raise Ambiguous(f'The event "{uid}" is in several calendars.', names, hint)
    return rows[0]


def events(conn: Connection, calendar_id: int) -> Iterator[StoredEvent]:
    """The live events of a calendar, oldest row first, read as they are asked for."""
    for row in conn.execute(_OF_CALENDAR, (calendar_id,)):
        yield stored_event(row)


def page(conn: Connection, calendar_id: int | None, after_id: int, limit: int) -> list[StoredEvent]:
    """The first live events, of one calendar or of all, with a row id beyond ``after_id``."""
    query = f"SELECT {COLUMNS} FROM event WHERE id > ? AND (? IS NULL OR calendar_id = ?) AND deleted = 0 "
    rows = conn.execute(query + "ORDER BY id LIMIT ?", (after_id, calendar_id, calendar_id, limit))
    return [stored_event(row) for row in rows]


def uids(conn: Connection, calendar_id: int) -> list[str]:
    """The UIDs of the live events of a calendar, oldest row first."""
    return column(conn, "SELECT uid FROM event WHERE calendar_id = ? AND deleted = 0 ORDER BY id", (calendar_id,))


# How a batch is written


class _Batch:
    """Collects the rows that follow from a batch of events, then writes each table in one go."""

    def __init__(self, conn: Connection, now: str, replica_id: int | None, run_id: int | None) -> None:
        self.conn = conn
        self.now = now
        self.origin = (replica_id, run_id, now)
        self.seq = last_seq(conn)
        self.horizon = horizon.current(conn, now)
        self.last_id: int | None = None
        self.inserts: list[tuple[Any, ...]] = []
        self.updates: list[tuple[Any, ...]] = []
        self.log: list[tuple[Any, ...]] = []
        self.participants: list[tuple[Any, ...]] = []
        self.occurrences: list[tuple[Any, ...]] = []
        self.search: list[tuple[Any, ...]] = []
        self.stale: list[tuple[int]] = []  # events whose participants and search text are written anew
        self.moved: list[tuple[int]] = []  # events whose occurrences are

    def put(self, rows: Sequence[Row]) -> list[StoredEvent]:
        before = self._existing(rows)
        stored = [self._put(before.get((calendar_id, uid)), calendar_id, uid, c) for calendar_id, uid, c in rows]
        self._write()
        return stored

    def _existing(self, rows: Sequence[Row]) -> dict[tuple[int, str], StoredEvent]:
        if len(rows) == 1:
            found = [self.conn.execute(_BY_KEY, rows[0][:2]).fetchone()]
        else:
            uids: dict[int, list[str]] = {}
            for calendar_id, uid, _ in rows:
                uids.setdefault(calendar_id, []).append(uid)
            found = []
            for calendar_id, wanted in uids.items():
                found += self.conn.execute(_BY_KEYS, (calendar_id, _encode(wanted))).fetchall()
        return {(row[1], row[2]): stored_event(row) for row in found if row is not None}

    def _put(self, old: StoredEvent | None, calendar_id: int, uid: str, content: Content) -> StoredEvent:
        if old is not None and not old.deleted and old.content == content:
            return old
        text = _encode(content)
        self.seq += 1
        event_id = self._next_id() if old is None else old.id
        columns = (text, *_columns(content), self.seq, self.now)
        if old is None:
            self.inserts.append((*columns, calendar_id, uid, event_id))
        else:
            self.updates.append((*columns, event_id))
            self.stale.append((event_id,))
        if old is None or old.deleted:
            op, names, before = "create", sorted(content), None
        else:
            op, names, before = "update", sorted(map(path_name, diff(old.content, content))), _encode(old.content)
        self.log.append((self.seq, calendar_id, event_id, uid, op, _encode(names), before, *self.origin))
        if old is None or old.deleted or horizon.moves(old.content, content):
            if old is not None:
                self.moved.append((event_id,))
            self.occurrences += horizon.rows(event_id, calendar_id, content, *self.horizon)
        self.participants += _participants(event_id, content)
        self.search.append((event_id, *_search_text(content)))
        return StoredEvent(event_id, calendar_id, uid, content, self.seq, self.now, False)

    def _next_id(self) -> int:
        if self.last_id is None:
            self.last_id = int(value(self.conn, _LAST_ID))
        self.last_id += 1
        return self.last_id

    def _write(self) -> None:
        for statement, rows in (
            (_INSERT, self.inserts),
            (_UPDATE, self.updates),
            (_LOG, self.log),
            (_DROP_PARTICIPANTS, self.stale),
            (_DROP_SEARCH, self.stale),
            (_DROP_OCCURRENCES, self.moved),
            (_ADD_PARTICIPANT, self.participants),
            (_ADD_SEARCH, self.search),
        ):
            if rows:
                self.conn.executemany(statement, rows)
        horizon.insert(self.conn, self.occurrences)


def _without_repeats(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in order, cut wherever a key would come a second time; nearly always one piece."""
    start = 0
    seen: set[tuple[int, str]] = set()
    for place, (calendar_id, uid, _) in enumerate(rows):
        if (calendar_id, uid) in seen:
            yield rows[start:place]
            start = place
            seen.clear()
        seen.add((calendar_id, uid))
    if start < len(rows):
        yield rows[start:]


def stored_event(row: Sequence[Any]) -> StoredEvent:
    """From a row of `COLUMNS`."""
    event_id, calendar_id, uid, content, rev, updated, deleted = row
    return StoredEvent(event_id, calendar_id, uid, loads(content), rev, updated, bool(deleted))


def _encode(value: Any) -> str:
    text = dumps(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent("The event holds text that is not valid Unicode.") from error
    return text


def _columns(content: Content) -> tuple[Any, ...]:
    get = content.get
    return (
        get("title", ""),
        get("location", ""),
        get("status", "confirmed"),
        get("privacy", "public"),
        int(get("busy", True)),
        int(get("all_day", False)),
        get("rrule"),
    )


def _participants(event_id: int, content: Content) -> Iterator[tuple[Any, ...]]:
    for email, who in content.get("attendees", {}).items():
        yield event_id, email, who.get("name"), who.get("role", "required"), who.get("status", "needs-action")


def _search_text(content: Content) -> tuple[str, str, str, str]:
    """What can be found: the series' own texts, and those in which single instances differ."""
    faces = [content, *content.get("overrides", {}).values()]
    people = {email: who.get("name") for face in faces for email, who in (face.get("attendees") or {}).items()}
    for face in faces:
        organizer = face.get("organizer") or {}
        people.setdefault(organizer.get("email"), organizer.get("name"))
    return (
        _joined(face.get("title") for face in faces),
        _joined(face.get("description") for face in faces),
        _joined(face.get("location") for face in faces),
        _joined(text for pair in people.items() for text in pair),
    )


def _joined(texts: Iterable[str | None]) -> str:
    return "\n".join(dict.fromkeys(text for text in texts if text))
