"""Times, bodies and fields, there and back."""

from __future__ import annotations

from typing import Any

import pytest

from calhub.calendar.event import Content
from calhub.calendar.zones import canonical_zone, windows_zone
from calhub.providers.microsoft import kept
from calhub.providers.microsoft.bodies import body_of, text_of
from calhub.providers.microsoft.inward import content_of, item_of, narrow
from calhub.providers.microsoft.outward import changes, new_event
from calhub.providers.microsoft.recurrence import Unholdable
from calhub.providers.microsoft.times import read_times, write_times
from calhub.testing.contract_kit import event
from calhub.testing.services.graph.checks import stored_body


def moment(wall: str, zone: str = "UTC") -> dict[str, str]:
    return {"dateTime": wall, "timeZone": zone}


def row(**props: Any) -> dict[str, Any]:
    return {
        "id": "A",
        "@odata.etag": 'W/"1"',
        "start": moment("2026-11-23T09:00:00.0000000"),
        "end": moment("2026-11-23T10:00:00.0000000"),
        "originalStartTimeZone": "W. Europe Standard Time",
        "originalEndTimeZone": "W. Europe Standard Time",
        **props,
    }


def read(**props: Any) -> Content:
    return content_of(row(**props), kept.read(props), attendees=False)


@pytest.mark.parametrize(
    ("zone", "windows", "back"),
    [
        ("Europe/Berlin", "W. Europe Standard Time", "Europe/Berlin"),
        ("Europe/Oslo", "W. Europe Standard Time", "Europe/Berlin"),
        ("Asia/Kolkata", "India Standard Time", "Asia/Kolkata"),
        ("America/New_York", "Eastern Standard Time", "America/New_York"),
        ("UTC", "UTC", "UTC"),
    ],
)
def test_windows_names(zone: str, windows: str, back: str) -> None:
    """IANA to Windows by CLDR, and back to the zone that stands for it."""
    assert windows_zone(zone) == windows
    assert canonical_zone(windows) == back


def test_every_windows_zone_is_known() -> None:
    """There is no Windows name that Graph could send and that would not lead to a zone and back."""
    from tzlocal.windows_tz import win_tz

    assert [name for name in win_tz if windows_zone(canonical_zone(name) or "") != name] == []


def test_the_zone_an_event_was_made_in() -> None:
    """Graph tells times in UTC; the wall time is that of the zone named beside them."""
    assert read_times(row(), {}) == {
        "start": "2026-11-23T10:00:00",
        "end": "2026-11-23T11:00:00",
        "time_zone": "Europe/Berlin",
    }


def test_an_end_in_another_zone() -> None:
    """Start and end have a zone each."""
    times = read_times(row(originalEndTimeZone="Eastern Standard Time"), {})

    assert times["end"] == "2026-11-23T05:00:00"
    assert (times["time_zone"], times["end_time_zone"]) == ("Europe/Berlin", "America/New_York")


@pytest.mark.parametrize("name", ["tzone://Microsoft/Custom", "Customized Time Zone"])
def test_a_zone_made_by_hand_is_shown_in_utc(name: str) -> None:
    """A zone that has no name in any table says the right instant all the same."""
    times = read_times(row(originalStartTimeZone=name, originalEndTimeZone=name), {})

    assert times == {"start": "2026-11-23T09:00:00", "end": "2026-11-23T10:00:00", "time_zone": "UTC"}


def test_the_second_of_two_equal_wall_times_is_told_in_utc() -> None:
    """At the end of summer time the clocks show 2:30 twice; the later one has no wall time of its own."""
    late = row(start=moment("2026-10-25T01:30:00"), end=moment("2026-10-25T03:00:00"))

    assert read_times(late, {})["start"] == "2026-10-25T01:30:00"
    assert read_times(late, {})["time_zone"] == "UTC"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-23T00:00:00.0000000", "2026-11-25T00:00:00.0000000"),
        ("2026-11-22T23:00:00.0000000", "2026-11-24T23:00:00.0000000"),
    ],
)
def test_all_day_events_are_dates(start: str, end: str) -> None:
    """Whether Graph shows midnight, or midnight in the zone of the event as another hour in UTC."""
    times = read_times(row(isAllDay=True, start=moment(start), end=moment(end)), {})

    assert times == {"start": "2026-11-23", "end": "2026-11-25", "all_day": True}


