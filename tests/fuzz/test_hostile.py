"""No input, up to the size that is read at all, takes a reader out of bounds: each in a process with limits."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.hostile import CASES

ROOT = Path(__file__).parents[2]
#: Several times what the worst case takes. A reader that is out of bounds takes hours, or all memory.
SECONDS = 30
MEMORY = 1536 * 1024 * 1024


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.parametrize("name", CASES)
def test_within_limits(name: str) -> None:
    """It ends in time and memory, with a result or with the error that callers know."""
    command = [sys.executable, "-m", "tests.fuzz.hostile", name]
    done = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
