"""Rules by themselves: against RFC 5545 and an independent implementation."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calhub.calendar import rule as rules
from calhub.calendar.event import Content
from calhub.calendar.move import follow
from calhub.calendar.recurrence import expand

FAR = 1 << 40


@pytest.mark.parametrize(
    ("start", "rrule", "expected"),
    [
        ("1997-08-05", "FREQ=MONTHLY;BYDAY=5MO;COUNT=3", "1997-08-05 1997-09-29 1997-12-29"),
        ("1997-02-28", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=3", "1997-02-28 2000-02-29 2004-02-29"),
        ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;COUNT=4", "1997-08-05 1997-08-10 1997-08-19 1997-08-24"),
        (
            "1997-08-05",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;COUNT=4;WKST=SU",
            "1997-08-05 1997-08-17 1997-08-19 1997-08-31",
        ),
        ("1997-09-29", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2;COUNT=3", "1997-09-29 1997-10-30 1997-11-27"),
        ("1997-05-12", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=3", "1997-05-12 1998-05-11 1999-05-17"),
        ("1997-05-13", "FREQ=YEARLY;BYWEEKNO=20;COUNT=3", "1997-05-13 1998-05-12 1999-05-18"),
        ("1997-05-19", "FREQ=YEARLY;BYDAY=20MO;COUNT=3", "1997-05-19 1998-05-18 1999-05-17"),
        (
            "1997-01-01",
            "FREQ=YEARLY;INTERVAL=3;COUNT=4;BYYEARDAY=1,100,200",
            "1997-01-01 1997-04-10 1997-07-19 2000-01-01",
        ),
        ("1998-02-13", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=3", "1998-02-13 1998-03-13 1998-11-13"),
        (
            "1996-11-05",
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8;COUNT=3",
            "1996-11-05 2000-11-07 2004-11-02",
        ),
        ("2026-01-31", "FREQ=MONTHLY;COUNT=4", "2026-01-31 2026-03-31 2026-05-31 2026-07-31"),
        ("2027-12-31", "FREQ=YEARLY;BYYEARDAY=-1;COUNT=3", "2027-12-31 2028-12-31 2029-12-31"),
        ("2024-02-29", "FREQ=YEARLY;COUNT=2", "2024-02-29 2028-02-29"),
        ("1997-09-28", "FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=3", "1997-09-28 1997-10-29 1997-11-28"),
        (
            "1998-01-01",
            "FREQ=YEARLY;UNTIL=19980103;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
            "1998-01-01 1998-01-02 1998-01-03",
        ),
        ("2026-01-05", "FREQ=MONTHLY;BYDAY=1MO,FR;COUNT=4", "2026-01-05 2026-01-09 2026-01-16 2026-01-23"),
        (
            "2026-01-05",
            "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=-1,1;COUNT=4",
            "2026-01-05 2026-01-09 2026-01-12 2026-01-16",
        ),
    ],
)
def test_rule_vectors(start: str, rrule: str, expected: str) -> None:
    """Examples of RFC 5545 3.8.5.3 and cases where common libraries differ from it."""
    found = expand({"start": start, "all_day": True, "rrule": rrule}, -FAR, FAR, limit=expected.count(" ") + 2)

    assert " ".join(occurrence.start for occurrence in found) == expected


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    members = st.integers(low, high).filter(bool) | st.integers(max(low, 1), high)
    return st.sets(members, min_size=1, max_size=3).map(lambda chosen: ",".join(map(str, sorted(chosen))))


@st.composite
def day_rules(draw: st.DrawFn, *, once_a_day: bool = False) -> str:
    """Rules on which RFC and dateutil agree (it lacks BYSETPOS in weeks, mixed BYDAY, and a weekday for BYWEEKNO)."""
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    weekdays = st.sets(st.sampled_from(rules.WEEKDAYS), min_size=1, max_size=3).map(
        lambda chosen: ",".join(sorted(chosen))
    )
    nth = st.tuples(st.sampled_from([1, 2, 4, 5, -1, -2]), st.sampled_from(rules.WEEKDAYS)).map(
        lambda p: f"{p[0]}{p[1]}"
    )
    parts = {"BYMONTH": numbers(1, 12), "BYHOUR": numbers(0, 23), "BYMINUTE": st.sampled_from(["0", "15,45"])}
    parts["BYDAY"] = weekdays if freq in ("DAILY", "WEEKLY") else weekdays | nth
    if freq != "WEEKLY":
        parts["BYMONTHDAY"] = numbers(-31, 31)
        parts["BYSETPOS"] = numbers(-4, 4)
    if freq == "YEARLY":
        parts["BYYEARDAY"] = numbers(-366, 366)
    if once_a_day:
        parts = {part: values for part, values in parts.items() if part not in ("BYHOUR", "BYMINUTE", "BYSETPOS")}
    chosen = draw(st.sets(st.sampled_from(sorted(parts)), max_size=3))
    if freq == "YEARLY" and "BYDAY" not in chosen and draw(st.booleans()):
        chosen |= {"BYDAY", "BYWEEKNO"}
        parts["BYWEEKNO"], parts["BYDAY"] = numbers(-53, 53), weekdays
    assume("BYSETPOS" not in chosen or len(chosen) > 1)
    text = f"FREQ={freq};INTERVAL={draw(st.integers(1, 4))};WKST={draw(st.sampled_from(['MO', 'SU', 'WE']))}"
    return ";".join([text, *(f"{part}={draw(parts[part])}" for part in sorted(chosen))])


@settings(max_examples=150, deadline=None)
@given(day_rules(), st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1)), st.integers(0, 3000))
def test_rules_agree_with_dateutil(text: str, start: datetime, later: int) -> None:
    """In any window, from the start or far from it, our matches are those of an independent implementation."""
    start = start.replace(microsecond=0)
    first = start + timedelta(days=later)
    last = first + timedelta(days=900)
    ours = list(rules.walls(rules.parse(text), start, first, last + timedelta(days=3000)))
    assume(any(wall > last for wall in ours))  # it looks for the match after the window to the end of time

    found = [wall for wall in ours if first <= wall <= last]
    expected = rrulestr(text, dtstart=start).between(first, last, inc=True)
    if "BYWEEKNO" in text:  # it numbers weeks that two years have a part in wrongly, counted from the end of the year
        found, expected = ([wall for wall in some if 3 < wall.timetuple().tm_yday < 363] for some in (found, expected))
    assert found == expected


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["HOURLY", "MINUTELY", "SECONDLY"]),
    st.integers(1, 100),
    st.dictionaries(
        st.sampled_from(["BYHOUR", "BYDAY", "BYMONTHDAY", "BYSECOND"]),
        st.just(""),
    ),
    st.data(),
)
def test_sub_daily_rules_agree_with_dateutil(
    freq: str, interval: int, chosen: dict[str, str], data: st.DataObject
) -> None:
    """Without a change of offset, counting real time is counting wall time."""
    parts = {
        "BYHOUR": numbers(0, 23),
        "BYSECOND": numbers(0, 59),
        "BYDAY": st.just("MO,TH"),
        "BYMONTHDAY": numbers(-31, 31),
    }
    text = ";".join(
        [f"FREQ={freq};INTERVAL={interval}", *(f"{part}={data.draw(parts[part])}" for part in sorted(chosen))]
    )
    start = datetime(2026, 5, 4, 9, 30)
    last = start + timedelta(days=3)
    ours = (utc for utc in rules.steps(rules.parse(text), start, start, last, lambda utc: utc) if utc <= last)
    try:
        theirs = list(islice(rrulestr(text + last.strftime(";UNTIL=%Y%m%dT%H%M%S"), dtstart=start), 300))
    except ValueError:  # its way to say that the steps never meet the limits
        theirs = []

    assert list(islice(ours, 300)) == theirs


@settings(max_examples=100, deadline=None)
@given(day_rules(), st.integers(0, 800), st.integers(1, 200), st.booleans())
def test_window_is_a_slice_of_the_whole(text: str, offset: int, length: int, counted: bool) -> None:
    """What a window shows does not depend on where it begins."""
    content = {"start": "2025-03-01T02:30:00", "end": "2025-03-02T08:30:00", "time_zone": "America/New_York"}
    content |= {"rrule": text + ";COUNT=40" * counted}
    start = 1_738_368_000 + offset * 86400
    end = start + length * 86400
    everything = list(expand(content, -FAR, 1_830_297_600, limit=10**6))

    assert list(expand(content, start, end)) == [o for o in everything if o.start_ts < end and o.end_ts > start]
    assert everything == sorted(everything, key=lambda o: o.start_ts)


@settings(max_examples=200, deadline=None)
@given(
    day_rules(once_a_day=True), st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1)), st.integers(0, 3000),
    st.booleans(),
)  # fmt: skip
def test_days_are_those_of_the_walls(text: str, start: datetime, later: int, counted: bool) -> None:
    """The short cut for rules with one match a day finds the same days."""
    rule, start = rules.parse(text + ";COUNT=9" * counted), start.replace(microsecond=0)
    first = start + timedelta(days=later)
    last = first + timedelta(days=900)
    ours = [date.fromordinal(day) for day in rules.days(rule, start, first, last)]

    assert [day for day in ours if first.date() <= day <= last.date()] == [
        wall.date() for wall in rules.walls(rule, start, first, last) if first.date() <= wall.date() <= last.date()
    ]


# Clocks that skip or repeat times: at night, at midnight, by half an hour, by a whole day, for a month.
CLOCKS = st.sampled_from(
    [
        {"time_zone": "Europe/Berlin"}, {"time_zone": "America/Sao_Paulo"}, {"time_zone": "Australia/Lord_Howe"},
        {"time_zone": "Pacific/Apia"}, {"time_zone": "Africa/Casablanca"}, {"time_zone": "UTC"}, {},
        {"time_zone": "America/New_York", "end_time_zone": "Asia/Tokyo"},
    ]
)  # fmt: skip


@st.composite
def series(draw: st.DrawFn) -> Content:
    """A series by a rule with one match a day, around the day that Samoa skipped (2011-12-30)."""
    times, all_day = draw(CLOCKS), draw(st.booleans())
    start = draw(st.datetimes(datetime(2009, 1, 1), datetime(2012, 3, 1))).replace(microsecond=0)
    end = start + timedelta(hours=24) + draw(st.timedeltas(timedelta(0), timedelta(days=40)))
    content: Content = {"start": start.isoformat(), "end": end.replace(microsecond=0).isoformat()} | times
    if all_day:
        content = {"start": str(start.date()), "end": str(end.date()), "all_day": True}
    endings = st.sampled_from(["", ";COUNT=30", ";UNTIL=20120101T000000Z", ";UNTIL=20111231"])
    content["rrule"] = draw(day_rules(once_a_day=True)) + draw(endings)
    instances = [one.start for one in expand(content, -FAR, FAR, limit=60)]
    some = st.lists(st.sampled_from(instances), max_size=3, unique=True)
    days = st.dates(date(2011, 11, 1), date(2012, 2, 1)).map(str)
    other = days if all_day else days.map(lambda day: day + content["start"][10:])
    content["exdates"] = draw(some | st.lists(days, max_size=1))
    content["rdates"] = draw(some | st.lists(other, max_size=2))
    content["overrides"] = {one: {"title": "Other"} for one in draw(some)}
    return content


@settings(max_examples=300, deadline=None)
@given(series(), st.integers(-100, 900), st.integers(1, 400))
def test_short_cut_finds_what_the_general_way_does(content: Content, later: int, length: int) -> None:
    """A rule that also names the hour of its start says nothing new, and is evaluated instance by instance."""
    hour = int(content["start"][11:13] or 0)
    start = 1_293_840_000 + later * 86400  # 2011-01-01
    general = content | {"rrule": f"{content['rrule']};BYHOUR={hour}"}

    assert list(expand(content, start, start + length * 86400)) == list(expand(general, start, start + length * 86400))


def test_lenient_where_the_meaning_is_plain() -> None:
    """Foreign rules with parts that cannot apply are read without them."""
    assert rules.parse("FREQ=WEEKLY;BYDAY=1MO;X-A=B") == rules.parse("FREQ=WEEKLY;BYDAY=MO")
    assert rules.parse("FREQ=DAILY;UNTIL=20260101;COUNT=3") == rules.parse("FREQ=DAILY;UNTIL=20260101")


@pytest.mark.parametrize(
    ("rrule", "start", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,WE", "2026-03-17T10:00:00", "FREQ=WEEKLY;BYDAY=TU,TH"),
        ("FREQ=WEEKLY;UNTIL=20260413T080000Z", "2026-03-16T11:30:00", "FREQ=WEEKLY;UNTIL=20260413T093000Z"),
        ("FREQ=MONTHLY;BYMONTHDAY=16", "2026-03-18T10:00:00", "FREQ=MONTHLY;BYMONTHDAY=18"),
        ("FREQ=MONTHLY;BYDAY=3MO", "2026-03-24T10:00:00", "FREQ=MONTHLY;BYDAY=4TU"),
        ("FREQ=MONTHLY;BYDAY=-3MO", "2026-03-31T10:00:00", "FREQ=MONTHLY;BYDAY=-1TU"),
        ("FREQ=YEARLY;BYDAY=3MO;BYMONTH=3", "2026-04-13T10:00:00", "FREQ=YEARLY;BYDAY=2MO;BYMONTH=4"),
        ("FREQ=DAILY;BYHOUR=10", "2026-03-16T12:00:00", "FREQ=DAILY;BYHOUR=12"),
    ],
)
def test_rule_follows_its_start(rrule: str, start: str, expected: str) -> None:
    """A rule that says the weekday, day or hour of its start says the new one after a move."""
    content = {"start": "2026-03-16T10:00:00", "time_zone": "Europe/Berlin", "rrule": rrule}
    times = {"start": start, "end": start, "time_zone": "Europe/Berlin"}

    assert follow(content, times)["rrule"] == expected