def test_an_all_day_event_without_length_lasts_a_day() -> None:
    """The same date twice is widened."""
    once = moment("2026-11-23T00:00:00")

    assert read_times(row(isAllDay=True, start=once, end=once), {})["end"] == "2026-11-24"


def test_what_a_windows_name_cannot_say_is_kept_beside() -> None:
    """Oslo is written as its Windows zone, with Oslo kept; a floating time as UTC, with floating kept."""
    written, zones = write_times(event(time_zone="Europe/Oslo"))
    assert (written["start"]["timeZone"], zones) == (
        "W. Europe Standard Time",
        {"W. Europe Standard Time": "Europe/Oslo"},
    )
    written, zones = write_times(event(time_zone=None))
    assert (written["start"], zones) == (moment("2026-11-23T10:00:00"), {"UTC": None})

    assert write_times(event())[1] == {}


@pytest.mark.parametrize("wall", ["2026-10-25T02:30:00", "2026-03-29T02:30:00"])
def test_doubtful_wall_times_are_written_as_instants(wall: str) -> None:
    """A time that the clocks show twice or never is sent in UTC, and comes back in its zone."""
    content = event(start=wall, end=wall[:11] + "05:00:00")
    written, zones = write_times(content)

    assert written["start"]["timeZone"] == "UTC"
    assert read_times({**written, "originalStartTimeZone": "UTC"}, zones)["time_zone"] == "Europe/Berlin"


def test_a_zone_nobody_knows_is_refused() -> None:
    """A private zone has no name that Graph would take."""
    with pytest.raises(Unholdable, match="time zone"):
        write_times(event(time_zone="Antarctica/Troll"))


@pytest.mark.parametrize(
    "text",
    ["one", "one\ntwo\n\nfour", "a  b   c", "<b> & \"x\" 'y'", "Wörter 😀\n- a\n- b", "tail of spaces\nx"],
)
def test_text_survives_exchange(text: str) -> None:
    """What is written as text is kept as HTML by Exchange and reads back as the same text."""
    assert text_of(stored_body({"contentType": "text", "content": text})) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div><br></div><div>Two</div>", "One\n\nTwo"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<html><head><style>p {}</style></head><body> x\r\n y </body></html>", "x y"),
        ('<a href="https://x.example/a">here</a>', "here <https://x.example/a>"),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example"),
        ("<pre>a  b\n c</pre>", "a  b\n c"),
        ("<!-- only a comment -->", ""),
        ("", ""),
    ],
)
def test_html_is_shown_as_text(html: str, text: str) -> None:
    """Blocks are lines, spaces collapse, a link's address is told where its text is another."""
    assert text_of({"contentType": "html", "content": html}) == text


JOIN = "https://teams.microsoft.com/l/meetup-join/19%3a/0?context=%7b%7d&amp;x=1"
ONLINE = {
    "onlineMeeting": {"joinUrl": JOIN.replace("&amp;", "&")},
    "body": {
        "contentType": "html",
        "content": f'<html><body><p>Old</p><div>____</div><div><a href="{JOIN}">Join</a></div></body></html>',
    },
}


def test_an_edited_text_keeps_the_join_block() -> None:
    """An online meeting's body gets the new text, and the block with its link stays as it is."""
    old = text_of(ONLINE["body"])
    body = body_of(old.replace("Old", "New & better"), ONLINE)

    assert body["contentType"] == "html"
    assert f'<div>____</div><div><a href="{JOIN}">Join</a></div>' in body["content"]
    assert text_of(body) == old.replace("Old", "New & better")
    assert body["content"].count("Join</a>") == 1


def test_the_join_block_stays_when_the_text_lost_it() -> None:
    """Whoever deletes all of the text does not turn the meeting into a plain one."""
    assert JOIN in body_of("Short", ONLINE)["content"]
    assert text_of(body_of("Short", ONLINE)).startswith("Short\n")


