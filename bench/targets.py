"""What calhub is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """At most ``factor`` times the median of ``than``, plus ``plus``. Of a rate ("/s") at least that.

    ``sizes`` empty: with any number of events.
    """

    case: str
    than: str | None = None
    factor: float = 1.0
    plus: float = 0.0
    sizes: tuple[int, ...] = ()

    def limit(self, medians: Mapping[str, float]) -> float | None:
        """The limit, given the median of each who was measured; None where the one to compare with was not."""
        if self.than is None:
            return self.plus
        return self.factor * medians[self.than] + self.plus if self.than in medians else None

    def text(self, unit: str) -> str:
        """``1.5 x floor``, ``floor + 0.3 s``, ``10 ms``."""
        amount = f"{self.plus:,g}/s" if unit == "/s" else f"{self.plus * 1000:g} ms" if self._is_short(unit) else ""
        amount = amount or f"{self.plus:g} {unit}"
        if self.than is None:
            return amount
        times = f"{self.factor:g} x {self.than}" if self.factor != 1 else self.than
        return f"{times} + {amount}" if self.plus else times

    def _is_short(self, unit: str) -> bool:
        return unit == "s" and self.plus < 0.1


_LARGE = (10_000, 100_000)

TARGETS = (
    Target("first pull, Radicale", "vdirsyncer", sizes=(10_000,)),
    Target("first pull, Radicale", "floor", factor=1.5, sizes=(10_000,)),
    Target("first pull, instant server", "vdirsyncer", sizes=(10_000,)),
    Target("first pull, instant server", plus=1.5, sizes=(10_000,)),
    Target("memory of a first pull", plus=300, sizes=(100_000,)),
    Target("nothing changed, Radicale", "floor", plus=0.3, sizes=_LARGE),
    Target("nothing changed, instant server", "floor", plus=0.3, sizes=_LARGE),
    Target("100 remote changes, Radicale", "floor", plus=0.5, sizes=_LARGE),
    Target("100 remote changes, instant server", "floor", plus=0.5, sizes=_LARGE),
    Target("200 local changes, Radicale", "vdirsyncer", sizes=(10_000,)),
    Target("import and index", plus=5_000, sizes=_LARGE),
    Target("agenda of a week, cold command", plus=0.35, sizes=(100_000,)),
    Target("agenda of a month, cold command", plus=0.6, sizes=(100_000,)),
    Target("agenda of a week, p50", "floor", factor=2),
    Target("agenda of up to 500 occurrences, p99", plus=0.010),
    Target("agenda of up to 500 occurrences during a first pull, p99", plus=0.010),
    Target("search, rare word, p99", plus=0.010),
    Target("search, phrase, p99", plus=0.010),
    Target("search, common word, p99", plus=0.010),
    Target("durable edits one by one, disk", plus=1_000),
    Target("durable edits one by one, disk", "floor", factor=0.5),
    Target("durable edits one by one, memory disk", plus=1_000),
    Target("first pull, google", plus=2_000, sizes=(10_000,)),
    Target("first pull, microsoft", plus=2_000, sizes=(10_000,)),
    Target("nothing changed, google", plus=1),
    Target("nothing changed, microsoft", plus=1),
    Target("500 edits, google", "floor", factor=0.2),
    Target("500 edits, microsoft", "floor", factor=0.2),
    Target("first derivation of busy blocks in 4 calendars", plus=10, sizes=(10_000,)),
    Target("one further edit derived, 4 calendars, p50", plus=0.020, sizes=_LARGE),
    Target("idle, no account", plus=1),
    Target("idle, watching a folder of these events", plus=5, sizes=(1_000,)),
    Target("file changed to visible by the API, p95", plus=0.1),
    Target("write by the API to file, p95", plus=0.5),
    Target("change at google, which tells, to visible by the API, p95", plus=1),
    Target("change at microsoft, which tells, to visible by the API, p95", plus=1),
    Target("write by the API to Radicale, p95", plus=0.5),
    Target("storm of changed files, offered", plus=990),
    Target("storm of changed files, memory at most", plus=500),
    Target("agenda of a week by the API during the storm, p99", plus=0.010),
    Target("agenda of a week by the API during a first pull, p99", plus=0.010),
    Target("changes, from the server's answer to the hub", plus=1_000),
)


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: str
    limit: float
    met: bool

    def shape(self) -> dict[str, Any]:
        return asdict(self)


def verdicts(case: str, size: int, unit: str, medians: Mapping[str, float]) -> Iterator[Verdict]:
    """How calhub fares, for each target of the case at this size that can be told."""
    for target in TARGETS:
        limit = target.limit(medians)
        applies = target.case == case and (not target.sizes or size in target.sizes)
        if applies and limit is not None and "calhub" in medians:
            met = medians["calhub"] >= limit if unit == "/s" else medians["calhub"] <= limit
            yield Verdict(target.text(unit), limit, met)
