"""Events by HTTP: what is written, what is refused, and that nobody's edit is lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.conftest import add, problem
from tests.cli.conftest import Folder

from calhub.hub import events
from calhub.hub.database import Hub
from calhub.sync import edits

FULL: dict[str, Any] = {
    "uid": "lunch",
    "description": "With\nAnn",
    "location": "Canteen",
    "duration": "45m",
    "rrule": "FREQ=WEEKLY;COUNT=4",
    "status": "tentative",
    "privacy": "private",
    "busy": False,
    "categories": ["food", "fun", "food"],
    "attendees": ["Ann <Ann@Example.org>", {"email": "bob@example.org", "status": "accepted", "role": "optional"}],
    "url": "https://example.org/lunch",
    "color": "teal",
}


def test_what_is_posted_is_there(work: httpx.Client) -> None:
    """All fields arrive, in the shape of the command line, with ETag and Location."""
    answer = work.post(
        "/api/v1/events", json={"calendar": "Work", "title": "Lunch", "start": "2026-11-23T12:00", **FULL}
    )

    assert answer.status_code == 201
    event = answer.json()
    assert {name: event[name] for name in ("start", "end", "time_zone", "all_day", "rrule")} == {
        "start": "2026-11-23T12:00:00+01:00",
        "end": "2026-11-23T12:45:00+01:00",
        "time_zone": "Europe/Paris",
        "all_day": False,
        "rrule": "FREQ=WEEKLY;COUNT=4",
    }
    assert event["categories"] == ["food", "fun"]
    assert event["attendees"] == [
        {"email": "ann@example.org", "name": "Ann", "role": "required", "status": "needs-action"},
        {"email": "bob@example.org", "name": None, "role": "optional", "status": "accepted"},
    ]
    assert {name: event[name] for name in ("status", "privacy", "busy", "url", "color")} == {
        name: FULL[name] for name in ("status", "privacy", "busy", "url", "color")
    }
    assert answer.headers["location"] == "/api/v1/events/lunch"
    assert answer.headers["etag"] == f'"{event["rev"]}"'
    assert work.get(answer.headers["location"]).json() == event


def test_zone_of_a_new_event(work: httpx.Client) -> None:
    """A start without offset is in the calendar's zone; null means floating, an offset stays what it is."""
    assert add(work)["start"] == "2026-11-23T12:00:00+01:00"
    assert add(work, time_zone=None)["start"] == "2026-11-23T12:00:00"
    assert add(work, start="2026-11-23T12:00:00Z")["start"] == "2026-11-23T12:00:00Z"
    assert add(work, start="2026-11-23T12:00", time_zone="Asia/Tokyo")["start"] == "2026-11-23T12:00:00+09:00"
    assert add(work, start="2026-11-23")["all_day"] is True


@pytest.mark.parametrize("start", ["2026-11-23T12:00", "2026-11-23", "2026-11-23T12:00:00Z"])
@pytest.mark.parametrize("rrule", [None, "FREQ=DAILY;COUNT=3"])
def test_putting_back_what_was_got_changes_nothing(work: httpx.Client, start: str, rrule: str | None) -> None:
    """The event as GET shows it is what PUT takes."""
    event = add(work, start=start, rrule=rrule, attendees=FULL["attendees"], busy=False)

    answer = work.put(f"/api/v1/events/{event['uid']}", json=event)

    assert answer.status_code == 200, answer.text
    assert answer.json() == event


def test_put_replaces(work: httpx.Client) -> None:
    """What PUT leaves out is cleared, but for what it cannot say: an override stays."""
    event = add(work, **FULL)
    second = "2026-11-30T12:00:00+01:00"
    moved = {"title": "Dinner", "start": "2026-11-30T19:00"}
    assert work.patch("/api/v1/events/lunch", params={"occurrence": second}, json=moved).status_code == 200

    after = work.put(
        "/api/v1/events/lunch", json={"title": "Brunch", "start": event["start"], "rrule": event["rrule"]}
    ).json()

    assert (after["title"], after["description"], after["attendees"], after["busy"]) == ("Brunch", None, [], True)
    assert after["overrides"][second]["title"] == "Dinner"


