"""The values measured, by case, size and who was measured; kept as JSON lines."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.targets import verdicts


@dataclass(frozen=True)
class Row:
    """All values of one measurement. Less is better but for the unit "/s"; others are "s", "MB", "%" and "requests".

    ``who`` is "calhub", a peer, or "floor": the bare operation underneath.
    """

    case: str
    size: int
    who: str
    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def shown(self) -> str:
        """``min / median / max`` with the unit; one number where there is one value."""
        numbers = (min(self.values), self.median, max(self.values)) if len(self.values) > 1 else self.values
        factor, unit = (1000, "ms") if self.unit == "s" and self.median < 0.1 else (1, self.unit)
        return " / ".join(_shown(value * factor) for value in numbers) + ("" if unit == "/s" else " ") + unit


@dataclass
class Results:
    """What has been measured so far, under which ``conditions``. ``tell`` is called with a line for each value."""

    conditions: Mapping[str, str]
    tell: Callable[[str], None] = lambda _: None
    left_out: list[str] = field(default_factory=list)
    _values: dict[tuple[str, int, str, str], list[float]] = field(default_factory=dict)

    def add(self, case: str, size: int, who: str, value: float, unit: str = "s") -> None:
        self._values.setdefault((case, size, who, unit), []).append(value)
        self.tell(f"{case}, {size:,}, {who}: {Row(case, size, who, unit, [value]).shown()}")

    def spread(self, case: str, size: int, who: str, values: Sequence[float], *, tail: int = 99) -> None:
        """Many short samples of one operation: kept as two rows, p50 and p99 (or another ``tail``)."""
        self.add(f"{case}, p50", size, who, statistics.median(values))
        self.add(f"{case}, p{tail}", size, who, statistics.quantiles(values, n=100)[tail - 1])

    def leave_out(self, reason: str) -> None:
        """Somebody is not measured somewhere: say so in the results."""
        if reason not in self.left_out:
            self.left_out.append(reason)
            self.tell(reason)

    def groups(self) -> Iterator[tuple[str, int, dict[str, Row]]]:
        """Case, size, and the row of each who was measured there; in the order of measuring, by size."""
        found: dict[tuple[int, str], dict[str, Row]] = {}
        for (case, size, who, unit), values in self._values.items():
            found.setdefault((size, case), {})[who] = Row(case, size, who, unit, values)
        for (size, case), rows in sorted(found.items(), key=lambda group: group[0][0]):
            yield case, size, rows

    def medians(self, case: str, who: str = "calhub") -> dict[int, float]:
        """The median of a case at each size it was measured at."""
        return {size: rows[who].median for each, size, rows in self.groups() if each == case and who in rows}

    def write(self, path: Path, more: Iterable[Mapping[str, Any]] = ()) -> None:
        """JSON lines: the conditions, one line for each row, what was left out and why, and ``more``."""
        lines: list[dict[str, Any]] = [{"conditions": dict(self.conditions)}]
        lines += [line for case, size, rows in self.groups() for line in _lines(case, size, rows)]
        lines += [{"left_out": reason} for reason in self.left_out]
        path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *more]))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote, without ``more``."""
        results = cls(conditions={})
        for line in map(json.loads, path.read_text().splitlines()):
            if "conditions" in line:
                results.conditions = line["conditions"]
            elif "left_out" in line:
                results.left_out.append(line["left_out"])
            elif "case" in line:
                results._values[line["case"], line["size"], line["who"], line["unit"]] = line["values"]
        return results


def ratio(rows: Mapping[str, Row], who: str) -> float | None:
    """calhub's cost as a multiple of the other's: 0.5 = calhub needs half the time. None where one is missing."""
    if "calhub" not in rows or who not in rows:
        return None
    quotient = rows["calhub"].median / rows[who].median
    return 1 / quotient if rows["calhub"].unit == "/s" else quotient


def _lines(case: str, size: int, rows: Mapping[str, Row]) -> Iterator[dict[str, Any]]:
    medians = {who: row.median for who, row in rows.items()}
    for who, row in rows.items():
        line: dict[str, Any] = {"case": case, "size": size, "who": who, "unit": row.unit}
        line |= {"min": min(row.values), "median": row.median, "max": max(row.values), "values": list(row.values)}
        if who == "calhub":
            line["targets"] = [verdict.shape() for verdict in verdicts(case, size, row.unit, medians)]
        else:
            line["ratio"] = ratio(rows, who)
        yield line


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
