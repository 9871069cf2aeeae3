"""The events of the benchmarks: those of `calhub.testing.corpus`, laid around today.

The hub keeps occurrences ready from a year back to three years ahead; that is where the questions are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from calhub.testing import corpus

MIDDLE: Final = date.today()


def samples(count: int, *, first: int = 0) -> Iterator[corpus.Sample]:
    """``count`` objects from number ``first`` on, spread a year to both sides of `MIDDLE`."""
    return corpus.samples(count, first=first, around=MIDDLE)
