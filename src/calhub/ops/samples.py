"""What is measured where no database is at hand: kept in the process until the pass that comes by stores it.

Prometheus' own files for several processes are not used: each short-lived command would leave one behind, and what the
engine measured would be gone with it. Samples are added up in the database instead (`calhub.hub.measures`).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from contextvars import ContextVar
from typing import Final

#: Upper bounds of the buckets, in seconds; what is longer is in the last one. Targets of `criteria` are among them.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

#: The kind of provider that is being connected, for connections to remember; see `calhub.providers.registry`.
kind: ContextVar[str] = ContextVar("calhub_provider_kind", default="sign-in")

#: Name, labels as (name, value) sorted by name, and bucket: its bound as text, ``+Inf``, ``sum``; empty for a counter.
Key = tuple[str, tuple[tuple[str, str], ...], str]


class Samples:
    """Counters and histograms, added up. May be used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Counter[Key] = Counter()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        if amount:
            with self._lock:
                self._values[name, _sorted(labels), ""] += amount  # type: ignore[assignment]  # numbers of any kind add

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add a duration to a histogram."""
        place = bisect_left(BOUNDS, seconds)
        bound = str(BOUNDS[place]) if place < len(BOUNDS) else "+Inf"
        with self._lock:
            self._values[name, _sorted(labels), bound] += 1
            self._values[name, _sorted(labels), "sum"] += seconds  # type: ignore[assignment]  # likewise

    def drain(self) -> dict[Key, float]:
        """All there is, which is forgotten here."""
        with self._lock:
            values, self._values = self._values, Counter()
        return dict(values)


def _sorted(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


#: Those of this process.
here: Final = Samples()
