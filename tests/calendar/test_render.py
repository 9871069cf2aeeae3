"""The event shape."""

from __future__ import annotations

from typing import Any

from calhub.calendar.event import Content
from calhub.calendar.render import event_shape


def shape(content: Content) -> dict[str, Any]:
    return event_shape("u1", content, calendar="Home", rev=7, updated="2026-11-21T10:00:00.000Z", remotes=[])


def test_bare_event_has_every_key() -> None:
    """What the event does not have is shown as its default, so that scripts need not ask."""
    shown = shape({"start": "2026-11-21T10:00:00", "end": "2026-11-21T11:00:00", "time_zone": "Europe/Berlin"})

    assert (
        shown.items()
        >= {
            "uid": "u1",
            "calendar": "Home",
            "title": "",
            "description": None,
            "location": None,
            "start": "2026-11-21T10:00:00+01:00",
            "end": "2026-11-21T11:00:00+01:00",
            "all_day": False,
            "time_zone": "Europe/Berlin",
            "rrule": None,
            "exdates": [],
            "overrides": {},
            "status": "confirmed",
            "privacy": "public",
            "busy": True,
            "categories": [],
            "attendees": [],
            "organizer": None,
            "url": None,
            "rev": 7,
            "updated": "2026-11-21T10:00:00.000Z",
            "remotes": [],
        }.items()
    )


def test_times_of_each_form() -> None:
    """Dates when all-day, no offset when floating, and each end on its own clock."""
    whole = shape({"start": "2026-11-21", "all_day": True})
    floating = shape({"start": "2026-11-21T10:00:00"})
    flight = shape(
        {
            "start": "2026-11-21T10:00:00",
            "end": "2026-11-21T12:00:00",
            "time_zone": "Europe/Berlin",
            "end_time_zone": "America/New_York",
        }
    )

    assert (whole["start"], whole["end"], whole["all_day"]) == ("2026-11-21", "2026-11-22", True)
    assert (floating["start"], floating["end"]) == ("2026-11-21T10:00:00", "2026-11-21T10:00:00")
    assert flight["end"] == "2026-11-21T12:00:00-05:00"


def test_people_are_lists() -> None:
    """Attendees come with defaults filled in, sorted by address."""
    shown = shape(
        {
            "start": "2026-11-21",
            "all_day": True,
            "attendees": {"b@x": {"status": "accepted"}, "a@x": {"name": "Ann", "kind": "room"}},
            "organizer": {"email": "b@x"},
        }
    )

    assert shown["attendees"] == [
        {"email": "a@x", "name": "Ann", "role": "required", "status": "needs-action", "kind": "room"},
        {"email": "b@x", "name": None, "role": "required", "status": "accepted"},
    ]
    assert shown["organizer"] == {"email": "b@x"}


def test_overrides_say_what_differs() -> None:
    """Moved instances have both times with offset; an absent field shows its default."""
    rids = ["2026-03-23T10:00:00+01:00", "2026-03-30T10:00:00+02:00", "2026-04-06T10:00:00+02:00"]
    shown = shape(
        {
            "start": "2026-03-16T10:00:00",
            "end": "2026-03-16T11:00:00",
            "time_zone": "Europe/Berlin",
            "rrule": "FREQ=WEEKLY",
            "status": "tentative",
            "overrides": {
                rids[0]: {"title": "b", "location": None, "status": None},
                rids[1]: {"start": "2026-03-31T09:00:00"},
                rids[2]: {"all_day": True, "start": "2026-04-06", "end": "2026-04-07", "time_zone": None},
            },
        }
    )

    assert shown["overrides"] == {
        rids[0]: {"title": "b", "location": None, "status": "confirmed"},
        rids[1]: {"start": "2026-03-31T09:00:00+02:00", "end": "2026-03-31T10:00:00+02:00"},
        rids[2]: {"all_day": True, "start": "2026-04-06", "end": "2026-04-07", "time_zone": None},
    }


def test_shape_shares_no_lists() -> None:
    """Who changes one shape does not change the next."""
    content = {"start": "2026-11-21", "all_day": True}
    shape(content)["categories"].append("x")

    assert shape(content)["categories"] == []