@pytest.mark.parametrize(
    ("props", "fields"),
    [
        ({"showAs": "busy"}, {}),
        ({"showAs": "oof"}, {}),
        ({"showAs": "free"}, {"busy": False}),
        ({"showAs": "tentative"}, {"status": "tentative"}),
        ({"showAs": "busy", "isCancelled": True}, {"status": "cancelled"}),
        ({"sensitivity": "personal"}, {"privacy": "private"}),
        ({"sensitivity": "confidential"}, {"privacy": "confidential"}),
        ({"importance": "high"}, {"priority": 1}),
        ({"isReminderOn": True, "reminderMinutesBeforeStart": 90}, {"alarms": [{"trigger": "-PT1H30M"}]}),
        ({"isReminderOn": True, "reminderMinutesBeforeStart": 0}, {"alarms": [{"trigger": "PT0S"}]}),
        ({"isReminderOn": False, "reminderMinutesBeforeStart": 15}, {}),
    ],
)
def test_narrow_fields(props: dict[str, Any], fields: Content) -> None:
    """Fields that Graph has in fewer words."""
    assert narrow(props) == fields


def test_missing_values_are_no_problem() -> None:
    """subject, body, iCalUId and location may be null."""
    item = item_of(row(subject=None, body=None, iCalUId=None, location=None, categories=None))

    assert item.problem is None
    assert item.uid == "A"


def test_a_broken_event_has_a_reason() -> None:
    """One that cannot be read is an item with a problem and its text."""
    item = item_of(row(start={"dateTime": "soon", "timeZone": "UTC"}))

    assert item.content is None
    assert item.problem == "The event has a time that cannot be read."
    assert item.raw is not None


def test_kept_fields_are_believed_while_graph_shows_the_same() -> None:
    """The hub's own words come back, until somebody changes in Outlook what they stand for."""
    content = event(priority=3, status="tentative", busy=False, url="https://example.org", alarms=[
        {"trigger": "-PT10M"}, {"trigger": "-PT1H"}])  # fmt: skip
    body = new_event("uid", content, "t", attendees=False)
    stored = row(**{name: value for name, value in body.items() if name not in ("start", "end", "body")})

    assert content_of(stored, kept.read(stored), attendees=False) == content
    edited = {**stored, "importance": "normal", "showAs": "busy", "reminderMinutesBeforeStart": 5}
    seen = content_of(edited, kept.read(edited), attendees=False)
    assert seen == event(url="https://example.org", alarms=[{"trigger": "-PT5M"}])


@pytest.mark.parametrize("value", ["", "x", "[]", '{"fields": 3}', '{"fields": {"status": ["tentative", null]}}'])
def test_a_damaged_property_counts_as_none(value: str) -> None:
    """Whatever somebody else writes into our property does no harm."""
    stored = [{"id": kept.KEPT, "value": value}, {"id": kept.UID.upper(), "value": "ours"}]

    assert kept.read({"singleValueExtendedProperties": stored}) == kept.Kept("ours")


def test_only_what_changed_is_written() -> None:
    """A new title is one property; a state that says the same as before is none."""
    stored = row(subject="Old", showAs="oof", sensitivity="personal")
    old = content_of(stored, kept.Kept(), attendees=False)

    assert changes(old, {**old, "title": "New"}, stored, attendees=False) == {"subject": "New"}
    assert changes(old, old, stored, attendees=False) == {}
    assert changes(old, {**old, "busy": False}, stored, attendees=False) == {"showAs": "free"}


def test_a_new_event_always_says_whether_to_remind() -> None:
    """Outlook would take fifteen minutes where nothing is said."""
    body = new_event("uid", event(), "t", attendees=False)

    assert (body["isReminderOn"], body["reminderMinutesBeforeStart"]) == (False, 0)
    assert body["transactionId"] == "t"
    assert {"id": kept.UID, "value": "uid"} in body["singleValueExtendedProperties"]
    assert "attendees" not in new_event("uid", event(attendees={"a@example.org": {}}), "t", attendees=False)


def test_an_instance_its_organizer_cancelled_is_an_exdate() -> None:
    """It is told as an exception; the series goes on without it."""
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"}
    recurrence = {"pattern": pattern, "range": {"type": "noEnd", "startDate": "2026-11-23"}}
    cancelled = row(id="B", isCancelled=True, originalStart="2026-11-30T09:00:00Z")
    content = read(recurrence=recurrence, exceptionOccurrences=[cancelled])

    assert content["exdates"] == ["2026-11-30T10:00:00+01:00"]
    assert "overrides" not in content
