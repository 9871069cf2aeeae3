"""Words, times and texts, and what is kept beside them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.providers.google.kit import content, create, done, get, times, update

from calhub.calendar.event import Content
from calhub.providers.google import more
from calhub.providers.google.outward import Target, changed, whole
from calhub.providers.google.series import Bundle, from_raw
from calhub.providers.google.text import has_markup, marked, plain
from calhub.testing.contract_kit import Remote, event
from calhub.testing.services.google import GoogleService

ROW = {"id": "abc123", "etag": '"1"', "status": "confirmed", "iCalUID": "abc123@google.com"}


def read(zone: str = "Europe/Berlin", **fields: Any) -> Content:
    """The content of an event as Google shows it."""
    found = Bundle({**ROW, **times(), **fields}, (), zone).item()
    return content(found)


# Descriptions


@given(st.text(alphabet=st.sampled_from("<>&;/abip#x1 \n\"'=") | st.characters(codec="utf-8")))
def test_a_text_of_ours_is_shown_as_it_was_written(text: str) -> None:
    assert plain(marked(text)) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Plain, 1 < 2 & 3", "Plain, 1 < 2 & 3"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("<ul><li>a</li><li>b</li></ul>after", "- a\n- b\nafter"),
        ('see <a href="https://example.org/x">here</a>', "see here <https://example.org/x>"),
        ('<a href="https://example.org/">https://example.org/</a>', "https://example.org/"),
        ('<a href="mailto:a@example.org">a@example.org</a>', "a@example.org"),
        ("caf&eacute; &amp; bar", "café & bar"),
        ("<b>bold <unknown>tag</b>", "bold <unknown>tag"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_html_of_googles_editor_is_flattened(html: str, text: str) -> None:
    assert plain(html) == text


def test_what_only_looks_like_markup_is_left_alone() -> None:
    assert not has_markup("a < b, c > d, R&D; <someone@example.org> <https://example.org>")


# Times


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (
            {"dateTime": "2026-11-23T09:00:00Z", "timeZone": "Asia/Calcutta"},
            {"dateTime": "2026-11-23T10:00:00Z", "timeZone": "Asia/Calcutta"},
            {"start": "2026-11-23T14:30:00", "end": "2026-11-23T15:30:00", "time_zone": "Asia/Kolkata"},
        ),
        (
            {"dateTime": "2026-11-23T09:00:00-05:00"},
            {"dateTime": "2026-11-23T10:00:00-05:00"},
            {"start": "2026-11-23T15:00:00", "end": "2026-11-23T16:00:00", "time_zone": "Europe/Berlin"},
        ),
        (
            {"dateTime": "2026-11-23T09:00:00+01:00", "timeZone": "Europe/Berlin"},
            {"dateTime": "2026-11-23T10:00:00Z", "timeZone": "UTC"},
            {"start": "2026-11-23T09:00:00", "end": "2026-11-23T10:00:00", "time_zone": "Europe/Berlin",
             "end_time_zone": "UTC"},
        ),
        (
            {"dateTime": "2026-10-25T02:30:00+01:00", "timeZone": "Europe/Berlin"},
            {"dateTime": "2026-10-25T03:30:00+01:00", "timeZone": "Europe/Berlin"},
            {"start": "2026-10-25T01:30:00", "end": "2026-10-25T03:30:00", "time_zone": "UTC",
             "end_time_zone": "Europe/Berlin"},
        ),
        ({"date": "2026-11-23"}, {"date": "2026-11-25"},
         {"start": "2026-11-23", "end": "2026-11-25", "all_day": True}),
    ],
    ids=["old zone name", "zone of the calendar", "two zones", "a time the clock shows twice", "days"],
)  # fmt: skip
def test_times_are_read(start: dict[str, str], end: dict[str, str], expected: Content) -> None:
    assert read(start=start, end=end) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"start": {}}, {"start": None}, {"end": {"dateTime": "soon"}}, {"end": {"date": "2026-02-31"}},
        {"recurrence": ["nonsense"]}, {"recurrence": ["RRULE:FREQ=NEVER"]}, {"attendees": "bob"},
        {"reminders": {"overrides": [{}]}},
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_read_is_a_problem_of_its_own(fields: dict[str, Any]) -> None:
    item = Bundle({**ROW, **times(), **fields}, (), "UTC").item()
    assert item.problem
    assert item.content is None


@pytest.mark.parametrize(
    "made",
    [
        event(end="2026-11-23T10:00:00"),
        event(time_zone=None, end="2026-11-23T10:00:00"),
        event(time_zone=None, rrule="FREQ=DAILY;COUNT=3"),
        event(end="2026-11-23T06:00:00", end_time_zone="America/New_York", rrule="FREQ=DAILY;COUNT=3"),
        event(start="2026-10-24T02:30:00", end="2026-10-24T04:00:00", rrule="FREQ=DAILY;COUNT=3",
              overrides={"2026-10-25T02:30:00+02:00": {"title": "Twice on the clock"}}),
        event(rrule="FREQ=MONTHLY;UNTIL=20270630T080000Z;BYDAY=-1MO", exdates=["2026-12-28T10:00:00+01:00"]),
        event(start="2026-11-23", end="2026-11-24", all_day=True, time_zone=None, rrule="FREQ=YEARLY;UNTIL=20301123",
              rdates=["2026-12-24"]),
        event(rdates=["2026-12-24T10:00:00+01:00"]),
        event(status="cancelled"),
        event(color="teal"), event(color="gold"),
        event(url="ftp://example.org/"), event(url="https://example.org/"),
        event(alarms=[{"action": "email", "trigger": "-P1D"}, {"related": "end", "trigger": "-PT5M"},
                      {"trigger": "-PT10M"}, {"trigger": "2026-11-23T08:00:00Z"}, {"trigger": "PT5M"}]),
        event(alarms=[{"trigger": f"-PT{minutes}M"} for minutes in range(1, 8)]),
        event(attachments=[{"media_type": "text/plain", "name": "Notes", "uri": "https://example.org/n"}]),
        event(conferences=[{"label": "Video", "uri": "https://example.org/call"}]),
        event(attendees={"ann@example.org": {"role": "chair"}, "room@example.org": {"kind": "room"},
                         "van@example.org": {"kind": "resource", "status": "accepted"}},
              organizer={"email": "ann@example.org", "name": "Ann"}),
        event(extra={"X-SHELF": ["X-SHELF:left"]}, geo={"latitude": 52.5, "longitude": 13.4}, priority=1,
              components=["BEGIN:X-BOX\r\nX-IN:1\r\nEND:X-BOX\r\n"]),
    ],
)  # fmt: skip
def test_what_google_cannot_say_is_kept_beside(remote: Remote, made: Content) -> None:
    item = done(create(remote, made))
    seen = content(get(remote, item.remote_id))
    assert seen == made
    echo = done(update(remote, item, {**made, "title": "Changed"}))
    assert {**content(echo), "title": "Meeting"} == seen
    assert content(done(update(remote, echo, event()))) == event()


def test_an_edit_at_google_wins_over_what_is_kept_beside(google: GoogleService, remote: Remote) -> None:
    made = event(
        time_zone=None, end="2026-11-23T10:00:00",
        attendees={"bob@example.org": {"role": "chair", "rsvp": True}, "cho@example.org": {"rsvp": True}},
    )  # fmt: skip
    item = done(create(remote, made))
    bob = {"email": "bob@example.org", "optional": True}
    google.user_patch(remote.calendar, item.remote_id, attendees=[bob], **times(24, 9, "Asia/Tokyo"))
    seen = content(get(remote, item.remote_id))
    assert (seen["time_zone"], seen["start"], seen["end"]) == (
        "Asia/Tokyo",
        "2026-11-24T09:00:00",
        "2026-11-24T10:00:00",
    )
    assert seen["attendees"] == {"bob@example.org": {"role": "optional", "rsvp": True}}


# The document beside


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=1500) | st.integers(), max_size=5))
def test_a_document_survives_the_limits(document: dict[str, Any]) -> None:
    properties = more.write("abc", "uid", document)
    assert all(len(name) <= 44 and len(value) <= 1024 for name, value in properties.items())
    row = {"id": "abc", "extendedProperties": {"private": properties}}
    kept = more.read(row)
    assert kept.items() <= document.items()
    assert len(str(document)) > more.LIMIT / 12 or kept == document
    assert more.patch(row, properties) == {}


def test_the_largest_field_goes_when_there_is_no_room() -> None:
    document = {"geo": {"latitude": 1}, "extra": {"X-BIG": ["X-BIG:" + "x" * 20000]}, "categories": ["a"]}
    row = {"id": "abc", "extendedProperties": {"private": more.write("abc", "", document)}}
    assert more.read(row) == {"geo": {"latitude": 1}, "categories": ["a"]}


def test_a_damaged_document_is_none() -> None:
    properties = more.write("abc", "uid", {"title": "x" * 3000})
    damaged = {name: value[:500] for name, value in properties.items()}
    assert more.read({"id": "abc", "extendedProperties": {"private": damaged}}) == {}
    assert more.read({"id": "other", "extendedProperties": {"private": properties}}) == {}


def test_a_new_event_names_only_what_it_has() -> None:
    body = whole(Target(event(), {}, "UTC"), "abc123", "uid")
    assert set(body) == {"id", "summary", "start", "end", "status", "visibility", "transparency", "attachments",
                         "extendedProperties"}  # fmt: skip
    assert None not in body["start"].values()


def test_nothing_to_change_is_no_patch() -> None:
    row = {**ROW, **times(), "summary": "Meeting", "description": "<b>x</b>", "visibility": "public"}
    bundle = Bundle(row, (), "UTC")
    assert changed(Target(bundle.content(), row, "UTC"), bundle.content(), "abc123", "abc123@google.com") == {}
    assert from_raw(bundle.raw) == Bundle(row, [], "UTC")
