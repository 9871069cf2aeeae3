"""What takes place when, and where a word occurs: the hub's read side, in plain SQL.

Nothing here imports SQLAlchemy, and the calendar code only where a question reaches beyond the horizon: a cold command
answers before those would have been loaded. Connections are read-only and never wait for a writer.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, Final

from calhub.hub.errors import NotFound
from calhub.hub.jsontext import loads
from calhub.hub.migrate import as_hub_errors, database_path, ensure_current, open_plain

Shape = dict[str, Any]

DAY: Final = 86_400

#: All of time that dates can name.
ALWAYS: Final = (-62_135_596_800, 253_402_300_800)

#: How far before the range an occurrence of each span class may begin; None = any time.
_REACH: Final = (DAY, 32 * DAY, None)

#: ``start`` texts shorter than this carry no offset: dates and floating times, which happen at the reader's wall time.
_ZONED: Final = 20

_COLUMNS: Final = (
    'o.calendar_id, e.uid, o.recurrence_id, coalesce(o.title, e.title), o.start, o."end", '
    "coalesce(o.location, e.location), coalesce(o.status, e.status), coalesce(o.busy, e.busy), o.start_ts, o.end_ts"
)


@contextmanager
def reader(home: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to the hub in ``home`` (or to a database file), for many questions in a row.

    Raises `NotFound` where there is no hub, `NewerDatabase`, `CorruptDatabase`; an older schema is migrated first.
    """
    path = database_path(home)
    if not path.exists():
        raise NotFound(f"There is no hub in {home}.", "Add an account or a calendar first, or give another --home.")
    ensure_current(path)
    with as_hub_errors(path):
        db = open_plain(path, read_only=True)
        try:
            yield db
        finally:
            db.close()


def agenda(
    source: Path | sqlite3.Connection,
    start_ts: int,
    end_ts: int,
    calendar_id: int | None = None,
    *,
    zone: tzinfo | None = None,
) -> list[Shape]:
    """The occurrences that overlap ``[start_ts, end_ts)``, as occurrence shapes ordered by start, then title.

    ``source`` is a home, a database file or a `reader`. Zoned events are compared by instant; all-day and floating
    ones by wall time, with the range read in ``zone`` (UTC when None). An event without length counts at its start.
    Beyond the horizon, series are expanded on the fly.
    """
    if not isinstance(source, sqlite3.Connection):
        with reader(source) as db:
            return agenda(db, start_ts, end_ts, calendar_id, zone=zone)
    names = _calendar_names(source)
    return [_shape(row, names) for _, row in _sorted_rows(source, start_ts, end_ts, calendar_id, _Local(zone))]


def agenda_page(
    db: sqlite3.Connection,
    start_ts: int,
    end_ts: int,
    calendar_id: int | None = None,
    *,
    zone: tzinfo | None = None,
    after: list[Any] | None = None,
    limit: int,
) -> tuple[list[Shape], list[Any] | None]:
    """A part of an `agenda`, and where it ended: the ``after`` of the next part, None with the last one."""
    rows = _sorted_rows(db, start_ts, end_ts, calendar_id, _Local(zone))
    if after is not None:
        rows = [pair for pair in rows if pair[0] > tuple(after)]
    names = _calendar_names(db)
    last = list(rows[limit - 1][0]) if len(rows) > limit else None
    return [_shape(row, names) for _, row in rows[:limit]], last


def busy_times(
    db: sqlite3.Connection, start_ts: int, end_ts: int, calendar_ids: Sequence[int], *, zone: tzinfo | None = None
) -> list[tuple[int, int]]:
    """When the occurrences of these calendars (of all where none is named) keep somebody busy: ``(start, end)`` each.

    Cancelled ones do not. Times without offset are those of the clock in ``zone``.
    """
    local = _Local(zone)
    found = []
    for row in _rows(db, start_ts, end_ts, None, local):
        if row[_BUSY] != 0 and row[_STATUS] != "cancelled" and (not calendar_ids or row[0] in calendar_ids):
            found.append((local.instant(row, _START_TS), local.instant(row, _END_TS)))
    return found


def _sorted_rows(
    db: sqlite3.Connection, start_ts: int, end_ts: int, calendar_id: int | None, local: _Local
) -> list[tuple[_Key, _Row]]:
    found = local.keyed(_rows(db, start_ts, end_ts, calendar_id, local))
    found.sort(key=lambda pair: pair[0])
    return found


