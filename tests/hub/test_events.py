"""Storing events: what follows from their content, the change log, tombstones."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import IntegrityError
from typing import Any

import pytest

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.recurrence import expand
from calhub.hub import accounts, events, horizon
from calhub.hub.changes import Change, changes_since, last_seq, run_changes
from calhub.hub.database import Hub
from calhub.hub.errors import Ambiguous, NotFound
from calhub.hub.events import StoredEvent

NOON: Content = {
    "title": "Lunch",
    "start": "2026-11-21T12:00:00",
    "end": "2026-11-21T13:00:00",
    "time_zone": "Europe/Berlin",
    "location": "Canteen",
    "attendees": {"ann@example.org": {"name": "Ann", "role": "chair", "status": "accepted"}, "bob@example.org": {}},
}
DAILY: Content = {**NOON, "rrule": "FREQ=DAILY;COUNT=5"}


def put(hub: Hub, calendar_id: int, uid: str, content: Content, **origin: Any) -> StoredEvent:
    with hub.transaction() as conn:
        return events.put_event(conn, calendar_id, uid, content, now=hub.now(), **origin)


def query(hub: Hub, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with hub.read() as conn:
        return [tuple(row) for row in conn.execute(sql, values)]


def changes(hub: Hub, calendar_id: int) -> list[Change]:
    with hub.read() as conn:
        return changes_since(conn, 0, calendar_id)


def dump(hub: Hub) -> list[tuple[Any, ...]]:
    """All that is stored of events, apart from the ids of occurrence rows."""
    tables = ("event", "participant", "change", "event_search")
    rows = [row for table in tables for row in query(hub, f"SELECT * FROM {table}")]
    return rows + query(hub, 'SELECT event_id, recurrence_id, start_ts, end_ts, span, start, "end" FROM occurrence')


def test_put_stores_columns_people_times_and_words(hub: Hub, work: int) -> None:
    """A new event has its columns, its participants, its occurrence and its search text."""
    stored = put(hub, work, "u1", NOON)

    assert stored == StoredEvent(stored.id, work, "u1", NOON, 1, hub.now(), False)
    columns = "title, location, status, privacy, busy, all_day, rrule, rev, updated, deleted"
    assert query(hub, f"SELECT {columns} FROM event") == [
        ("Lunch", "Canteen", "confirmed", "public", 1, 0, None, 1, "2026-11-21T12:00:00.000Z", 0)
    ]
    assert query(hub, "SELECT email, name, role, status FROM participant ORDER BY email") == [
        ("ann@example.org", "Ann", "chair", "accepted"),
        ("bob@example.org", None, "required", "needs-action"),
    ]
    assert query(hub, 'SELECT calendar_id, recurrence_id, start, "end", end_ts - start_ts, span FROM occurrence') == [
        (work, None, "2026-11-21T12:00:00+01:00", "2026-11-21T13:00:00+01:00", 3600, 0)
    ]
    assert query(hub, "SELECT rowid FROM event_search WHERE event_search MATCH 'canteen'") == [(stored.id,)]


def test_equal_content_changes_nothing(hub: Hub, work: int) -> None:
    """Putting what is there already keeps rev and log, whatever the order of its keys."""
    first = put(hub, work, "u1", NOON)
    before = dump(hub)
    again = put(hub, work, "u1", dict(reversed(NOON.items())))

    assert again == first
    assert dump(hub) == before


def test_update_is_logged_by_field(hub: Hub, work: int) -> None:
    """A change names the paths that differ, keeps the content before, and says who brought it."""
    put(hub, work, "u1", NOON)
    later = {**NOON, "title": "Late lunch", "attendees": {**NOON["attendees"], "ann@example.org": {}}}
    stored = put(hub, work, "u1", later, replica_id=7, run_id=3)

    assert stored.rev == 2
    first, second = changes(hub, work)
    assert (first.op, first.before, first.fields) == ("create", None, tuple(sorted(NOON)))
    assert (second.op, second.before, second.replica_id, second.run_id) == ("update", NOON, 7, 3)
    ann = "attendees/ann@example.org"
    assert second.fields == (f"{ann}/name", f"{ann}/role", f"{ann}/status", "title")
    assert query(hub, "SELECT title FROM event_search") == [("Late lunch",)]
    assert query(hub, "SELECT status FROM participant WHERE email LIKE 'ann%'") == [("needs-action",)]
    with hub.read() as conn:
        assert run_changes(conn, 3) == [second]
        assert last_seq(conn) == 2


def test_occurrences_follow_the_time(hub: Hub, work: int) -> None:
    """Moving a series rewrites its occurrences; a new title leaves the rows alone."""
    put(hub, work, "u1", DAILY)
    before = query(hub, "SELECT id FROM occurrence")
    put(hub, work, "u1", {**DAILY, "title": "Dinner"})
    assert query(hub, "SELECT id FROM occurrence") == before
    put(hub, work, "u1", {**DAILY, "rrule": "FREQ=DAILY;COUNT=2"})

    assert query(hub, "SELECT start FROM occurrence ORDER BY start_ts") == [
        ("2026-11-21T12:00:00+01:00",),
        ("2026-11-22T12:00:00+01:00",),
    ]


def test_columns_of_overrides_only_where_they_differ(hub: Hub, work: int) -> None:
    """An occurrence keeps its own title, place, status and busy only where its override says otherwise."""
    overrides = {
        "2026-11-22T12:00:00+01:00": {"title": "Brunch", "busy": False, "location": None},
        "2026-11-23T12:00:00+01:00": {"status": "tentative", "title": "Lunch"},
    }
    put(hub, work, "u1", {**DAILY, "overrides": overrides})
    rows = query(hub, "SELECT title, location, status, busy FROM occurrence ORDER BY start_ts LIMIT 4")

    nothing = (None, None, None, None)
    assert rows == [nothing, ("Brunch", "", None, 0), (None, None, "tentative", None), nothing]


def test_master_changes_reach_overridden_rows(hub: Hub, work: int) -> None:
    """When the master gets another title, an override that had the same one now differs."""
    overrides = {"2026-11-22T12:00:00+01:00": {"title": "Lunch"}}
    put(hub, work, "u1", {**DAILY, "overrides": overrides})
    put(hub, work, "u1", {**DAILY, "overrides": overrides, "title": "Meal"})

    assert query(hub, "SELECT title FROM occurrence ORDER BY start_ts LIMIT 2") == [(None,), ("Lunch",)]


def test_words_of_overrides_are_found(hub: Hub, work: int) -> None:
    """What single instances say differently is searchable too."""
    overrides = {"2026-11-22T12:00:00+01:00": {"title": "Brunch", "attendees": {"eve@example.org": {"name": "Eve"}}}}
    put(hub, work, "u1", {**DAILY, "overrides": overrides})

    for word in ("brunch", "lunch", "eve"):
        assert len(query(hub, "SELECT rowid FROM event_search WHERE event_search MATCH ?", word)) == 1


@pytest.mark.parametrize(
    ("end", "span"),
    [("2026-11-22T12:00:00", 0), ("2026-11-22T12:00:01", 1), ("2026-12-23T12:00:00", 1), ("2026-12-23T12:00:01", 2)],
)
def test_span_classes(hub: Hub, work: int, end: str, span: int) -> None:
    """Class 0 lasts up to a day, 1 up to 32 days, 2 longer: the bounds of the range scans."""
    put(hub, work, "u1", {**NOON, "end": end})

    assert query(hub, "SELECT span FROM occurrence") == [(span,)]


def test_single_events_have_a_row_wherever_they_lie(hub: Hub, work: int) -> None:
    """The horizon bounds series only."""
    put(hub, work, "old", {"start": "1969-07-20T20:17:40", "time_zone": "UTC"})
    put(hub, work, "far", {"start": "2126-01-01", "end": "2126-01-02", "all_day": True})

    assert query(hub, "SELECT start FROM occurrence ORDER BY start_ts") == [("1969-07-20T20:17:40Z",), ("2126-01-01",)]


def test_endless_series_fill_the_horizon(hub: Hub, work: int) -> None:
    """A series has occurrences from a year back to three years ahead, as the horizon in meta says."""
    put(hub, work, "u1", {"start": "2000-01-01", "end": "2000-01-02", "all_day": True, "rrule": "FREQ=DAILY"})

    rows = query(hub, "SELECT value FROM meta WHERE key LIKE 'horizon%' ORDER BY key DESC")
    start, end = (int(value) for (value,) in rows)
    assert query(hub, "SELECT min(start), max(start), count(*) FROM occurrence") == [
        ("2025-11-20", "2029-11-22", (end - start) // 86_400)
    ]


def test_horizon_moves_on(hub: Hub, work: int) -> None:
    """After a year the horizon has moved, and every row is as if the event had been put then."""
    series = {
        "weekly": {**DAILY, "rrule": "FREQ=WEEKLY"},
        "ended": DAILY,
        "long": {"start": "2029-11-20", "end": "2029-12-10", "all_day": True, "rrule": "FREQ=YEARLY"},
        "dates": {**NOON, "rdates": ["2026-11-28T12:00:00+01:00", "2030-05-01T12:00:00+02:00"]},
        "single": NOON,
    }
    for uid, content in series.items():
        put(hub, work, uid, content)
    later = "2027-11-21T12:00:00.000Z"
    with hub.transaction() as conn:
        assert not horizon.advance(conn, "2026-11-30T00:00:00.000Z")
        assert horizon.advance(conn, later)
        assert not horizon.advance(conn, later)
    moved = query(hub, "SELECT event_id, recurrence_id, start_ts, end_ts, span FROM occurrence ORDER BY 1, 3")
    with hub.transaction() as conn:
        for one in list(events.events(conn, work)):
            conn.execute("DELETE FROM occurrence WHERE event_id = ?", (one.id,))
            horizon.insert(conn, horizon.rows(one.id, work, one.content, *horizon.around(later)))

    fresh = query(hub, "SELECT event_id, recurrence_id, start_ts, end_ts, span FROM occurrence ORDER BY 1, 3")
    assert moved == fresh
    assert len(moved) > 200


@pytest.mark.parametrize("years", [-3, 10])
def test_horizon_jumps(hub: Hub, work: int, years: int) -> None:
    """A clock set back, or a hub asleep for years, makes the occurrences of series anew."""
    put(
        hub, work, "u1", {**DAILY, "start": "2000-11-21T12:00:00", "end": "2000-11-21T13:00:00", "rrule": "FREQ=YEARLY"}
    )
    with hub.transaction() as conn:
        assert horizon.advance(conn, f"{2026 + years}-11-21T12:00:00.000Z")

    found = [start[:4] for (start,) in query(hub, "SELECT start FROM occurrence ORDER BY start_ts")]
    assert found == [str(2026 + years + offset) for offset in range(-1, 4)]


def test_a_rule_that_cannot_be_expanded_keeps_the_first_occurrence(
    hub: Hub, work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile rule does not lose the event, nor the others of its batch."""

    def hostile(content: Content, start_ts: int, end_ts: int) -> Any:
        if content.get("rrule") == "FREQ=DAILY;COUNT=666":
            raise InvalidEvent("The rule is too much.")
        return expand(content, start_ts, end_ts)

    monkeypatch.setattr(horizon, "expand", hostile)
    bad = {**DAILY, "rrule": "FREQ=DAILY;COUNT=666"}
    with hub.transaction() as conn:
        events.put_events(conn, [(work, "bad", bad), (work, "good", DAILY)], now=hub.now())

    assert query(hub, "SELECT uid, count(*) FROM event JOIN occurrence ON event_id = event.id GROUP BY uid") == [
        ("bad", 1),
        ("good", 5),
    ]


