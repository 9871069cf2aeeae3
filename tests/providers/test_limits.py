"""The limiter, on a clock that moves only while somebody waits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from calhub.providers.base import Trait
from calhub.providers.http import Unreached
from calhub.providers.limits import LONGEST_WAIT, Limiter


class Time:
    """Seconds; sleeping moves them on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def limiter(time: Time, rate: float = 2.0, burst: int = 10) -> Limiter:
    return Limiter(rate=rate, burst=burst, clock=time, sleep=time.sleep)


def begin(limiter: Limiter, times: int = 1, cost: int = 1) -> None:
    for _ in range(times):
        with limiter.slot(cost):
            pass


def test_a_burst_goes_through_at_once(time: Time) -> None:
    """As many as the bucket holds need not wait; the next ones come at the rate."""
    one = limiter(time)
    begin(one, 10)
    assert time.slept == []

    begin(one, 3)
    assert time.slept == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("gap", [0.0, 0.1, 0.7, 3.0])
def test_no_span_has_more_than_promised(time: Time, gap: float) -> None:
    """In any span of T seconds at most burst + rate * T requests begin."""
    one, begun = limiter(time), list[float]()
    for _ in range(200):
        begin(one)
        begun.append(time.now)
        time.now += gap

    for first in range(200):
        for last in range(first, 200):
            assert last - first + 1 <= 10 + 2.0 * (begun[last] - begun[first]) + 1e-6


def test_the_bucket_fills_while_nothing_happens(time: Time) -> None:
    """After a rest the burst is there again, and no more than it."""
    one = limiter(time)
    begin(one, 10)
    time.now += 3600
    begin(one, 10)
    assert time.slept == []

    begin(one)
    assert time.slept == [0.5]


def test_a_batch_counts_for_all_it_holds(time: Time) -> None:
    """A batch dearer than the whole bucket waits for its parts, and so does who comes after it."""
    one = limiter(time)
    begin(one, cost=14)
    assert time.slept == [2.0]

    begin(one)
    assert time.slept == [2.0, 0.5]


def test_the_service_says_to_wait(time: Time) -> None:
    """A pause holds everybody, and a shorter one does not end it."""
    one = limiter(time)
    one.pause(12.0)
    one.pause(3.0)

    begin(one, 2)
    assert time.slept == [12.0]


def test_a_long_pause_is_told(time: Time) -> None:
    """Rather than wait for longer than `LONGEST_WAIT`, the request is not sent, and nothing is taken for it."""
    one = limiter(time)
    one.pause(LONGEST_WAIT + 1)
    for _ in range(20):
        with pytest.raises(Unreached) as caught, one.slot():
            raise AssertionError("not reached")
        assert (caught.value.trait, caught.value.retry_after) == (Trait.RETRY, LONGEST_WAIT + 1)

    time.now += LONGEST_WAIT + 1
    begin(one, 10)
    assert time.slept == []


def test_places_at_once(time: Time) -> None:
    """No more than ``at_once`` requests are under way, however many threads there are."""
    one = Limiter(rate=1000, burst=1000, at_once=2, clock=time, sleep=time.sleep)
    lock, pair = threading.Lock(), threading.Barrier(2)
    under_way, most = 0, 0

    def work(_: int) -> None:
        nonlocal under_way, most
        with one.slot():
            with lock:
                under_way += 1
                most = max(most, under_way)
            pair.wait(timeout=30)  # only ever passed by two at a time
            with lock:
                under_way -= 1
            pair.wait(timeout=30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert most == 2


def test_a_failed_request_frees_its_place(time: Time) -> None:
    one = Limiter(rate=1, burst=5, at_once=1, clock=time, sleep=time.sleep)
    with pytest.raises(ZeroDivisionError), one.slot():
        raise ZeroDivisionError

    begin(one)
    assert time.slept == []
