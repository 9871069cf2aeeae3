"""Instances against three other readings of RFC 5545: a plain one of our own, dateutil, recurring-ical-events.

The plain one (`tests.calendar.reference`) is asked about everything. A library is asked about everything except where
it deviates from the RFC; each such deviation is a test of its own here, which fails when the library changes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calendar.reference import Reference, instant
from tests.calendar.rule_strategies import CHANGES, rules, starts

from calhub.calendar.event import Content
from calhub.calendar.recurrence import canonical_rrule, expand

FAR = 1 << 40
DAY_RULES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
#: How far the plain reading walks, in days. What it tries is every day, or every step of real time.
REACH = {"DAILY": 400, "WEEKLY": 500, "MONTHLY": 1500, "YEARLY": 4000, "HOURLY": 10, "MINUTELY": 1, "SECONDLY": 0.05}


def stamps(found: list[datetime]) -> list[int]:
    return [int(at.timestamp()) for at in found]


def ours(content: Content, last: datetime) -> list[int]:
    return [each.start_ts for each in expand(content, -FAR, int(last.timestamp()) + 1, limit=10**6)]


def timed(start: datetime, zone: str, rrule: str) -> Content:
    content: Content = {"start": start.isoformat(), "end": start.isoformat(), "time_zone": zone}
    return content | {"rrule": canonical_rrule(rrule, content)}


@st.composite
def bounded(draw: st.DrawFn, rule: str, start: datetime, zone: str) -> str:
    """The rule with a COUNT, or an UNTIL in UTC, often right at an instance, or neither."""
    kind = draw(st.sampled_from(["", "COUNT", "UNTIL"]))
    if kind == "COUNT":
        return f"{rule};COUNT={draw(st.integers(1, 12))}"
    if kind == "UNTIL":
        at = instant(start + timedelta(days=draw(st.integers(0, 400))), ZoneInfo(zone))
        at += timedelta(seconds=draw(st.sampled_from([-1, 0, 1])))
        return f"{rule};UNTIL={at:%Y%m%dT%H%M%SZ}"
    return rule


@settings(max_examples=150, deadline=None, print_blob=True)
@given(st.data(), rules(DAY_RULES), st.sampled_from(sorted(CHANGES)))
def test_rules_in_days(data: st.DataObject, rule: str, zone: str) -> None:
    """Daily to yearly rules in any zone, over gaps and repeated hours, leap days and the turn of the year."""
    start = data.draw(starts(zone))
    rule = data.draw(bounded(rule, start, zone))
    last = instant(start, ZoneInfo(zone)) + timedelta(days=REACH[rule[5:].partition(";")[0]])

    assert ours(timed(start, zone, rule), last) == stamps(Reference(rule, start, ZoneInfo(zone)).instances(last))


@settings(max_examples=80, deadline=None, print_blob=True)
@given(st.data(), rules(("HOURLY", "MINUTELY", "SECONDLY"), most=2), st.sampled_from(sorted(CHANGES)))
def test_rules_within_a_day(data: st.DataObject, rule: str, zone: str) -> None:
    """Hourly rules and faster ones count real time; what they ask about days and hours is asked of the wall clock."""
    start = data.draw(starts(zone))
    rule = data.draw(bounded(rule, start, zone))
    last = instant(start, ZoneInfo(zone)) + timedelta(days=REACH[rule[5:].partition(";")[0]])

    assert ours(timed(start, zone, rule), last) == stamps(Reference(rule, start, ZoneInfo(zone)).instances(last))


# Found by these tests


@pytest.mark.parametrize(
    ("zone", "start", "rule"),
    [
        # A gap of half an hour puts 02:10 after 02:35.
        ("Australia/Lord_Howe", "2026-10-01T02:10:00", "FREQ=DAILY;BYHOUR=2;BYMINUTE=10,35"),
        ("Australia/Lord_Howe", "2026-10-01T02:10:00", "FREQ=DAILY;BYHOUR=2;BYMINUTE=10,35;COUNT=7"),
        ("Australia/Lord_Howe", "2026-10-04T02:10:00", "FREQ=DAILY;BYHOUR=2;BYMINUTE=10,35;COUNT=3"),
        # A day that was skipped comes out after the morning of the next.
        ("Pacific/Apia", "2011-12-26T12:00:00", "FREQ=WEEKLY;BYDAY=FR,SA;BYHOUR=10,12;BYSETPOS=2,3"),
    ],
)
def test_found_earlier(zone: str, start: str, rule: str) -> None:
    """Instances come in order, and none before DTSTART, where the clock's gap turns the order on the wall around."""
    first = datetime.fromisoformat(start)
    last = instant(first, ZoneInfo(zone)) + timedelta(days=20)

    assert ours(timed(first, zone, rule), last) == stamps(Reference(rule, first, ZoneInfo(zone)).instances(last))