def test_bulk_equals_one_by_one(hub: Hub, work: int, tmp_path: Path) -> None:
    """put_events leaves the database as put_event called in the same order, repeated keys included."""
    rows = [
        (work, "u1", NOON),
        (work, "u2", DAILY),
        (work, "u1", {**NOON, "title": "Again"}),
        (work, "u3", DAILY),
        (work, "u2", {**DAILY, "rrule": "FREQ=DAILY;COUNT=3"}),
        (work, "u3", DAILY),
    ]
    with hub.transaction() as conn:
        bulk = events.put_events(conn, rows, now=hub.now())
    by_bulk = dump(hub)
    with Hub.open(tmp_path / "other", clock=hub.clock) as other:
        with other.transaction() as conn:
            accounts.add_calendar(conn, "Work", other.now())
        single = [put(other, calendar_id, uid, content) for calendar_id, uid, content in rows]
        by_single = dump(other)

    assert single == bulk
    assert sorted(map(str, by_single)) == sorted(map(str, by_bulk))
    assert query(hub, "SELECT count(*) FROM occurrence") == [(1 + 3 + 5,)]


def test_bulk_is_all_or_nothing(hub: Hub, work: int) -> None:
    """One event the database refuses undoes the batch, with the transaction around it."""
    rows = [(work, "u1", NOON), (work, "u2", {**NOON, "status": "perhaps"})]
    with pytest.raises(IntegrityError), hub.transaction() as conn:
        events.put_events(conn, rows, now=hub.now())

    assert dump(hub) == []


