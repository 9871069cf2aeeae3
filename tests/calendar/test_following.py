"""Overrides for an instance and all later ones (RFC 5545 3.2.13, RANGE=THISANDFUTURE)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from calhub.calendar.edit import delete_occurrence, edit_content, edit_occurrence, split_following
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.fields import CLEARED, apply, diff, merge, project
from calhub.calendar.ical import patch_object, read_object, write_object
from calhub.calendar.recurrence import expand, validate
from calhub.calendar.render import event_shape

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
FAR = 1 << 40
BERLIN: Content = {"start": "2026-03-09T10:00:00", "end": "2026-03-09T11:00:00", "time_zone": "Europe/Berlin"}
SERIES: Content = BERLIN | {"title": "Old", "location": "Hall", "rrule": "FREQ=WEEKLY;COUNT=6"}
IDS = [f"2026-{day}T10:00:00+0{offset}:00" for day, offset in (
    ("03-09", 1), ("03-16", 1), ("03-23", 1), ("03-30", 2), ("04-06", 2), ("04-13", 2)
)]  # fmt: skip


def series(base: Content = SERIES, /, **fields: Any) -> Content:
    content = base | fields
    validate(content)
    return content


def seen(content: Content, start: int = -FAR, end: int = FAR) -> list[str]:
    """Each instance as day, times and title, in order."""
    found = []
    for each in expand(content, start, end):
        title = {**content, **(each.patch or {})}.get("title") or "-"
        found.append(f"{each.start[5:16]}-{each.end[11:16]} {title}".replace("T", " "))
    return found


MOVED = {"following": True, "title": "New", "start": "2026-03-24T12:00:00", "end": "2026-03-24T14:30:00"}


# Instances


def test_a_move_goes_on_by_the_clock() -> None:
    """A day and two hours later, and longer, for the rest of the series; the change of clocks makes no difference."""
    assert seen(series(overrides={IDS[2]: MOVED})) == [
        "03-09 10:00-11:00 Old",
        "03-16 10:00-11:00 Old",
        "03-24 12:00-14:30 New",
        "03-31 12:00-14:30 New",
        "04-07 12:00-14:30 New",
        "04-14 12:00-14:30 New",
    ]


def test_the_recurrence_id_stays_the_original_start() -> None:
    """A later instance has the id that the master's rule gives it, and the override that holds for it."""
    found = list(expand(series(overrides={IDS[2]: MOVED}), -FAR, FAR))

    assert [each.recurrence_id for each in found] == IDS
    assert [each.patch for each in found] == [None, None, MOVED, MOVED, MOVED, MOVED]


def test_until_the_next_with_range_and_not_where_there_is_an_own_one() -> None:
    """Each override differs from the master, not from the one before it."""
    overrides = {
        IDS[1]: {"following": True, "title": "New", "start": "2026-03-16T09:00:00", "end": "2026-03-16T10:00:00"},
        IDS[2]: {"location": "Garden"},
        IDS[4]: {"following": True, "location": None},
    }

    assert seen(series(overrides=overrides)) == [
        "03-09 10:00-11:00 Old",
        "03-16 09:00-10:00 New",
        "03-23 10:00-11:00 Old",
        "03-30 09:00-10:00 New",
        "04-06 10:00-11:00 Old",
        "04-13 10:00-11:00 Old",
    ]


def test_exceptions_count_by_the_original_start() -> None:
    """EXDATE and RDATE name slots of the series; those are then moved."""
    content = series(overrides={IDS[2]: MOVED}, exdates=[IDS[3]], rdates=["2026-04-08T10:00:00+02:00"])

    assert seen(content)[2:] == [
        "03-24 12:00-14:30 New",
        "04-07 12:00-14:30 New",
        "04-09 12:00-14:30 New",
        "04-14 12:00-14:30 New",
    ]


def test_the_rest_cancelled() -> None:
    """STATUS:CANCELLED with the range cancels all that follow, up to the next one with range."""
    gone = {IDS[2]: {"following": True, "status": "cancelled"}}

    assert len(seen(series(overrides=gone))) == 2
    assert len(seen(series(overrides=gone | {IDS[5]: {"following": True}}))) == 3
    assert len(seen(series(overrides=gone | {IDS[3]: {"title": "Saved"}}))) == 3


