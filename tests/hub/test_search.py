"""Where a word occurs: what matches, in which order, and which occurrence is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhub.calendar.event import Content
from calhub.hub import agenda, events
from calhub.hub.agenda import match_expression, reader, search
from calhub.hub.database import Hub

NOW = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())


def put(hub: Hub, calendar_id: int, uid: str, **more: Any) -> None:
    content: Content = {"start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00", "time_zone": "UTC", **more}
    with hub.transaction() as conn:
        events.put_event(conn, calendar_id, uid, content, now=hub.now())


def midnight(day: str | None) -> int | None:
    return None if day is None else int(datetime.fromisoformat(f"{day}T00:00Z").timestamp())


def found(hub: Hub, query: str, *args: Any, **more: Any) -> list[str]:
    return [one["uid"] for one in search(hub.home, query, *args, now_ts=NOW, **more)]


@pytest.fixture
def library(hub: Hub, work: int) -> Hub:
    """Four events with known words."""
    put(hub, work, "cafe", title="Café Zoë", description="strategy talk", location="Überlingen")
    put(hub, work, "plan", title="Strategy meeting", attendees={"ann@example.org": {"name": "Ann Álvarez"}})
    put(hub, work, "quote", title="The meeting after the strategy", description="<p>budget&nbsp;2027</p>")
    put(hub, work, "people", title="Lunch", organizer={"email": "bob@example.org", "name": "Bob"})
    return hub


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        ("cafe", {"cafe"}),
        ("CAFÉ", {"cafe"}),
        ("zoe uberlingen", {"cafe"}),
        ("strat", {"cafe", "plan", "quote"}),  # unfinished
        ("strategy meeting", {"plan", "quote"}),
        ("meeting strat", {"plan", "quote"}),
        ('"strategy meeting"', {"plan"}),
        ('"strategy meet', {"plan"}),  # an unfinished phrase
        ('"strategy meet"', set()),
        ('"meeting after" strat', {"quote"}),
        ("strat meeting", set()),  # only the last word may be unfinished
        ("alvarez", {"plan"}),
        ("ann@example.org", {"plan"}),
        ("bob", {"people"}),
        ("budget 2027", {"quote"}),
        ("nowhere", set()),
        ("", set()),
        ('"', set()),
        ("--- ***", set()),
        ("title:lunch", set()),  # no column filters: the words title and lunch, next to each other
        ("lunch NOT bob", set()),  # no operators: NOT is a word
        ("(lunch", {"people"}),
        ("lunch*", {"people"}),
        ("^lunch", {"people"}),
        ("lunch -", {"people"}),
        ("lunch \ud83d\0", {"people"}),
    ],
)
def test_matches(library: Hub, query: str, uids: set[str]) -> None:
    """All words must occur; accents and case do not matter; quotes make phrases; nothing else has a meaning."""
    assert set(found(library, query)) == uids


@given(st.text(max_size=40) | st.text(alphabet="\"*^:()-+{}ab ANDORNT'", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_query(query: str) -> None:
    """No text makes a syntax error."""
    import sqlite3
    from contextlib import closing

    from calhub.hub.schema import SEARCH_DDL

    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(SEARCH_DDL)
        terms = match_expression(query)

        assert (
            not terms or db.execute("SELECT 1 FROM event_search WHERE event_search MATCH ?", (terms,)).fetchall() == []
        )


def test_best_first(hub: Hub, work: int) -> None:
    """A word in the title counts more than one in a long description."""
    put(hub, work, "aside", title="Notes", description="about the budget and much else " + "more words " * 40)
    put(hub, work, "named", title="Budget")
    put(hub, work, "placed", title="Notes", location="Budget office")

    assert found(hub, "budget") == ["named", "placed", "aside"]
    assert found(hub, "budget", limit=2) == ["named", "placed"]


def test_very_common_words(hub: Hub, work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hits are too many to weigh, titles come first and new before old; each event once."""
    monkeypatch.setattr(agenda, "_COMMON", 3)
    put(hub, work, "t1", title="Budget", description="budget")
    put(hub, work, "d1", title="Notes", description="budget")
    put(hub, work, "t2", title="Budget")
    put(hub, work, "d2", title="Notes", location="budget")

    assert found(hub, "budget") == ["t2", "t1", "d2", "d1"]
    assert found(hub, '"budget" note') == ["d2", "d1"]


def test_changed_words(library: Hub, work: int) -> None:
    """After a change the new words are found and the old ones are not; after a delete none."""
    put(library, work, "cafe", title="Bakery")
    assert (found(library, "cafe"), found(library, "bakery")) == ([], ["cafe"])
    with library.transaction() as conn:
        events.delete_event(conn, events.find_event(conn, "cafe").id, now=library.now())

    assert found(library, "bakery") == []


@pytest.mark.parametrize(
    ("rrule", "start", "shown"),
    [
        ("FREQ=DAILY", "2026-11-01T10:00:00", "2026-11-22T10:00:00Z"),  # next: today's is over
        ("FREQ=DAILY", "2026-11-01T11:30:00", "2026-11-21T11:30:00Z"),  # under way
        ("FREQ=DAILY;COUNT=3", "2026-11-01T10:00:00", "2026-11-03T10:00:00Z"),  # latest: all are over
        ("FREQ=DAILY;COUNT=3", "2019-11-01T10:00:00", "2019-11-03T10:00:00Z"),  # latest, before the horizon
        ("FREQ=DAILY;COUNT=3", "2039-11-01T10:00:00", "2039-11-01T10:00:00Z"),  # next, after the horizon
        ("FREQ=YEARLY;INTERVAL=9", "2026-11-01T10:00:00", "2035-11-01T10:00:00Z"),  # one behind, one far ahead
        (None, "2026-11-01T10:00:00", "2026-11-01T10:00:00Z"),
    ],
)
def test_next_or_latest(hub: Hub, work: int, rrule: str | None, start: str, shown: str) -> None:
    """Of each event the occurrence under way or next to come is shown, else the last one."""
    end = datetime.fromisoformat(start).replace(hour=13 if "11:30" in start else 11).isoformat()
    put(hub, work, "u1", title="Lunch", start=start, end=end, **({"rrule": rrule} if rrule else {}))

    (one,) = search(hub.home, "lunch", now_ts=NOW)
    assert one["start"] == shown


def test_within_a_range(hub: Hub, work: int) -> None:
    """With a range the first occurrence in it is shown, events without one are not; also beyond the horizon."""
    put(hub, work, "series", title="Lunch", rrule="FREQ=DAILY")
    put(hub, work, "single", title="Lunch")

    def starts(start: str | None, end: str | None) -> list[str]:
        return [one["start"][:10] for one in search(hub.home, "lunch", midnight(start), midnight(end), now_ts=NOW)]

    assert starts("2026-11-25", "2026-11-27") == ["2026-11-25"]
    assert starts("2026-11-23", None) == ["2026-11-23", "2026-11-23"]
    assert starts(None, "2026-11-23") == []
    assert starts("2040-01-01", "2041-01-01") == ["2040-01-01"]
    assert starts("2029-11-20", None) == ["2029-11-20"]


def test_one_calendar_and_one_reader(library: Hub, work: int) -> None:
    """A reader answers many questions; a calendar narrows them."""
    with reader(library.home) as db:
        assert len(search(db, "strategy", now_ts=NOW, calendar_id=work)) == 3
        assert search(db, "strategy", now_ts=NOW, calendar_id=work + 1) == []
