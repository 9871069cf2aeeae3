"""How time grows with the number of events and of changes: a power fitted to the medians, and a plot of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import Any

from bench.asking import FEW
from bench.results import Results
from bench.syncing import CURVE, CURVE_SIZE

EVENTS = "events"
CHANGES = f"remote changes among {CURVE_SIZE:,} events"

#: What is drawn over the number of events: name, case, and the exponent it is to stay below.
_BY_EVENTS = (
    ("first pull", "first pull, instant server", 1.1),
    ("nothing changed", "nothing changed, instant server", 0.1),
    ("week agenda, all its occurrences", "agenda of a week, p50", 1.1),
    (f"agenda of up to {FEW} occurrences", f"agenda of up to {FEW} occurrences, p50", 0.2),
    ("search, rare word", "search, rare word, p50", 0.2),
)


@dataclass(frozen=True)
class Curve:
    """calhub's seconds over the number of events or changes, and the power of that number they follow."""

    name: str
    axis: str
    points: Mapping[int, float]
    at_most: float

    @property
    def exponent(self) -> float:
        """By least squares on the logarithms: 1 = as the number, 0 = independent of it."""
        xs, ys = zip(*((math.log(x), math.log(y)) for x, y in self.points.items()), strict=True)
        return linear_regression(xs, ys).slope

    @property
    def met(self) -> bool:
        return self.exponent <= self.at_most

    def shape(self) -> dict[str, Any]:
        """One line of the results."""
        named = {"growth": self.name, "axis": self.axis, "points": dict(self.points)}
        return {**named, "exponent": self.exponent, "at_most": self.at_most, "met": self.met}


def curves(results: Results) -> list[Curve]:
    """Those with at least two points."""
    found = [Curve(name, EVENTS, results.medians(case), at_most) for name, case, at_most in _BY_EVENTS]
    taken = {count: results.medians(f"{count:,} remote changes, instant server") for count in CURVE}
    points = {count: sizes[CURVE_SIZE] for count, sizes in taken.items() if CURVE_SIZE in sizes}
    found.append(Curve("remote changes", CHANGES, points, 1.0))
    return [curve for curve in found if len(curve.points) > 1]


# The plot

_COLORS = ("#0b61a4", "#c2410c", "#15803d", "#7e22ce", "#475569")
_WIDTH, _HEIGHT, _LEFT, _TOP, _LEGEND = 440, 300, 60, 30, 18


def plot(found: Sequence[Curve]) -> str:
    """An SVG with one panel for each axis, both logarithmic; the legend names the exponents."""
    axes = list(dict.fromkeys(curve.axis for curve in found))
    panels = [[curve for curve in found if curve.axis == axis] for axis in axes]
    width = len(axes) * (_WIDTH + _LEFT) + 30
    height = _TOP + _HEIGHT + 50 + _LEGEND * max(map(len, panels))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        parts += [
            f'<g transform="translate({_LEFT + number * (_WIDTH + _LEFT)} {_TOP})">',
            *_panel(axis, panel),
            "</g>",
        ]
    return "\n".join([*parts, "</svg>\n"])


def _panel(axis: str, panel: Sequence[Curve]) -> Iterator[str]:
    across = _Scale([x for curve in panel for x in curve.points], 0, _WIDTH)
    up = _Scale([y for curve in panel for y in curve.points.values()], _HEIGHT, 0)
    for x in across.ticks():
        yield f'<path d="M{across(x):.1f} 0V{_HEIGHT}" stroke="#ddd"/>'
        yield f'<text x="{across(x):.1f}" y="{_HEIGHT + 16}" text-anchor="middle">{x:,.0f}</text>'
    for y in up.ticks():
        yield f'<path d="M0 {up(y):.1f}H{_WIDTH}" stroke="#ddd"/>'
        yield f'<text x="-6" y="{up(y) + 4:.1f}" text-anchor="end">{_seconds(y)}</text>'
    yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 34}" text-anchor="middle">{axis}</text>'
    for place, (curve, color) in enumerate(zip(panel, _COLORS, strict=False)):
        dots = [(across(x), up(y)) for x, y in sorted(curve.points.items())]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        yield f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in dots)
        below = _HEIGHT + 50 + place * _LEGEND
        yield f'<rect x="0" y="{below - 9}" width="12" height="10" fill="{color}"/>'
        yield f'<text x="18" y="{below}">{curve.name}: exponent {curve.exponent:.2f}</text>'


class _Scale:
    """A logarithmic axis from one power of ten to another, drawn between two coordinates."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        logs = [math.log10(value) for value in values]
        self._low = math.floor(min(logs) + 1e-9)
        self._high = max(self._low + 1, math.ceil(max(logs) - 1e-9))
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        return self._start + (math.log10(value) - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def _seconds(value: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
