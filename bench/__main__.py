"""``python -m bench``: run by ``make bench``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench import asking, syncing
from bench.measure import Results
from bench.tools import PEERS


def main() -> int:
    """Measure, print the table, write the JSON lines. 1 when the peers are not installed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed of calhub beside vdirsyncer and khal.")
    parser.add_argument("--sizes", default="1000,10000", help="numbers of events, with commas (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument(
        "--only", choices=("sync", "ask"), help="only syncing, or only import, agenda, search and edits"
    )
    parser.add_argument("--output", type=Path, default=Path(".bench/results.jsonl"), help="JSON lines (%(default)s)")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if min(sizes) < 1000:
        parser.error("the cases need at least 1,000 events")
    console = Console(width=None if sys.stdout.isatty() else 140)
    if not (PEERS / "vdirsyncer").exists():
        console.print("The peers are not installed; run: make bench")
        return 1
    results = Results(console)
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    parts = {"ask": asking.measure, "sync": syncing.measure}
    for size in sizes:
        for part, measure in parts.items():
            if options.only in (None, part):
                # In memory where possible: what is compared is programs, not disks.
                with tempfile.TemporaryDirectory(prefix="calhub-bench-", dir=_memory()) as root:
                    measure(results, Path(root), size, options.repeats)
                results.write(options.output)
    results.print()
    console.print(f"Every value: {options.output}")
    return 0


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
