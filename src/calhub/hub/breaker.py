"""An account's circuit breaker: after several failures in a row its service is left alone for a while.

    closed     calls go through
    open       nobody calls before ``until``
    half_open  after that, one pass calls as a probe; the others wait for what comes of it, at most until ``until``

A value without clock or I/O; `calhub.hub.accounts` stores it, so that it holds for all processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

#: So many failures in a row open the breaker, and for so long.
FAILURES: Final = 5
PAUSE: Final = timedelta(minutes=5)
#: A clock may be put right by a little without ending a pause.
_SLACK: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Breaker:
    state: Literal["closed", "open", "half_open"] = "closed"
    failures: int = 0  # in a row
    until: datetime | None = None  # None only when closed

    def wait(self, now: datetime) -> timedelta:
        """How long nobody may call. A pause of which more seems left than there was is over: the clock was put back."""
        left = timedelta(0) if self.until is None else self.until - now
        return left if timedelta(0) < left <= PAUSE + _SLACK else timedelta(0)

    def admit(self, now: datetime) -> Breaker | None:
        """The breaker of a pass that may begin now; None when it has to wait."""
        if self.until is None:
            return self
        if self.wait(now):
            return None
        # A probe that dies without a word blocks the others no longer than an open breaker does.
        return Breaker("half_open", self.failures, now + PAUSE)

    def failed(self, now: datetime) -> Breaker:
        """After a call that failed in passing."""
        if self.state == "open" and self.wait(now):
            return self  # a call that was under way when it opened
        failures = self.failures + 1
        if self.state == "closed" and failures < FAILURES:
            return Breaker("closed", failures)
        return Breaker("open", failures, now + PAUSE)