def test_text_that_is_not_unicode(hub: Hub, work: int) -> None:
    """Half of a surrogate pair cannot be stored; that is an InvalidEvent, not a failure of the database."""
    with pytest.raises(InvalidEvent, match="Unicode"):
        put(hub, work, "u1", {**NOON, "title": "\ud83d"})


def test_delete_leaves_a_tombstone(hub: Hub, work: int) -> None:
    """A deleted event keeps its content, and nothing of it is found any more; deleting again does nothing."""
    stored = put(hub, work, "u1", DAILY)
    with hub.transaction() as conn:
        gone = events.delete_event(conn, stored.id, now=hub.now(), run_id=5)
        assert events.delete_event(conn, stored.id, now=hub.now()) is None
        assert events.delete_event(conn, 999, now=hub.now()) is None

    assert gone == StoredEvent(stored.id, work, "u1", DAILY, 2, hub.now(), True)
    with hub.read() as conn:
        assert events.event(conn, work, "u1") is None
        assert events.event(conn, work, "u1", deleted=True) == gone
        assert events.event_by_id(conn, stored.id) == gone
        assert list(events.events(conn, work)) == []
        with pytest.raises(NotFound):
            events.find_event(conn, "u1")
    for table in ("participant", "occurrence", "event_search"):
        assert query(hub, f"SELECT count(*) FROM {table}") == [(0,)]
    last = changes(hub, work)[-1]
    assert (last.op, last.before, last.fields, last.run_id) == ("delete", DAILY, (), 5)