def test_instances_come_in_order_and_by_their_new_place() -> None:
    """Moved back over its neighbours, an instance comes before them; a window finds what is in it now."""
    back = {"following": True, "start": "2026-03-12T10:00:00", "end": "2026-03-12T11:00:00"}
    content = series(overrides={IDS[2]: back})
    window = [int(datetime(2026, 4, day, tzinfo=UTC).timestamp()) for day in (1, 3)]

    assert [text[:5] for text in seen(content)] == ["03-09", "03-12", "03-16", "03-19", "03-26", "04-02"]
    assert seen(content, *window) == ["04-02 10:00-11:00 Old"]


def test_in_another_zone_the_series_clock_counts() -> None:
    """A start told in UTC or New York moves the rest by as much on the clock in Berlin."""
    patch = {"following": True, "time_zone": "UTC", "start": "2026-03-23T11:00:00", "end": "2026-03-23T12:00:00"}
    found = list(expand(series(overrides={IDS[2]: patch}), -FAR, FAR))

    assert [each.start for each in found[2:4]] == ["2026-03-23T11:00:00Z", "2026-03-30T10:00:00Z"]  # 12:00 in Berlin


def test_to_whole_days_and_back() -> None:
    """A timed series goes on as days, an all-day one with times."""
    whole = {"following": True, "all_day": True, "time_zone": None, "start": "2026-03-24", "end": "2026-03-26"}
    days: Content = {"start": "2026-03-09", "end": "2026-03-10", "all_day": True, "rrule": "FREQ=DAILY;COUNT=3"}
    timed = {"following": True, "all_day": None, "start": "2026-03-11T08:00:00", "end": "2026-03-11T09:00:00"}

    assert [(each.start, each.end) for each in expand(series(overrides={IDS[2]: whole}), -FAR, FAR)][3:5] == [
        ("2026-03-31", "2026-04-02"),
        ("2026-04-07", "2026-04-09"),
    ]
    assert [each.start for each in expand(series(days, overrides={"2026-03-10": timed}), -FAR, FAR)] == [
        "2026-03-09",
        "2026-03-11T08:00:00",
        "2026-03-12T08:00:00",
    ]


def test_an_hourly_series_moves_exactly() -> None:
    """Over the end of summer time each real hour keeps its own instance."""
    hourly = BERLIN | {"start": "2026-10-25T00:00:00", "end": "2026-10-25T00:10:00", "rrule": "FREQ=HOURLY;COUNT=5"}
    patch = {"following": True, "start": "2026-10-25T01:20:00", "end": "2026-10-25T01:30:00"}
    found = expand(series(hourly, overrides={"2026-10-25T01:00:00+02:00": patch}), -FAR, FAR)

    assert [each.start[11:] for each in found] == [
        "00:00:00+02:00", "01:20:00+02:00", "02:20:00+02:00", "02:20:00+01:00", "03:20:00+01:00",
    ]  # fmt: skip


def test_rest_moved_out_of_all_years() -> None:
    """What would lie beyond the calendar is not there."""
    far = {"following": True, "start": "9998-12-30T10:00:00", "end": "9998-12-30T11:00:00"}

    assert len(seen(series(overrides={IDS[2]: far}))) == 3


@pytest.mark.parametrize("flag", [False, None, "yes", 1])
def test_validate_refuses_another_flag(flag: object) -> None:
    """``following`` is True or absent."""
    with pytest.raises(InvalidEvent, match=r"^[A-Z].*\.$"):
        validate(SERIES | {"overrides": {IDS[2]: {"following": flag}}})


# The text


TEXT = "\r\n".join(
    [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x",
        "BEGIN:VEVENT", "UID:u", "DTSTAMP:20260101T000000Z", "DTSTART;TZID=Europe/Berlin:20260309T100000",
        "DTEND;TZID=Europe/Berlin:20260309T110000", "RRULE:FREQ=WEEKLY;COUNT=6", "SUMMARY:Old", "LOCATION:Hall",
        "END:VEVENT",
        "BEGIN:VEVENT", "UID:u", "DTSTAMP:20260101T000000Z",
        "recurrence-id;X-A=1;RANGE=ThisAndFuture;TZID=Europe/Berlin:20260323T100000",
        "DTSTART;TZID=Europe/Berlin:20260324T120000", "DTEND;TZID=Europe/Berlin:20260324T143000", "SUMMARY:New",
        "LOCATION:Hall", "X-OWN:1", "END:VEVENT",
        "END:VCALENDAR", "",
    ]
)  # fmt: skip