def search(
    source: Path | sqlite3.Connection,
    query: str,
    start_ts: int | None = None,
    end_ts: int | None = None,
    limit: int = 50,
    *,
    calendar_id: int | None = None,
    zone: tzinfo | None = None,
    now_ts: int | None = None,
) -> list[Shape]:
    """Events that hold all words of ``query``, best first: the next or else the latest occurrence of each.

    Words in double quotes are a phrase; the last word may be unfinished; case and accents do not matter. With a range,
    the first occurrence in it, and no event without one. Any text is a valid query; one without words finds nothing.
    """
    if not isinstance(source, sqlite3.Connection):
        with reader(source) as db:
            return search(db, query, start_ts, end_ts, limit, calendar_id=calendar_id, zone=zone, now_ts=now_ts)
    terms = match_expression(query)
    if not terms:
        return []
    now = int(time.time()) if now_ts is None else now_ts
    within = None if start_ts is None and end_ts is None else _Local(zone).range(start_ts, end_ts)
    names = _calendar_names(source)
    found: list[Shape] = []
    for event_id in _hits(source, terms):
        row = _next_or_latest(source, event_id, now) if within is None else _first_within(source, event_id, within)
        if row is not None and calendar_id in (None, row[0]):
            found.append(_shape(row, names))
            if len(found) >= limit:
                break
    return found


def match_expression(query: str) -> str:
    """The FTS5 expression for what a user typed; empty where it holds no word. Never a syntax error.

    The last word is taken as unfinished, unless it is a single ASCII letter: half of all words begin with that.
    """
    text = query.encode("utf-8", "ignore").decode().replace("\0", " ")
    pieces = text.split('"')  # odd ones stood between quotes, the last one perhaps not closed yet
    terms: list[str] = []
    unfinished = False
    for place, piece in enumerate(pieces):
        for word in [piece.strip()] if place % 2 else piece.split():
            if any(map(str.isalnum, word)):  # the tokenizer knows only letters and digits
                terms.append(f'"{word}"')
                unfinished = (place % 2 == 0 or place == len(pieces) - 1) and not (len(word) == 1 and word.isascii())
    return " ".join(terms) + (" *" if unfinished else "")


# Rows: (calendar id, uid, recurrence id, title, start, end, location, status, busy, start_ts, end_ts)

_Row = tuple[Any, ...]
_Key = tuple[int, str, str, int, str]  # start, title, uid, calendar id, recurrence id
_START: Final = 4
_STATUS: Final = 7
_BUSY: Final = 8
_START_TS: Final = 9
_END_TS: Final = 10


class _Local:
    """The reader's wall clock, for times that carry no offset; stored as if they were UTC."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._instants: dict[int, int] = {}

    def wall(self, ts: int) -> int:
        """What the reader's clock shows at an instant, as if it were UTC. Beyond the years of dates: the same."""
        if self._zone is None or not -62_000_000_000 < ts < 253_000_000_000:
            return ts
        shift = datetime.fromtimestamp(ts, self._zone).utcoffset() or timedelta()
        return ts + int(shift.total_seconds())

    def range(self, start_ts: int | None, end_ts: int | None) -> _Range:
        """The range, open towards the side that is None."""
        start = ALWAYS[0] if start_ts is None else start_ts
        end = ALWAYS[1] if end_ts is None else end_ts
        return _Range(start, end, self.wall(start), self.wall(end))

    def keyed(self, rows: Iterable[_Row]) -> list[tuple[_Key, _Row]]:
        """The rows, each with where it stands in the reader's day; no two have the same place."""
        floats = self._zone is not None
        return [  # as `instant` says, spelled out: a call for each of many rows is what takes the time
            (
                (
                    self._instant(row[_START_TS]) if floats and len(row[_START]) < _ZONED else row[_START_TS],
                    row[3], row[1], row[0], row[2] or "",
                ),
                row,
            )
            for row in rows
        ]  # fmt: skip

    def instant(self, row: _Row, column: int) -> int:
        """The start or end of an occurrence, as the reader's clock reads it where it has no offset."""
        ts: int = row[column]
        return self._instant(ts) if self._zone is not None and len(row[_START]) < _ZONED else ts

    def _instant(self, wall: int) -> int:
        known = self._instants.get(wall)
        if known is None:
            naive = datetime(1970, 1, 1) + timedelta(seconds=wall)
            known = self._instants[wall] = int(naive.replace(tzinfo=self._zone or UTC).timestamp())
        return known


