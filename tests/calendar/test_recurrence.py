"""Instances in time: rules against an independent implementation, exact zones, exceptions, bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.recurrence import Occurrence, canonical_recurrence_id, canonical_rrule, expand, validate

FAR = 1 << 40


def ts(text: str) -> int:
    """Timestamp of RFC 3339 text; without offset as if UTC."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def timed(start: str, zone: str | None = "Europe/Berlin", *, hours: float = 1, **fields: Any) -> Content:
    end = (datetime.fromisoformat(start) + timedelta(hours=hours)).isoformat()
    content = {"start": start, "end": end} | ({"time_zone": zone} if zone else {}) | fields
    validate(content)
    return content


def days(start: str, end: str, **fields: Any) -> Content:
    content = {"start": start, "end": end, "all_day": True} | fields
    validate(content)
    return content


def found(content: Content, start: str = "0002-01-01", end: str = "9998-01-01", **options: Any) -> list[Occurrence]:
    return list(expand(content, ts(start), ts(end), **options))


def starts(content: Content, start: str = "0002-01-01", end: str = "9998-01-01", **options: Any) -> list[str]:
    return [occurrence.start for occurrence in found(content, start, end, **options)]


# Single events


def test_single_event_tells_its_own_offset() -> None:
    """An event that does not repeat is one occurrence without a recurrence id."""
    assert found(timed("2026-11-21T10:00:00")) == [
        Occurrence(
            None,
            "2026-11-21T10:00:00+01:00",
            "2026-11-21T11:00:00+01:00",
            ts("2026-11-21T09:00Z"),
            ts("2026-11-21T10:00Z"),
            None,
        )
    ]


@pytest.mark.parametrize(
    ("content", "start", "end"),
    [
        (timed("2026-11-21T10:00:00", "UTC"), "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"),
        (timed("2026-11-21T10:00:00", None), "2026-11-21T10:00:00", "2026-11-21T11:00:00"),
        (days("2026-11-21", "2026-11-23"), "2026-11-21", "2026-11-23"),
        ({"start": "2026-11-21", "all_day": True}, "2026-11-21", "2026-11-22"),
        ({"start": "2026-11-21T10:00:00"}, "2026-11-21T10:00:00", "2026-11-21T10:00:00"),
    ],
)
def test_spelling_of_each_form(content: Content, start: str, end: str) -> None:
    """UTC has a Z, floating times no offset, all-day ones are dates; all three counted as if UTC."""
    (occurrence,) = found(content)

    assert (occurrence.start, occurrence.end) == (start, end)
    assert (occurrence.start_ts, occurrence.end_ts) == (ts(start), ts(end))


def test_end_in_another_zone() -> None:
    """A flight ends on the clock of where it lands."""
    flight = timed("2026-11-21T10:00:00") | {"end": "2026-11-21T12:00:00", "end_time_zone": "America/New_York"}
    validate(flight)
    (occurrence,) = found(flight)

    assert occurrence.end == "2026-11-21T12:00:00-05:00"
    assert occurrence.end_ts - occurrence.start_ts == 8 * 3600


@pytest.mark.parametrize(
    ("wall", "zone", "utc", "shown"),
    [
        ("2026-03-08T02:30:00", "America/New_York", "2026-03-08T07:30Z", "2026-03-08T03:30:00-04:00"),
        ("2026-11-01T01:30:00", "America/New_York", "2026-11-01T05:30Z", "2026-11-01T01:30:00-04:00"),
        ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30Z", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T02:30:00+02:00"),
        ("2026-10-04T02:15:00", "Australia/Lord_Howe", "2026-10-03T15:45Z", "2026-10-04T02:45:00+11:00"),
        ("2026-04-24T00:00:00", "Africa/Cairo", "2026-04-23T22:00Z", "2026-04-24T01:00:00+03:00"),
        ("2026-03-29T00:00:00", "Asia/Beirut", "2026-03-28T22:00Z", "2026-03-29T01:00:00+03:00"),
        ("2026-09-06T00:30:00", "America/Santiago", "2026-09-06T04:30Z", "2026-09-06T01:30:00-03:00"),
        ("2018-11-04T00:00:00", "America/Sao_Paulo", "2018-11-04T03:00Z", "2018-11-04T01:00:00-02:00"),
        ("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T22:00Z", "2011-12-31T12:00:00+14:00"),
    ],
)
def test_gaps_and_overlaps(wall: str, zone: str, utc: str, shown: str) -> None:
    """RFC 5545 3.3.5: the offset before a gap, the first of two; alone and as an instance of a daily series."""
    single = timed(wall, zone, hours=0)
    before = (datetime.fromisoformat(wall) - timedelta(days=40)).isoformat()
    series = timed(before, zone, hours=0, rrule="FREQ=DAILY")

    for content in (single, series):
        (occurrence,) = found(content, utc, (datetime.fromisoformat(utc) + timedelta(minutes=1)).isoformat())
        assert (occurrence.start_ts, occurrence.start) == (ts(utc), shown)
        assert occurrence.recurrence_id in (None, shown)


