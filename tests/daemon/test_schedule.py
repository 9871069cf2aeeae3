"""The schedule in virtual time: who has a pass when."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhub.daemon.schedule import BATCH, Job, Outcome, Schedule, Subject, Timing

TIMING = Timing()
DAY = 86_400.0
#: When the schedules below begin, so that at 0 nothing has happened for a while.
EARLIER = -10.0


@dataclass
class Play:
    """Runs a schedule in virtual time: pokes at given moments, jobs that last as long as ``lasting`` says.

    With ``echo`` each poke stands for an edit to be written, and the service tells of the write so much later.
    """

    schedule: Schedule
    pokes: Sequence[tuple[float, int]] = ()
    lasting: float = 0.05
    outcome: Outcome = "quiet"
    echo: float | None = None
    begun: list[tuple[float, Job]] = field(default_factory=list)
    ended: list[tuple[float, Job]] = field(default_factory=list)
    most: int = 0

    def until(self, end: float) -> None:
        coming: list[tuple[float, int, int, Job | int]] = []
        for number, (at, replica) in enumerate(self.pokes):
            heapq.heappush(coming, (at, 0, number, replica))
        count = len(self.pokes)
        now, under_way = 0.0, dict[int, Job]()
        edited, written = set[int](), set[int]()
        while now < end:
            for job in self.schedule.take(now):
                assert job.account not in under_way, "an account has one job at a time"
                under_way[job.account] = job
                self.begun.append((now, job))
                written |= edited.intersection(job.replicas)
                edited.difference_update(job.replicas)
                count += 1
                heapq.heappush(coming, (now + self.lasting, 1, count, job))
            self.most = max(self.most, len(under_way))
            due = self.schedule.next_due()
            now = max(now, min(end if due is None else due, coming[0][0] if coming else end))
            while coming and coming[0][0] <= now:
                _, kind, _, what = heapq.heappop(coming)
                if isinstance(what, Job):
                    for replica in what.replicas:
                        wrote = self.echo is not None and replica in written
                        self.schedule.done(replica, "changed" if wrote else self.outcome, now)
                        if self.echo is not None and wrote:
                            count += 1
                            heapq.heappush(coming, (now + self.echo, 2, count, replica))
                    written.difference_update(what.replicas)
                    self.schedule.end(under_way.pop(what.account), now)
                    self.ended.append((now, what))
                else:
                    edited |= {what} if kind == 0 else set()
                    self.schedule.poke(what, now)

    def passes(self, replica: int) -> list[float]:
        return [at for at, job in self.begun if replica in job.replicas]


def schedule(*subjects: Subject, at_once: int = 50) -> Schedule:
    made = Schedule(at_once=at_once, timing=TIMING)
    made.arrange(subjects, EARLIER)
    return made


def settled(*subjects: Subject, at_once: int = 50) -> Schedule:
    """After the first passes, with nothing due for a while."""
    made = schedule(*subjects, at_once=at_once)
    while jobs := made.take(EARLIER):
        for job in jobs:
            for replica in job.replicas:
                made.done(replica, "quiet", EARLIER)
            made.end(job, EARLIER)
    return made


def told(replica: int, account: int, priority: int = 0) -> Subject:
    return Subject(replica=replica, account=account, priority=priority, told=True)


#: In steps of 10 ms, so that moments coincide now and then.
moments_up_to_20 = st.integers(0, 2000).map(lambda number: number / 100)
pokes = st.lists(st.tuples(moments_up_to_20, st.integers(1, 6)), max_size=40)
worlds = st.lists(st.integers(1, 4), min_size=6, max_size=6)


@given(pokes, worlds, st.integers(1, 4), st.floats(0.001, 3))
def test_every_poke_is_followed_by_a_pass(
    moments: list[tuple[float, int]], accounts: list[int], at_once: int, lasting: float
) -> None:
    """Whatever comes when: after a poke a pass begins, also when one was under way; never more at once than allowed."""
    subjects = [told(number, account) for number, account in enumerate(accounts, 1)]
    play = Play(settled(*subjects, at_once=at_once), moments, lasting)
    play.until(20 + (TIMING.storm + lasting) * 15)

    assert play.most <= at_once
    for at, replica in moments:
        assert [begun for begun in play.passes(replica) if begun >= at], f"replica {replica}, poked at {at}"
    for replica in range(1, 7):
        spans = [at for at, job in play.begun if replica in job.replicas]
        assert all(later - earlier >= lasting for earlier, later in pairwise(spans)), "two passes at once"


@given(st.integers(200, 1000), st.randoms(use_true_random=False), st.sampled_from([0.001, 0.05, 0.5]))
@settings(max_examples=30)
def test_a_storm_becomes_few_passes(changes: int, chance: random.Random, lasting: float) -> None:
    """As the storm goes on, passes keep a growing distance; the first one and the last change do not wait for it."""
    moments = [chance.uniform(0, 10) for _ in range(changes)]
    play = Play(settled(told(1, 1)), [(at, 1) for at in moments], lasting)
    play.until(30)

    assert len(play.begun) <= 14
    assert play.begun[0][0] == min(moments)
    assert play.begun[-1][0] - max(moments) <= TIMING.storm + lasting


def test_peace_ends_a_storm() -> None:
    """After some quiet seconds the next change is carried at once again."""
    play = Play(settled(told(1, 1)), [(at / 100, 1) for at in range(1000)] + [(60.0, 1)])
    play.until(70)
    assert 60.0 in play.passes(1)


@pytest.mark.parametrize("echo", [None, 0.04, 0.2])
def test_a_change_a_second_is_no_storm(echo: float | None) -> None:
    """Somebody who moves one event after another sees each of them carried at once, also just after a storm, and
    although the service tells of what was written there."""
    moments = [(1 + at / 50, 1) for at in range(250)] + [(12.0 + at, 1) for at in range(20)]
    play = Play(settled(told(1, 1)), moments, 0.05, echo=echo)
    play.until(40)
    assert {12.0 + at for at in range(20)} <= set(play.passes(1))


@pytest.mark.parametrize("echo", [0.04, 0.2])
def test_a_storm_of_writes_becomes_few_passes(echo: float) -> None:
    play = Play(settled(told(1, 1)), [(at / 100, 1) for at in range(1000)], 0.05, echo=echo)
    play.until(30)
    assert len(play.begun) <= 16
    assert play.begun[-1][0] >= 10


def test_a_poke_for_no_replica_is_nothing() -> None:
    made = settled(told(1, 1))
    made.poke(7, 1)
    assert made.take(1) == []


@pytest.mark.parametrize("accounts", [2, 5, 12])
@pytest.mark.parametrize("priority", [0, 5])
def test_no_account_starves(accounts: int, priority: int) -> None:
    """One place, one account that is always poked and preferred: everybody else still has its turn soon."""
    subjects = [told(number, number, priority if number == 1 else 0) for number in range(1, accounts + 1)]
    storm = [(at / 20, 1) for at in range(2000)]
    play = Play(settled(*subjects, at_once=1), [*storm, *((10.0, one) for one in range(2, accounts + 1))], 0.2)
    play.until(100)

    for one in range(2, accounts + 1):
        wait = min(at for at in play.passes(one) if at >= 10) - 10
        assert wait <= priority + 0.2 * 2 * accounts


def test_priority_goes_first() -> None:
    made = settled(told(1, 1), told(2, 2, priority=3), told(3, 3), at_once=1)
    for replica in (1, 2, 3):
        made.poke(replica, 10)
    assert [job.account for job in made.take(10)] == [2]


def test_a_large_account_takes_turns_with_a_small_one() -> None:
    """An account's many replicas go in several jobs, and another account has its turn in between."""
    many = [told(number, 1) for number in range(1, 3 * BATCH + 1)]
    made = schedule(*many, told(99, 2), at_once=1)
    play = Play(made, lasting=1)
    play.until(10)
    assert [job.account for _, job in play.begun][:2] in ([1, 2], [2, 1])
    assert sorted(each for _, job in play.begun for each in job.replicas) == [*range(1, 3 * BATCH + 1), 99]


