"""Reading iCalendar texts into canonical content."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical import NotAnEvent, decode, read_calendar, read_object

CUSTOM = (
    "BEGIN:VTIMEZONE", "TZID:Customized Time Zone", "BEGIN:STANDARD", "DTSTART:16010101T000000",
    "TZOFFSETFROM:+0300", "TZOFFSETTO:+0300", "END:STANDARD", "END:VTIMEZONE",
)  # fmt: skip


def text_of(*events: Sequence[str], zones: Sequence[str] = ()) -> str:
    """A VCALENDAR of VEVENTs given by their lines; UID is there already."""
    body = [line for event in events for line in ("BEGIN:VEVENT", "UID:u@example.com", *event, "END:VEVENT")]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *zones, *body, "END:VCALENDAR", ""])


def content_of(*lines: str) -> Content:
    return read_object(text_of(lines)).content


def series(*overrides: Sequence[str], start: str = "DTSTART;TZID=Europe/Berlin:20260105T100000") -> Content:
    """A weekly series of one hour from Monday 5 January 2026."""
    master = (start, "DURATION:PT1H", "SUMMARY:Talk", "RRULE:FREQ=WEEKLY")
    return read_object(text_of(master, *overrides)).content


def test_every_modelled_property_has_its_field() -> None:
    """A full event reads as the documented fields, with the words of content and defaults left out."""
    content = content_of(
        "DTSTART;TZID=Europe/Berlin:20260105T100000", "DTEND;TZID=Europe/Berlin:20260105T110000",
        "SUMMARY:A\\, b", "DESCRIPTION:one\\ntwo", "LOCATION:Here", "URL:https://example.com/a,b;c", "COLOR:red",
        "STATUS:TENTATIVE", "CLASS:CONFIDENTIAL", "TRANSP:TRANSPARENT", "PRIORITY:1", "GEO:1.5;-2",
        "CATEGORIES:b,a", "CATEGORIES:c\\,d", "ORGANIZER;CN=Ann:MAILTO:Ann@Example.com",
        'ATTENDEE;CN="Bob; the b";ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED;CUTYPE=ROOM;RSVP=TRUE:mailto:Bob@example.com',
        "ATTACH;FMTTYPE=text/plain;FILENAME=a.txt:https://example.com/a", "X-OTHER;P=1:v",
        "CONFERENCE;VALUE=URI;FEATURE=VIDEO,AUDIO;LABEL=Join:https://example.com/c",
        "BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Reminder", "TRIGGER:-PT60M", "END:VALARM",
        "BEGIN:PARTICIPANT", "UID:p", "END:PARTICIPANT",
    )  # fmt: skip

    assert content == {
        "start": "2026-01-05T10:00:00", "end": "2026-01-05T11:00:00", "time_zone": "Europe/Berlin",
        "title": "A, b", "description": "one\ntwo", "location": "Here", "url": "https://example.com/a,b;c",
        "color": "red", "status": "tentative", "privacy": "confidential", "busy": False, "priority": 1,
        "geo": {"latitude": 1.5, "longitude": -2.0}, "categories": ["a", "b", "c,d"],
        "organizer": {"email": "ann@example.com", "name": "Ann"},
        "attendees": {
            "bob@example.com": {
                "name": "Bob; the b", "role": "optional", "status": "accepted", "kind": "room", "rsvp": True,
            }
        },
        "attachments": [{"uri": "https://example.com/a", "media_type": "text/plain", "name": "a.txt"}],
        "conferences": [{"uri": "https://example.com/c", "label": "Join", "features": ["audio", "video"]}],
        "alarms": [{"trigger": "-PT1H"}], "extra": {"X-OTHER": ["X-OTHER;P=1:v"]},
        "components": ["BEGIN:PARTICIPANT\r\nUID:p\r\nEND:PARTICIPANT\r\n"],
    }  # fmt: skip


def test_defaults_and_bookkeeping_are_absent() -> None:
    """Default values, bookkeeping and values that mean nothing leave no trace in content."""
    content = content_of(
        "DTSTART:20260105T100000Z", "SUMMARY:", "STATUS:CONFIRMED", "CLASS:PUBLIC", "TRANSP:OPAQUE", "PRIORITY:0",
        "GEO:x", "RRULE:", "DTSTAMP:20260101T000000Z", "CREATED:20260101T000000Z", "LAST-MODIFIED:20260101T000000Z",
        "SEQUENCE:3", "X-MOZ-LASTACK:20260101T000000Z", "X-MOZ-SNOOZE-TIME-1:1", "X-LIC-ERROR:no", "a broken fold",
    )  # fmt: skip

    assert content == {"start": "2026-01-05T10:00:00", "end": "2026-01-05T10:00:00", "time_zone": "UTC"}


@pytest.mark.parametrize(
    ("lines", "times"),
    [
        (["DTSTART:20260105"], ("2026-01-05", "2026-01-06", None, None)),
        (["DTSTART;VALUE=DATE:20260105", "DTEND;VALUE=DATE:20260105"], ("2026-01-05", "2026-01-06", None, None)),
        (["DTSTART;VALUE=DATE:20260105", "DURATION:P1W"], ("2026-01-05", "2026-01-12", None, None)),
        (["DTSTART:20260105T100000"], ("2026-01-05T10:00:00", "2026-01-05T10:00:00", None, None)),
        (["DTSTART:20260105T235960Z"], ("2026-01-05T23:59:59", "2026-01-05T23:59:59", "UTC", None)),
        (
            ["DTSTART;TZID=Europe/Berlin:20260105T100000Z"],
            ("2026-01-05T10:00:00", "2026-01-05T10:00:00", "UTC", None),
        ),
        (
            ["DTSTART;TZID=Etc/UTC:20260105T100000", "DTEND:20260105T090000Z"],
            ("2026-01-05T10:00:00", "2026-01-05T10:00:00", "UTC", None),
        ),
        (
            ["DTSTART;TZID=Europe/Berlin:20260105T100000", "DTEND;TZID=America/New_York:20260105T100000"],
            ("2026-01-05T10:00:00", "2026-01-05T10:00:00", "Europe/Berlin", "America/New_York"),
        ),
        (  # the night has 25 hours
            ["DTSTART;TZID=Europe/Berlin:20261024T120000", "DURATION:PT24H"],
            ("2026-10-24T12:00:00", "2026-10-25T11:00:00", "Europe/Berlin", None),
        ),
        (
            ["DTSTART;TZID=Europe/Berlin:20261024T120000", "DURATION:P1D"],
            ("2026-10-24T12:00:00", "2026-10-25T12:00:00", "Europe/Berlin", None),
        ),
        (  # 02:30 is shown twice, and the second one has no wall time of its own
            ["DTSTART;TZID=Europe/Berlin:20261025T013000", "DURATION:PT2H"],
            ("2026-10-25T01:30:00", "2026-10-25T01:30:00", "Europe/Berlin", "UTC"),
        ),
        (["DTSTART;TZID=Nowhere/Land:20260105T100000"], ("2026-01-05T10:00:00", "2026-01-05T10:00:00", None, None)),
    ],
)
def test_times(lines: list[str], times: tuple[str, str, str | None, str | None]) -> None:
    """Start, end and zones follow RFC 5545 3.3.5, 3.3.6 and 3.6.1; an end before the start is clamped to it."""
    content = content_of(*lines)

    assert times == (content["start"], content["end"], content.get("time_zone"), content.get("end_time_zone"))
    assert content.get("all_day", False) == (len(times[0]) == 10)


@pytest.mark.parametrize(
    ("start", "rule", "read"),
    [
        ("DTSTART:20260105T100000Z", "byday=WE,MO;wkst=MO;interval=1;freq=WEEKLY", "FREQ=WEEKLY;BYDAY=MO,WE"),
        (
            "DTSTART;TZID=Europe/Berlin:20260105T100000",
            "FREQ=DAILY;UNTIL=20260110",
            "FREQ=DAILY;UNTIL=20260110T225959Z",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260105T100000",
            "FREQ=DAILY;UNTIL=20260710T100000",
            "FREQ=DAILY;UNTIL=20260710T080000Z",
        ),
        ("DTSTART:20260105T100000", "FREQ=DAILY;UNTIL=20260110T100000Z", "FREQ=DAILY;UNTIL=20260110T100000"),
        ("DTSTART;VALUE=DATE:20260105", "FREQ=DAILY;UNTIL=20260110T235959Z", "FREQ=DAILY;UNTIL=20260110"),
        ("DTSTART:20260105T100000Z", "FREQ=DAILY;COUNT=3;UNTIL=20260110", "FREQ=DAILY;UNTIL=20260110T235959Z"),
    ],
)
def test_rules_are_canonical(start: str, rule: str, read: str) -> None:
    """RRULE parts come in RFC order without defaults, UNTIL in the type of the start."""
    assert read == content_of(start, f"RRULE:{rule}")["rrule"]


def test_surplus_rules_are_kept() -> None:
    """A second RRULE and EXRULEs, which the model has no field for, are in ``extra``."""
    content = content_of("DTSTART:20260105T100000Z", "RRULE:FREQ=DAILY", "RRULE:FREQ=YEARLY", "EXRULE:FREQ=MONTHLY")

    assert content["rrule"] == "FREQ=DAILY"
    assert content["extra"] == {"RRULE": ["RRULE:FREQ=YEARLY"], "EXRULE": ["EXRULE:FREQ=MONTHLY"]}


@pytest.mark.parametrize(
    "line",
    [
        "EXDATE;TZID=Europe/Berlin:20260112T100000",
        "EXDATE:20260112T090000Z",
        "EXDATE;VALUE=DATE:20260112",
        "EXDATE;TZID=America/New_York:20260112T040000",
        "EXDATE:20260112T100000",
    ],
)
def test_exdates_in_any_form(line: str) -> None:
    """An EXDATE is the instant it names, as a recurrence id in the master's zone."""
    content = content_of("DTSTART;TZID=Europe/Berlin:20260105T100000", "RRULE:FREQ=WEEKLY", line)

    assert content["exdates"] == ["2026-01-12T10:00:00+01:00"]