FLIGHT = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//test//EN\r
BEGIN:VEVENT\r
UID:flight\r
DTSTAMP:20261101T000000Z\r
DTSTART;TZID=Europe/Paris:20261123T100000\r
DTEND;TZID=America/New_York:20261123T130000\r
SUMMARY:To New York\r
BEGIN:VALARM\r
ACTION:DISPLAY\r
TRIGGER:-PT2H\r
END:VALARM\r
X-SEAT:12A\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_put_keeps_what_it_cannot_say(work: httpx.Client) -> None:
    """Two zones, alarms and unknown properties stay where the times are as they were."""
    kind = {"Content-Type": "text/calendar"}
    work.post("/api/v1/import?calendar=Work", content=FLIGHT.encode(), headers=kind)
    event = work.get("/api/v1/events/flight").json()

    assert work.put("/api/v1/events/flight", json=event).json() == event
    after = work.put("/api/v1/events/flight", json=event | {"title": "Home"}).json()

    assert (after["end"], after["end_time_zone"]) == ("2026-11-23T13:00:00-05:00", "America/New_York")
    assert after["alarms"] == event["alarms"] != []
    assert "X-SEAT:12A" in work.get("/api/v1/export?calendar=Work").text


def test_put_moves(work: httpx.Client) -> None:
    """To another time, zone, or to whole days; a series takes its exceptions along."""
    single, series = add(work), add(work, rrule="FREQ=DAILY;COUNT=3")
    work.delete(f"/api/v1/events/{series['uid']}", params={"occurrence": "2026-11-24T12:00:00+01:00"})

    def put(uid: str, **fields: Any) -> dict[str, Any]:
        current = {**work.get(f"/api/v1/events/{uid}").json(), **fields}
        for name in ("exdates", "end"):
            current.pop(name)
        answer: dict[str, Any] = work.put(f"/api/v1/events/{uid}", json=current).json()
        return answer

    assert put(single["uid"], start="2026-11-23T12:00", time_zone=None)["start"] == "2026-11-23T12:00:00"
    assert put(single["uid"], start="2026-11-24", time_zone=None)["end"] == "2026-11-25"
    moved = put(series["uid"], start="2026-11-23T14:00:00+01:00")
    assert (moved["end"], moved["exdates"]) == ("2026-11-23T15:00:00+01:00", ["2026-11-24T14:00:00+01:00"])
    assert put(series["uid"], start="2026-11-23", time_zone=None, all_day=True)["exdates"] == ["2026-11-24"]
    assert put(add(work, rrule="FREQ=DAILY")["uid"], time_zone=None)["code"] == "invalid-event"


def test_times_are_not_cleared_in_silence(work: httpx.Client) -> None:
    event = add(work)

    for name in ("start", "end", "time_zone"):
        problem(work.patch(f"/api/v1/events/{event['uid']}", json={name: None, "title": "x"}), 422, "invalid-event")
    assert work.get(f"/api/v1/events/{event['uid']}").json() == event


def test_put_makes_a_new_event(work: httpx.Client) -> None:
    """A UID may hold anything that a URL can spell."""
    body = {"title": "Lunch", "start": "2026-11-23T12:00"}

    made = work.put("/api/v1/events/a%2Fb%20%C3%A9@x?calendar=Work", json=body)
    again = work.put("/api/v1/events/a%2Fb%20%C3%A9@x", json=body | {"title": "Late lunch"})

    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["uid"] == "a/b é@x"
    assert work.get(made.headers["location"]).json()["title"] == "Late lunch"
    problem(work.put("/api/v1/events/new", json=body), 422, "calendar-needed")


def test_put_says_what_it_cannot_set(work: httpx.Client) -> None:
    """Nothing that is sent is lost in silence."""
    event = add(work, rrule="FREQ=DAILY")
    path = f"/api/v1/events/{event['uid']}"

    problem(work.put(path, json=event | {"exdates": ["2026-11-24T12:00:00+01:00"]}), 422, "read-only")
    problem(work.put(path, json=event | {"titel": "x"}), 422, "read-only")
    problem(work.patch(path, json={"titel": "x"}), 422, "invalid-request")


def test_patch_changes_what_is_named(work: httpx.Client) -> None:
    """null clears; the rest stays."""
    add(work, **FULL)

    after = work.patch("/api/v1/events/lunch", json={"location": None, "busy": True, "categories": None}).json()

    assert (after["location"], after["busy"], after["categories"]) == (None, True, [])
    assert (after["title"], after["status"], len(after["attendees"])) == ("Lunch", "tentative", 2)
    problem(work.patch("/api/v1/events/lunch", json={}), 422, "nothing-to-change")
    problem(work.patch("/api/v1/events/lunch", json={"title": ""}), 422, "invalid-event")


