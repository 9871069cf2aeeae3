"""Busy and free time, compared with a minute-by-minute count."""

from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from calhub.calendar import free

ALL_DAYS = frozenset(range(7))

stretches = st.lists(st.tuples(st.integers(-20, 120), st.integers(-20, 120)), max_size=8)


@given(stretches, st.integers(0, 100), st.integers(0, 100))
def test_merged_and_gaps_share_out_the_range(given_: list[tuple[int, int]], start: int, end: int) -> None:
    """Each second is in one of them, in the right one; none touch."""
    merged = free.merge(given_, start, end)
    gaps = list(free.gaps(merged, start, end))

    covered = {second for first, last in given_ for second in range(first, last)}
    assert {second for first, last in merged for second in range(first, last)} == covered & set(range(start, end))
    assert {second for first, last in gaps for second in range(first, last)} == set(range(start, end)) - covered
    edges = [edge for stretch in sorted([*merged, *gaps]) for edge in stretch]
    assert edges == sorted(edges)
    assert all(first[1] < second[0] for first, second in pairwise(merged))


@given(stretches, st.integers(1, 40))
def test_slots_are_long_enough_and_free(busy: list[tuple[int, int]], seconds: int) -> None:
    found = list(free.slots(busy, [(0, 40), (60, 100)], seconds))

    covered = {second for first, last in busy for second in range(first, last)}
    assert all(last - first >= seconds for first, last in found)
    assert not any(covered & set(range(first, last)) for first, last in found)
    longest = max((last - first for first, last in free.gaps(free.merge(busy, 60, 100), 60, 100)), default=0)
    assert any(first >= 60 for first, _ in found) == (longest >= seconds)


def test_working_hours_by_the_clock() -> None:
    """Across a change of the clocks each day has its hours; only the days asked for; cut at the range."""
    paris = ZoneInfo("Europe/Paris")
    saturday = 1774652400  # 2026-03-28T00:00+01:00; the clocks go forward the night after
    hour = 3600

    whole = list(free.working(saturday, saturday + 71 * hour, paris, (9 * 60, 18 * 60), ALL_DAYS))
    sunday = list(free.working(saturday, saturday + 71 * hour, paris, (0, 24 * 60), frozenset({6})))
    cut = list(free.working(saturday + 10 * hour, saturday + 12 * hour, paris, (9 * 60, 18 * 60), ALL_DAYS))

    assert [(first - saturday) / hour for first, _ in whole] == [9, 32, 56]
    assert {last - first for first, last in whole} == {9 * hour}
    assert [(last - first) / hour for first, last in sunday] == [23]
    assert cut == [(saturday + 10 * hour, saturday + 12 * hour)]
