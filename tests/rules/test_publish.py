"""A public calendar: what is chosen, what is shown, and what never is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rules.town import Town, said

from calhub.hub import rules
from calhub.rules.derive import derive
from calhub.sync import engine

SERVICE: dict[str, Any] = {
    "title": "Service",
    "description": "All are welcome.",
    "location": "Chapel",
    "categories": ["Public"],
    "attendees": {"vicar@example.org": {"name": "Vicar"}},
    "organizer": {"email": "office@example.org"},
    "conferences": [{"uri": "https://meet.example/1"}],
    "attachments": [{"uri": "https://files.example/sermon.pdf"}],
    "alarms": [{"trigger": "-PT15M", "action": "DISPLAY"}],
    "extra": {"X-KEY": ["X-KEY:under the mat"]},
}


def test_a_public_copy_shows_the_chosen_fields(town: Town) -> None:
    town.rule(
        "publish", "work", "public", category=["public"], fields=["title", "start", "end", "location", "description"]
    )
    town.put("work", "s", **SERVICE)
    town.put("work", "inner", title="Budget")
    town.settle()

    assert said(town.only_copy("public")) == {
        "title": "Service", "description": "All are welcome.", "location": "Chapel", "busy": False,
        "start": "2026-11-23T12:00:00", "end": "2026-11-23T13:00:00", "time_zone": "Europe/Berlin",
    }  # fmt: skip


@pytest.mark.parametrize("privacy", ["private", "confidential"])
def test_private_events_never_get_public(town: Town, privacy: str) -> None:
    town.rule("publish", "work", "public")
    town.put("work", "s", **SERVICE, privacy=privacy)
    town.settle()
    assert town.copies("public") == {}

    town.edit("work", "s", privacy=None)
    town.settle()
    assert len(town.copies("public")) == 1

    town.edit("work", "s", privacy=privacy)
    town.settle()
    assert town.copies("public") == {}


def test_a_private_instance_is_left_out_of_a_public_series(town: Town) -> None:
    town.rule("publish", "work", "public")
    town.put(
        "work", "s", **SERVICE, rrule="FREQ=WEEKLY;COUNT=3",
        overrides={"2026-11-30T12:00:00+01:00": {"privacy": "private", "title": "Funeral of a child"}},
    )  # fmt: skip
    town.settle()
    copy = town.only_copy("public")

    assert copy["exdates"] == ["2026-11-30T12:00:00+01:00"]
    assert "Funeral" not in str(copy)


def test_no_instance_of_a_private_series_gets_public(town: Town) -> None:
    town.rule("publish", "work", "public")
    overrides = {"2026-11-30T12:00:00+01:00": {"privacy": None, "title": "Open day"}}
    town.put("work", "s", **SERVICE, privacy="private", rrule="FREQ=WEEKLY;COUNT=3", overrides=overrides)
    town.settle()

    assert town.copies("public") == {}


def test_tightening_rewrites_what_was_published(town: Town) -> None:
    town.rule("publish", "work", "public")
    for number in range(20):
        town.put("work", f"e{number}", **SERVICE)
    town.put("work", "inner", title="Budget", description="42")
    town.settle()
    assert len(town.copies("public")) == 21

    town.rule("publish", "work", "public", category=["Public"], fields=["title"])
    town.settle()
    copies = town.copies("public").values()
    assert len(copies) == 20
    assert all("description" not in copy and "location" not in copy for copy in copies)


def test_tightening_during_a_sync_is_not_overlooked(town: Town) -> None:
    """What the derivation under way has published by the old options is taken back by the next one."""
    rule = town.rule("publish", "work", "public")
    town.put("work", "s", **SERVICE)
    engine.sync(town.hub, town.connect)

    def tighten(*_: object) -> None:
        town.rule("publish", "work", "public", category=["Secret"])

    derive(town.hub, tighten)
    with town.hub.read() as conn:
        assert rules.rule(conn, rule.id).stale
    town.settle()

    assert town.copies("public") == {}


def test_old_events_drop_out(town: Town) -> None:
    town.rule("publish", "work", "public", cutoff="30d")
    town.put("work", "s", **SERVICE)
    town.put("work", "series", **SERVICE, rrule="FREQ=WEEKLY;COUNT=4")
    town.put("work", "ever", **SERVICE, rrule="FREQ=WEEKLY")
    town.settle()
    assert len(town.copies("public")) == 3

    town.clock.advance(days=40)
    town.settle()
    assert sorted(copy.get("rrule", "") for copy in town.copies("public").values()) == [
        "FREQ=WEEKLY",
        "FREQ=WEEKLY;COUNT=4",
    ]

    town.clock.advance(days=30)
    town.settle()
    assert [copy.get("rrule") for copy in town.copies("public").values()] == ["FREQ=WEEKLY"]
    assert len(town.own("work")) == 3


def test_footer_prefix_and_busy(town: Town) -> None:
    town.rule("publish", "work", "public", footer="See example.org", prefix="Parish: ", show_as="busy")
    town.put("work", "s", **SERVICE)
    town.settle()
    copy = town.only_copy("public")

    assert copy["title"] == "Parish: Service"
    assert copy["description"] == "All are welcome.\n\nSee example.org"
    assert "busy" not in copy


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('<p onclick="x()">Come <b>all</b><script>steal()</script></p>', "<p>Come <b>all</b></p>"),
        (
            '<a href="javascript:x()">y</a> <a href="https://example.org" style="z">w</a>',
            '<a>y</a> <a href="https://example.org">w</a>',
        ),
        ("5 < 6 & 7 > 2", "5 < 6 & 7 > 2"),
        ("Come all <img src=x onerror=steal() //", "Come all"),
        ("Join: https://zoom.us/j/123?pwd=abc or come.", "Join:  or come."),
        ('<a href="https://teams.microsoft.com/l/meetup-join/1">Join here</a> <b>us</b>', "Join here <b>us</b>"),
    ],
)
def test_texts_are_cleaned(town: Town, text: str, shown: str) -> None:
    town.rule("publish", "work", "public")
    town.put("work", "s", **SERVICE | {"description": text})
    town.settle()

    assert town.only_copy("public")["description"] == shown


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])
def test_only_web_addresses_are_published(town: Town, url: str) -> None:
    town.rule("publish", "work", "public", fields=["title", "url"])
    town.put("work", "s", **SERVICE | {"url": url})
    town.put("work", "t", **SERVICE | {"url": "https://example.org"})
    town.settle()

    assert sorted(copy.get("url", "") for copy in town.copies("public").values()) == ["", "https://example.org"]


def test_a_meeting_link_is_no_place(town: Town) -> None:
    town.rule("publish", "work", "public", fields=["title", "location", "url"])
    town.put(
        "work",
        "s",
        **SERVICE | {"location": "https://meet.google.com/abc-defg-hij", "url": "https://us02web.zoom.us/j/1"},
    )
    town.settle()

    assert not town.only_copy("public").keys() & {"location", "url"}