def test_one_occurrence(work: httpx.Client) -> None:
    """One instance changes, and is deleted, alone."""
    event = add(work, rrule="FREQ=DAILY;COUNT=3")
    path = f"/api/v1/events/{event['uid']}"

    work.patch(path, params={"occurrence": "2026-11-24T11:00:00Z"}, json={"title": "Dinner", "busy": False})
    work.delete(path, params={"occurrence": "2026-11-25T12:00:00+01:00"})

    shown = work.get("/api/v1/occurrences", params={"from": "2026-11-23", "to": "2026-11-30"}).json()["items"]
    assert [(each["title"], each["busy"]) for each in shown] == [("Lunch", True), ("Dinner", False)]


def test_this_and_following(work: httpx.Client) -> None:
    """The series ends before the instance; the answer is the new series from there on."""
    event = add(work, rrule="FREQ=DAILY;COUNT=4")
    path, third = f"/api/v1/events/{event['uid']}", "2026-11-25T12:00:00+01:00"

    later = work.patch(path, params={"following": third}, json={"title": "Dinner"}).json()

    assert (later["uid"] != event["uid"], later["start"], later["title"]) == (True, third, "Dinner")
    assert work.delete(path, params={"following": "2026-11-24T12:00:00+01:00"}).json() == {"deleted": [event["uid"]]}
    shown = work.get("/api/v1/occurrences", params={"from": "2026-11-23", "to": "2026-11-30"}).json()["items"]
    assert [each["title"] for each in shown] == ["Lunch", "Dinner", "Dinner"]
    problem(work.delete(path, params={"following": third, "occurrence": third}), 422, "invalid-value")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_if_match(work: httpx.Client, method: str) -> None:
    """A write on top of an old revision is refused and changes nothing; on the current one it goes through."""
    event = add(work)
    path = f"/api/v1/events/{event['uid']}"
    old = f'"{event["rev"]}"'
    work.patch(path, json={"title": "Dinner"})
    body = {} if method == "delete" else {"json": {"title": "Brunch", "start": event["start"]}}

    refused = work.request(method, path, headers={"If-Match": old}, **body)  # type: ignore[arg-type]  # one key or none
    current = work.get(path)

    problem(refused, 412, "precondition-failed")
    assert current.json()["title"] == "Dinner"
    tags = f'"0", {current.headers["etag"]}'
    assert work.request(method, path, headers={"If-Match": tags}, **body).status_code == 200  # type: ignore[arg-type]


def test_if_none_match_keeps_what_is_there(work: httpx.Client) -> None:
    """`If-None-Match: *` only makes; `If-Match: *` only replaces."""
    body = {"calendar": "Work", "title": "Lunch", "start": "2026-11-23"}

    problem(work.put("/api/v1/events/u", json=body, headers={"If-Match": "*"}), 412, "precondition-failed")
    assert work.put("/api/v1/events/u", json=body, headers={"If-None-Match": "*"}).status_code == 201
    problem(work.put("/api/v1/events/u", json=body, headers={"If-None-Match": "*"}), 412, "precondition-failed")


