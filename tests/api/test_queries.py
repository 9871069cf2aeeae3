"""Agenda, search, free and busy by HTTP: the same answers as on the command line, in pages."""

from __future__ import annotations

import httpx
import pytest
from tests.api.conftest import add, problem

WEEK = {"from": "2026-11-23", "to": "2026-11-30"}


def test_occurrences_of_a_range(work: httpx.Client) -> None:
    """In the order of the reader's day, in the shape of `agenda --json`."""
    add(work, title="Late", start="2026-11-23T22:00Z")
    add(work, title="Whole day", start="2026-11-23")
    add(work, title="Early", start="2026-11-23T08:00", location="Here")
    add(work, title="Next week", start="2026-11-30T00:00")

    found = work.get("/api/v1/occurrences", params=WEEK).json()

    assert [each["title"] for each in found["items"]] == ["Whole day", "Early", "Late"]
    assert found["next"] is None
    early = found["items"][1]
    assert early | {"uid": ""} == {
        "uid": "", "recurrence_id": None, "calendar": "Work", "title": "Early", "start": "2026-11-23T08:00:00+01:00",
        "end": "2026-11-23T09:00:00+01:00", "all_day": False, "location": "Here", "status": "confirmed", "busy": True,
    }  # fmt: skip


def test_default_range_is_the_next_seven_days(work: httpx.Client) -> None:
    """From the hub's today (21 November)."""
    for day in ("20", "21", "27", "28"):
        add(work, title=day, start=f"2026-11-{day}T10:00")

    assert [each["title"] for each in work.get("/api/v1/occurrences").json()["items"]] == ["21", "27"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_of_occurrences(work: httpx.Client, limit: int) -> None:
    """Pages put together are the whole, also where several begin at once."""
    work.post("/api/v1/calendars", json={"name": "Home"})
    add(work, title="Stand-up", start="2026-11-23T09:00", rrule="FREQ=DAILY")
    add(work, uid="u", title="Same", start="2026-11-24T09:00")
    add(work, uid="u", title="Same", start="2026-11-24T09:00Z", calendar="Home", time_zone="Europe/Paris")
    add(work, title="Day", start="2026-11-25")
    whole = work.get("/api/v1/occurrences", params=WEEK).json()["items"]

    pages, cursor = [], None
    while True:
        query = WEEK | {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        page = work.get("/api/v1/occurrences", params=query).json()
        pages.append(page["items"])
        cursor = page["next"]
        if cursor is None:
            break

    assert [each for page in pages for each in page] == whole
    assert len(whole) == 10
    assert {len(page) for page in pages[:-1]} <= {limit}


def test_clock_of_the_reader(work: httpx.Client) -> None:
    """Dates are days of the zone asked for; a wrong one is refused."""
    add(work, start="2026-11-23T20:00Z", title="Evening")
    day = {"from": "2026-11-24", "to": "2026-11-25"}

    assert work.get("/api/v1/occurrences", params=day).json()["items"] == []
    tokyo = work.get("/api/v1/occurrences", params=day | {"time_zone": "Asia/Tokyo"}).json()["items"]
    assert [each["title"] for each in tokyo] == ["Evening"]
    problem(work.get("/api/v1/occurrences?time_zone=Mars/Base"), 422, "time-zone")


def test_ranges_that_are_none(work: httpx.Client) -> None:
    problem(work.get("/api/v1/occurrences?from=2026-11-24&to=2026-11-24"), 422, "empty-range")
    problem(work.get("/api/v1/occurrences?from=tomorrow"), 422, "invalid-time")
    problem(work.get("/api/v1/occurrences?from=1900-01-01&to=2100-01-01"), 422, "long-range")
    problem(work.get("/api/v1/occurrences?cursor=WzEsMl0"), 422, "invalid-cursor")
    problem(work.get("/api/v1/occurrences?calendar=Wrok"), 404, "not-found")


def test_offset_in_a_url(work: httpx.Client) -> None:
    """A plus sign that was not escaped arrives as a space; it is meant as one."""
    add(work, start="2026-11-23T12:00")

    found = work.get("/api/v1/occurrences?from=2026-11-23T12:30:00+01:00&to=2026-11-23T12:45:00+01:00")

    assert len(found.json()["items"]) == 1


def test_search(work: httpx.Client) -> None:
    """Best first, in pages; accents and case do not matter."""
    add(work, title="Café with Ann", start="2026-11-23T10:00")
    for number in range(3):
        add(work, title=f"Meeting {number}", description="at the cafe", start="2026-11-24T10:00")

    first = work.get("/api/v1/search", params={"q": "CAFE", "limit": 3}).json()
    rest = work.get("/api/v1/search", params={"q": "CAFE", "limit": 3, "cursor": first["next"]}).json()

    titles = [each["title"] for each in first["items"] + rest["items"]]
    assert (titles[0], sorted(titles[1:])) == ("Café with Ann", ["Meeting 0", "Meeting 1", "Meeting 2"])
    assert rest["next"] is None
    assert work.get("/api/v1/search", params={"q": "cafe", "from": "2026-11-25"}).json()["items"] == []


def test_busy_stretches(work: httpx.Client) -> None:
    """Overlapping and adjoining events are one stretch; free and cancelled ones none; calendars can be chosen."""
    work.post("/api/v1/calendars", json={"name": "Home", "time_zone": "Europe/Paris"})
    add(work, start="2026-11-23T09:00", end="2026-11-23T10:30")
    add(work, start="2026-11-23T10:00", end="2026-11-23T11:00")
    add(work, start="2026-11-23T11:00", end="2026-11-23T12:00", calendar="Home")
    add(work, start="2026-11-23T14:00", busy=False)
    add(work, start="2026-11-23T15:00", status="cancelled")
    add(work, start="2026-11-24", calendar="Home")

    def stretches(**query: str | list[str]) -> list[tuple[str, str]]:
        found = work.get("/api/v1/freebusy", params={**WEEK, **query}).json()["items"]
        return [(each["start"][5:16], each["end"][5:16]) for each in found]

    assert stretches() == [("11-23T09:00", "11-23T12:00"), ("11-24T00:00", "11-25T00:00")]
    assert stretches(calendar="Work") == [("11-23T09:00", "11-23T11:00")]
    assert stretches(calendar=["Work", "Home"], time_zone="UTC") == [
        ("11-23T08:00", "11-23T11:00"),
        ("11-24T00:00", "11-25T00:00"),  # a date is the reader's own day
    ]


def test_free_slots(work: httpx.Client) -> None:
    """What is left of the hours asked for, where it is long enough."""
    add(work, start="2026-11-23T10:00", end="2026-11-23T11:00")
    add(work, start="2026-11-23T11:20", end="2026-11-23T17:45")
    query: dict[str, str | int] = {
        "from": "2026-11-20",
        "to": "2026-11-25",
        "hours": "09:00-18:00",
        "days": "mon-fri",
        "minutes": 30,
    }

    found = work.get("/api/v1/free-slots", params=query).json()["items"]

    assert found == [
        {"start": "2026-11-20T09:00:00+01:00", "end": "2026-11-20T18:00:00+01:00", "minutes": 540},
        {"start": "2026-11-23T09:00:00+01:00", "end": "2026-11-23T10:00:00+01:00", "minutes": 60},
        {"start": "2026-11-24T09:00:00+01:00", "end": "2026-11-24T18:00:00+01:00", "minutes": 540},
    ]
    day = {"from": "2026-11-23T18:00:00+01:00", "to": "2026-11-25"}
    assert [each["minutes"] for each in work.get("/api/v1/free-slots", params=day).json()["items"]] == [30 * 60]
    problem(work.get("/api/v1/free-slots?hours=18:00-09:00"), 422, "invalid-value")