def test_end_that_the_clocks_put_before_the_start() -> None:
    """From a start in a gap to an end right after it: no length, rather than a negative one."""
    (occurrence,) = found(timed("2026-03-29T02:30:00", hours=0.5))

    assert occurrence.start == occurrence.end == "2026-03-29T03:30:00+02:00"


def test_range_is_half_open() -> None:
    """An event that ends at the start of the range is not in it, nor one that starts at its end."""
    event = timed("2026-11-21T10:00:00", "UTC")

    assert not found(event, "2026-11-21T11:00", "2026-11-21T12:00")
    assert not found(event, "2026-11-21T09:00", "2026-11-21T10:00")
    assert found(event, "2026-11-21T10:59", "2026-11-21T12:00")
    assert found(event, "2026-11-21T09:00", "2026-11-21T10:01")
    moment = timed("2026-11-21T10:00:00", "UTC", hours=0)
    assert found(moment, "2026-11-21T10:00", "2026-11-21T10:01")
    assert not found(moment, "2026-11-21T09:00", "2026-11-21T10:00")


# Series


def test_duration_is_exact() -> None:
    """A night shift of eight hours lasts eight hours in each night, also when the clocks change."""
    nights = timed("2026-10-23T22:00:00", hours=8, rrule="FREQ=DAILY;COUNT=3")

    assert [occurrence.end for occurrence in found(nights)] == [
        "2026-10-24T06:00:00+02:00",
        "2026-10-25T05:00:00+01:00",
        "2026-10-26T06:00:00+01:00",
    ]


def test_all_day_series_counts_days() -> None:
    """Days are days, whatever a clock somewhere does."""
    weekend = days("2026-10-24", "2026-10-26", rrule="FREQ=WEEKLY;UNTIL=20261031")

    assert [(o.recurrence_id, o.start, o.end) for o in found(weekend)] == [
        ("2026-10-24", "2026-10-24", "2026-10-26"),
        ("2026-10-31", "2026-10-31", "2026-11-02"),
    ]


def test_long_instances_are_found_from_inside() -> None:
    """A range in the middle of an instance finds it, in a series far from its start."""
    trips = timed("1990-01-01T10:00:00", hours=24 * 20, rrule="FREQ=MONTHLY")

    assert starts(trips, "2026-11-15", "2026-11-16") == ["2026-11-01T10:00:00+01:00"]