def test_an_edit_meanwhile_is_not_lost(work: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else writes between reading and writing: the patch is made again, on top of that."""
    event = add(work)
    real = edits.write
    others = iter([{"location": "Canteen"}])

    def overtaken(hub: Hub, calendar_id: int, changed: Any, **options: Any) -> None:
        other = next(others, None)
        if other is not None:
            stored = _content(hub, calendar_id, event["uid"])
            real(hub, calendar_id, {event["uid"]: stored | other})
        real(hub, calendar_id, changed, **options)

    monkeypatch.setattr(edits, "write", overtaken)
    after = work.patch(f"/api/v1/events/{event['uid']}", json={"title": "Dinner"}).json()

    assert (after["title"], after["location"]) == ("Dinner", "Canteen")


def _content(hub: Hub, calendar_id: int, uid: str) -> dict[str, Any]:
    with hub.read() as conn:
        stored = events.event(conn, calendar_id, uid)
    assert stored is not None
    return stored.content


def test_refused_events(work: httpx.Client) -> None:
    """Each with its sentence, and nothing is stored."""
    base = {"calendar": "Work", "title": "Lunch", "start": "2026-11-23T12:00"}

    problem(work.post("/api/v1/events", json=base | {"end": "2026-11-23T11:00"}), 422, "invalid-event")
    problem(work.post("/api/v1/events", json=base | {"rrule": "FREQ=NEVER"}), 422, "invalid-event")
    problem(work.post("/api/v1/events", json=base | {"calendar": "Wrok"}), 404, "not-found")
    problem(work.post("/api/v1/events", json=base | {"status": "maybe"}), 422, "invalid-request")
    problem(work.post("/api/v1/events", content=b"{"), 422, "invalid-request")
    assert work.get("/api/v1/events").json() == {"items": [], "next": None}
    add(work, uid="u")
    problem(work.post("/api/v1/events", json=base | {"uid": "u"}), 409, "exists")


def test_uid_in_two_calendars(work: httpx.Client) -> None:
    """The one meant is named; a move ends the doubt."""
    work.post("/api/v1/calendars", json={"name": "Home"})
    add(work, uid="u")
    add(work, uid="u", calendar="Home", title="At home")

    found = problem(work.get("/api/v1/events/u"), 409, "ambiguous")
    assert found["candidates"] == ["Work", "Home"]
    assert work.get("/api/v1/events/u?calendar=Home").json()["title"] == "At home"
    problem(work.post("/api/v1/events/u/move?calendar=Home", json={"calendar": "Work"}), 422, "invalid-value")
    work.delete("/api/v1/events/u?calendar=Work")
    assert work.post("/api/v1/events/u/move", json={"calendar": "Work"}).json()["calendar"] == "Work"


def test_pages_of_events(work: httpx.Client) -> None:
    """Every event is on one page, also when rows go and come meanwhile."""
    uids = [add(work, title=f"Event {number}")["uid"] for number in range(5)]

    first = work.get("/api/v1/events?limit=2").json()
    work.delete(f"/api/v1/events/{uids[0]}")
    second = work.get("/api/v1/events", params={"limit": 2, "cursor": first["next"]}).json()
    third = work.get("/api/v1/events", params={"limit": 2, "cursor": second["next"]}).json()

    assert [each["uid"] for page in (first, second, third) for each in page["items"]] == uids
    assert third["next"] is None
    problem(work.get("/api/v1/events?cursor=nonsense"), 422, "invalid-cursor")


def test_atomic_write_is_at_the_remote(api: httpx.Client, disk: Folder) -> None:
    """With ?mode=atomic the remote has it when the answer comes; a queued one comes with the next sync."""
    body = {"calendar": "work", "title": "Lunch", "start": "2026-11-23T12:00", "uid": "now"}

    made = api.post("/api/v1/events?mode=atomic", json=body)
    api.post("/api/v1/events", json=body | {"uid": "later"})

    assert made.json()["remotes"][0]["account"] == "disk"
    assert disk.names("work") == ["now"]
    api.patch("/api/v1/events/now?mode=atomic", json={"title": "Dinner"})
    assert "SUMMARY:Dinner" in disk.text("work", "now")
    api.delete("/api/v1/events/now?mode=atomic")
    assert disk.names("work") == []
    api.post("/api/v1/sync")
    assert disk.names("work") == ["later"]


def test_atomic_write_that_fails_changes_nothing(api: httpx.Client, disk: Folder) -> None:
    """The remote has moved on: the hub keeps what it had, and the problem says so."""
    event = api.post("/api/v1/events", json={"calendar": "work", "title": "Lunch", "start": "2026-11-23T12:00Z"}).json()
    api.post("/api/v1/sync")
    disk.put("work", event["uid"], "Changed there")

    answer = api.patch(f"/api/v1/events/{event['uid']}?mode=atomic", json={"title": "Dinner"})

    problem(answer, 409, "atomic-failed")
    assert api.get(f"/api/v1/events/{event['uid']}").json()["title"] == "Lunch"
    assert "SUMMARY:Changed there" in disk.text("work", event["uid"])


@pytest.mark.usefixtures("disk")
def test_why(api: httpx.Client) -> None:
    """Where an event is, and what waits."""
    event = api.post("/api/v1/events", json={"calendar": "work", "title": "Lunch", "start": "2026-11-23"}).json()

    assert api.get(f"/api/v1/events/{event['uid']}/why").json()["replicas"][0]["pending"] is True
    api.post("/api/v1/sync")
    assert api.get(f"/api/v1/events/{event['uid']}/why").json()["replicas"][0]["pending"] is False
