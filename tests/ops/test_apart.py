"""Work in a second process: the same results whatever becomes of it, and nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calhub.ops.apart import Apart


def where(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Each number with the process it was seen in."""
    for number in numbers:
        yield number, os.getpid()


def dies(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Ends the process at 250, unless that is the one of the tests."""
    for number in numbers:
        if number == 250 and "pytest" not in sys.modules:
            os._exit(1)
        yield number, os.getpid()


def refuses(numbers: list[int]) -> Iterator[int]:
    yield from numbers
    raise ValueError("three")


def holds(fifo: str) -> Iterator[str]:
    """Keeps a file open for as long as the process lives."""
    os.write(os.open(fifo, os.O_WRONLY), b"here\n")  # never closed
    yield fifo


@pytest.fixture(autouse=True)
def this_module_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def apart(work: str) -> Apart[list[int], tuple[int, int]]:
    return Apart(__name__, work)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_come_in_order_from_another_process() -> None:
    """Jobs larger than any pipe are given before results are taken; the process is gone afterwards."""
    with apart("where") as helper:
        for first in range(0, 300_000, 100_000):
            helper.give(list(range(first, first + 100_000)))
        found = [each for _ in range(3) for each in helper.take()]

    assert [number for number, _ in found] == list(range(300_000))
    (pid,) = {pid for _, pid in found}
    assert pid != os.getpid()
    assert not is_alive(pid)


@pytest.mark.parametrize("work", ["dies", "where"])
def test_what_was_not_done_there_is_done_here(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies in the middle of its work, or cannot be started, changes no result."""
    if work == "where":
        monkeypatch.setattr(sys, "executable", "/nonexistent")
    with apart(work) as helper:
        helper.give(list(range(1000)))
        helper.give([1, 2, 3])
        found = [number for _ in range(2) for number, _ in helper.take()]

    assert found == [*range(1000), 1, 2, 3]


def test_an_error_of_the_work_is_raised_here() -> None:
    """As if the work had been done here, after the results that come before it."""
    helper: Apart[list[int], int] = Apart(__name__, "refuses")
    with helper:
        helper.give([1, 2])
        results = helper.take()

        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)


def test_nothing_is_taken_from_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is named like a module of Python's is not run."""
    (tmp_path / "queue.py").write_text("open('run', 'w')")
    (tmp_path / "pickle.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    with apart("where") as helper:
        helper.give([1])
        ((_, pid),) = helper.take()

    assert pid != os.getpid()
    assert not (tmp_path / "run").exists()


def test_left_in_the_middle() -> None:
    """Who stops taking leaves no process behind."""
    with apart("where") as helper:
        helper.give(list(range(1_000_000)))
        _, pid = next(helper.take())

    assert not is_alive(pid)


def test_it_does_not_outlive_a_killed_process(tmp_path: Path) -> None:
    """A second process whose first one was killed ends by itself, and lets go of what it had open."""
    fifo = tmp_path / "open while it lives"
    os.mkfifo(fifo)
    script = (
        "import sys; from calhub.ops.apart import Apart\n"
        f"helper = Apart({__name__!r}, 'holds'); helper.give(sys.argv[1]); next(helper.take()); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(fifo)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path.cwd()) as first, fifo.open() as reading:
        assert reading.readline() == "here\n"
        first.send_signal(signal.SIGKILL)

        assert reading.read() == ""  # comes when nobody has it open any more
