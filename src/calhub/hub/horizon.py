"""Occurrence rows: every event's place in time, series over a horizon that moves with the days.

A single event has its one row wherever it lies. A series has rows for the occurrences that overlap the horizon, from a
year back to three years ahead; `advance` moves it, and `calhub.hub.agenda` expands on the fly what lies beyond.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.recurrence import expand
from calhub.hub.agenda import ALWAYS, DAY, SERIES
from calhub.hub.jsontext import loads
from calhub.hub.sql import Connection

BACK: Final = timedelta(days=366)
AHEAD: Final = timedelta(days=3 * 366)

#: How far the horizon may lag behind before `advance` moves it.
SLACK: Final = timedelta(days=30)

_COLUMNS: Final = ("event_id", "calendar_id", "recurrence_id", "start_ts", "end_ts", "span", "start", '"end"')
_START: Final = _COLUMNS.index("start_ts")
_AT_ONCE: Final = 300  # rows in one statement: a third faster than one each

#: Occurrences follow from these fields alone, and from what overrides say of the columns below.
_SHAPING: Final = (*TIME_UNIT, *RECURRENCE_UNIT, "overrides", "zones")

#: Columns an override may set, with what the field's absence means.
_DIFFERING: Final = (("title", ""), ("location", ""), ("status", "confirmed"), ("busy", True))


def _insertion(columns: Sequence[str], rows: int = 1) -> str:
    places = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO occurrence ({', '.join(columns)}) VALUES {', '.join([places] * rows)}"


_INSERT: Final = _insertion(_COLUMNS)
_INSERT_MANY: Final = _insertion(_COLUMNS, _AT_ONCE)
_INSERT_DIFFERING: Final = _insertion([*_COLUMNS, *(name for name, _ in _DIFFERING)])


def is_series(content: Content) -> bool:
    """Whether the event has more than the one occurrence that its start says."""
    return "rrule" in content or "rdates" in content


def moves(before: Content, after: Content) -> bool:
    """Whether occurrence rows written for ``before`` are wrong for ``after``."""
    if any(before.get(name) != after.get(name) for name in _SHAPING):
        return True
    # An override equal to its master leaves NULL in the row, so a change of the master shows in rows with overrides.
    return "overrides" in after and any(before.get(name) != after.get(name) for name, _ in _DIFFERING)


def current(conn: Connection, now: str) -> tuple[int, int]:
    """The stored horizon as timestamps; the one around ``now`` is stored where there is none yet."""
    rows = conn.execute("SELECT key, value FROM meta WHERE key IN ('horizon_start', 'horizon_end')").fetchall()
    stored = {key: int(value) for key, value in rows}
    if len(stored) == 2:
        return stored["horizon_start"], stored["horizon_end"]
    return _store(conn, around(now))


def around(now: str) -> tuple[int, int]:
    """The horizon for this day: from midnights, in UTC."""
    today = datetime.fromisoformat(now).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((today - BACK).timestamp()), int((today + AHEAD).timestamp())


def insert(conn: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Store occurrence rows as `rows` makes them: by start, since going to and fro in its index takes long."""
    plain: list[tuple[Any, ...]] = []
    differing: list[tuple[Any, ...]] = []
    for row in sorted(rows, key=itemgetter(_START)):
        (plain if len(row) == len(_COLUMNS) else differing).append(row)
    whole = len(plain) - len(plain) % _AT_ONCE
    parts = (plain[place : place + _AT_ONCE] for place in range(0, whole, _AT_ONCE))
    conn.executemany(_INSERT_MANY, map(tuple, map(chain.from_iterable, parts)))
    conn.executemany(_INSERT, plain[whole:])
    conn.executemany(_INSERT_DIFFERING, differing)