def test_a_date_excepts_all_instances_of_its_day() -> None:
    """A DATE EXDATE on a series with several times a day excepts each of them."""
    content = content_of("DTSTART:20260105T100000Z", "RRULE:FREQ=DAILY;BYHOUR=10,15", "EXDATE;VALUE=DATE:20260106")

    assert content["exdates"] == ["2026-01-06T10:00:00Z", "2026-01-06T15:00:00Z"]


def test_rdates_and_periods() -> None:
    """RDATE values and periods are recurrence ids; a period has its end after a slash."""
    start = "DTSTART;TZID=Europe/Berlin:20260105T100000"
    content = content_of(start, "RDATE:20260106T090000Z", "RDATE;VALUE=PERIOD:20260107T090000Z/PT2H")

    assert content["rdates"] == ["2026-01-06T10:00:00+01:00", "2026-01-07T10:00:00+01:00/2026-01-07T12:00:00+01:00"]


def test_an_override_is_what_differs() -> None:
    """An override holds the changed fields, None for those it lacks, and no times if it was not moved."""
    same = ("RECURRENCE-ID:20260112T090000Z", "DTSTART:20260112T090000Z", "DTEND:20260112T100000Z", "SUMMARY:Other")
    moved = ("RECURRENCE-ID;TZID=Europe/Berlin:20260119T100000", "DTSTART;TZID=Europe/Berlin:20260120T100000")

    assert series(same, moved)["overrides"] == {
        "2026-01-12T10:00:00+01:00": {"title": "Other"},
        "2026-01-19T10:00:00+01:00": {"start": "2026-01-20T10:00:00", "end": "2026-01-20T10:00:00", "title": None},
    }


