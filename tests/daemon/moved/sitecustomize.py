"""Python imports this in each process of a daemon under test that finds it in its path: the clock becomes movable.

It goes as many seconds ahead of the real one as the file ``CALHUB_TEST_CLOCK`` says, from whenever the file says so.
The monotonic clock is left alone, as it is when somebody sets the clock of a machine.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import time_machine


class MovedClock:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = 0.0
        self._clock = time_machine.travel(datetime.now(UTC)).start()

    def look(self) -> None:
        """Move the clock if the file says something else than before."""
        asked = float(self._file.read_text())
        if asked != self._ahead:
            self._clock.shift(asked - self._ahead)
            self._ahead = asked

    def follow(self) -> None:
        tick = threading.Event()
        while not tick.wait(0.01):
            self.look()


moved = MovedClock(Path(os.environ["CALHUB_TEST_CLOCK"]))
moved.look()
threading.Thread(target=moved.follow, name="moved clock", daemon=True).start()
