"""How soon everything is in step again after a server was gone: schedule, breaker and engine together, in virtual time.

The server is real, and its port is closed while it is gone; only the time between passes is virtual, and none passes
during one.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.daemon.cable import Cable
from tests.daemon.rig import Daemon, Pair

from calhub.daemon.engine import subject_of
from calhub.daemon.schedule import Schedule
from calhub.daemon.work import Work
from calhub.hub import news
from calhub.hub.changes import last_seq
from calhub.hub.database import Hub, utc_now
from calhub.testing.davserver import DavServer
from calhub.testing.world import VirtualClock


class Keeper:
    """What the engine does with schedule and work, one job after the other; ``clock`` is all the time there is."""

    def __init__(self, hub: Hub, clock: VirtualClock) -> None:
        self._hub, self._clock = hub, clock
        self._schedule = Schedule()
        self._work = Work(hub, stop=lambda: False)
        self._seq = 0

    @property
    def now(self) -> float:
        return self._clock().timestamp()

    def until(self, end: float) -> None:
        """Let the time pass, with all that is due in it."""
        while True:
            self._step()
            due = self._schedule.next_due()
            assert due is not None  # no job is under way
            if due > end:
                break
            self._clock.advance(seconds=max(due - self.now, 0.001))
        self._clock.advance(seconds=end - self.now)

    def until_agreed(self, pair: Pair, titles: dict[str, str]) -> float:
        """Go on until all three places hold this; returns the seconds it took."""
        begin = self.now
        while not pair.agree_on(titles):
            assert self.now < begin + 3600
            self.until(self.now + 1)
        return self.now - begin

    def _step(self) -> None:
        with self._hub.read() as conn:
            standing = news.standing(conn)
            touched = news.touched_since(conn, self._seq)
            self._seq = last_seq(conn)
        self._schedule.arrange([subject_of(each, set()) for each in standing], self.now)
        for replica in news.to_be_told(touched, standing):
            self._schedule.poke(replica, self.now)
        for job in self._schedule.take(self.now):
            _, found = self._work.run(job)
            for replica, outcome, again in found:
                self._schedule.done(replica, outcome, self.now, again=again)
            self._schedule.end(job, self.now)


@pytest.mark.parametrize("gone", [20, 60, 100, 300, 3600, 86400])
def test_in_step_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: float) -> None:
    """After no longer than it was gone, five minutes at most, and half a minute more for chance."""
    monkeypatch.setattr("calhub.providers.layers.LONGEST", 0.0)  # real seconds between attempts
    clock = VirtualClock(utc_now())
    with DavServer() as dav, closing(Cable(dav.url)) as cable:
        pair = Pair(tmp_path, dav, cable.url)
        pair.connect(Daemon(tmp_path / "home", tmp_path / "log"))
        with Hub.open(pair.hub, clock=clock) as hub:
            keeper = Keeper(hub, clock)
            pair.put("before", "before")
            keeper.until_agreed(pair, {"before": "before"})

            cable.cut("refused")
            pair.put("file", "while it was gone")
            pair.put_remote("there", "made there")
            keeper.until(keeper.now + gone)
            cable.mend()

            everything = {"before": "before", "file": "while it was gone", "there": "made there"}
            took = keeper.until_agreed(pair, everything)
        assert took <= min(gone, 300) + 30
        pair.assert_whole()
