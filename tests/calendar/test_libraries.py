"""Series against dateutil and recurring-ical-events, wherever these do what RFC 5545 says.

Where one does not, it is left out by the narrowest condition, and a test of its own shows what it does instead, beside
what the plain reading of `tests.calendar.reference` says. Such a test fails once the library is right: then the
condition goes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events
from dateutil.rrule import rruleset, rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.calendar.reference import Reference
from tests.calendar.rule_strategies import CHANGES, rules, starts, synchronised

from calhub.calendar.event import Content
from calhub.calendar.frame import DAY, Frame
from calhub.calendar.ical import write_object
from calhub.calendar.recurrence import Series, canonical_rrule, expand, times_of

FAR = 1 << 40
NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY_RULES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
YEARS = {"DAILY": 1, "WEEKLY": 1, "MONTHLY": 4, "YEARLY": 10}


def parts(rule: str) -> dict[str, str]:
    return dict(part.split("=") for part in rule.split(";"))


def window(rule: str, start: datetime) -> datetime:
    return start + timedelta(days=366 * YEARS[parts(rule)["FREQ"]])


def walls(content: Content, last: datetime) -> list[datetime]:
    """Our instances of a floating event."""
    end = int(last.replace(tzinfo=UTC).timestamp()) + 1
    return [datetime.fromisoformat(each.start) for each in expand(content, -FAR, end, limit=10**6)]


def inside_year(day: datetime) -> bool:
    """Whether no week over the turn of the year has this day."""
    return (day - timedelta(days=3)).year == day.year == (day + timedelta(days=3)).year


def beyond(last: datetime) -> tuple[int, int]:
    """The thirty years after."""
    end = int(last.replace(tzinfo=UTC).timestamp())
    return end + 1, end + 30 * 366 * 86400


# dateutil


def dateutil_deviates(rule: str) -> bool:
    by = parts(rule)
    days = by.get("BYDAY", "").split(",")
    mixed = len({day[0] in "-123456789" for day in days if day}) == 2
    return mixed or ("BYWEEKNO" in by and "BYDAY" not in by)


def takes_weeks_for_others(rule: str) -> bool:
    """Whether dateutil may do so: for weeks over the turn of the year."""
    return any(abs(int(week)) in (1, 52, 53) for week in parts(rule).get("BYWEEKNO", "0").split(","))


@settings(max_examples=150, deadline=None, print_blob=True)
@given(st.data(), rules(DAY_RULES), st.booleans())
def test_series_agree_with_dateutil(data: st.DataObject, rule: str, matching: bool) -> None:
    """Rule, COUNT, UNTIL, RDATE and EXDATE of floating series."""
    start = data.draw(starts("UTC"))
    rule = synchronised(rule, start) if matching else rule
    assume(not dateutil_deviates(rule))
    last = window(rule, start)
    weeks = "BYWEEKNO" in rule
    assume(not (weeks and "BYSETPOS" in rule))
    count = data.draw(st.none() | st.integers(1, 9)) if matching and not weeks else None
    until = f";UNTIL={last:%Y%m%dT%H%M%S}"
    bound = f";COUNT={count}" if count else until
    content: Content = {"start": start.isoformat(), "end": start.isoformat(), "rrule": rule + bound}
    assume(next(expand({**content, "rrule": rule}, *beyond(last)), None))  # else it looks on to the year 9999
    by_rule = list(rrulestr(rule + until, dtstart=start))[:count]
    days = st.integers(0, 60).map(lambda number: start + timedelta(days=number))
    added = data.draw(st.lists(days, max_size=3, unique=True))
    excepted = data.draw(st.lists(st.sampled_from([start, *by_rule]) | days, max_size=3, unique=True))
    for name, chosen in (("rdates", added), ("exdates", excepted)):
        if chosen:
            content[name] = sorted(each.isoformat() for each in chosen)
    theirs = rruleset()
    for each in [start, *by_rule, *added]:  # it leaves out a DTSTART that does not match
        theirs.rdate(each)
    for each in excepted:
        theirs.exdate(each)
    found, expected = walls(content, last), [each for each in theirs if each <= last]
    if parts(rule)["FREQ"] == "WEEKLY" and "BYSETPOS" in rule:  # it counts the first week from DTSTART
        found, expected = ([each for each in some if each >= start + timedelta(days=7)] for some in (found, expected))

    if takes_weeks_for_others(rule):
        found, expected = ([each for each in some if inside_year(each)] for some in (found, expected))

    assert found == expected


@pytest.mark.parametrize(
    ("rule", "start", "theirs"),
    [
        # "Weekdays and nth weekdays" are a union (3.3.10: a list of days); it takes what is both.
        ("FREQ=MONTHLY;BYDAY=FR,-1SA;COUNT=3", "2026-12-04", []),
        # BYWEEKNO without BYDAY: the weekday is that of DTSTART; it takes all seven.
        ("FREQ=YEARLY;BYWEEKNO=20;COUNT=3", "1997-05-13", ["1997-05-13", "1997-05-14", "1997-05-15"]),
        # A week that begins on 27 December 2034 is the 52nd of its year's 52; it takes its Monday for one of a 53rd.
        ("FREQ=YEARLY;WKST=WE;BYDAY=MO;BYWEEKNO=53;UNTIL=20350601T000000", "2034-06-05", ["2035-01-01"]),
        # New Year's Day of 2027 is in the 52nd of 2026's 52 weeks, as DTSTART is, which alone is shown though no match.
        ("FREQ=YEARLY;BYDAY=TH,FR;BYWEEKNO=1,53;WKST=SU;UNTIL=20270105T000000", "2026-12-31", ["2027-01-01"]),
        # BYSETPOS counts in the whole week, of which DTSTART may be the middle; it begins to count there.
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2;COUNT=2", "2026-01-07", ["2026-01-09", "2026-01-14"]),
        # DTSTART is the first instance in any case, and counts.
        ("FREQ=WEEKLY;BYDAY=MO;COUNT=2", "2026-11-18", ["2026-11-23", "2026-11-30"]),
    ],
)
def test_where_dateutil_deviates(rule: str, start: str, theirs: list[str]) -> None:
    """What it does, and that we do what the plain reading does."""
    first = datetime.fromisoformat(start)
    last = first + timedelta(days=900)
    until = rule.partition(";COUNT")[0] + f";UNTIL={last:%Y%m%dT%H%M%S}" if not theirs else rule
    found = walls({"start": first.isoformat(), "rrule": rule}, last)

    assert [f"{each:%Y-%m-%d}" for each in rrulestr(until, dtstart=first)] == theirs
    assert [each.replace(tzinfo=UTC) for each in found] == Reference(rule, first).instances(last.replace(tzinfo=UTC))
    assert [f"{each:%Y-%m-%d}" for each in found] != theirs


# recurring-ical-events


def theirs_of(content: Content, first: datetime, last: datetime) -> list[tuple[int, int, str]]:
    """Start, end and title of its instances that begin in the window, by start."""
    calendar = icalendar.Calendar.from_ical(write_object("u", content, now=NOW))
    around = first.replace(tzinfo=None) - timedelta(days=2), last.replace(tzinfo=None) + timedelta(days=2)
    found = recurring_ical_events.of(calendar).between(*around)
    rows = [(stamp(each.start), stamp(each.end), str(each.get("SUMMARY", ""))) for each in found]
    return sorted(row for row in rows if first.timestamp() <= row[0] < last.timestamp())


def stamp(moment: Any) -> int:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, datetime.min.time())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def ours_of(content: Content, first: datetime, last: datetime) -> list[tuple[int, int, str]]:
    begin, stop = int(first.timestamp()), int(last.timestamp())
    found = expand(content, begin, stop, limit=10**6)
    titles = ((each, {**content, **(each.patch or {})}.get("title") or "") for each in found)
    return sorted((each.start_ts, each.end_ts, title) for each, title in titles if begin <= each.start_ts < stop)


@st.composite
def series(draw: st.DrawFn, zone: str | None) -> Content:
    """A whole series with exceptions, added dates and overrides, some for all that follow."""
    start = draw(starts(zone or "UTC"))
    synchronous = rules(DAY_RULES, most=2).map(lambda rule: synchronised(rule, start))
    rule = draw(synchronous.filter(lambda rule: not dateutil_deviates(rule) and not takes_weeks_for_others(rule)))
    length = timedelta(minutes=draw(st.sampled_from([0, 30, 60, 90])))
    content: Content = {"start": start.isoformat(), "end": (start + length).isoformat(), "title": "0"}
    if zone is None and draw(st.booleans()):
        day = start.date()
        content = {
            "start": day.isoformat(),
            "end": (day + timedelta(days=2)).isoformat(),
            "all_day": True,
            "title": "0",
        }
        rule = ";".join(part for part in rule.split(";") if part[:6] not in ("BYHOUR", "BYMINU", "BYSECO"))
    content |= {"time_zone": zone} if zone else {}
    bound = draw(st.sampled_from(["", ";COUNT=8", f";UNTIL={start + timedelta(days=40):%Y%m%dT%H%M%S}"]))
    content["rrule"] = canonical_rrule(rule + bound, content)
    frame = Series(content).frame
    ids = [each.recurrence_id or "" for each in expand(content, -FAR, FAR, limit=9)]
    chosen = draw(st.lists(st.sampled_from(ids), max_size=5, unique=True))
    overrides: Content = {}
    for number, rid in enumerate(sorted(chosen)):
        kind = draw(st.sampled_from(["exdate", "title", "move", "following", "following move"]))
        if kind == "exdate":
            content.setdefault("exdates", []).append(rid)
            continue
        patch: Content = {"title": str(number + 1)} | ({"following": True} if "following" in kind else {})
        if "move" in kind:
            wall = frame.wall(frame.read(rid)) + timedelta(days=draw(st.integers(-9, 9)))
            wall += timedelta() if frame.all_day else timedelta(minutes=draw(st.sampled_from([0, 45, -120])))
            end = wall + draw(st.sampled_from([length, timedelta(hours=3)]))
            end = wall + timedelta(days=draw(st.integers(1, 3))) if frame.all_day else end
            size = 10 if frame.all_day else 19
            patch |= {"start": wall.isoformat()[:size], "end": end.isoformat()[:size]}
        overrides[rid] = patch
    if draw(st.booleans()):
        later = frame.wall(frame.read(ids[-1])) + timedelta(
            days=draw(st.integers(-3, 20)), hours=0 if frame.all_day else 5
        )
        content["rdates"] = [frame.spell(frame.ts(later))]
    return content | ({"overrides": overrides} if overrides else {})


def clock_changes(zone: str | None, row: tuple[int, int, str]) -> bool:
    """Whether an instance lies in a gap or over a change of the clock: it adds the length on the wall clock then."""
    tz = ZoneInfo(zone or "UTC")
    before, after = (datetime.fromtimestamp(ts, tz).utcoffset() for ts in (row[0] - 90_000, row[1]))
    return before != after


def mistakable(content: Content, last: datetime) -> bool:
    """Whether the time in UTC of one instance is the wall time of another: it takes them for the same."""
    frame, ids = Series(content).frame, {*content.get("overrides", ()), *content.get("exdates", ())}
    plain = {name: value for name, value in content.items() if name not in ("overrides", "exdates")}
    every = {each.start_ts for each in expand(plain, -FAR, int(last.timestamp()), limit=10**6)}
    named = {frame.read(rid) for rid in ids}
    utc = Frame(UTC)
    return any(
        utc.wall(one) == frame.wall(other) for one in every for other in named if 0 < abs(one - other) < 2 * DAY
    ) or any(utc.wall(other) == frame.wall(one) for one in every for other in named if 0 < abs(one - other) < 2 * DAY)


def moved_from_a_gap(content: Content, last: datetime) -> bool:
    """Whether a range moves an instance out of a gap: it goes on from the rule's wall time, we from the clock's."""
    if not any(patch.get("following") and "start" in patch for patch in content.get("overrides", {}).values()):
        return False
    whole = Series(content)
    return any(whole.frame.wall(ts) != wall for wall, ts in whole.rule_starts(-FAR, int(last.timestamp())))


@settings(max_examples=150, deadline=None, print_blob=True)
@given(st.data(), st.none() | st.sampled_from(sorted(CHANGES)))
def test_series_agree_with_recurring_ical_events(data: st.DataObject, zone: str | None) -> None:
    """Objects as text: rule, RDATE, EXDATE, moved instances, RANGE=THISANDFUTURE, in any zone or in none."""
    content = data.draw(series(zone))
    start = datetime.fromisoformat(content["start"]).replace(tzinfo=UTC)
    first, last = start - timedelta(days=20), start + timedelta(days=150)
    assume(not mistakable(content, last) and not moved_from_a_gap(content, last))
    begin = Series(content)
    # It counts DTSTART in a gap, and again at the same instant where the rule has that wall time too.
    assume("COUNT" not in content["rrule"] or begin.frame.wall(begin.start_ts) == begin.start)
    # A length over a change of the clock is another length by the wall clock, which later instances then have too.
    given = [content, *(patch for patch in content.get("overrides", {}).values() if "start" in patch)]
    uneven = any(clock_changes(zone, (*times_of({**content, **each}), "")) for each in given)
    found, expected = (
        [(row[0], None if uneven or clock_changes(zone, row) else row[1], row[2]) for row in rows]
        for rows in (ours_of(content, first, last), theirs_of(content, first, last))
    )

    assert found == [row for row, _ in groupby(expected)]  # it shows an instant twice that two wall times stand for


def test_where_recurring_ical_events_shows_an_instant_twice() -> None:
    """Noon of the day that Samoa skipped is noon of the next day, which is an instance anyway."""
    content: Content = {"start": "2011-12-29T12:00:00", "end": "2011-12-29T12:00:00", "time_zone": "Pacific/Apia"}
    content |= {"rrule": "FREQ=DAILY;UNTIL=20120102T000000Z"}
    first, last = datetime(2011, 12, 20, tzinfo=UTC), datetime(2012, 2, 1, tzinfo=UTC)
    ours, theirs = ours_of(content, first, last), theirs_of(content, first, last)

    assert ours == sorted(set(theirs))
    assert len(theirs) == len(ours) + 1


BERLIN: Content = {"time_zone": "Europe/Berlin", "title": ""}


@pytest.mark.parametrize(
    ("content", "missing", "extra"),
    [
        # A length goes by the wall clock there: an hour that lies in a gap is no time at all.
        (
            {"start": "2026-03-28T02:30:00", "end": "2026-03-28T03:30:00", "rrule": "FREQ=DAILY;COUNT=2"},
            [("2026-03-29T03:30:00+02:00", "2026-03-29T04:30:00+02:00")],
            [("2026-03-29T03:30:00+02:00", "2026-03-29T03:30:00+02:00")],
        ),
        # So is the length of a whole series that begins over a change of the clock: two and a half hours of real time.
        (
            {"start": "2026-10-25T01:30:00", "end": "2026-10-25T03:00:00", "rrule": "FREQ=DAILY;COUNT=2"},
            [("2026-10-26T01:30:00+01:00", "2026-10-26T04:00:00+01:00")],
            [("2026-10-26T01:30:00+01:00", "2026-10-26T03:00:00+01:00")],
        ),
        # An override takes out the instance whose wall time is its time in UTC as well.
        (
            {"start": "2026-11-21T09:00:00", "end": "2026-11-21T09:10:00", "rrule": "FREQ=DAILY;COUNT=2;BYHOUR=9,10"}
            | {"overrides": {"2026-11-21T10:00:00+01:00": {"description": "x"}}},
            [("2026-11-21T09:00:00+01:00", "2026-11-21T09:10:00+01:00")],
            [],
        ),
        # An instance in a gap takes place at half past three, so two days of delay take it there.
        (
            {"start": "2026-03-28T02:30:00", "end": "2026-03-28T02:30:00", "rrule": "FREQ=DAILY;COUNT=2"}
            | {"overrides": {"2026-03-28T02:30:00+01:00": {"following": True, "start": "2026-03-30T02:30:00"}}},
            [("2026-03-31T03:30:00+02:00", "2026-03-31T03:30:00+02:00")],
            [("2026-03-31T02:30:00+02:00", "2026-03-31T02:30:00+02:00")],
        ),
        # DTSTART counts for COUNT though the rule does not match it; it adds one.
        (
            {"start": "2026-11-18T09:00:00", "end": "2026-11-18T09:10:00", "rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=2"},
            [],
            [("2026-11-30T09:00:00+01:00", "2026-11-30T09:10:00+01:00")],
        ),
    ],
)
def test_where_recurring_ical_events_deviates(
    content: Content, missing: list[tuple[str, str]], extra: list[tuple[str, str]]
) -> None:
    """What we have and it has not, and the other way round; rules with several times for dateutil are its too."""
    content = BERLIN | content
    first = datetime.fromisoformat(content["start"]).replace(tzinfo=UTC) - timedelta(days=2)
    last = first + timedelta(days=30)
    ours, theirs = (set(of(content, first, last)) for of in (ours_of, theirs_of))
    expected = [
        {(stamp(datetime.fromisoformat(start)), stamp(datetime.fromisoformat(end)), "") for start, end in rows}
        for rows in (missing, extra)
    ]

    assert [ours - theirs, theirs - ours] == expected
