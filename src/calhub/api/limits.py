"""How often somebody may ask, and how often they may be wrong. Kept in memory: a restart forgives."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

#: Callers remembered; beyond that the one longest not seen is forgotten.
_REMEMBERED: Final = 10_000

#: Wrong tokens from one address that have no consequence yet.
_FREE_MISTAKES: Final = 5
_LONGEST_PAUSE: Final = 300.0
#: After so many seconds without another one, mistakes are forgotten.
_FORGIVEN_AFTER: Final = 900.0


class Rate:
    """A bucket for each caller that holds a minute's worth of requests and fills steadily."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str, now: float, per_minute: float) -> float:
        """Take one request; 0, or the seconds until there is room for it (then nothing is taken)."""
        level, at = self._buckets.pop(caller, (per_minute, now))
        level = min(per_minute, level + max(0.0, now - at) * per_minute / 60)
        allowed = level >= 1
        self._buckets[caller] = (level - 1 if allowed else level, now)
        _forget(self._buckets)
        return 0.0 if allowed else (1 - level) * 60 / per_minute


class Mistakes:
    """Addresses that offered wrong credentials are left waiting, each time twice as long: guessing gets nowhere."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until credentials from this address are looked at again."""
        count, at = self._made.get(address, (0, now))
        if count <= _FREE_MISTAKES:
            return 0.0
        pause = min(_LONGEST_PAUSE, 2.0 ** (count - _FREE_MISTAKES - 1))
        return max(0.0, at + pause - now)

    def note(self, address: str, now: float) -> None:
        count, at = self._made.pop(address, (0, now))
        self._made[address] = (1 if now - at > _FORGIVEN_AFTER else count + 1, now)
        _forget(self._made)


def _forget(known: OrderedDict[str, tuple[float, float]] | OrderedDict[str, tuple[int, float]]) -> None:
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
