"""Recurrence rules as RFC 5545 3.3.10 allows them, starts near changes of the clock, and zones that have such."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import strategies as st

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

#: Zone -> days on which its clocks change: at two, at midnight, by half an hour, by a day, for Ramadan.
CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Africa/Cairo": ("2026-04-24", "2026-10-30"),
    "Asia/Beirut": ("2026-03-29", "2026-10-25"),
    "America/Santiago": ("2026-04-05", "2026-09-06"),
    "Pacific/Apia": ("2011-12-30",),
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "UTC": ("2024-02-29", "2026-12-31"),
}


def numbers(low: int, high: int, most: int = 3) -> st.SearchStrategy[str]:
    """A list for a BY part; never 0 where it may be negative."""
    members = st.integers(low, high).filter(lambda number: low >= 0 or number != 0)
    return st.sets(members, min_size=1, max_size=most).map(lambda chosen: ",".join(map(str, sorted(chosen))))


plain_days = st.sets(st.sampled_from(WEEKDAYS), min_size=1, max_size=4).map(lambda chosen: ",".join(sorted(chosen)))
ordinals = st.sets(
    st.tuples(st.sampled_from([1, 2, 3, 4, 5, -1, -2, -5]), st.sampled_from(WEEKDAYS)), min_size=1, max_size=3
).map(lambda chosen: ",".join(f"{ordinal}{day}" for ordinal, day in sorted(chosen)))
mixed_days = st.tuples(plain_days, ordinals).map(",".join)

_TIMES = {
    "BYHOUR": st.sampled_from(["0", "1", "2", "3", "1,2,3", "0,12,23"]) | numbers(0, 23),
    "BYMINUTE": st.sampled_from(["0", "15,45", "30"]) | numbers(0, 59),
    "BYSECOND": st.sampled_from(["0", "59", "0,30"]),
}


def parts_of(freq: str) -> dict[str, st.SearchStrategy[str]]:
    """The BY parts that make sense with a frequency, by the table in RFC 5545 3.3.10 (as corrected by its errata)."""
    parts = {"BYMONTH": numbers(1, 12), "BYDAY": plain_days, **_TIMES}
    if freq in ("MONTHLY", "YEARLY"):
        parts["BYDAY"] = plain_days | ordinals | mixed_days
    if freq != "WEEKLY":
        parts["BYMONTHDAY"] = st.sampled_from(["31", "29", "-1", "-31", "13", "30,31"]) | numbers(-31, 31)
    if freq not in ("DAILY", "WEEKLY", "MONTHLY"):
        parts["BYYEARDAY"] = st.sampled_from(["366", "-366", "60", "1,-1"]) | numbers(-366, 366)
    if freq == "YEARLY":
        parts["BYWEEKNO"] = st.sampled_from(["1", "53", "-1", "-53", "1,52"]) | numbers(-53, 53)
    return parts


@st.composite
def rules(draw: st.DrawFn, frequencies: Sequence[str], most: int = 3) -> str:
    """A rule without COUNT and UNTIL."""
    freq = draw(st.sampled_from(frequencies))
    parts = parts_of(freq)
    chosen = draw(st.sets(st.sampled_from(sorted(parts)), max_size=most))
    values = {name: draw(parts[name]) for name in sorted(chosen)}
    if "BYWEEKNO" in values and "BYDAY" in values:  # "BYDAY ... with a numeric value when ... BYWEEKNO": not allowed
        values["BYDAY"] = draw(plain_days)
    if values and draw(st.integers(0, 3)) == 0:
        values["BYSETPOS"] = draw(numbers(-4, 4))
    head = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 4))}", f"WKST={draw(st.sampled_from(['MO', 'SU', 'WE']))}"]
    return ";".join([*head, *(f"{name}={value}" for name, value in values.items())])


@st.composite
def starts(draw: st.DrawFn, zone: str) -> datetime:
    """A wall time within a fortnight of a change of the clock, often in its hour; may lie in a gap."""
    day = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone]))) + timedelta(days=draw(st.integers(-14, 7)))
    minute = draw(st.sampled_from([0, 15, 30, 59]) | st.integers(0, 59))
    return day.replace(hour=draw(st.sampled_from([0, 1, 2, 3]) | st.integers(0, 23)), minute=minute)


def synchronised(rule: str, start: datetime) -> str:
    """The rule with the day and time of ``start`` let in, so that DTSTART matches it; without BYSETPOS."""
    own = {
        "BYMONTH": start.month,
        "BYMONTHDAY": start.day,
        "BYYEARDAY": start.timetuple().tm_yday,
        "BYWEEKNO": start.isocalendar().week,
        "BYDAY": WEEKDAYS[start.weekday()],
        "BYHOUR": start.hour,
        "BYMINUTE": start.minute,
        "BYSECOND": start.second,
    }
    parts = [part.split("=") for part in rule.split(";") if not part.startswith("BYSETPOS")]
    return ";".join(f"{name}={value}" + (f",{own[name]}" if name in own else "") for name, value in parts)
