"""Patching a text: what changes is what was meant, and nothing else."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime

import pytest

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical import patch_object, read_object

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
STAMPS = {"DTSTAMP:20261121T100000Z", "LAST-MODIFIED:20261121T100000Z"}

SERIES = "\r\n".join(
    [
        "BEGIN:VCALENDAR", "PRODID:-//Some//Client//EN", "VERSION:2.0", "X-WR-CALNAME:Mine",
        "BEGIN:VTIMEZONE", "TZID:W. Europe Standard Time", "BEGIN:STANDARD", "DTSTART:16010101T000000",
        "TZOFFSETFROM:+0100", "TZOFFSETTO:+0100", "END:STANDARD", "END:VTIMEZONE",
        "BEGIN:VEVENT", "UID:u@example.com", "DTSTAMP:20260101T000000Z", "SEQUENCE:4", "X-MOZ-LASTACK:1",
        "dtstart;TZID=W. Europe Standard Time;X-KEEP=1:20260105T100000", "DURATION:PT60M",
        "SUMMARY;LANGUAGE=en:A title that is folded by another hand th", " an ours", "DESCRIPTION;ALTREP=\"x:y\":Old",
        "RRULE:WKST=MO;FREQ=WEEKLY", "EXDATE;VALUE=DATE:20260112", "EXDATE:20260119T090000Z,20260126T090000Z",
        "ATTENDEE;CN=Bob;X-S=2;PARTSTAT=NEEDS-ACTION:MAILTO:Bob@Example.com",
        "ATTENDEE:mailto:cid@example.com", "CATEGORIES:a,b", "CATEGORIES:c", "X-ODD;P=\"1:2\":v", "X-ODD:w",
        "BEGIN:VALARM", "TRIGGER:-PT900S", "ACTION:DISPLAY", "X-WR-ALARMUID:k", "X-MOZ-LASTACK:2", "END:VALARM",
        "BEGIN:VALARM", "TRIGGER:-P1D", "ACTION:DISPLAY", "END:VALARM",
        "END:VEVENT",
        "BEGIN:VEVENT", "UID:u@example.com", "RECURRENCE-ID:20260202T090000Z", "DTSTAMP:20260101T000000Z",
        "DTSTART:20260202T090000Z", "DTEND:20260202T100000Z", "SUMMARY:Other", "X-MINE:1", "END:VEVENT",
        "BEGIN:VEVENT", "UID:u@example.com", "RECURRENCE-ID:20260209T090000Z", "DTSTAMP:20260101T000000Z",
        "DTSTART:20260209T090000Z", "STATUS:CANCELLED", "END:VEVENT",
        "END:VCALENDAR", "",
    ]
)  # fmt: skip


def changed(content: Content, text: str = SERIES) -> tuple[set[str], set[str]]:
    """The physical lines that a patch took out and put in, stamps aside; it reads back as asked for."""
    patched = patch_object(text, "u@example.com", content, now=NOW)
    assert read_object(patched).content == content
    rows = list(difflib.ndiff(text.split("\r\n"), patched.split("\r\n")))
    gone = {row[2:] for row in rows if row.startswith("- ")}
    new = {row[2:] for row in rows if row.startswith("+ ")}
    return gone - {"DTSTAMP:20260101T000000Z"}, new - STAMPS


def read() -> Content:
    return read_object(SERIES).content


def test_no_change_gives_the_same_text() -> None:
    """Equal content gives back the very string, whatever forms it uses."""
    assert patch_object(SERIES, "u@example.com", read(), now=NOW) is SERIES


def test_a_changed_text_keeps_its_parameters_but_no_rendering_of_the_old_one() -> None:
    """LANGUAGE stays on a changed line; ALTREP, which shows the old text, goes."""
    content = read() | {"title": "Short", "description": "New"}
    content["overrides"] = {rid: {**patch, "description": None} for rid, patch in content["overrides"].items()}

    assert changed(content) == (
        {"SUMMARY;LANGUAGE=en:A title that is folded by another hand th", " an ours", 'DESCRIPTION;ALTREP="x:y":Old'},
        {"SUMMARY;LANGUAGE=en:Short", "DESCRIPTION:New"},
    )


def test_stamps_move_only_where_something_changed() -> None:
    """The changed VEVENT gets a new DTSTAMP and LAST-MODIFIED, others keep theirs; SEQUENCE is left alone."""
    content = read()
    content["overrides"]["2026-02-02T10:00:00+01:00"]["title"] = "Third"

    patched = patch_object(SERIES, "u@example.com", content, now=NOW)
    master, override, cancelled = patched.split("BEGIN:VEVENT")[1:]

    assert set(override.split("\r\n")) >= STAMPS
    assert STAMPS.isdisjoint(master.split("\r\n"))
    assert STAMPS.isdisjoint(cancelled.split("\r\n"))
    assert "SEQUENCE:4" in master


def test_a_new_end_keeps_the_duration_form() -> None:
    """Where the text has a DURATION, a new end is a new DURATION."""
    content = read() | {"end": "2026-01-05T11:30:00"}
    times = {"start": "2026-02-02T10:00:00", "end": "2026-02-02T11:00:00"}
    content["overrides"]["2026-02-02T10:00:00+01:00"] |= times  # this instance is to stay as long as it is

    gone, new = changed(content)

    assert "DURATION:PT60M" in gone
    assert "DURATION:PT1H30M" in new


def test_a_new_start_uses_the_zone_label_of_the_text() -> None:
    """DTSTART keeps its own parameters and the label that the text defines for the zone; DURATION fits on."""
    content = read() | {"start": "2026-01-05T09:00:00", "end": "2026-01-05T10:00:00", "exdates": []}
    del content["exdates"], content["overrides"]

    _, new = changed(content)

    assert new == {"DTSTART;TZID=W. Europe Standard Time;X-KEEP=1:20260105T090000"}


def test_another_zone_brings_its_vtimezone() -> None:
    """A zone that is new in the text gets a VTIMEZONE; RRULE lines that read right stay."""
    content = read() | {"time_zone": "America/New_York"}
    del content["exdates"], content["overrides"]

    _, new = changed(content)

    assert {"TZID:America/New_York", "DTSTART;TZID=America/New_York;X-KEEP=1:20260105T100000"} <= new


def test_exdates_go_and_come_one_by_one() -> None:
    """A value goes out of its line, a date stays in its form, a new one gets a line in the master's form."""
    content = read()
    content["exdates"] = ["2026-01-12T10:00:00+01:00", "2026-01-26T10:00:00+01:00", "2026-02-09T10:00:00+01:00",
                          "2026-07-06T10:00:00+02:00"]  # fmt: skip

    assert changed(content) == (
        {"EXDATE:20260119T090000Z,20260126T090000Z"},
        {"EXDATE:20260126T090000Z", "EXDATE;TZID=W. Europe Standard Time:20260706T100000"},
    )


