"""What people do to events, in their spellings."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhub.calendar.edit import delete_occurrence, edit_content, edit_occurrence, new_content, split_following
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.recurrence import expand

BERLIN = "Europe/Berlin"
IDS = [f"2026-03-{day}T10:00:00+0{1 + (day > 28)}:00" for day in (16, 23, 30)] + ["2026-04-06T10:00:00+02:00"]


def new(start: str = "2026-03-16T10:00", **options: Any) -> Content:
    return new_content(**{"title": "a", "start": start, "time_zone": BERLIN} | options)


def weekly(rrule: str = "FREQ=WEEKLY;COUNT=4", **fields: Any) -> Content:
    return new(rrule=rrule) | fields


def starts(content: Content) -> list[str]:
    return [occurrence.start for occurrence in expand(content, -(1 << 40), 1 << 40, limit=60)]


# New events


def test_new_event_has_an_hour() -> None:
    """Without an end an event lasts an hour; defaults and empty texts are absent."""
    assert new(location="", description=None) == {
        "title": "a",
        "start": "2026-03-16T10:00:00",
        "end": "2026-03-16T11:00:00",
        "time_zone": BERLIN,
    }


def test_new_all_day_event() -> None:
    """A date makes an all-day event, of one day if nothing else is said."""
    whole = {"title": "a", "start": "2026-11-21", "end": "2026-11-22", "all_day": True}

    assert new("2026-11-21") == new("2026-11-21", all_day=True) == whole
    assert new("2026-11-21", end="2026-11-24")["end"] == "2026-11-24"
    assert new("2026-11-21", duration="1w")["end"] == "2026-11-28"


@pytest.mark.parametrize(
    ("start", "zone", "expected"),
    [
        ("2026-11-21 10:00", BERLIN, ("2026-11-21T10:00:00", BERLIN)),
        ("2026-11-21T10:00:30", None, ("2026-11-21T10:00:30", None)),
        ("2026-11-21T10:00Z", None, ("2026-11-21T10:00:00", "UTC")),
        ("2026-11-21T10:00+02:00", None, ("2026-11-21T08:00:00", "UTC")),
        ("2026-11-21t10:00z", BERLIN, ("2026-11-21T11:00:00", BERLIN)),
        ("2026-11-21T10:00-0500", "europe/berlin", ("2026-11-21T16:00:00", BERLIN)),
        ("2026-11-21T10:00", "W. Europe Standard Time", ("2026-11-21T10:00:00", BERLIN)),
    ],
)
def test_spellings_of_a_start(start: str, zone: str | None, expected: tuple[str, str | None]) -> None:
    """Times with an offset are told in the zone given, or in UTC; zones are canonical."""
    content = new(start, time_zone=zone)

    assert (content["start"], content.get("time_zone")) == expected


@pytest.mark.parametrize(
    ("duration", "end"),
    [
        ("90m", "2026-03-28T13:30:00"),
        ("90min", "2026-03-28T13:30:00"),
        ("1h30m", "2026-03-28T13:30:00"),
        ("1h 30m", "2026-03-28T13:30:00"),
        ("PT1H", "2026-03-28T13:00:00"),
        ("pt90s", "2026-03-28T12:01:30"),
        ("0m", "2026-03-28T12:00:00"),
        ("1d", "2026-03-29T12:00:00"),
        ("24h", "2026-03-29T13:00:00"),
        ("P1DT2H", "2026-03-29T14:00:00"),
        ("P1W", "2026-04-04T12:00:00"),
    ],
)
def test_durations(duration: str, end: str) -> None:
    """Days are days on the clock, hours are real hours: summer time begins in the night."""
    assert new("2026-03-28T12:00", duration=duration)["end"] == end


def test_new_event_with_everything() -> None:
    """Texts are trimmed, addresses are lower-case, the rule is canonical."""
    content = new(
        title="  Tea  time ",
        end="2026-03-16T12:00+01:00",
        rrule="BYDAY=WE,MO;FREQ=WEEKLY;UNTIL=2026-04-01",
        location="Garden",
        description="one\r\ntwo",
        attendees=["Ann Lee <Ann@Example.org>", "mailto:bob@example.org"],
    )

    assert content == {
        "title": "Tea time",
        "start": "2026-03-16T10:00:00",
        "end": "2026-03-16T12:00:00",
        "time_zone": BERLIN,
        "rrule": "FREQ=WEEKLY;UNTIL=20260401T215959Z;BYDAY=MO,WE",
        "location": "Garden",
        "description": "one\ntwo",
        "attendees": {"ann@example.org": {"name": "Ann Lee"}, "bob@example.org": {}},
    }


BAD: list[dict[str, Any]] = [
    {"title": " "},
    {"title": "a\x00"},
    {"start": "tomorrow"},
    {"start": "2026-02-30"},
    {"start": "2026-W10-1"},
    {"start": "20260316"},
    {"start": "0900-01-01"},
    {"start": "2026-03-16T25:00"},
    {"all_day": True},
    {"end": "later"},
    {"end": "2026-03-17"},
    {"end": "2026-03-16T09:00"},
    {"end": "2026-03-16T11:00", "duration": "1h"},
    {"end": "2026-03-16T11:00Z", "time_zone": None},
    {"start": "2026-03-16", "end": "2026-03-16"},
    {"start": "2026-03-16", "end": "2026-03-17T10:00"},
    {"start": "2026-03-16", "duration": "1h"},
    {"duration": "soon"},
    {"duration": ""},
    {"duration": "P"},
    {"duration": "P1M"},
    {"duration": "-1h"},
    {"duration": "1h30"},
    {"time_zone": "Mars/Olympus"},
    {"time_zone": ""},
    {"start": "2026-10-25T02:30+01:00"},
    {"rrule": "weekly"},
    {"rrule": "FREQ=DAILY;COUNT=3;UNTIL=20260401"},
    {"rrule": "FREQ=WEEKLY;BYDAY=1MO"},
    {"rrule": "FREQ=MONTHLY;BYWEEKNO=3"},
    {"rrule": "FREQ=WEEKLY;BYMONTHDAY=3"},
    {"rrule": "FREQ=MONTHLY;BYYEARDAY=3"},
    {"rrule": "FREQ=MONTHLY;BYSETPOS=1"},
    {"attendees": ["Ann"]},
    {"attendees": ["ann@example.org, bob@example.org"]},
]


@pytest.mark.parametrize("options", BAD, ids=str)
def test_bad_input_is_one_sentence(options: dict[str, Any]) -> None:
    """Whatever is wrong, the answer is one sentence."""
    with pytest.raises(InvalidEvent, match=r"^[A-Z][^\n]*\.$"):
        new(**options)


SPELLINGS = st.text("0123456789TZ+-: PHMDWS/=;,@", max_size=25)


@given(st.dictionaries(st.sampled_from(["start", "end", "duration", "time_zone", "rrule", "title"]), SPELLINGS))
def test_no_input_makes_another_error(options: dict[str, Any]) -> None:
    """Random spellings give an event or `InvalidEvent`, nothing else."""
    try:
        content = new(**options)
    except InvalidEvent:
        return
    list(expand(content, 0, 1 << 33, limit=5))


# Edits of whole events


def test_edit_changes_only_what_is_given() -> None:
    """Other fields stay; an empty text clears; the argument is not changed."""
    content = new(location="x", description="y") | {"extra": {"X-A": ["X-A:1"]}, "busy": False}
    kept = copy.deepcopy(content)
    edited = edit_content(content, title="b", location="")

    assert edited == {name: value for name, value in kept.items() if name != "location"} | {"title": "b"}
    assert content == kept


@pytest.mark.parametrize(
    ("options", "start", "end"),
    [
        ({"start": "2026-03-28T12:00"}, "2026-03-28T12:00:00", "2026-03-28T13:00:00"),
        ({"start": "2026-03-28"}, "2026-03-28T10:00:00", "2026-03-28T11:00:00"),
        ({"start": "2026-03-16T12:00Z"}, "2026-03-16T13:00:00", "2026-03-16T14:00:00"),
        ({"end": "2026-03-16T12:30"}, "2026-03-16T10:00:00", "2026-03-16T12:30:00"),
        ({"duration": "2h"}, "2026-03-16T10:00:00", "2026-03-16T12:00:00"),
        ({"start": "2026-03-17T09:00", "duration": "2h"}, "2026-03-17T09:00:00", "2026-03-17T11:00:00"),
        ({"all_day": True}, "2026-03-16", "2026-03-17"),
        ({"all_day": True, "start": "2026-03-18", "end": "2026-03-20"}, "2026-03-18", "2026-03-20"),
        ({"time_zone": "Asia/Tokyo"}, "2026-03-16T10:00:00", "2026-03-16T11:00:00"),
    ],
)
def test_edit_of_times(options: dict[str, Any], start: str, end: str) -> None:
    """A new start takes the end along; a date moves to that day; a zone alone keeps the wall time."""
    edited = edit_content(new(), **options)

    assert (edited["start"], edited["end"]) == (start, end)
    assert edited.get("time_zone") == (None if edited.get("all_day") else options.get("time_zone", BERLIN))


def test_edit_of_all_day_events() -> None:
    """They keep their days, and become timed by a start with a time."""
    trip = new("2026-03-16", end="2026-03-19")

    assert edit_content(trip, start="2026-04-01")["end"] == "2026-04-04"
    assert edit_content(trip, start="2026-04-01T10:00", time_zone=BERLIN) == new("2026-04-01T10:00")


def test_edit_keeps_the_zone_of_the_end() -> None:
    """A flight that leaves later lands later, on the clock of where it lands."""
    flight = new() | {"end": "2026-03-16T12:00:00", "end_time_zone": "America/New_York"}
    edited = edit_content(flight, start="2026-03-16T11:00")

    assert (edited["end"], edited["end_time_zone"]) == ("2026-03-16T13:00:00", "America/New_York")


def test_edit_of_attendees() -> None:
    """Who stays keeps status; nobody given means no change; one empty address clears the list."""
    content = new() | {"attendees": {"a@x": {"status": "accepted"}, "b@x": {}}}

    assert edit_content(content, attendees=["A@x", "c@x"])["attendees"] == {"a@x": {"status": "accepted"}, "c@x": {}}
    assert edit_content(content, attendees=[]) == content
    assert "attendees" not in edit_content(content, attendees=[""])


def test_moved_series_takes_everything_along() -> None:
    """Exceptions, added dates, overrides and UNTIL move by the same wall time, across a change of offset too."""
    series = weekly(
        "FREQ=WEEKLY;UNTIL=20260406T080000Z",
        exdates=[IDS[1]],
        rdates=["2026-03-18T10:00:00+01:00"],
        overrides={IDS[2]: {"title": "b"}},
    )
    moved = edit_content(series, start="2026-03-17T11:30")

    assert moved["exdates"] == ["2026-03-24T11:30:00+01:00"]
    assert moved["rdates"] == ["2026-03-19T11:30:00+01:00"]
    assert moved["overrides"] == {"2026-03-31T11:30:00+02:00": {"title": "b"}}
    assert moved["rrule"] == "FREQ=WEEKLY;UNTIL=20260407T093000Z"
    assert len(starts(moved)) == len(starts(series))


def test_instances_moved_by_themselves_stay() -> None:
    """Another zone for the series leaves an instance that had its own time at that instant."""
    series = weekly(overrides={IDS[2]: {"start": "2026-03-30T15:00:00", "end": "2026-03-30T16:00:00"}})
    moved = edit_content(series, time_zone="Asia/Tokyo")

    assert starts(moved)[2] == "2026-03-30T15:00:00+02:00"
    assert list(moved["overrides"]) == ["2026-03-30T10:00:00+09:00"]


def test_series_made_all_day() -> None:
    """Ids become dates."""
    whole = edit_content(weekly(exdates=[IDS[1]], overrides={IDS[2]: {"title": "b"}}), all_day=True)

    assert (whole["exdates"], list(whole["overrides"])) == (["2026-03-23"], ["2026-03-30"])
    assert starts(whole) == ["2026-03-16", "2026-03-30", "2026-04-06"]


def test_start_that_the_rule_cannot_follow() -> None:
    """A start that its rule does not bring needs a new rule with it."""
    series = weekly("FREQ=MONTHLY;BYMONTHDAY=1,16")
    with pytest.raises(InvalidEvent, match="new rule"):
        edit_content(series, start="2026-03-17T10:00")

    assert starts(edit_content(series, start="2026-03-17T10:00", rrule="FREQ=WEEKLY;COUNT=2")) == [
        "2026-03-17T10:00:00+01:00",
        "2026-03-24T10:00:00+01:00",
    ]


def test_new_rule_drops_what_names_no_instance() -> None:
    """Every other week: the exception and override between are gone, the rest stays."""
    series = weekly(exdates=[IDS[1], IDS[2]], overrides={IDS[3]: {"title": "b"}})
    edited = edit_content(series, rrule="FREQ=WEEKLY;INTERVAL=2")

    assert edited["exdates"] == [IDS[2]]
    assert "overrides" not in edited


def test_empty_rule_ends_the_series() -> None:
    """One event is left, the first."""
    assert edit_content(weekly(exdates=[IDS[1]], overrides={IDS[2]: {"title": "b"}}), rrule="") == new()


# One occurrence


def test_edit_occurrence_stores_the_difference() -> None:
    """An override holds what differs; any spelling of the instant names the instance."""
    edited = edit_occurrence(weekly(location="x"), "2026-03-30T08:00Z", title="b", location="")

    assert edited == weekly(location="x", overrides={IDS[2]: {"title": "b", "location": None}})


def test_edit_occurrence_again() -> None:
    """A second edit joins the first; one that takes all of it back removes the override."""
    moved = edit_occurrence(weekly(), IDS[2], start="2026-03-31T12:00")
    both = edit_occurrence(moved, IDS[2], title="b")
    back = edit_occurrence(edit_occurrence(both, IDS[2], title="a"), IDS[2], start="2026-03-30T10:00")

    assert both["overrides"] == {
        IDS[2]: {"start": "2026-03-31T12:00:00", "end": "2026-03-31T13:00:00", "title": "b"},
    }
    assert back == weekly()


def test_edit_occurrence_keeps_an_orphan() -> None:
    """An instance that only its override makes stays when it says nothing else."""
    series = weekly(overrides={"2026-03-17T10:00:00+01:00": {"title": "b"}})

    assert edit_occurrence(series, "2026-03-17", title="a")["overrides"] == {"2026-03-17T10:00:00+01:00": {}}


@pytest.mark.parametrize("action", [edit_occurrence, delete_occurrence, split_following])
@pytest.mark.parametrize(
    ("content", "rid"),
    [
        (new(), "2026-03-16T10:00"),
        (weekly(), "2026-03-17T10:00"),
        (weekly(), "2026-04-13T10:00"),
        (weekly(), "then"),
        (weekly(exdates=[IDS[1]]), IDS[1]),
    ],
)
def test_occurrence_must_be_there(action: Any, content: Content, rid: str) -> None:
    """A single event, a day without instance, and a cancelled instance are refused."""
    with pytest.raises(InvalidEvent, match=r"^[A-Z].*\.$"):
        action(content, rid)


def test_occurrence_has_no_rule() -> None:
    """Repeating an instance is refused."""
    with pytest.raises(InvalidEvent):
        edit_occurrence(weekly(), IDS[1], rrule="FREQ=DAILY")


def test_delete_occurrence() -> None:
    """The override goes, the id is excluded."""
    series = weekly(exdates=[IDS[3]], overrides={IDS[1]: {"title": "b"}, IDS[2]: {"title": "c"}})

    assert delete_occurrence(series, "2026-03-23") == weekly(
        exdates=[IDS[1], IDS[3]], overrides={IDS[2]: {"title": "c"}}
    )


def test_delete_orphan() -> None:
    """Where the rule has no such instance, there is nothing to exclude."""
    assert delete_occurrence(weekly(overrides={"2026-03-17T10:00:00+01:00": {}}), "2026-03-17") == weekly()


# This and following


def test_split_divides_everything() -> None:
    """COUNT, exceptions, added dates and overrides go to the half they belong to."""
    series = weekly(
        exdates=[IDS[1], IDS[3]],
        rdates=["2026-03-18T08:00:00+01:00", "2026-04-01T08:00:00+02:00"],
        overrides={IDS[0]: {"title": "b"}, IDS[2]: {"title": "c"}},
    )
    old, following = split_following(series, IDS[2])

    assert old == weekly(
        "FREQ=WEEKLY;UNTIL=20260330T075959Z",
        exdates=[IDS[1]],
        rdates=["2026-03-18T08:00:00+01:00"],
        overrides={IDS[0]: {"title": "b"}},
    )
    assert following == weekly(
        "FREQ=WEEKLY;COUNT=2",
        start="2026-03-30T10:00:00",
        end="2026-03-30T11:00:00",
        exdates=[IDS[3]],
        rdates=["2026-04-01T08:00:00+02:00"],
        overrides={IDS[2]: {"title": "c"}},
    )


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [
            "FREQ=DAILY;COUNT=12",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,SU;COUNT=12",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,SU;WKST=SU;UNTIL=20260701T000000Z",
            "FREQ=MONTHLY;BYDAY=-1FR;COUNT=12",
            "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1,2;COUNT=9",
            "FREQ=YEARLY;COUNT=5",
            "FREQ=DAILY;UNTIL=20260407",
        ]
    ),
    st.sampled_from([BERLIN, None, "UTC", "all-day"]),
    st.integers(1, 10),
    st.sets(st.integers(0, 11), max_size=4),
)
def test_split_loses_nothing(rrule: str, zone: str | None, at: int, gone: set[int]) -> None:
    """The two halves together have the instances of the whole, the first half those before."""
    series = (
        new("2026-03-16", rrule=rrule) if zone == "all-day" else new("2026-03-16T02:30", time_zone=zone, rrule=rrule)
    )
    ids = starts(series)
    series |= {"exdates": [ids[i] for i in gone if i < len(ids)]} if gone - {*range(len(ids), 12)} else {}
    whole = starts(series)
    at = min(at, len(whole) - 1)
    if at < 1:
        return
    old, following = split_following(series, whole[at])

    assert starts(old) == whole[:at]
    assert starts(following) == whole[at:]


def test_split_in_a_gap_keeps_the_rules_hour() -> None:
    """An instance at an hour that is skipped that day does not move the ones after it."""
    series = new("2026-03-27T02:30", rrule="FREQ=DAILY;COUNT=5")
    _, following = split_following(series, "2026-03-29T03:30+02:00")

    assert starts(following) == starts(series)[2:]


def test_split_at_an_added_date() -> None:
    """The rule goes on from its next own instance; after its end only added dates are left."""
    series = weekly(rdates=["2026-03-18T08:00:00+01:00", "2026-05-01T08:00:00+02:00"])

    for rid in series["rdates"]:
        old, following = split_following(series, rid)
        assert sorted(starts(old) + starts(following)) == sorted(starts(series))
        assert rid in starts(following)


@pytest.mark.parametrize("fields", [{}, {"exdates": [IDS[0]]}])
def test_first_occurrence_has_nothing_before(fields: Content) -> None:
    """At the first visible instance the whole series is meant."""
    with pytest.raises(InvalidEvent, match="whole series"):
        split_following(weekly(**fields), IDS[len(fields)])


def test_an_instance_that_only_begins_later_keeps_its_end() -> None:
    """A later start with the same end makes the instance shorter; it does not move the end along."""
    series = new_content(title="Watch", start="2026-11-23T10:00", end="2026-11-23T12:00", rrule="FREQ=DAILY;COUNT=3")

    edited = edit_occurrence(series, "2026-11-24T10:00:00", start="2026-11-24T11:00", end="2026-11-24T12:00")

    assert edited["overrides"]["2026-11-24T10:00:00"] == {"start": "2026-11-24T11:00:00", "end": "2026-11-24T12:00:00"}