def test_looks_grow_rare_when_nothing_happens() -> None:
    """Polling: often while something is found, rarer and rarer down to the idle pace while nothing is."""
    quiet = Play(schedule(Subject(replica=1, account=1)))
    quiet.until(DAY / 4)
    waits = [later - earlier for earlier, later in pairwise(quiet.passes(1))]
    assert waits[0] < TIMING.active * 2
    assert all(later > earlier * 0.99 for earlier, later in pairwise(waits[:6]))
    assert all(TIMING.idle * 0.9 <= each <= TIMING.idle * 1.1 + 1 for each in waits[-10:])

    busy = Play(schedule(Subject(replica=1, account=1)), outcome="changed")
    busy.until(3600)
    assert len(busy.begun) > 3600 / TIMING.active * 0.85


def test_who_is_told_is_asked_rarely_and_an_interval_is_kept() -> None:
    play = Play(schedule(told(1, 1), Subject(replica=2, account=2, interval=60)))
    play.until(3600)
    assert 3 <= len(play.passes(1)) <= 6
    assert 54 <= len(play.passes(2)) <= 68


def test_losing_the_channel_brings_polling_back() -> None:
    made = settled(told(1, 1))
    made.arrange([Subject(replica=1, account=1)], 10)
    due = made.next_due()
    assert due is not None
    assert due <= 10 + TIMING.active