def test_a_date_as_recurrence_id_names_the_instance_of_that_day() -> None:
    """A RECURRENCE-ID of the wrong type is repaired."""
    override = ("RECURRENCE-ID;VALUE=DATE:20260112", "DTSTART;TZID=Europe/Berlin:20260112T100000", "DURATION:PT1H")

    assert series(override)["overrides"] == {"2026-01-12T10:00:00+01:00": {"title": None}}


def test_a_cancelled_override_is_an_exdate() -> None:
    """STATUS:CANCELLED on one instance is an entry of ``exdates``, not an override."""
    override = ("RECURRENCE-ID:20260112T090000Z", "DTSTART:20260112T090000Z", "STATUS:CANCELLED")

    content = series(override)

    assert content["exdates"] == ["2026-01-12T10:00:00+01:00"]
    assert "overrides" not in content


def test_an_override_wins_over_an_exdate() -> None:
    """An instance that is both excepted and overridden is there."""
    master = ("DTSTART:20260105T100000Z", "RRULE:FREQ=WEEKLY", "EXDATE:20260112T100000Z,20260119T100000Z")
    override = ("RECURRENCE-ID:20260112T100000Z", "DTSTART:20260112T100000Z", "SUMMARY:x")

    content = read_object(text_of(master, override)).content

    assert content["exdates"] == ["2026-01-19T10:00:00Z"]
    assert content["overrides"] == {"2026-01-12T10:00:00Z": {"title": "x"}}