def rows(event_id: int, calendar_id: int, content: Content, start_ts: int, end_ts: int) -> list[tuple[Any, ...]]:
    """The occurrence rows of an event over a horizon, for `insert`.

    A series whose rule cannot be expanded keeps its first occurrence, so that it is not lost to the eye. Raises
    `InvalidEvent` when that cannot be placed either.
    """
    if not is_series(content):
        return _rows(event_id, calendar_id, content, ALWAYS)
    try:
        return _rows(event_id, calendar_id, content, (start_ts, end_ts))
    except (ValueError, OverflowError):  # InvalidEvent is a ValueError
        return _rows(event_id, calendar_id, without_recurrence(content), ALWAYS)


def without_recurrence(content: Content) -> Content:
    """The event as if it took place once, at its own start."""
    return {name: value for name, value in content.items() if name not in (*RECURRENCE_UNIT, "overrides")}


def advance(conn: Connection, now: str) -> bool:
    """Move the horizon when it lags behind; True where it did. Only the new stretch of time is expanded.

    Called at the start of a pass. In the caller's transaction: all of it, or nothing.
    """
    _, old_end = current(conn, now)
    new_start, new_end = around(now)
    if abs(new_end - old_end) < SLACK.total_seconds():
        return False
    if new_end < old_end or new_start > old_end:  # the clock was set back, or years went by: from scratch
        old_end = new_start
        conn.execute(f"DELETE FROM occurrence WHERE event_id IN ({_SERIES_IDS})")
    else:
        conn.execute(
            f"DELETE FROM occurrence WHERE end_ts <= ? AND start_ts < ? AND event_id IN ({_SERIES_IDS})",
            (new_start, new_start),
        )
    for event_id, calendar_id, text in conn.execute(_SERIES).fetchall():
        _extend(conn, event_id, calendar_id, loads(text), (old_end, new_end), fresh=old_end == new_start)
    _store(conn, (new_start, new_end))
    return True


_SERIES_IDS: Final = f"SELECT id FROM event WHERE {SERIES}"
_SERIES: Final = f"SELECT id, calendar_id, content FROM event WHERE {SERIES}"


def _extend(
    conn: Connection, event_id: int, calendar_id: int, content: Content, stretch: tuple[int, int], *, fresh: bool
) -> None:
    try:
        found = _rows(event_id, calendar_id, content, stretch)
    except (ValueError, OverflowError):
        found = rows(event_id, calendar_id, content, *stretch)  # its first occurrence may be there already
        conn.execute("DELETE FROM occurrence WHERE event_id = ?", (event_id,))
        fresh = True
    if not fresh:  # what began before the stretch overlaps the old horizon, and has its row
        found = [row for row in found if row[_START] >= stretch[0]]
    insert(conn, found)


def _store(conn: Connection, horizon: tuple[int, int]) -> tuple[int, int]:
    conn.execute(
        "INSERT INTO meta (key, value) VALUES ('horizon_start', ?), ('horizon_end', ?) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (str(horizon[0]), str(horizon[1])),
    )
    return horizon


def _rows(event_id: int, calendar_id: int, content: Content, stretch: tuple[int, int]) -> list[tuple[Any, ...]]:
    # By recurrence id: a second instance of one id would break the index, and with it the whole batch.
    found: dict[str | None, tuple[Any, ...]] = {}
    for recurrence_id, start, end, start_ts, end_ts, patch in expand(content, *stretch):
        last_ts = end_ts if end_ts > start_ts else start_ts
        length = last_ts - start_ts
        span = 0 if length <= DAY else 1 if length <= 32 * DAY else 2
        row = (event_id, calendar_id, recurrence_id, start_ts, last_ts, span, start, end)
        found[recurrence_id] = (*row, *_differing(content, patch)) if patch else row
    return list(found.values())


def _differing(content: Content, patch: Content) -> tuple[Any, ...]:
    values: list[Any] = []
    for name, default in _DIFFERING:
        here, master = patch.get(name, content.get(name)), content.get(name)
        here, master = default if here is None else here, default if master is None else master
        values.append(None if here == master else int(here) if isinstance(here, bool) else here)
    return tuple(values)
