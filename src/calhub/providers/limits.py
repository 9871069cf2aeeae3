"""How fast a service may be asked: one `Limiter` per account and process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

from calhub.providers.http import Unreached

#: A request that would have to wait longer than this many seconds is not sent; the caller gets to know when to return.
LONGEST_WAIT: Final = 30.0


class Limiter:
    """A token bucket: in any span of T seconds at most ``burst + rate * T`` requests begin, ``at_once`` at one time.

    Choose ``burst`` and ``rate`` (requests per second) so that this stays below the published limit for its span. When
    the service says to wait (`pause`), every thread of the account does. Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        at_once: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._slots = threading.Semaphore(at_once) if at_once is not None else nullcontext()
        self._lock = threading.Lock()
        self._left = float(burst)
        self._counted = clock()
        self._paused_until = self._counted

    @contextmanager
    def slot(self, cost: int = 1) -> Iterator[None]:
        """Wait for the turn of a request that counts as ``cost``, and hold one of the places at once for its time.

        Raises `Unreached` with ``retry_after`` when the turn is more than `LONGEST_WAIT` away.
        """
        with self._slots:
            self._take(cost)
            yield

    def pause(self, seconds: float) -> None:
        """Let nobody begin for so long."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _take(self, cost: int) -> None:
        """The bucket may go below zero: each caller waits until what it took has been filled up again."""
        with self._lock:
            now = self._clock()
            filled = min(self._burst, self._left + (now - self._counted) * self._rate)
            wait = max(self._paused_until - now, (cost - filled) / self._rate, 0.0)
            if wait > LONGEST_WAIT:
                raise Unreached("The service wants fewer requests.", "Try again later.", retry_after=wait)
            self._left, self._counted = filled - cost, now
        if wait:
            self._sleep(wait)
