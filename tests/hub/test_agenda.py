"""What takes place when: the agenda's ranges, zones, overrides and horizon."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from calhub.calendar.event import Content
from calhub.hub import accounts, events
from calhub.hub.agenda import agenda, reader
from calhub.hub.database import Hub
from calhub.hub.errors import CorruptDatabase, NotFound

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def put(hub: Hub, calendar_id: int, uid: str, start: str, end: str | None = None, **more: Any) -> None:
    content: Content = {"title": uid, "start": start, **({"end": end} if end else {}), **more}
    if len(start) == 10:
        content["all_day"] = True
    with hub.transaction() as conn:
        events.put_event(conn, calendar_id, uid, content, now=hub.now())


def ts(text: str, zone: ZoneInfo = BERLIN) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def uids(hub: Hub, start: str, end: str, zone: ZoneInfo = BERLIN, **more: Any) -> list[str]:
    return [one["uid"] for one in agenda(hub.home, ts(start, zone), ts(end, zone), zone=zone, **more)]


def test_shape(hub: Hub, work: int) -> None:
    """An occurrence has the keys of the contract, in their order."""
    put(
        hub, work, "u1", "2026-11-23T10:00:00", "2026-11-23T11:30:00", time_zone="Europe/Berlin", location="Room 1",
        rrule="FREQ=DAILY;COUNT=2", status="tentative", busy=False,
    )  # fmt: skip
    first, second = agenda(hub.home, ts("2026-11-23"), ts("2026-11-25"))

    assert first == {
        "uid": "u1",
        "recurrence_id": "2026-11-23T10:00:00+01:00",
        "calendar": "Work",
        "title": "u1",
        "start": "2026-11-23T10:00:00+01:00",
        "end": "2026-11-23T11:30:00+01:00",
        "all_day": False,
        "location": "Room 1",
        "status": "tentative",
        "busy": False,
    }
    keys = ["uid", "recurrence_id", "calendar", "title", "start", "end", "all_day", "location", "status", "busy"]
    assert list(first) == keys
    assert second["start"] == "2026-11-24T10:00:00+01:00"


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2026-11-23T09:00:00", "2026-11-23T10:00:00", False),  # ends where the range begins
        ("2026-11-23T09:00:00", "2026-11-23T10:00:01", True),
        ("2026-11-23T10:30:00", "2026-11-23T10:45:00", True),
        ("2026-11-23T11:59:59", "2026-11-23T13:00:00", True),
        ("2026-11-23T12:00:00", "2026-11-23T13:00:00", False),  # begins where the range ends
        ("2026-11-23T10:00:00", "2026-11-23T10:00:00", True),  # no length, at the start
        ("2026-11-23T11:00:00", "2026-11-23T11:00:00", True),
        ("2026-11-23T12:00:00", "2026-11-23T12:00:00", False),
        ("2026-11-22T11:00:00", "2026-11-23T11:00:00", True),  # a whole day
        ("2026-11-01T00:00:00", "2026-11-23T10:30:00", True),  # weeks
        ("2026-10-01T00:00:00", "2026-10-31T00:00:00", False),
        ("2020-01-01T00:00:00", "2030-01-01T00:00:00", True),  # years
        ("2020-01-01T00:00:00", "2026-11-23T10:00:00", False),
    ],
)
def test_overlap(hub: Hub, work: int, start: str, end: str, shown: bool) -> None:
    """What overlaps the half-open range is shown, whatever its length."""
    put(hub, work, "u1", start, end, time_zone="Europe/Berlin")

    assert uids(hub, "2026-11-23T10:00:00", "2026-11-23T12:00:00") == (["u1"] if shown else [])


def test_order(hub: Hub, work: int) -> None:
    """By start, then by title; all-day and floating times stand where the reader's clock puts them."""
    put(hub, work, "b", "2026-11-23T10:00:00", "2026-11-23T11:00:00", time_zone="Europe/Berlin")
    put(hub, work, "a", "2026-11-23T09:00:00", "2026-11-23T11:00:00", time_zone="UTC")
    put(hub, work, "floating", "2026-11-23T09:30:00", "2026-11-23T09:45:00")
    put(hub, work, "early", "2026-11-23T00:30:00", "2026-11-23T01:00:00", time_zone="Europe/Berlin")
    put(hub, work, "day", "2026-11-23", "2026-11-24")

    assert uids(hub, "2026-11-23", "2026-11-24") == ["day", "early", "floating", "a", "b"]


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Niue")])
def test_all_day_and_floating_are_the_readers(hub: Hub, work: int, zone: ZoneInfo) -> None:
    """An all-day or floating event is on its date, wherever the reader is; a zoned one at its instant."""
    put(hub, work, "day", "2026-11-23", "2026-11-24")
    put(hub, work, "floating", "2026-11-23T23:30:00", "2026-11-23T23:45:00")
    put(hub, work, "zoned", "2026-11-23T12:00:00", "2026-11-23T12:30:00", time_zone=zone.key)

    assert uids(hub, "2026-11-22", "2026-11-23", zone) == []
    assert uids(hub, "2026-11-23", "2026-11-24", zone) == ["day", "zoned", "floating"]
    assert uids(hub, "2026-11-24", "2026-11-25", zone) == []


