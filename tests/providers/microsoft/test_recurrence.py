"""RRULE and Graph's pattern: every rule that Graph can hold goes there and back, every other one is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calhub.calendar import rule as rules
from calhub.calendar.event import Content
from calhub.calendar.recurrence import Series, expand
from calhub.providers.microsoft.recurrence import Unholdable, check_exceptions, from_graph, to_graph
from calhub.testing.contract_kit import event
from calhub.testing.services.graph.checks import check_event
from calhub.testing.services.graph.store import pattern_of

FOREVER = 1 << 40


def series(rrule: str, start: str = "2026-11-23T10:00:00") -> Content:
    return event(start=start, end=start[:11] + "23:00:00", rrule=rrule)


@pytest.mark.parametrize(
    ("rrule", "pattern"),
    [
        ("FREQ=DAILY;INTERVAL=3", {"type": "daily", "interval": 3}),
        (
            "FREQ=DAILY;BYDAY=MO,TU",
            {"type": "weekly", "interval": 1, "daysOfWeek": ["monday", "tuesday"], "firstDayOfWeek": "monday"},
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU",
            {"type": "weekly", "interval": 2, "daysOfWeek": ["monday", "sunday"], "firstDayOfWeek": "sunday"},
        ),
        ("FREQ=MONTHLY", {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 23}),
        (
            "FREQ=MONTHLY;BYDAY=4MO",
            {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["monday"], "index": "fourth"},
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            {
                "type": "relativeMonthly",
                "interval": 1,
                "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
                "index": "last",
            },
        ),
        ("FREQ=YEARLY", {"type": "absoluteYearly", "interval": 1, "dayOfMonth": 23, "month": 11}),
        (
            "FREQ=YEARLY;INTERVAL=2;BYDAY=-1MO;BYMONTH=11",
            {"type": "relativeYearly", "interval": 2, "daysOfWeek": ["monday"], "index": "last", "month": 11},
        ),
    ],
)
def test_patterns(rrule: str, pattern: dict[str, Any]) -> None:
    """Each of Graph's six patterns, with the fields it needs and no others."""
    start = "2026-11-30T10:00:00" if "-1" in rrule else "2026-11-23T10:00:00"
    written = to_graph(series(rrule, start))

    assert written is not None
    assert written["pattern"] == pattern


@pytest.mark.parametrize(
    ("rrule", "start", "word"),
    [
        ("FREQ=HOURLY", "2026-11-23T10:00:00", "within a day"),
        ("FREQ=DAILY;BYHOUR=10,14", "2026-11-23T10:00:00", "within a day"),
        ("FREQ=DAILY;BYMONTH=11", "2026-11-23T10:00:00", "certain days"),
        ("FREQ=DAILY;INTERVAL=2;BYDAY=MO", "2026-11-23T10:00:00", "certain days"),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "2026-11-23T10:00:00", "positions"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,23", "2026-11-23T10:00:00", "several days"),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "2026-10-31T10:00:00", "some months do not have"),
        ("FREQ=MONTHLY;BYMONTHDAY=-2", "2026-11-29T10:00:00", "some months do not have"),
        ("FREQ=MONTHLY;BYDAY=MO", "2026-11-23T10:00:00", "several weekdays"),
        ("FREQ=MONTHLY;BYDAY=5MO", "2026-11-30T10:00:00", "fifth"),
        ("FREQ=MONTHLY;BYDAY=1MO,3MO", "2026-11-16T10:00:00", "several weekdays"),
        ("FREQ=MONTHLY;BYMONTH=11", "2026-11-23T10:00:00", "certain months"),
        ("FREQ=YEARLY;BYMONTH=5,11", "2026-11-23T10:00:00", "several months"),
        ("FREQ=YEARLY;BYDAY=1MO", "2026-01-05T10:00:00", "without a month"),
        ("FREQ=YEARLY;BYWEEKNO=48", "2026-11-23T10:00:00", "week or day of the year"),
        ("FREQ=YEARLY", "2028-02-29T10:00:00", "some months do not have"),
        ("FREQ=WEEKLY;BYDAY=TU", "2026-11-23T10:00:00", "does not fit"),
        ("FREQ=DAILY;COUNT=1000", "2026-11-23T10:00:00", "more than 999"),
    ],
)
def test_what_graph_cannot_hold(rrule: str, start: str, word: str) -> None:
    """A rule beyond Graph's patterns is refused with a sentence, never cut down."""
    with pytest.raises(Unholdable, match=word):
        to_graph(series(rrule, start))


def test_added_dates_are_refused() -> None:
    """RDATE has no place at Graph, with a rule or without."""
    with pytest.raises(Unholdable, match="added dates"):
        to_graph(event(rdates=["2026-12-01T10:00:00+01:00"]))


@pytest.mark.parametrize(
    ("until", "last"),
    [("20261221T090000Z", "2026-12-21"), ("20261221T085959Z", "2026-12-20"), ("20261221T225959Z", "2026-12-21")],
)
def test_until_becomes_the_date_of_the_last_instance(until: str, last: str) -> None:
    """UNTIL has a time, Graph's end date has none: an instance later on that day does not come in."""
    written = to_graph(series(f"FREQ=DAILY;UNTIL={until}"))

    assert written is not None
    assert written["range"] == {"type": "endDate", "startDate": "2026-11-23", "endDate": last}


