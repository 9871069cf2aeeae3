"""Running and timing what is measured."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.results import Results

#: Nobody waits longer for one command; who needs more is left out, and the table says so.
PATIENCE = 600.0
_LARGE = 100_000
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Run:
    """What is to be measured, how often, and where the values go. ``only`` empty: every part."""

    results: Results
    only: frozenset[str]
    repeats: int

    def wants(self, *parts: str) -> bool:
        """Whether any of these parts is asked for."""
        return not self.only or not self.only.isdisjoint(parts)

    def turns(self, people: Sequence[str], size: int, *, long: bool = False) -> Iterator[Sequence[str]]:
        """Each repeat with everybody in it, in an order that rotates, so that nobody always comes first.

        What takes ``long`` is done once with 100,000 events or more.
        """
        for turn in range(1 if long and size >= _LARGE else self.repeats):
            start = turn % len(people)
            yield [*people[start:], *people[:start]]


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Seconds by the wall clock that ``work(*arguments)`` takes."""
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


class CommandFailed(RuntimeError):
    """A measured command failed, or took longer than `PATIENCE`; a time of a failure would be a lie."""


Command = Sequence[str | Path]


def run(command: Command, env: Mapping[str, str] | None = None, given: str = "") -> str:
    """Run a command to its end and return its output. Raises `CommandFailed` unless it ended with 0 or 4."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, env=env, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"took more than {PATIENCE / 60:.0f} minutes") from None
    if done.returncode not in (0, 4):
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CommandFailed(f"exit {done.returncode}: {' '.join(said[-5:])}")
    return done.stdout


def peak_megabytes(command: Command, env: Mapping[str, str] | None = None) -> float:
    """The most memory (resident set, 10^6 bytes) a command has at any time. Raises `CommandFailed`.

    A small process in between starts it: Linux counts the starter's own memory as the command's.
    """
    kibibytes = run([sys.executable, "-S", "-c", _PEAK, *command], env=env)
    return int(kibibytes) * 1024 / 1e6