def test_start_off_the_rule_is_the_first_instance() -> None:
    """DTSTART counts, also for COUNT, where the rule does not match it."""
    series = timed("2026-11-18T10:00:00", None, rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=3")

    assert [text[:10] for text in starts(series)] == ["2026-11-18", "2026-11-23", "2026-11-30"]


def test_sub_daily_counts_real_hours() -> None:
    """Over the end of summer time there is an instance in each real hour, and in spring none twice."""
    autumn = timed("2026-10-25T01:30:00", hours=0.25, rrule="FREQ=HOURLY;COUNT=4")
    spring = timed("2026-03-29T01:30:00", hours=0.25, rrule="FREQ=HOURLY;COUNT=3")

    assert [o.start[11:] for o in found(autumn)] == [
        "01:30:00+02:00",
        "02:30:00+02:00",
        "02:30:00+01:00",
        "03:30:00+01:00",
    ]
    assert [o.start[11:] for o in found(spring)] == ["01:30:00+01:00", "03:30:00+02:00", "04:30:00+02:00"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_sub_daily_limits_are_local(zone: str) -> None:
    """BYHOUR in an hourly rule means the hour on the wall, all year."""
    hours = timed("2026-01-01T09:00:00", zone, rrule="FREQ=HOURLY;BYHOUR=9,17;UNTIL=20270101T000000Z")

    shown = starts(hours)
    assert {text[11:19] for text in shown} == {"09:00:00", "17:00:00"}
    assert len(shown) in (729, 730, 731)


# UNTIL


@pytest.mark.parametrize(
    ("content", "last"),
    [
        (timed("2026-01-01T20:00:00", rrule="FREQ=DAILY;UNTIL=20260103T190000Z"), "2026-01-03T20:00:00+01:00"),
        (timed("2026-01-01T20:00:00", rrule="FREQ=DAILY;UNTIL=20260103T185959Z"), "2026-01-02T20:00:00+01:00"),
        (timed("2026-01-01T20:00:00", rrule="FREQ=DAILY;UNTIL=20260103"), "2026-01-03T20:00:00+01:00"),
        (timed("2026-01-01T20:00:00", rrule="FREQ=DAILY;UNTIL=20260103T200000"), "2026-01-03T20:00:00+01:00"),
        (timed("2026-01-01T20:00:00", None, rrule="FREQ=DAILY;UNTIL=20260103T200000Z"), "2026-01-03T20:00:00"),
        (days("2026-01-01", "2026-01-02", rrule="FREQ=DAILY;UNTIL=20260103"), "2026-01-03"),
        (days("2026-01-01", "2026-01-02", rrule="FREQ=DAILY;UNTIL=20260103T000000Z"), "2026-01-03"),
        (timed("2026-01-01T20:00:00", rrule="FREQ=DAILY;UNTIL=20200101T000000Z"), "2026-01-01T20:00:00+01:00"),
        (timed("2026-01-01T09:30:00", "UTC", rrule="FREQ=HOURLY;UNTIL=20260101T113000Z"), "2026-01-01T11:30:00Z"),
    ],
)
def test_until_is_inclusive_in_any_form(content: Content, last: str) -> None:
    """UNTIL is an instant, inclusive; the wrong form is read as what it was meant to be. DTSTART is always there."""
    assert starts(content)[-1] == last


@pytest.mark.parametrize(
    ("text", "content", "canonical"),
    [
        ("wkst=mo;byday=we,mo;interval=1;freq=weekly", timed("2026-01-05T10:00:00"), "FREQ=WEEKLY;BYDAY=MO,WE"),
        ("RRULE:FREQ=DAILY;UNTIL=20260103;", timed("2026-01-01T10:00:00"), "FREQ=DAILY;UNTIL=20260103T225959Z"),
        ("FREQ=DAILY;UNTIL=2026-01-03", days("2026-01-01", "2026-01-02"), "FREQ=DAILY;UNTIL=20260103"),
        ("FREQ=DAILY;UNTIL=20260103T100000Z", timed("2026-01-01T10:00:00", None), "FREQ=DAILY;UNTIL=20260103T100000"),
        (
            "BYSETPOS=-1;BYDAY=-1FR,2MO;BYHOUR=9,8;BYMONTH=3,1;FREQ=YEARLY;X-NOTE=1;RSCALE=GREGORIAN;COUNT=3;WKST=SU",
            timed("2026-01-01T10:00:00"),
            "FREQ=YEARLY;COUNT=3;BYHOUR=8,9;BYDAY=2MO,-1FR;BYMONTH=1,3;BYSETPOS=-1;WKST=SU",
        ),
    ],
)
def test_canonical_rrule(text: str, content: Content, canonical: str) -> None:
    """One spelling for one rule, and it is stable."""
    assert canonical_rrule(text, content) == canonical
    assert canonical_rrule(canonical, content) == canonical


# Exceptions, added dates, overrides


def weekly(**fields: Any) -> Content:
    return timed("2026-03-16T10:00:00", rrule="FREQ=WEEKLY;COUNT=4", **fields)


def test_exdates_take_instances_out_after_count() -> None:
    """An exception does not make room for another instance; a bare date takes out its whole day."""
    series = weekly(exdates=["2026-03-23T09:00:00Z", "2026-03-30"])

    assert starts(series) == ["2026-03-16T10:00:00+01:00", "2026-04-06T10:00:00+02:00"]


def test_rdates_join_and_count_once() -> None:
    """Added dates come in order, duplicates once, periods with their own end."""
    rdates = ["2026-03-18T08:00:00+01:00/2026-03-18T12:00:00+01:00", "2026-03-23T10:00:00+01:00"]
    series = weekly(rdates=rdates)

    assert [(o.start[5:10], o.end[11:16]) for o in found(series)] == [
        ("03-16", "11:00"),
        ("03-18", "12:00"),
        ("03-23", "11:00"),
        ("03-30", "11:00"),
        ("04-06", "11:00"),
    ]
    assert starts(series, "2026-03-18T10:00Z", "2026-03-19") == ["2026-03-18T08:00:00+01:00"]


def test_series_of_added_dates_only() -> None:
    """Without a rule the start is an instance like the added dates."""
    assert starts(timed("2026-03-16T10:00:00", None, rdates=["2026-03-20T10:00:00"])) == [
        "2026-03-16T10:00:00",
        "2026-03-20T10:00:00",
    ]


def test_moved_instance_is_found_where_it_is_now() -> None:
    """Its id stays the original start; the old place is free."""
    rid = "2026-03-30T10:00:00+02:00"
    patch = {"start": "2026-05-01T09:00:00", "end": "2026-05-01T09:30:00"}
    series = weekly(overrides={rid: patch})

    (moved,) = found(series, "2026-05-01", "2026-05-02")
    assert (moved.recurrence_id, moved.start, moved.end) == (
        rid,
        "2026-05-01T09:00:00+02:00",
        "2026-05-01T09:30:00+02:00",
    )
    assert moved.patch == patch
    assert not found(series, "2026-03-30", "2026-03-31")
    assert [o.start[5:10] for o in found(series)] == ["03-16", "03-23", "04-06", "05-01"]


def test_moved_start_takes_the_end_along() -> None:
    """An override with a new start alone keeps the length."""
    (moved,) = found(
        weekly(overrides={"2026-03-30T10:00:00+02:00": {"start": "2026-05-01T09:00:00"}}), "2026-05-01", "2026-05-02"
    )

    assert moved.end == "2026-05-01T10:00:00+02:00"


def test_override_in_another_zone() -> None:
    """An instance may be told on another clock."""
    patch = {"time_zone": "America/New_York", "start": "2026-03-30T09:00:00", "end": "2026-03-30T10:00:00"}
    (moved,) = found(weekly(overrides={"2026-03-30T10:00:00+02:00": patch}), "2026-03-30", "2026-03-31")

    assert moved.start == "2026-03-30T09:00:00-04:00"


def test_override_that_turns_all_day() -> None:
    """One instance of a timed series may be a whole day."""
    patch = {"all_day": True, "start": "2026-03-30", "end": "2026-03-31", "time_zone": None}
    (whole,) = found(weekly(overrides={"2026-03-30T10:00:00+02:00": patch}), "2026-03-30", "2026-03-31")

    assert (whole.start, whole.end) == ("2026-03-30", "2026-03-31")


def test_cancelled_override_is_left_out() -> None:
    """An instance cancelled by status is no occurrence."""
    assert len(found(weekly(overrides={"2026-03-30T10:00:00+02:00": {"status": "cancelled"}}))) == 3


def test_orphan_override_is_shown() -> None:
    """An override of no instance is an occurrence of its own."""
    (orphan,) = found(weekly(overrides={"2026-03-17T10:00:00+01:00": {"title": "x"}}), "2026-03-17", "2026-03-18")

    assert (orphan.start, orphan.patch) == ("2026-03-17T10:00:00+01:00", {"title": "x"})


def test_override_wins_over_exdate() -> None:
    """Where an instance has both, as in exports of some products, it is shown."""
    rid = "2026-03-30T10:00:00+02:00"

    assert len(found(weekly(exdates=[rid], overrides={rid: {"title": "x"}}))) == 4


# Bounds


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYSETPOS=2;BYSECOND=1",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30;COUNT=5",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;BYMONTH=1;BYMONTHDAY=31;BYSETPOS=9",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=31",
        "FREQ=YEARLY;BYWEEKNO=10;BYMONTH=12",
        "FREQ=YEARLY;BYYEARDAY=366;BYMONTHDAY=1",
        "FREQ=YEARLY;INTERVAL=999999999",
    ],
)
def test_fruitless_rules_end(rrule: str) -> None:
    """A rule that never matches leaves the start alone and ends, even in an unbounded range."""
    series = timed("2026-11-21T10:00:00", rrule=rrule)

    assert len(list(expand(series, -FAR, FAR))) == 1


