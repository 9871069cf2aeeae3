"""Which replica is to have a pass when. Pure: no clock, no I/O; all times are seconds of one monotonic clock.

A replica is due by the clock, or because somebody poked it: a webhook, a file, a change in the hub, a person. A poke
says that something may have changed, never what; so any number of pokes are worth one pass that begins after the last
of them. A job is a pass over some replicas of one account: an account has one job at a time, since its service counts
what all its calendars ask for.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

#: ``changed``: something was carried over, or is still to be. ``busy``: another process is at it. ``resting``: the
#: account's breaker is open.
Outcome = Literal["changed", "quiet", "failed", "busy", "resting"]

#: Replicas in one job: enough to use a connection well, few enough that a poke for another one does not wait long.
BATCH: Final = 10
#: A step of priority counts as much as having waited so many seconds more; so nobody waits for ever.
_PRIORITY_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds. Between looks: ``active`` after one that found something, then longer up to ``idle``; ``told`` where
    changes are told (a watched folder, a push channel). Everything is listed anew every ``full``.

    Passes begun by pokes keep a distance from one another, from ``gap`` to ``storm`` as long as a poke comes within
    ``lull`` of the last one's end. A pass that finds nothing after one that did was begun by the echo of what calhub
    itself had written, and counts for nothing. After a failure it takes ``backoff``, doubled each time up to
    ``backoff_cap``. A lock held by another process is tried again after ``busy``.
    """

    active: float = 15
    idle: float = 300
    told: float = 900
    full: float = 86_400
    gap: float = 0.05
    storm: float = 2
    lull: float = 0.25
    backoff: float = 5
    backoff_cap: float = 300
    busy: float = 1


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A replica to be kept in step. ``interval`` (0: as calhub sees fit) is what its owner wants between looks.

    ``rests``: nothing helps but its owner (an account that needs to sign in), so only a person's wish leads to a pass.
    ``failing`` is said of its account; when that ends, whoever found out, it is tried at once.
    """

    replica: int
    account: int
    priority: int = 0
    interval: float = 0
    told: bool = False
    rests: bool = False
    failing: bool = False


@dataclass(frozen=True)
class Job:
    account: int
    replicas: tuple[int, ...]
    full: bool = False


@dataclass
class _Replica:
    subject: Subject
    due: float  # by the clock
    full_due: float
    pace: float
    poked: float | None = None  # since when something is known to wait
    wanted: bool = False  # by a person, who does not wait for backoff
    ended: float = float("-inf")
    failures: int = 0
    not_before: float = float("-inf")
    soon: bool = False  # the last pass was asked for before the one before it was well over
    storm: int = 0  # passes in a row of which that is true
    last: Outcome = "quiet"


@dataclass
class _Account:
    job: Job | None = None
    ended: float = float("-inf")
    not_before: float = float("-inf")
    failures: int = 0
    outcomes: list[Outcome] = field(default_factory=list)  # of the job under way


class Schedule:
    """At most ``at_once`` jobs at a time. Chance, from ``seed``, spreads the looks, so that they do not bunch."""

    def __init__(self, *, at_once: int = 50, timing: Timing | None = None, seed: int = 0) -> None:
        self.at_once = at_once
        self.timing = timing or Timing()
        self._chance = random.Random(seed)
        self._replicas: dict[int, _Replica] = {}
        self._accounts: dict[int, _Account] = {}

    # What there is

    def arrange(self, subjects: Iterable[Subject], now: float) -> None:
        """These are the replicas from now on. New ones, and those of an account that works again, are due."""
        wanted = {each.replica: each for each in subjects}
        for gone in self._replicas.keys() - wanted.keys():
            del self._replicas[gone]
        for subject in wanted.values():
            self._accounts.setdefault(subject.account, _Account())
            known = self._replicas.get(subject.replica)
            if known is None or known.subject.account != subject.account:
                full = now + self.timing.full * self._chance.uniform(0.5, 1)
                self._replicas[subject.replica] = _Replica(subject, now, full, self.timing.active)
                continue
            before, known.subject = known.subject, subject
            if (before.rests or before.failing) and not (subject.rests or subject.failing):
                self._forgive(known)
                known.due = now
            elif before != subject:
                known.pace = self.timing.active
                known.due = min(known.due, now + self._pace(known))
        for unused in self._accounts.keys() - {each.account for each in wanted.values()}:
            if self._accounts[unused].job is None:
                del self._accounts[unused]

    def poke(self, replica: int, now: float, *, full: bool = False, wanted: bool = False) -> None:
        """Have a pass that begins after this moment; with ``wanted`` at once, whatever failed before."""
        known = self._replicas.get(replica)
        if known is None:
            return
        if known.poked is None:
            known.poked = now
        if full:
            known.full_due = now
        if wanted:
            known.wanted = True
            self._forgive(known)

    # What is to be done

    def take(self, now: float) -> list[Job]:
        """The jobs to begin now."""
        jobs: list[Job] = []
        free = self.at_once - self.running
        ready: dict[int, list[_Replica]] = {}
        for each in self._replicas.values() if free > 0 else ():
            if self._accounts[each.subject.account].job is None and self._ready(each) <= now:
                ready.setdefault(each.subject.account, []).append(each)
        for account, mine in sorted(ready.items(), key=lambda item: self._turn(*item))[: max(free, 0)]:
            jobs.append(self._begin(account, mine, now))
        return jobs

    def next_due(self) -> float | None:
        """When `take` may have something to give, if nothing else happens; None: not before a job ends."""
        if self.running >= self.at_once:
            return None
        times = [self._ready(one) for one in self._replicas.values() if self._accounts[one.subject.account].job is None]
        return min(times, default=None)

    def done(self, replica: int, outcome: Outcome, now: float, *, again: float | None = None) -> None:
        """What came of a job for one of its replicas.

        ``again``: seconds until the breaker lets one through, or until a write that failed may be tried once more.
        """
        known, timing = self._replicas.get(replica), self.timing
        if known is None:
            return
        known.ended = now
        account = self._accounts[known.subject.account]
        account.outcomes.append(outcome)
        if outcome in ("changed", "quiet"):
            if not known.soon:
                known.storm = 0
            elif outcome == "changed" or known.last == "quiet":
                known.storm += 1
            known.last = outcome
            known.failures = 0
            known.pace = timing.active if outcome == "changed" else min(known.pace * 1.5, timing.idle)
            look = self._pace(known) * self._chance.uniform(0.9, 1.1)
            known.due = now + (look if again is None else min(look, again))
            return
        if outcome == "failed":
            known.failures += 1
            known.not_before = now + self._backoff(known.failures)
        elif outcome == "busy":
            known.not_before = now + timing.busy
        else:
            account.not_before = max(account.not_before, now + (again or 0))
        known.due = now  # as soon as it may

    def end(self, job: Job, now: float) -> None:
        """The job is over; `done` was called for those of its replicas that were seen to."""
        account = self._accounts.get(job.account)
        if account is None:
            return
        if account.outcomes and all(each == "failed" for each in account.outcomes):
            account.failures += 1
            account.not_before = max(account.not_before, now + self._backoff(account.failures))
        elif any(each in ("changed", "quiet") for each in account.outcomes):
            account.failures = 0
        account.job, account.ended = None, now
        account.outcomes.clear()

    @property
    def running(self) -> int:
        return sum(each.job is not None for each in self._accounts.values())

    def waiting(self, now: float) -> int:
        """How many replicas could have a pass now, were there a place for it."""
        under_way = {one for each in self._accounts.values() if each.job is not None for one in each.job.replicas}
        return sum(self._ready(each) <= now for key, each in self._replicas.items() if key not in under_way)

    # In detail

    def _begin(self, account: int, mine: Sequence[_Replica], now: float) -> Job:
        mine = sorted(mine, key=self._ready)
        full = self._is_full(mine[0], now)
        chosen = [each for each in mine if self._is_full(each, now) is full][:BATCH]
        for each in chosen:
            each.soon = each.poked is not None and each.poked <= each.ended + self.timing.lull
            each.poked, each.wanted = None, False
            if full:
                each.full_due = now + self.timing.full
        job = Job(account, tuple(each.subject.replica for each in chosen), full)
        self._accounts[account].job = job
        return job

    def _is_full(self, of: _Replica, now: float) -> bool:
        return of.full_due <= now

    def _ready(self, of: _Replica) -> float:
        """When the replica may have its next pass, were its account free."""
        if of.wanted and of.poked is not None:
            return of.poked
        if of.subject.rests:
            return float("inf")
        begin = min(of.due, of.full_due)
        if of.poked is not None:
            distance = min(self.timing.gap * 2.0 ** min(of.storm, 30), self.timing.storm)
            begin = min(begin, max(of.poked, of.ended + distance))
        return max(begin, of.not_before, self._accounts[of.subject.account].not_before)

    def _turn(self, account: int, mine: Sequence[_Replica]) -> tuple[float, int]:
        """The order of accounts: who has waited longest since its last turn, with its priority as a start."""
        since = max(min(map(self._ready, mine)), self._accounts[account].ended)
        priority = max(each.subject.priority for each in mine)
        return since - priority * _PRIORITY_SECONDS, account

    def _pace(self, of: _Replica) -> float:
        if of.subject.interval:
            return of.subject.interval
        return self.timing.told if of.subject.told else of.pace

    def _backoff(self, failures: int) -> float:
        wait = self.timing.backoff * 2.0 ** min(failures - 1, 30)
        return min(wait, self.timing.backoff_cap) * self._chance.uniform(0.75, 1)

    def _forgive(self, of: _Replica) -> None:
        account = self._accounts[of.subject.account]
        of.failures, of.not_before = 0, float("-inf")
        account.failures, account.not_before = 0, float("-inf")
        account.outcomes.clear()  # what a job under way found before this does not count any more