def test_the_later_of_two_overrides_of_one_instance_counts() -> None:
    """Of VEVENTs for one instance the one with the higher SEQUENCE, then the later DTSTAMP, is read."""
    rid, start = "RECURRENCE-ID:20260112T090000Z", "DTSTART:20260112T090000Z"
    content = series((rid, start, "SUMMARY:new", "SEQUENCE:2"), (rid, start, "SUMMARY:old", "SEQUENCE:1"))

    assert content["overrides"]["2026-01-12T10:00:00+01:00"]["title"] == "new"


def test_instances_without_a_master() -> None:
    """Loose instances are kept: the earliest as the event, marked by RECURRENCE-ID in ``extra``, others beside it."""
    second = ("RECURRENCE-ID:20260119T100000Z", "DTSTART:20260119T110000Z", "SUMMARY:b")
    first = ("RECURRENCE-ID:20260112T100000Z", "DTSTART:20260112T100000Z", "SUMMARY:a")

    content = read_object(text_of(second, first)).content

    assert content["title"] == "a"
    assert content["extra"] == {"RECURRENCE-ID": ["RECURRENCE-ID:20260112T100000Z"]}
    assert content["rdates"] == ["2026-01-19T10:00:00Z"]
    assert content["overrides"]["2026-01-19T10:00:00Z"]["title"] == "b"