def _shape(row: _Row, names: dict[int, str]) -> Shape:
    calendar_id, uid, recurrence_id, title, start, end, location, status, busy, _, _ = row
    return {
        "uid": uid,
        "recurrence_id": recurrence_id,
        "calendar": names[calendar_id],
        "title": title,
        "start": start,
        "end": end,
        "all_day": len(start) == 10,
        "location": location,
        "status": status,
        "busy": busy != 0,
    }


def _calendar_names(db: sqlite3.Connection) -> dict[int, str]:
    return dict(db.execute("SELECT id, name FROM calendar"))


def _rows(db: sqlite3.Connection, start_ts: int, end_ts: int, calendar_id: int | None, local: _Local) -> Iterator[_Row]:
    if start_ts >= end_ts:
        return
    within = local.range(start_ts, end_ts)
    calendar = "" if calendar_id is None else "o.calendar_id = :calendar AND "
    yield from db.execute(_range_query(calendar), {**within.values(), "calendar": calendar_id})
    gaps = _beyond(db, within)
    if gaps:
        chosen = "" if calendar_id is None else "AND calendar_id = :calendar"
        query = f"SELECT calendar_id, uid, content FROM event WHERE {SERIES} {chosen} ORDER BY id"
        for series in db.execute(query, {"calendar": calendar_id}):
            for gap in gaps:
                yield from _expanded(series, gap, _horizon(db), within)


@dataclass(frozen=True)
class _Range:
    """A range of time: as instants, and as the reader's wall clock shows them."""

    start: int
    end: int
    local_start: int
    local_end: int

    @classmethod
    def between(cls, start: int, end: int) -> _Range:
        return cls(start, end, start, end)

    @property
    def first(self) -> int:
        return min(self.start, self.local_start)

    @property
    def last(self) -> int:
        return max(self.end, self.local_end)

    def values(self) -> dict[str, Any]:
        return {**asdict(self), "first": self.first, "last": self.last}

    def holds(self, start: str, start_ts: int, end_ts: int) -> bool:
        """The same as `_WITHIN`."""
        low, high = (self.local_start, self.local_end) if len(start) < _ZONED else (self.start, self.end)
        return start_ts < high and (end_ts > low or start_ts >= low)


#: Whether an occurrence is in the range: without offset by wall time, otherwise by instant.
_WITHIN: Final = (
    f"CASE WHEN length(o.start) < {_ZONED} "
    "THEN o.start_ts < :local_end AND (o.end_ts > :local_start OR o.start_ts >= :local_start) "
    "ELSE o.start_ts < :end AND (o.end_ts > :start OR o.start_ts >= :start) END"
)

# CROSS JOIN keeps SQLite from starting at the events.
_OCCURRENCES: Final = f"SELECT {_COLUMNS} FROM occurrence o CROSS JOIN event e ON e.id = o.event_id"


def _range_query(calendar: str) -> str:
    """One bounded index scan for each span class."""
    parts = []
    for span, reach in enumerate(_REACH):
        since = "" if reach is None else f"o.start_ts >= :first - {reach} AND "
        parts.append(f"{_OCCURRENCES} WHERE {calendar}o.span = {span} AND {since}o.start_ts < :last AND {_WITHIN}")
    return " UNION ALL ".join(parts)


# Beyond the horizon

#: Events that may take place more than once.
SERIES: Final = "deleted = 0 AND (rrule IS NOT NULL OR json_extract(content, '$.rdates') IS NOT NULL)"
_FACE: Final = (("title", ""), ("location", ""), ("status", "confirmed"))


def _horizon(db: sqlite3.Connection) -> tuple[int, int]:
    """The stretch of time for which series have rows; all of it where nothing was written yet."""
    rows = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('horizon_start', 'horizon_end')"))
    return (int(rows["horizon_start"]), int(rows["horizon_end"])) if len(rows) == 2 else ALWAYS


def _beyond(db: sqlite3.Connection, within: _Range) -> list[tuple[int, int]]:
    """The parts of a range for which series have no rows."""
    start, end = _horizon(db)
    parts = ((within.first, min(within.last, start)), (max(within.first, end), within.last))
    return [part for part in parts if part[0] < part[1]]


