"""What the benchmarks make of their values: ratios, targets, exponents, JSON lines, pages."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import report
from bench.growth import CHANGES, EVENTS, Curve, curves, plot
from bench.results import Results, ratio
from bench.targets import verdicts


@pytest.fixture
def results() -> Results:
    """Two sizes of a pull, two numbers of changes, one rate."""
    results = Results({"cores": "2"})
    for size in (1_000, 10_000):
        for value in (1.0, 3.0, 2.0):
            results.add("first pull, instant server", size, "calhub", value * size / 1_000)
            results.add("first pull, instant server", size, "vdirsyncer", value * size / 500)
    for count in (10, 100):
        results.add(f"{count} remote changes, instant server", 10_000, "calhub", 1.0)
    results.add("import and index", 10_000, "calhub", 4_000, "/s")
    results.add("import and index", 10_000, "khal", 500, "/s")
    results.leave_out("khal at 100,000 events")
    return results


def test_ratio_is_of_cost(results: Results) -> None:
    """Half the time and twice the rate are both 0.5."""
    rows = {case: rows for case, size, rows in results.groups() if size == 10_000}

    assert ratio(rows["first pull, instant server"], "vdirsyncer") == 0.5
    assert ratio(rows["import and index"], "khal") == 0.125
    assert ratio(rows["import and index"], "floor") is None


@pytest.mark.parametrize(("seconds", "met"), [(1.29, True), (1.31, False)])
def test_target_over_the_floor(seconds: float, met: bool) -> None:
    """`floor + 0.3 s` is told from the floor of the same case, at the sizes it is for."""
    medians = {"calhub": seconds, "floor": 1.0}

    (verdict,) = verdicts("nothing changed, Radicale", 10_000, "s", medians)

    assert (verdict.target, verdict.met) == ("floor + 0.3 s", met)
    assert verdict.limit == pytest.approx(1.3)
    assert list(verdicts("nothing changed, Radicale", 1_000, "s", medians)) == []
    assert list(verdicts("nothing changed, Radicale", 10_000, "s", {"calhub": 1.0})) == []


@pytest.mark.parametrize(("rate", "met"), [(4_999, False), (5_001, True)])
def test_target_of_a_rate(rate: float, met: bool) -> None:
    """Of a rate more is better."""
    (verdict,) = verdicts("import and index", 10_000, "/s", {"calhub": rate})

    assert (verdict.target, verdict.met) == ("5,000/s", met)


def test_exponent() -> None:
    """Time as the number, as its square, and independent of it."""
    numbers = (1, 10, 100)

    found = [Curve("", EVENTS, {n: 0.5 * n**power for n in numbers}, 1.0).exponent for power in (1, 2, 0)]

    assert found == [pytest.approx(1), pytest.approx(2), pytest.approx(0)]


def test_curves_are_of_medians(results: Results) -> None:
    """One over the number of events, one over that of changes; none from a single point."""
    found = {curve.axis: curve for curve in curves(results)}

    assert found[EVENTS].points == {1_000: 2.0, 10_000: 20.0}
    assert found[CHANGES].points == {10: 1.0, 100: 1.0}
    assert len(found) == 2


def test_json_lines_can_be_read_again(results: Results, tmp_path: Path) -> None:
    """Each row has its numbers, calhub's the targets, the others' the ratio; reading gives the same results."""
    path = tmp_path / "results.jsonl"
    results.write(path, [curve.shape() for curve in curves(results)])

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    again = Results.read(path)

    peer = next(line for line in lines if line.get("who") == "vdirsyncer" and line["size"] == 10_000)
    assert (peer["min"], peer["median"], peer["max"], peer["ratio"]) == (20.0, 40.0, 60.0, 0.5)
    rate = next(line for line in lines if line.get("case") == "import and index" and line["who"] == "calhub")
    assert [target["met"] for target in rate["targets"]] == [False]
    assert [line["growth"] for line in lines if "growth" in line] == ["first pull", "remote changes"]
    assert list(again.groups()) == list(results.groups())
    assert (again.conditions, again.left_out) == (results.conditions, results.left_out)


def test_page(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has each case with its verdicts, what was left out, and the plot; all tables are whole."""
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(report, "PLOT", tmp_path / "plot.svg")

    report.document(results)

    lines = (tmp_path / "page.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| import and index"))
    assert "| 4,000/s | khal 500/s | 0.12 |" in row
    assert row.endswith("| 5,000/s: UNMET |")
    assert "- khal at 100,000 events" in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {len(report.COLUMNS) + 1, 5}
    assert (tmp_path / "plot.svg").read_text() == plot(curves(results))


def test_plot_is_svg(results: Results) -> None:
    """One panel for each axis, one line for each curve, and the exponents as text."""
    root = ElementTree.fromstring(plot(curves(results)))

    svg = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{svg}g")) == 2
    assert len(list(root.iter(f"{svg}polyline"))) == 2
    assert "first pull: exponent 1.00" in [text.text for text in root.iter(f"{svg}text")]