def test_days_around_a_change_of_clocks(hub: Hub, work: int) -> None:
    """A daily meeting stays at its wall time; the days of 25 and 23 hours hold one each."""
    put(hub, work, "u1", "2026-10-20T00:30:00", "2026-10-20T01:00:00", time_zone="Europe/Berlin", rrule="FREQ=DAILY")
    put(hub, work, "d", "2026-10-20", "2026-10-21", rrule="FREQ=DAILY")
    for day in (date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26), date(2027, 3, 28), date(2027, 3, 29)):
        found = agenda(hub.home, ts(f"{day}"), ts(f"{day + timedelta(days=1)}"), zone=BERLIN)

        assert [one["start"][:19] for one in found] == [f"{day}", f"{day}T00:30:00"]


def test_several_days(hub: Hub, work: int) -> None:
    """A multi-day event is in each of its days and not in the next."""
    put(hub, work, "trip", "2026-11-23", "2026-11-26")
    shown = [bool(uids(hub, f"2026-11-{day}", f"2026-11-{day + 1}")) for day in range(22, 28)]

    assert shown == [False, True, True, True, False, False]


def test_moved_and_cancelled_instances(hub: Hub, work: int) -> None:
    """An instance is shown where it was moved to, with its own title; not where it was; a cancelled one not at all."""
    put(
        hub, work, "u1", "2026-11-23T10:00:00", "2026-11-23T11:00:00", time_zone="Europe/Berlin",
        rrule="FREQ=DAILY;COUNT=4", exdates=["2026-11-25T10:00:00+01:00"],
        overrides={
            "2026-11-24T10:00:00+01:00": {
                "start": "2026-12-24T18:00:00", "end": "2026-12-24T19:00:00", "title": "Moved", "busy": False,
            }
        },
    )  # fmt: skip

    november = agenda(hub.home, ts("2026-11-23"), ts("2026-11-30"))
    (moved,) = agenda(hub.home, ts("2026-12-24"), ts("2026-12-25"))
    assert [one["start"][8:10] for one in november] == ["23", "26"]
    assert (moved["recurrence_id"], moved["start"], moved["title"], moved["busy"]) == (
        "2026-11-24T10:00:00+01:00",
        "2026-12-24T18:00:00+01:00",
        "Moved",
        False,
    )


def test_one_calendar(hub: Hub, work: int) -> None:
    """With a calendar only its occurrences are shown, beyond the horizon too."""
    with hub.transaction() as conn:
        home = accounts.add_calendar(conn, "Home", hub.now()).id
    for calendar_id, uid in ((work, "w"), (home, "h")):
        put(hub, calendar_id, uid, "2026-11-23T10:00:00", time_zone="UTC", rrule="FREQ=YEARLY")

    assert uids(hub, "2026-11-23", "2026-11-24", calendar_id=home) == ["h"]
    assert uids(hub, "2036-11-23", "2036-11-24", calendar_id=home) == ["h"]
    assert uids(hub, "2026-11-23", "2026-11-24") == ["h", "w"]