def test_a_cancelled_instance_comes_back() -> None:
    """When its id leaves ``exdates``, the cancelled VEVENT goes."""
    content = read()
    content["exdates"].remove("2026-02-09T10:00:00+01:00")

    gone, new = changed(content)

    assert {"RECURRENCE-ID:20260209T090000Z", "STATUS:CANCELLED"} <= gone
    assert not new


def test_an_override_goes_and_another_comes() -> None:
    """A removed override's VEVENT is dropped; a new one is the full instance."""
    content = read()
    content["overrides"] = {"2026-02-16T10:00:00+01:00": {"title": "Special", "attendees": None}}

    gone, new = changed(content)

    assert "X-MINE:1" in gone
    assert {"SUMMARY:Special", "RECURRENCE-ID;TZID=W. Europe Standard Time:20260216T100000", "DESCRIPTION:Old"} <= new
    assert not any(line.startswith("ATTENDEE") for line in new)


def test_one_attendee_changes() -> None:
    """Only that attendee's line changes and keeps its unknown parameters and its spelling."""
    content = read()
    content["attendees"]["bob@example.com"]["status"] = "accepted"

    assert changed(content) == (
        {"ATTENDEE;CN=Bob;X-S=2;PARTSTAT=NEEDS-ACTION:MAILTO:Bob@Example.com"},
        {"ATTENDEE;CN=Bob;PARTSTAT=ACCEPTED;X-S=2:MAILTO:Bob@Example.com"},
    )


def test_sets_change_by_member() -> None:
    """Categories, alarms and unknown properties that are still wanted keep their lines."""
    content = read()
    content["categories"] = ["a", "c", "d"]
    content["alarms"] = [alarm for alarm in content["alarms"] if alarm["trigger"] == "-PT15M"]
    content["extra"]["X-ODD"] = ["X-ODD:z", 'X-ODD;P="1:2":v']

    gone, new = changed(content)

    assert {"CATEGORIES:a,b", "X-ODD:w", "TRIGGER:-P1D"} <= gone
    assert new == {"CATEGORIES:a", "CATEGORIES:d", "X-ODD:z"}
    assert "TRIGGER:-PT900S" not in gone


def test_the_text_keeps_its_line_ends() -> None:
    """A text with bare line feeds gets no carriage return."""
    patched = patch_object(SERIES.replace("\r\n", "\n"), "u@example.com", read() | {"url": "x:y"}, now=NOW)

    assert "\r" not in patched
    assert "URL:x:y\n" in patched


def test_a_value_cannot_start_a_line_of_its_own() -> None:
    """Line breaks in values that are not TEXT are dropped, so that no content can inject properties."""
    patched = patch_object(SERIES, "u@example.com", read() | {"url": "x:y\r\nATTACH:file:///etc"}, now=NOW)

    assert "URL:x:yATTACH:file:///etc\r\n" in patched


def test_another_events_text_is_refused() -> None:
    """A text with another UID is not touched."""
    with pytest.raises(InvalidEvent, match="another UID"):
        patch_object(SERIES, "v@example.com", read(), now=NOW)


def test_an_override_takes_the_place_of_an_exception() -> None:
    """Other programs go by an EXDATE, whatever stands beside it."""
    content = read()
    content["exdates"] = [rid for rid in content["exdates"] if not rid.startswith("2026-01-19")]
    content["overrides"] = {**content["overrides"], "2026-01-19T10:00:00+01:00": {"location": "Roof"}}
    gone, new = changed(content)
    assert gone == {"EXDATE:20260119T090000Z,20260126T090000Z"}
    assert {"EXDATE:20260126T090000Z", "LOCATION:Roof"} <= new
