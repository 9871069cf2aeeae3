"""The results as tables, on the terminal and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.growth import Curve, curves, plot
from bench.results import Results, Row, ratio
from bench.targets import verdicts

PAGE = Path("docs/benchmarks-results.md")
PLOT = Path("docs/benchmarks.svg")
PEERS = ("vdirsyncer", "khal")
COLUMNS = ("what", "calhub", "peer", "calhub / peer", "floor", "calhub / floor", "targets")
_GROWTH = ("what", "over the number of", "exponent", "target")
_INTRO = """# Benchmark results

*Written by `make bench-docs` from one run of `make bench`; what is measured is in [Benchmarks](benchmarks.md).*

Cells are minimum / median / maximum, or the one value there is. Ratios are of medians and of cost: 0.50 = calhub needs
half the time.
"""


@dataclass(frozen=True)
class Section:
    """One table: a heading and its rows of cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def sections(results: Results) -> Iterator[Section]:
    """One for each size, and one about growth."""
    for size, groups in groupby(results.groups(), key=lambda group: group[1]):
        yield Section(f"{size:,} events", COLUMNS, [_cells(case, size, rows) for case, _, rows in groups])
    if found := curves(results):
        yield Section("Growth", _GROWTH, [_growth_cells(curve) for curve in found])


def show(results: Results, console: Console) -> None:
    """Print everything."""
    console.print(_conditions(results), highlight=False)
    for section in sections(results):
        table = Table(*section.columns, title=section.title, title_justify="left")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)
    for reason in results.left_out:
        console.print(f"Left out: {reason}", highlight=False)


def document(results: Results) -> None:
    """Write the page and the plot."""
    parts = [_INTRO, _conditions(results)]
    for section in sections(results):
        lines = [section.columns, ["---"] * len(section.columns), *section.rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        parts.append(f"## {section.title}\n\n{table}")
    if found := curves(results):
        parts.append(f"![Time against the number of events and of changes]({PLOT.name})")
        PLOT.write_text(plot(found))
    if results.left_out:
        parts.append("## Left out\n\n" + "\n".join(f"- {reason}" for reason in results.left_out))
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def _conditions(results: Results) -> str:
    return "; ".join(f"{name} {value}" for name, value in results.conditions.items())


def _cells(case: str, size: int, rows: Mapping[str, Row]) -> list[str]:
    peer = next((name for name in PEERS if name in rows), "")
    unit = next(iter(rows.values())).unit
    told = list(verdicts(case, size, unit, {who: row.median for who, row in rows.items()}))
    return [
        case,
        rows["calhub"].shown() if "calhub" in rows else "",
        f"{peer} {rows[peer].shown()}" if peer else "",
        _ratio(rows, peer),
        rows["floor"].shown() if "floor" in rows else "",
        _ratio(rows, "floor"),
        "; ".join(_verdict(verdict.target, verdict.met) for verdict in told),
    ]


def _growth_cells(curve: Curve) -> list[str]:
    return [curve.name, curve.axis, f"{curve.exponent:.2f}", _verdict(f"at most {curve.at_most:g}", curve.met)]


def _ratio(rows: Mapping[str, Row], who: str) -> str:
    found = ratio(rows, who)
    return "" if found is None else f"{found:.2f}" if found < 10 else f"{found:,.0f}"


def _verdict(target: str, met: bool) -> str:
    return f"{target}: {'met' if met else 'UNMET'}"