def test_endless_rules_are_cut() -> None:
    """Instances are made as they are asked for, up to the limit."""
    series = timed("2026-11-21T10:00:00", rrule="FREQ=SECONDLY")

    assert len(found(series, limit=7)) == 7
    assert len(found(series)) == 10_000
    assert found(series, limit=0) == found(timed("2026-11-21T10:00:00"), limit=0) == []


def test_last_years_do_not_overflow() -> None:
    """A series may run into the end of time."""
    for freq in ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        series = timed("9998-12-30T10:00:00", "Pacific/Apia", rrule=f"FREQ={freq}")
        assert list(expand(series, -FAR, FAR, limit=100))


def test_instances_that_end_after_all_years_are_left_out() -> None:
    """A yearly event of ten thousand years is there once; found by fuzzing."""
    for fields in ({}, {"exdates": ["0005-01-01"]}, {"time_zone": "Asia/Tokyo"}):
        series = {"start": "0003-01-01T00:00:00", "end": "9998-12-31T00:00:00", "rrule": "FREQ=YEARLY", **fields}
        validate(series)
        assert len(found(series)) == 1


# Reading and refusing


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-03-30T10:00:00+02:00",
        "2026-03-30T08:00:00Z",
        "20260330T080000Z",
        "2026-03-30 10:00",
        "20260330T100000",
        "2026-03-30",
    ],
)
def test_recurrence_id_in_any_spelling(spelling: str) -> None:
    """Any spelling of the instant names it: other offsets, local time, a date for the master's time of day."""
    assert canonical_recurrence_id(weekly(), spelling) == "2026-03-30T10:00:00+02:00"