def test_undelete(hub: Hub, work: int) -> None:
    """Putting a deleted event, even with the same content, brings it back as the same row with a new rev."""
    stored = put(hub, work, "u1", DAILY)
    with hub.transaction() as conn:
        events.delete_event(conn, stored.id, now=hub.now())
    back = put(hub, work, "u1", DAILY)

    assert (back.id, back.rev, back.deleted) == (stored.id, 3, False)
    assert [(one.op, one.before) for one in changes(hub, work)][2:] == [("create", None)]
    assert query(hub, "SELECT count(*) FROM occurrence") == [(5,)]
    assert query(hub, "SELECT count(*) FROM participant") == [(2,)]
    assert query(hub, "SELECT count(*) FROM event_search WHERE event_search MATCH 'lunch'") == [(1,)]


def test_purge(hub: Hub, work: int) -> None:
    """A purged row is gone; its id and its seq are not used again."""
    first = put(hub, work, "u1", NOON)
    with hub.transaction() as conn:
        events.delete_event(conn, first.id, now=hub.now())
        events.forget_tombstone(conn, first.id)
    second = put(hub, work, "u2", NOON)

    assert second.id > first.id
    assert second.rev > first.rev
    assert query(hub, "SELECT uid FROM event") == [("u2",)]
    assert query(hub, "SELECT rowid FROM event_search WHERE event_search MATCH 'lunch'") == [(second.id,)]


def test_seq_is_never_used_again(hub: Hub, work: int) -> None:
    """When old rows of the log are removed, the count goes on."""
    put(hub, work, "u1", NOON)
    with hub.transaction() as conn:
        conn.execute("DELETE FROM change")

    assert put(hub, work, "u2", NOON).rev == 2


def test_rollback_takes_everything_back(hub: Hub, work: int) -> None:
    """An exception after a put leaves no trace in any table, nor in the counters."""
    before = dump(hub)

    def put_and_fail() -> None:
        with hub.transaction() as conn:
            events.put_event(conn, work, "u1", DAILY, now=hub.now())
            raise KeyError

    with pytest.raises(KeyError):
        put_and_fail()

    assert dump(hub) == before
    assert put(hub, work, "u1", DAILY).rev == 1


def test_changes_since(hub: Hub, work: int) -> None:
    """The log is read from a point on, one calendar at a time."""
    with hub.transaction() as conn:
        home = accounts.add_calendar(conn, "Home", hub.now()).id
    put(hub, work, "u1", NOON)
    put(hub, home, "u2", NOON)
    put(hub, work, "u3", NOON)

    with hub.read() as conn:
        assert [one.seq for one in changes_since(conn, 0, work)] == [1, 3]
        assert [one.uid for one in changes_since(conn, 1, work)] == ["u3"]
        assert changes_since(conn, 3, work) == []


def test_find_event_by_uid(hub: Hub, work: int) -> None:
    """A UID names an event where only one calendar has it, otherwise the calendar must be given."""
    with hub.transaction() as conn:
        home = accounts.add_calendar(conn, "Home", hub.now()).id
    one = put(hub, work, "one", NOON)
    put(hub, work, "both", NOON)
    other = put(hub, home, "both", NOON)

    with hub.read() as conn:
        assert events.find_event(conn, "one") == one
        assert events.find_event(conn, "both", "Home") == other
        with pytest.raises(Ambiguous) as caught:
            events.find_event(conn, "both")
        assert caught.value.candidates == ("Work", "Home")
        with pytest.raises(NotFound):
            events.find_event(conn, "one", "Home")
        with pytest.raises(NotFound):
            events.find_event(conn, "neither")