def test_everything_is_listed_anew_once_a_day() -> None:
    play = Play(schedule(told(1, 1), Subject(replica=2, account=1)), outcome="quiet")
    play.until(DAY * 3)
    for replica in (1, 2):
        assert 3 <= sum(job.full and replica in job.replicas for _, job in play.begun) <= 4
    assert all(not job.full or at > DAY / 2 for at, job in play.begun)


def test_failures_are_tried_again_ever_later() -> None:
    """Backoff, also against pokes; a person's wish goes through at once, and a success ends it."""
    play = Play(schedule(told(1, 1)), [(float(at), 1) for at in range(3000)], outcome="failed")
    play.until(3000)
    waits = [later - earlier for earlier, later in pairwise(play.passes(1))]
    assert waits[0] >= TIMING.backoff * 0.7
    assert max(waits) <= TIMING.backoff_cap + 1
    assert len(waits) < 25

    made = play.schedule
    assert made.take(3000) == []
    made.poke(1, 3000, wanted=True)
    [job] = made.take(3000)
    made.done(1, "quiet", 3001)
    made.end(job, 3001)
    made.poke(1, 3002)
    assert made.take(3002) != []


def test_one_dead_calendar_does_not_hold_up_its_account() -> None:
    made = settled(told(1, 1), told(2, 1))
    made.poke(1, 10)
    made.poke(2, 10)
    [job] = made.take(10)
    made.done(1, "failed", 11)
    made.done(2, "quiet", 11)
    made.end(job, 11)
    made.poke(1, 12)
    made.poke(2, 12)
    assert [job.replicas for job in made.take(12)] == [(2,)]


def test_a_lock_held_elsewhere_is_tried_again_soon() -> None:
    made = settled(told(1, 1))
    made.poke(1, 10)
    [job] = made.take(10)
    made.done(1, "busy", 10.1)
    made.end(job, 10.1)
    assert made.take(10.5) == []
    assert made.next_due() == pytest.approx(10.1 + TIMING.busy)
    assert made.take(11.2) == [Job(1, (1,))]


def test_a_write_that_failed_is_not_left_to_the_next_look() -> None:
    """It is tried again when it may be, also where looks are rare; where they are not, at the next look."""
    made = settled(told(1, 1), Subject(replica=2, account=2))
    for replica in (1, 2):
        made.poke(replica, 10)
    for job in made.take(10):
        made.done(job.replicas[0], "quiet", 11, again=30 if job.account == 1 else 3000)
        made.end(job, 11)
    assert 11 < (made.next_due() or 0) < 11 + TIMING.idle
    assert Job(1, (1,)) in made.take(41)


def test_an_open_breaker_is_waited_for() -> None:
    made = settled(told(1, 1), told(2, 1))
    made.poke(1, 10)
    [job] = made.take(10)
    made.done(1, "resting", 10, again=300)
    made.end(job, 10)
    made.poke(2, 20)
    assert made.take(309) == []
    assert {each for job in made.take(311) for each in job.replicas} == {1, 2}


def test_an_account_that_has_to_sign_in_is_left_alone() -> None:
    made = settled(told(1, 1))
    made.arrange([Subject(replica=1, account=1, told=True, rests=True)], 10)
    made.poke(1, 11)
    assert made.next_due() == float("inf")
    made.poke(1, 12, wanted=True)
    assert len(made.take(12)) == 1
    made.done(1, "failed", 13)
    made.arrange([told(1, 1)], 14)
    made.end(Job(1, (1,)), 14)
    assert len(made.take(14)) == 1


def test_an_account_found_to_work_again_is_not_waited_for() -> None:
    """Somebody tested it by hand, or one of its replicas got through: the others need not wait for their time."""
    made = settled(told(1, 1), Subject(replica=2, account=2))
    made.poke(1, 10)
    [job] = made.take(10)
    made.done(1, "resting", 10, again=300)
    made.end(job, 10)
    made.arrange([Subject(replica=1, account=1, told=True, failing=True)], 11)
    assert made.take(20) == []
    made.arrange([told(1, 1)], 21)
    assert made.take(21) == [Job(1, (1,))]


def test_replicas_come_and_go() -> None:
    """A replica removed while it has a pass is forgotten; a new one is due at once."""
    made = settled(told(1, 1))
    made.poke(1, 10)
    [job] = made.take(10)
    made.arrange([told(2, 2)], 11)
    made.done(1, "changed", 12)
    made.end(job, 12)
    assert [job.replicas for job in made.take(12)] == [(2,)]
    assert (made.running, made.waiting(12)) == (1, 0)
    made.arrange([], 13)
    assert made.take(13) == []