def test_recurrence_id_of_each_form() -> None:
    """Dates for all-day series, local time for floating ones, Z for UTC."""
    assert canonical_recurrence_id(days("2026-03-16", "2026-03-17"), "20260330T100000Z") == "2026-03-30"
    assert canonical_recurrence_id(timed("2026-03-16T10:00:00", None), "20260330T100000") == "2026-03-30T10:00:00"
    assert (
        canonical_recurrence_id(timed("2026-03-16T10:00:00", "UTC"), "2026-03-30T12:00+02:00") == "2026-03-30T10:00:00Z"
    )
    with pytest.raises(InvalidEvent):
        canonical_recurrence_id(weekly(), "next Monday")


GOOD: Content = {"start": "2026-03-16T10:00:00", "end": "2026-03-16T11:00:00", "time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    "fields",
    [
        {"start": None},
        {"start": "soon"},
        {"start": 5},
        {"start": "2026-03-16"},
        {"start": "2026-03-16T10:00:00+01:00"},
        {"start": "0001-01-01T10:00:00"},
        {"end": "2026-03-16T09:59:59"},
        {"end": "2026-03-16"},
        {"end": "2026-03-16T18:00:00", "end_time_zone": "Asia/Tokyo", "start": "2026-03-16T10:01:00"},
        {"time_zone": "Mars/Olympus"},
        {"end_time_zone": "Mars/Olympus"},
        {"all_day": True},
        {"rrule": "FREQ=FORTNIGHTLY"},
        {"rrule": "COUNT=3"},
        {"rrule": "FREQ=DAILY;COUNT=0"},
        {"rrule": "FREQ=DAILY;INTERVAL=0"},
        {"rrule": "FREQ=DAILY;INTERVAL=x"},
        {"rrule": "FREQ=DAILY;BYHOUR=24"},
        {"rrule": "FREQ=DAILY;BYHOUR="},
        {"rrule": "FREQ=DAILY;BYHOUR"},
        {"rrule": "FREQ=DAILY;BYMONTHDAY=0"},
        {"rrule": "FREQ=WEEKLY;BYDAY=MO;BYDAY=TU"},
        {"rrule": "FREQ=WEEKLY;BYDAY=XX"},
        {"rrule": "FREQ=MONTHLY;BYDAY=0MO"},
        {"rrule": "FREQ=WEEKLY;WKST=1"},
        {"rrule": "FREQ=YEARLY;BYEASTER=1"},
        {"rrule": "FREQ=MONTHLY;RSCALE=CHINESE"},
        {"rrule": "FREQ=DAILY;UNTIL=tomorrow"},
        {"rrule": "FREQ=DAILY;UNTIL=20261345"},
        {"exdates": ["never"]},
        {"rdates": ["2026-03-18T08:00:00+01:00/later"]},
        {"overrides": {"x": {}}},
        {"overrides": {"2026-03-18T10:00:00+01:00": {"start": "x"}}},
        {"overrides": {"2026-03-18T10:00:00+01:00": {"start": None}}},
        {"overrides": {"2026-03-18T10:00:00+01:00": {"time_zone": "Mars/Olympus"}}},
    ],
)
def test_validate_refuses(fields: Content) -> None:
    """What cannot be expanded is refused with one sentence."""
    with pytest.raises(InvalidEvent, match=r"^[A-Z].*\.$"):
        validate(GOOD | fields)
