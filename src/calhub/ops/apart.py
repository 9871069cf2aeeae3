"""Pure work in a second process, so that this one can write to the database meanwhile.

Jobs and results go through pipes, pickled. The second process lives as long as its standard input is open: it ends
with this one, also when this one is killed. Whatever becomes of it, the results are the same: what it has not done is
done here.

    with Apart("numbers", "double") as helper:      # def double(some): yield from (2 * number for number in some)
        helper.give([1, 2])
        helper.give([3])
        list(helper.take())            # [2, 4]
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

J = TypeVar("J")
R = TypeVar("R")


class Apart(Generic[J, R]):
    """Runs a module's function from job to results, one without side effects, on job after job.

    It is named, so that this process need not load what it will hardly use. Jobs are kept until their results are
    taken, here and there; the caller bounds how many he gives before he takes.
    """

    def __init__(self, module: str, function: str) -> None:
        self._work = (module, function)
        self._jobs: deque[J] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = False

    def start(self) -> None:
        """Start the second process, which takes a moment; otherwise the first job does."""
        if self._process is None and not self._failed:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", __name__, *self._work],  # -P: nothing from the folder one is in
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    pipesize=_PIPE,
                    start_new_session=True,  # an interrupt from the terminal is for this process alone
                )  # fmt: skip
            except OSError:
                self._failed = True

    def give(self, job: J) -> None:
        """Have a job done."""
        self._jobs.append(job)
        self.start()
        if self._process is not None and not self._failed:
            assert self._process.stdin is not None
            try:
                pickle.dump(job, self._process.stdin, pickle.HIGHEST_PROTOCOL)
                self._process.stdin.flush()
            except OSError:
                self.close()

    def take(self) -> Iterator[R]:
        """The results of the oldest job, as they come; to be taken to the last before those of the next."""
        job = self._jobs[0]
        taken = 0
        if not self._failed:
            for result in self._received():
                taken += 1
                yield result
        if self._failed:
            yield from islice(_function(*self._work)(job), taken, None)
        self._jobs.popleft()

    def close(self) -> None:
        """End the second process; jobs that are left would be done here. Idempotent."""
        self._failed = True
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _received(self) -> Iterator[R]:
        """Results up to the mark that ends a job. A second process that ends before that has failed."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            while (results := pickle.load(self._process.stdout)) is not None:
                yield from results
        except (OSError, EOFError, pickle.UnpicklingError):
            self.close()


#: Bytes of results that may wait to be taken while the second process goes on; where the system allows it.
_PIPE = 1024 * 1024

#: Results sent together.
_AT_ONCE = 100


def main(module: str, name: str) -> None:
    """The second process: job after job from standard input, results to standard output."""
    work = _function(module, name)
    jobs: SimpleQueue[Any] = SimpleQueue()
    # Read apart from the work: else both processes could wait for each other, each with a full pipe.
    Thread(target=_read, args=(jobs,), daemon=True).start()
    while (job := jobs.get()) is not None:
        results = work(job)
        while some := list(islice(results, _AT_ONCE)):
            _write(some)
        _write(None)


def _function(module: str, name: str) -> Callable[[Any], Iterator[Any]]:
    found: Callable[[Any], Iterator[Any]] = getattr(import_module(module), name)
    return found


def _read(jobs: SimpleQueue[Any]) -> None:
    with suppress(EOFError, pickle.UnpicklingError):
        while True:
            jobs.put(pickle.load(sys.stdin.buffer))
    jobs.put(None)


def _write(results: list[Any] | None) -> None:
    pickle.dump(results, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
