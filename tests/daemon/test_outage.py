"""How soon everything is in step again after a server was gone: schedule, breaker and engine together, in virtual time.

The server is real, and its port is closed while it is gone; only the time between passes is virtual, and none passes
during one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.daemon.cable import Cable, State
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


class Place:
    """A calendar at a server behind a cable and in a folder, and who keeps them in step."""

    def __init__(self, hub: Hub, clock: VirtualClock, pair: Pair, cable: Cable) -> None:
        self.keeper, self.pair, self.cable = Keeper(hub, clock), pair, cable
        pair.put("before", "before")
        self.keeper.until_agreed(pair, {"before": "before"})

    def outage(self, how: State, seconds: float) -> float:
        """Cut the cable while both sides write; returns how long after its mending everything was in step."""
        self.cable.cut(how)
        self.pair.put("file", "while it was gone")
        self.pair.put_remote("there", "made there")
        self.keeper.until(self.keeper.now + seconds)
        self.cable.mend()
        everything = {"before": "before", "file": "while it was gone", "there": "made there"}
        return self.keeper.until_agreed(self.pair, everything)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr("calhub.providers.layers.LONGEST", 0.0)  # real seconds between attempts
    clock = VirtualClock(utc_now())
    with DavServer() as dav, closing(Cable(dav.url)) as cable:
        pair = Pair(tmp_path, dav, cable.url)
        pair.connect(Daemon(tmp_path / "home", tmp_path / "log"))
        with Hub.open(pair.hub, clock=clock) as hub:
            yield Place(hub, clock, pair, cable)
        pair.assert_whole()


@pytest.mark.parametrize(("gone", "within"), [(20, 30), (60, 60), (300, 330), (3600, 330), (86400, 330)])
def test_in_step_again_soon(place: Place, gone: float, within: float) -> None:
    """At once after a minute, before the breaker opens; after its pause and a little by chance where it was longer."""
    assert place.outage("refused", gone) <= within


def test_a_network_that_swallows_everything_is_no_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says that nothing will come; what is asked for ends all the same, as often as it is tried."""
    monkeypatch.setattr("calhub.providers.http.READ_SECONDS", 0.1)
    monkeypatch.setattr("calhub.providers.caldav.client.REPORT_SECONDS", 0.1)
    assert place.outage("silent", 300) <= 330
    assert place.pair.creations() == [*dict.fromkeys(place.pair.creations())]