def test_read_and_written() -> None:
    """RANGE is read as ``following``, written as RANGE, and read again."""
    content = read_object(TEXT).content
    text = write_object("u", content, now=NOW)

    assert content == SERIES | {"overrides": {IDS[2]: MOVED | {"extra": {"X-OWN": ["X-OWN:1"]}}}}
    assert "RECURRENCE-ID;TZID=Europe/Berlin;RANGE=THISANDFUTURE:20260323T100000\r\n" in text
    assert read_object(text).content == content


def test_the_range_alone_is_patched() -> None:
    """Taking the flag away and putting it back changes the line of the id, and its own parameters stay."""
    content = read_object(TEXT).content
    alone = content | {
        "overrides": {IDS[2]: {k: v for k, v in content["overrides"][IDS[2]].items() if k != "following"}}
    }

    single = patch_object(TEXT, "u", alone, now=NOW)
    again = patch_object(single, "u", content, now=NOW)

    assert "RECURRENCE-ID;TZID=Europe/Berlin;X-A=1:20260323T100000\r\n" in single
    assert "RECURRENCE-ID;TZID=Europe/Berlin;RANGE=THISANDFUTURE;X-A=1:20260323T100000\r\n" in again
    assert read_object(single).content == alone
    assert read_object(again).content == content
    assert single.count("DTSTAMP:20260101T000000Z") == 1


def test_another_field_leaves_the_id_line() -> None:
    """Where only the title changes, RANGE stays in the very form it had."""
    content = read_object(TEXT).content
    content["overrides"][IDS[2]]["title"] = "Newer"
    patched = patch_object(TEXT, "u", content, now=NOW)

    assert "recurrence-id;X-A=1;RANGE=ThisAndFuture;TZID=Europe/Berlin:20260323T100000\r\n" in patched
    assert read_object(patched).content == content


def test_a_cancelled_rest_stays_an_override() -> None:
    """It is no EXDATE, which would cancel one instance; and one that is made of an exception is told anew."""
    content = series(overrides={IDS[2]: {"following": True, "status": "cancelled"}})
    text = write_object("u", content, now=NOW)
    one = series(exdates=[IDS[2]])

    assert read_object(text).content == content
    assert read_object(patch_object(text, "u", one, now=NOW)).content == one
    assert read_object(patch_object(write_object("u", one, now=NOW), "u", content, now=NOW)).content == content


def test_the_old_range_means_one_instance() -> None:
    """THISANDPRIOR of RFC 2445 is no more; the text keeps it."""
    text = TEXT.replace("ThisAndFuture", "THISANDPRIOR")
    content = read_object(text).content

    assert "following" not in content["overrides"][IDS[2]]
    assert patch_object(text, "u", content | {"url": "x:y"}, now=NOW).count("RANGE=THISANDPRIOR") == 1


def test_loose_instances_keep_their_range() -> None:
    """Without a master there is nothing to expand; the lines stay as they are."""
    head, master, override = TEXT.partition("BEGIN:VEVENT")[0], *TEXT.split("BEGIN:VEVENT")[1:]
    text = head + "BEGIN:VEVENT" + override
    content = read_object(text).content

    assert "Old" not in text
    assert "SUMMARY:Old" in master
    assert read_object(write_object("u", content, now=NOW)).content == content
    assert len(seen(content)) == 1


# Fields


def test_diff_and_merge_by_field() -> None:
    """The flag is a field of the override like any other: it merges with a change of the title there."""
    base = series(overrides={IDS[2]: {"title": "New"}})
    hub = series(overrides={IDS[2]: {"title": "New", "following": True}})
    remote = series(overrides={IDS[2]: {"title": "Newer"}})

    assert diff(base, hub) == {("overrides", IDS[2], "following"): (None, True)}
    assert diff(hub, base) == {("overrides", IDS[2], "following"): (True, None)}
    assert apply(hub, diff(hub, base)) == base
    merged = merge(base, hub, remote, prefer="hub")
    assert (merged.content["overrides"], merged.clashes) == ({IDS[2]: {"title": "Newer", "following": True}}, ())
    assert diff(hub, series(overrides={IDS[2]: {"title": None, "following": True}})) == {
        ("overrides", IDS[2], "title"): ("New", CLEARED)
    }


def test_projection_and_shape_keep_it() -> None:
    """A remote that holds overrides with range gets it; the event shape shows it."""
    content = series(overrides={IDS[2]: MOVED})

    assert project(content, frozenset(content) | {"following"}) == content
    shape = event_shape("u", content, calendar="c", rev=1, updated="", remotes=())
    assert shape["overrides"][IDS[2]] == {
        "following": True, "title": "New", "start": "2026-03-24T12:00:00+01:00", "end": "2026-03-24T14:30:00+01:00",
    }  # fmt: skip