def test_a_private_zone_travels_with_the_event() -> None:
    """A zone that only its VTIMEZONE explains is kept in ``zones``; a known name needs none."""
    lines = ("DTSTART;TZID=Customized Time Zone:20260105T100000",)
    content = read_object(text_of(lines, zones=CUSTOM)).content

    assert content["time_zone"] == "Customized Time Zone"
    assert content["zones"] == {"Customized Time Zone": "\r\n".join([*CUSTOM, ""])}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not iCalendar"),
        ("\x00\x01junk", "not iCalendar"),
        (text_of(["DTSTART:20260105T100000Z"]).replace("END:VCALENDAR", ""), "cut off"),
        (text_of(["DTSTART:20260105T100000Z"]).replace("END:VEVENT", ""), "damaged"),
        (text_of(["DTSTART:20260105T100000Z"]).replace("UID:u@example.com\r\n", ""), "no UID"),
        (text_of(["SUMMARY:x"]), "no start"),
        (text_of(["DTSTART:20261305T100000Z"]), "date or time"),
        (text_of(["DTSTART:20260105T100000Z", "DTEND;VALUE=DATE:20260106"]), "the other way round"),
        (text_of(["DTSTART:20260105T100000Z", "DURATION:PT"]), "duration"),
        (text_of(["DTSTART:20260105T100000Z", "DURATION:P999999999D"]), "out of range"),
        (text_of(["DTSTART:20260105T100000Z", "RRULE:FREQ=DAILY;INTERVAL=0"]), "INTERVAL"),
        (text_of(["DTSTART:20260105T100000Z", "RRULE:FREQ=DAILY;COUNT=0"]), "COUNT"),
        (text_of(["DTSTART:20260105T100000Z", "RRULE:FREQ=FORTNIGHTLY"]), "FREQ"),
        (text_of(["DTSTART:20260105T100000Z"], ["DTSTART:20260106T100000Z"]), "share one UID"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_sentence(text: str, word: str) -> None:
    """Damaged texts and events that have no place in time raise InvalidEvent with a sentence that says why."""
    with pytest.raises(InvalidEvent, match=word) as caught:
        read_object(text)

    assert not isinstance(caught.value, NotAnEvent)
    assert str(caught.value).endswith(".")


def test_a_task_is_not_an_event() -> None:
    """A sound resource without a VEVENT raises NotAnEvent, which callers may pass over."""
    with pytest.raises(NotAnEvent):
        read_object("BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nUID:t\r\nEND:VTODO\r\nEND:VCALENDAR\r\n")


def test_bytes_of_any_origin() -> None:
    """A byte order mark, a fold inside a character, lone line feeds and Latin-1 are all read."""
    text = text_of(["DTSTART:20260105T100000Z", "SUMMARY:Grüße"])
    utf8 = text.encode()
    split = utf8.replace(b"Gr\xc3\xbc", b"Gr\xc3\r\n \xbc")

    for data in (b"\xef\xbb\xbf" + utf8, split, utf8.replace(b"\r\n", b"\n"), text.encode("latin-1")):
        assert read_object(data).content["title"] == "Grüße"
        assert read_object(decode(data)).content["title"] == "Grüße"


def test_modified_is_the_latest_of_all_events() -> None:
    """LAST-MODIFIED is preferred to DTSTAMP, and the latest VEVENT decides."""
    master = ("DTSTART:20260105T100000Z", "RRULE:FREQ=DAILY", "LAST-MODIFIED:20260101T000000Z")
    override = ("RECURRENCE-ID:20260106T100000Z", "DTSTART:20260106T100000Z", "DTSTAMP:20260102T000000Z")

    assert read_object(text_of(master, override)).modified == "2026-01-02T00:00:00.000Z"


def feed(*events: str) -> bytes:
    return "\r\n".join(["BEGIN:VCALENDAR", *CUSTOM, *events, "END:VCALENDAR", ""]).encode()


def vevent(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"])


def test_a_feed_gives_each_event_a_text_of_its_own() -> None:
    """Events are grouped by UID, with the VTIMEZONEs they use; the text reads as the entry says."""
    zoned = vevent("UID:a", "DTSTART;TZID=Customized Time Zone:20260105T100000", "RRULE:FREQ=DAILY")
    other = vevent("UID:b", "DTSTART:20260105T100000Z")
    override = vevent("UID:a", "RECURRENCE-ID:20260106T070000Z", "DTSTART:20260106T080000Z")

    entries = list(read_calendar(feed(zoned, other, override)))

    assert [entry.uid for entry in entries] == ["a", "b"]
    assert [entry.text.count("BEGIN:VTIMEZONE") for entry in entries] == [1, 0]
    assert [entry.content for entry in entries] == [read_object(entry.text).content for entry in entries]


def test_one_bad_event_does_not_spoil_a_feed() -> None:
    """A broken event is an entry with a problem between good ones."""
    entries = list(read_calendar(feed(vevent("UID:a", "SUMMARY:x"), vevent("UID:b", "DTSTART:20260105T100000Z"))))

    assert [(entry.uid, entry.problem) for entry in entries] == [("a", "The event has no start."), ("b", None)]
    assert entries[0].content is None


def test_events_of_a_feed_without_uid_get_a_stable_one() -> None:
    """A derived UID depends on start and title only; events that share these are numbered."""
    nameless = vevent("DTSTART:20260105T100000Z", "SUMMARY:x")
    first = list(read_calendar(feed(nameless)))
    second = list(read_calendar(feed(vevent("UID:a", "DTSTART:20260105T100000Z"), nameless, nameless)))

    assert first[0].uid == second[1].uid
    assert second[2].uid == f"{first[0].uid}-2"
    assert read_object(first[0].text).uid == first[0].uid


def test_a_second_master_under_one_uid_is_a_problem_unless_it_is_the_same() -> None:
    """Exact duplicates are one event; another event with a taken UID is reported, the first is kept."""
    master, twin = (
        vevent("UID:a", "DTSTART:20260105T100000Z"),
        vevent("UID:a", "DTSTART:20260105T100000Z", "SEQUENCE:1"),
    )
    other = vevent("UID:a", "DTSTART:20260106T100000Z")

    entries = list(read_calendar(feed(master, twin, other)))

    assert [entry.problem for entry in entries] == [None, "Another event of this calendar has the same UID."]


def test_a_cut_off_feed_is_refused_at_once() -> None:
    """Of a truncated file nothing is read: what is missing is not known to be gone."""
    with pytest.raises(InvalidEvent, match="cut off"):
        read_calendar(feed(vevent("UID:a", "DTSTART:20260105T100000Z")).removesuffix(b"END:VCALENDAR\r\n"))
