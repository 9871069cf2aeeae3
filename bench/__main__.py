"""``python -m bench``: run by ``make bench``."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from bench import asking, providers, report, ruling, serving, syncing
from bench.growth import curves
from bench.measure import Run
from bench.results import Results
from bench.tools import PEERS

PARTS = (*asking.PARTS, *syncing.PARTS, *providers.PARTS, *ruling.PARTS, *serving.PARTS)
RESULTS = Path(".bench/results.jsonl")


def main() -> int:
    """Measure, print the tables, write the JSON lines. 1 when the peers are not installed."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 200)
    if options.report:
        results = Results.read(options.output)
        report.show(results, console)
        report.document(results)
        return 0
    if not (PEERS / "vdirsyncer").exists():
        console.print("The peers are not installed; run: make bench")
        return 1
    began = time.monotonic()
    results = Results(_conditions(), tell=lambda line: console.print(f"[dim]{line}[/]", highlight=False))
    run = Run(results, options.only, options.repeats)
    for size in options.sizes:
        for room in (asking, syncing, providers, ruling, serving):
            if run.wants(*room.PARTS):
                room.measure(run, size, _memory())
                results.write(options.output, [curve.shape() for curve in curves(results)])
    report.show(results, console)
    console.print(f"{(time.monotonic() - began) / 60:.0f} minutes. Every value: {options.output}", highlight=False)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed of calhub beside vdirsyncer and khal.")
    parser.add_argument("--sizes", type=_sizes, default="1000,10000", help="numbers of events (%(default)s)")
    parser.add_argument("--only", type=_parts, default="", help=f"some parts only, of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (%(default)s)")
    parser.add_argument("--output", type=Path, help=f"the JSON lines ({RESULTS}, with --only a file of its own)")
    parser.add_argument(
        "--report", action="store_true", help=f"measure nothing; write {report.PAGE} from the JSON lines"
    )
    options = parser.parse_args()
    part = "".join(f"-{each}" for each in sorted(options.only))
    options.output = options.output or RESULTS.with_stem(RESULTS.stem + part)
    return options


def _sizes(text: str) -> list[int]:
    sizes = [int(size) for size in text.split(",")]
    if min(sizes) < 1000:
        raise argparse.ArgumentTypeError("the cases need at least 1,000 events")
    return sizes


def _parts(text: str) -> frozenset[str]:
    parts = frozenset(filter(None, text.split(",")))
    if unknown := parts.difference(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return parts


def _conditions() -> dict[str, str]:
    """What the figures depend on besides the code."""
    return {
        "date": str(date.today()),
        "calhub": _output("git", "describe", "--always", "--dirty") or "unknown",
        **{name: _version(name) for name in report.PEERS},
        "Radicale": version("radicale"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "cores": f"{os.cpu_count()} ({platform.machine()})",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _version(peer: str) -> str:
    return _output(PEERS / peer, "--version").split()[-1]


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _memory() -> str | None:
    """In memory where possible: what is compared is programs, not disks."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
