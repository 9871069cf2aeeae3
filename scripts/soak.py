"""`make soak`: plays made-up scenarios on the engine for as long as it is given, and shortens those that fail.

python scripts/soak.py --seconds 600 --seed 1 --workers 2
python scripts/soak.py --seed 4711 --runs 1        # one run again, with its story
python scripts/soak.py --services google,notion    # with remotes at emulated services
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice, takewhile

from calhub.testing.simulation.emulators import HABITS
from calhub.testing.simulation.soak import play_seed, shorten, stage, story

#: Runs a worker plays between two reports.
CHUNK = 100
#: Failures after which there is enough to mend.
ENOUGH = 10

Report = tuple[int, Counter[str], list[tuple[int, str]]]


def main() -> int:
    asked = _arguments()
    began = time.monotonic()
    reached: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    runs = 0
    end = asked.seed + (asked.runs or sys.maxsize)
    chunks = (
        (start, min(CHUNK, end - start)) for start in takewhile(lambda start: start < end, count(asked.seed, CHUNK))
    )
    services = tuple(filter(None, asked.services.split(",")))
    with ProcessPoolExecutor(asked.workers) as pool:
        waiting = [pool.submit(play_chunk, *chunk, services) for chunk in islice(chunks, asked.workers)]
        while waiting:
            done, seen, found = waiting.pop(0).result()
            runs, reached, failures = runs + done, reached + seen, failures + found
            for seed, text in found:
                print(
                    f"\nseed {seed} fails; again: make soak SEED={seed} RUNS=1 SERVICES={asked.services}\n{text}",
                    flush=True,
                )
            spent = time.monotonic() - began
            print(f"{runs} runs, {runs / spent:.1f} a second, {len(failures)} failed", file=sys.stderr, flush=True)
            if spent < asked.seconds and len(failures) < ENOUGH:
                waiting += [pool.submit(play_chunk, *chunk, services) for chunk in islice(chunks, 1)]
    _summary(runs, time.monotonic() - began, reached, failures)
    return 1 if failures else 0


def play_chunk(first: int, size: int, services: tuple[str, ...]) -> Report:
    """Some runs in a row, in a process of their own: how many, what they reached, and the stories of failures."""
    reached: Counter[str] = Counter()
    failures = []
    with stage() as on:
        for seed in range(first, first + size):
            played = play_seed(on, seed, services=services)
            # By run, not by event: how many runs came into a branch is what says how well it is tested.
            reached.update(played.reached.keys())
            if played.failure is not None:
                failures.append((seed, story(shorten(on, played))))
    return size, reached, failures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="begin no new runs after this time")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next ones count on")
    parser.add_argument("--runs", type=int, default=0, help="stop after so many")
    parser.add_argument("--workers", type=int, default=2, help="processes at once")
    parser.add_argument("--services", default="", help=f"emulated services to have remotes at: {', '.join(HABITS)}")
    return parser.parse_args()


def _summary(runs: int, spent: float, reached: Counter[str], failures: list[tuple[int, str]]) -> None:
    print(f"{runs} runs in {spent:.0f} s, {runs / spent:.1f} a second; {len(failures)} failed")
    print("How many runs came to it, the rarest first:")
    for name, times in sorted(reached.items(), key=lambda entry: entry[1]):
        print(f"{times:9}  {name}")


if __name__ == "__main__":
    sys.exit(main())