@pytest.mark.parametrize(
    ("day", "rrule"),
    [(28, "BYMONTHDAY=28"), (30, "BYMONTHDAY=28,29,30;BYSETPOS=-1"), (31, "BYMONTHDAY=-1")],
)
def test_late_days_of_the_month_fall_on_its_last(day: int, rrule: str) -> None:
    """What Outlook means by day 31 is read as the last day, and written back as it was."""
    pattern = {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": day}
    start = f"2026-10-{day}T10:00:00"
    text = from_graph({"pattern": pattern, "range": {"type": "noEnd", "startDate": start[:10]}}, event(start=start))

    assert text == f"FREQ=MONTHLY;{rrule}"
    written = to_graph(series(text, start))
    assert written is not None
    assert written["pattern"] == pattern


WEEKDAYS = st.lists(st.sampled_from(rules.WEEKDAYS), min_size=1, max_size=3, unique=True)


@st.composite
def rrules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 4))}"]
    if draw(st.booleans()):
        ordinal = draw(st.sampled_from(["", "1", "2", "4", "5", "-1"])) if freq in ("MONTHLY", "YEARLY") else ""
        parts.append("BYDAY=" + ",".join(ordinal + day for day in draw(WEEKDAYS)))
        if draw(st.booleans()):
            parts.append(f"BYSETPOS={draw(st.sampled_from([1, 2, -1]))}")
    elif draw(st.booleans()) and freq in ("MONTHLY", "YEARLY"):
        parts.append(f"BYMONTHDAY={draw(st.sampled_from([-1, 1, 15, 28, 29, 31]))}")
    if draw(st.booleans()):
        parts.append(f"BYMONTH={draw(st.integers(1, 12))}")
    if draw(st.booleans()):
        parts.append("WKST=SU")
    return ";".join([*parts, draw(st.sampled_from(["COUNT=7", "UNTIL=20290101T090000Z"]))])


@given(rrule=rrules(), offset=st.integers(0, 400))
def test_the_same_instances_on_both_sides(rrule: str, offset: int) -> None:
    """A rule that Graph takes has the same instances there, and means the same when it comes back."""
    wanted = series(rrule, str(datetime.fromordinal(740000 + offset)).replace(" 00:", "T10:"))
    wanted = {**wanted, "end": wanted["start"]}
    first = next(iter(expand({**wanted, "rrule": wanted["rrule"]}, -FOREVER, FOREVER)), None)
    assume(first is not None)
    try:
        recurrence = to_graph(wanted)
    except Unholdable:
        return
    assert recurrence is not None
    here = [found.recurrence_id for found in expand(wanted, -FOREVER, FOREVER)]
    assert here == [
        found.recurrence_id for found in expand({**wanted, "rrule": from_graph(recurrence, wanted)}, -FOREVER, FOREVER)
    ]
    moment = {"dateTime": wanted["start"], "timeZone": "W. Europe Standard Time"}
    props = {"start": moment, "end": moment, "recurrence": recurrence}
    check_event(props)
    pattern = pattern_of(props)
    assert pattern is not None
    assert [str(rid)[:10] for rid in here] == [str(wall.date()) for wall in pattern.rule]


@pytest.mark.parametrize(
    ("start", "allowed"),
    [
        ("2026-11-29T10:00:00", True),
        ("2026-12-01T10:00:00", True),
        ("2026-11-23T23:00:00", False),
        ("2026-12-07T01:00:00", False),
        ("2026-12-20T10:00:00", False),
    ],
)
def test_an_occurrence_stays_between_its_neighbours(start: str, allowed: bool) -> None:
    """Moved to the day of a neighbour, or past it, Graph would refuse it after half of the work is done."""
    content = event(
        rrule="FREQ=WEEKLY;COUNT=5",
        overrides={"2026-11-30T10:00:00+01:00": {"start": start, "end": start[:11] + "23:30:00"}},
    )
    if allowed:
        check_exceptions(content)
        return
    with pytest.raises(Unholdable, match="does not let an occurrence move"):
        check_exceptions(content)


def test_a_neighbour_that_was_deleted_or_moved_makes_room() -> None:
    """What counts is where the neighbours are now."""
    moved = {"start": "2026-12-08T10:00:00", "end": "2026-12-08T11:00:00"}
    content = event(
        rrule="FREQ=WEEKLY;COUNT=5",
        exdates=["2026-12-07T10:00:00+01:00"],
        overrides={"2026-11-30T10:00:00+01:00": moved},
    )

    check_exceptions(content)
    assert Series(content).excluded(Series(content).frame.read("2026-12-07T10:00:00+01:00"))


def test_an_occurrence_outside_the_rule_is_refused() -> None:
    """An override whose recurrence id the rule does not have has no place at Graph."""
    content = event(rrule="FREQ=WEEKLY;COUNT=5", overrides={"2026-12-01T10:00:00+01:00": {"title": "Extra"}})

    with pytest.raises(Unholdable, match="rule of its series"):
        check_exceptions(content)