# What people do


def test_editing_one_instance_of_the_rest() -> None:
    """It starts from what is seen there, and the others stay."""
    content = edit_occurrence(series(overrides={IDS[2]: MOVED}), IDS[4], title="Once")

    assert seen(content)[2:] == [
        "03-24 12:00-14:30 New", "03-31 12:00-14:30 New", "04-07 12:00-14:30 Once", "04-14 12:00-14:30 New",
    ]  # fmt: skip
    assert edit_occurrence(content, IDS[4], title="New") == series(overrides={IDS[2]: MOVED})


def test_editing_one_instance_back_to_the_master() -> None:
    """An override without fields says that this one is as the master is."""
    content = edit_occurrence(series(overrides={IDS[1]: {"following": True, "title": "New"}}), IDS[4], title="Old")

    assert content["overrides"][IDS[4]] == {}
    assert [text[-3:] for text in seen(content)] == ["Old", "New", "New", "New", "Old", "New"]


@pytest.mark.parametrize("others", [{}, {IDS[3]: {"title": "Own"}}])
def test_editing_the_first_of_the_rest(others: Content) -> None:
    """The change is for that one; the next without an override of its own takes over what the rest has."""
    before = series(overrides={IDS[2]: MOVED} | others)
    content = edit_occurrence(before, IDS[2], title="Once")

    assert seen(content) == [text.replace("New", "Once") if "03-24" in text else text for text in seen(before)]
    assert seen(delete_occurrence(before, IDS[2])) == [text for text in seen(before) if "03-24" not in text]


def test_the_last_instance_hands_on_nothing() -> None:
    """Where nothing follows, or another range begins, the override is for the one instance."""
    last = series(overrides={IDS[5]: {"following": True, "title": "New"}})
    assert edit_occurrence(last, IDS[5], title="Once")["overrides"] == {IDS[5]: {"title": "Once"}}

    two = series(overrides={IDS[2]: MOVED, IDS[3]: {"following": True}})
    assert edit_occurrence(two, IDS[2], title="Once")["overrides"][IDS[3]] == {"following": True}


def test_a_cancelled_rest_cannot_be_edited() -> None:
    """Its instances are no more."""
    content = series(overrides={IDS[2]: {"following": True, "status": "cancelled"}})

    with pytest.raises(InvalidEvent, match="cancelled"):
        edit_occurrence(content, IDS[4], title="x")


@pytest.mark.parametrize("at", [2, 3, 4])
def test_split_makes_the_rest_the_new_master(at: int) -> None:
    """Both halves together show what the series showed, and an edit of the new half is seen in all of it."""
    content = series(
        overrides={
            IDS[2]: MOVED | {"location": None},
            IDS[3]: {"title": "Own"},
            IDS[5]: {"following": True, "description": "Last"},
        }
    )
    old, new = split_following(content, IDS[at])

    assert seen(old) + seen(new) == seen(content)
    assert "following" not in new["overrides"].get(IDS[at], {})
    assert (new["start"], new.get("location")) == (f"2026-{('03-24', '03-31', '04-07')[at - 2]}T12:00:00", None)
    assert "Changed" in seen(edit_content(new, title="Changed"))[-2]
    assert edit_content(new, title="Changed")["overrides"][sorted(new["overrides"])[-1]]["location"] == "Hall"


def test_split_where_the_rule_cannot_follow() -> None:
    """The last day of each month plus one is nothing a rule can say: refused, nothing is lost."""
    monthly = {"start": "2026-01-31", "end": "2026-02-01", "all_day": True, "rrule": "FREQ=MONTHLY;BYMONTHDAY=-1"}
    content = series(monthly, overrides={"2026-02-28": {"following": True, "start": "2026-03-02", "end": "2026-03-03"}})

    with pytest.raises(InvalidEvent, match="cannot follow"):
        split_following(content, "2026-03-31")


def test_moving_the_series() -> None:
    """The ids move along; the rest that had been moved stays where it was, as single moved instances do."""
    content = edit_content(series(overrides={IDS[2]: MOVED}), start="2026-03-09T09:00:00")

    assert seen(content)[1:4] == ["03-16 09:00-10:00 Old", "03-24 12:00-14:30 New", "03-31 12:00-14:30 New"]
