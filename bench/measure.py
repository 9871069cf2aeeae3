"""Timings, kept by case, size and who was measured; printed as a table of ratios and as JSON lines."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """All values of one measurement. ``unit`` is "s" (less is better) or "/s" (more is better)."""

    case: str
    size: int
    who: str
    unit: str
    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        return median(self.values)


@dataclass
class Results:
    """What has been measured so far. ``floor`` is the name of the bare operation underneath a case."""

    console: Console
    _values: dict[tuple[str, int, str, str], list[float]] = field(default_factory=dict)

    def add(self, case: str, size: int, who: str, value: float, unit: str = "s") -> None:
        self._values.setdefault((case, size, who, unit), []).append(value)
        self.console.print(f"[dim]{case}, {size:,}, {who}: {_shown(value)} {unit}[/]", highlight=False)

    def spread(self, case: str, size: int, who: str, values: Sequence[float]) -> None:
        """Many short samples of one operation: kept as two rows, p50 and p99."""
        self.add(f"{case}, p50", size, who, median(values))
        self.add(f"{case}, p99", size, who, quantiles(values, n=100)[98])

    def rows(self) -> list[Row]:
        return [Row(case, size, who, unit, tuple(v)) for (case, size, who, unit), v in self._values.items()]

    def print(self) -> None:
        """The table; each row has calhub's ratio to it: 0.50 = calhub needs half the time."""
        rows = self.rows()
        ours = {(row.case, row.size): row for row in rows if row.who == "calhub"}
        table = Table("what", "events", "who", "min", "median", "max", "unit", "calhub / who")
        for row in sorted(rows, key=lambda row: (row.size, list(ours).index((row.case, row.size)))):
            numbers = (_shown(value) for value in (min(row.values), row.middle, max(row.values)))
            ratio = "" if row.who == "calhub" else f"{_ratio(ours[row.case, row.size], row):.2f}"
            table.add_row(row.case, f"{row.size:,}", row.who, *numbers, row.unit, ratio)
        self.console.print(table)

    def write(self, path: Path) -> None:
        """One JSON object a line for each row."""
        fields = ("case", "size", "who", "unit", "values")
        lines = (json.dumps({name: getattr(row, name) for name in fields}) for row in self.rows())
        path.write_text("".join(line + "\n" for line in lines))


def _ratio(ours: Row, other: Row) -> float:
    quotient = ours.middle / other.middle
    return quotient if ours.unit == "s" else 1 / quotient


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.5f}"


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Seconds by the wall clock that ``work(*arguments)`` takes."""
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


class CommandFailed(RuntimeError):
    """A measured command failed; a time of a failure would be a lie."""


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None, given: str = "") -> str:
    """Run a command to its end and return its output. Raises `CommandFailed` unless it ended with 0 or 4."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=env, check=False)
    if done.returncode not in (0, 4):
        raise CommandFailed(
            f"{command[0]} {command[1:]}: exit {done.returncode}\n{done.stderr[-2000:]}{done.stdout[-500:]}"
        )
    return done.stdout


def turns(people: Sequence[str], repeats: int) -> Iterator[Sequence[str]]:
    """Each repeat with everybody in it, in an order that rotates, so that nobody always comes first."""
    for turn in range(repeats):
        start = turn % len(people)
        yield [*people[start:], *people[:start]]