def _expanded(
    series: tuple[int, str, str], gap: tuple[int, int], horizon: tuple[int, int], within: _Range
) -> Iterator[_Row]:
    """The occurrences of one series that overlap ``gap``, have no row since they lie beyond the horizon, and are in
    the range."""
    from calhub.calendar.recurrence import expand

    calendar_id, uid, text = series
    content = loads(text)
    try:
        for one in expand(content, *gap):
            stored = one.start_ts < horizon[1] and one.end_ts > horizon[0]
            if not stored and within.holds(one.start, one.start_ts, one.end_ts):
                shown = {**content, **(one.patch or {})}
                title, location, status = (shown.get(name) or default for name, default in _FACE)
                busy = shown.get("busy") is not False
                yield (
                    calendar_id, uid, one.recurrence_id, title, one.start, one.end, location, status, busy,
                    one.start_ts, one.end_ts,
                )  # fmt: skip
    except ValueError:
        return  # a rule that cannot be expanded: its first occurrence has a row


# Search

#: Words in the title count most.
_RANK: Final = "bm25(10.0, 1.0, 4.0, 4.0)"
_MATCHES: Final = "SELECT rowid FROM event_search WHERE event_search MATCH ?"
_BEST: Final = f"{_MATCHES} AND rank MATCH '{_RANK}' ORDER BY rank"

#: Hits beyond this number are not weighed: that would take longer than anybody wants to wait, and a word so common
#: says little. Those that have it in the title come first then, and the latest additions before the older.
_COMMON: Final = 4_000

_BEST_STORED: Final = (
    f"{_OCCURRENCES} WHERE o.event_id = :event "
    "ORDER BY o.end_ts <= :now, CASE WHEN o.end_ts <= :now THEN -o.start_ts ELSE o.start_ts END LIMIT 1"
)
_FIRST_STORED: Final = f"{_OCCURRENCES} WHERE o.event_id = :event AND {_WITHIN} ORDER BY o.start_ts LIMIT 1"
_ONE_SERIES: Final = f"SELECT calendar_id, uid, content FROM event WHERE id = ? AND {SERIES}"


def _hits(db: sqlite3.Connection, terms: str) -> Iterator[int]:
    """The ids of matching events, best first."""
    (count,) = db.execute(f"SELECT count(*) FROM ({_MATCHES} LIMIT ?)", (terms, _COMMON + 1)).fetchone()
    if count <= _COMMON:
        yield from (event_id for (event_id,) in db.execute(_BEST, (terms,)))
        return
    seen: set[int] = set()
    for expression in (f"title : ({terms})", terms):
        for (event_id,) in db.execute(f"{_MATCHES} ORDER BY rowid DESC", (expression,)):
            if event_id not in seen:
                seen.add(event_id)
                yield event_id


def _next_or_latest(db: sqlite3.Connection, event_id: int, now: int) -> _Row | None:
    """The occurrence under way or next to come, else the one that ended last."""
    stored: _Row | None = db.execute(_BEST_STORED, {"event": event_id, "now": now}).fetchone()
    if stored is not None and stored[_END_TS] > now:
        return stored
    series = db.execute(_ONE_SERIES, (event_id,)).fetchone()
    if series is None:
        return stored
    horizon = _horizon(db)
    later = _Range.between(max(now, horizon[1]), ALWAYS[1])
    coming = next(_expanded(series, (later.start, later.end), horizon, later), None)
    if coming is not None or stored is not None:
        return coming or stored
    earlier = _Range.between(ALWAYS[0], horizon[0])
    ended = deque(_expanded(series, (earlier.start, earlier.end), horizon, earlier), maxlen=1)
    return ended[0] if ended else None


def _first_within(db: sqlite3.Connection, event_id: int, within: _Range) -> _Row | None:
    candidates = db.execute(_FIRST_STORED, {**within.values(), "event": event_id}).fetchall()
    gaps = _beyond(db, within)
    series = db.execute(_ONE_SERIES, (event_id,)).fetchone() if gaps else None
    if series is not None:
        for gap in gaps:
            candidates += islice(_expanded(series, gap, _horizon(db), within), 1)
    return min(candidates, key=lambda row: row[_START_TS], default=None)