def test_beyond_the_horizon(hub: Hub, work: int) -> None:
    """Series are expanded on the fly where they have no rows: before, after, and across the edges, each once."""
    put(hub, work, "d", "2020-01-01", "2020-01-02", rrule="FREQ=DAILY", title="Day")
    put(
        hub, work, "w", "2020-01-01T10:00:00", "2020-01-01T11:00:00", time_zone="Europe/Berlin", rrule="FREQ=DAILY",
        overrides={"2035-01-01T10:00:00+01:00": {"title": "New year", "status": "tentative"}},
    )  # fmt: skip
    put(hub, work, "once", "2035-01-01T12:00:00", time_zone="UTC")
    for start, days in (("2020-02-01", 2), ("2025-11-15", 10), ("2029-11-15", 15), ("2035-01-01", 1)):
        last = date.fromisoformat(start) + timedelta(days=days)
        found = agenda(hub.home, ts(start), ts(f"{last}"), zone=BERLIN)

        expected = [f"{date.fromisoformat(start) + timedelta(days=day)}" for day in range(days)]
        assert [one["start"][:10] for one in found if one["uid"] == "d"] == expected
        assert [one["start"][:10] for one in found if one["uid"] == "w"] == expected
    assert [(one["title"], one["status"]) for one in found] == [
        ("Day", "confirmed"),
        ("New year", "tentative"),
        ("once", "confirmed"),
    ]


def test_empty_range_and_empty_hub(hub: Hub, work: int) -> None:
    """A range without length holds nothing, nor does a hub without events."""
    assert uids(hub, "2026-11-23", "2036-11-23") == []
    put(hub, work, "u1", "2026-11-23", "2026-11-24")

    assert uids(hub, "2026-11-23", "2026-11-23") == []


def test_deleted_events_are_not_shown(hub: Hub, work: int) -> None:
    """A tombstone has no occurrences, within the horizon or beyond."""
    put(hub, work, "u1", "2026-11-23", "2026-11-24", rrule="FREQ=YEARLY")
    with hub.transaction() as conn:
        event = events.find_event(conn, "u1")
        events.delete_event(conn, event.id, now=hub.now())

    assert uids(hub, "2026-11-23", "2026-11-24") == []
    assert uids(hub, "2036-11-23", "2036-11-24") == []


def test_agenda_beside_a_writer(hub: Hub, work: int) -> None:
    """While a transaction is open, the agenda answers with the state before it."""
    put(hub, work, "before", "2026-11-23", "2026-11-24")
    with reader(hub.home) as db, hub.transaction() as conn:
        events.put_event(
            conn, work, "during", {"title": "x", "start": "2026-11-23T10:00:00", "time_zone": "UTC"}, now=hub.now()
        )

        assert [one["uid"] for one in agenda(db, ts("2026-11-23"), ts("2026-11-25"))] == ["before"]
        assert uids(hub, "2026-11-23", "2026-11-25") == ["before"]


def test_agenda_of_a_closed_hub(home: Path) -> None:
    """With no process having the hub open, a home and its database file both answer."""
    with Hub.open(home) as hub:
        with hub.transaction() as conn:
            calendar = accounts.add_calendar(conn, "Work", hub.now())
        put(hub, calendar.id, "u1", "2026-11-23", "2026-11-24")

    for source in (home, home / "hub.db"):
        assert len(agenda(source, ts("2026-11-23"), ts("2026-11-24"))) == 1


def test_no_hub(tmp_path: Path) -> None:
    """A missing hub and a damaged one are told apart."""
    with pytest.raises(NotFound):
        agenda(tmp_path, 0, 1)
    (tmp_path / "hub.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(CorruptDatabase):
        agenda(tmp_path, 0, 1)


def test_cold_start_imports_little() -> None:
    """The read side loads neither SQLAlchemy nor Alembic nor the calendar code."""
    heavy = ["sqlalchemy", "alembic", "icalendar", "structlog", "calhub.calendar.recurrence"]
    code = f"import sys, calhub.hub.agenda; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
