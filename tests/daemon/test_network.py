"""The network between a daemon and a server fails: nothing is lost, nothing is made twice, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.daemon.cable import Cable
from tests.daemon.rig import Daemon, Pair, Storm, eventually

from calhub.testing.davserver import DavServer, Reply, Request


@pytest.fixture
def dav() -> Iterator[DavServer]:
    with DavServer() as made:
        yield made


@pytest.fixture
def cable(dav: DavServer) -> Iterator[Cable]:
    with closing(Cable(dav.url)) as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, serving: Daemon, dav: DavServer, cable: Cable) -> Pair:
    made = Pair(tmp_path, dav, cable.url)
    made.connect(serving)
    return made


def test_a_server_that_nobody_reaches(serving: Daemon, pair: Pair, cable: Cable) -> None:
    """Its port is closed, as while it is being restarted. What either side writes meanwhile arrives when it is back."""
    serving.start()
    pair.put("before", "before")
    eventually(lambda: pair.agree_on({"before": "before"}), "the first event")

    cable.cut("refused")
    pair.put("file", "while it was gone")
    made = serving.calhub("event", "add", "--calendar", "Work", "--title", "by hand", "--start", "2026-11-24T10:00")
    serving.calhub("event", "edit", "before", "--title", "edited")
    pair.put_remote("there", "made there")
    eventually(lambda: pair.failures() > 0, "it is tried in vain")
    cable.mend()

    everything = {"before": "edited", "file": "while it was gone", "there": "made there", made["uid"]: "by hand"}
    eventually(lambda: pair.agree_on(everything), "everything everywhere")
    serving.stop()
    pair.assert_whole()
    assert len(pair.creations()) == len(set(pair.creations()))


def test_connections_break_in_a_storm(serving: Daemon, pair: Pair, cable: Cable) -> None:
    """Before requests arrive and after: what was written last is everywhere in the end."""
    serving.start()
    with Storm(pair, edits=300, seed=2) as storm:
        eventually(lambda: storm.made > 100, "the storm")
        cable.cut("reset")
        eventually(lambda: cable.swallowed > 0, "nobody is let through")
        cable.mend()
        eventually(lambda: storm.made > 200, "the storm")
        cable.cut("deaf")
        eventually(lambda: cable.swallowed > 0, "an answer is swallowed")
        cable.mend()

    eventually(lambda: pair.agree_on(storm.titles), "everything everywhere")
    serving.stop()
    pair.assert_whole()


def test_a_network_that_swallows_everything_does_not_keep_it(serving: Daemon, pair: Pair, cable: Cable) -> None:
    """A write arrives, nobody hears of it: it ends when asked to, and the next start finds what was made."""
    titles = {f"e{number}": f"event {number}" for number in range(5)}
    for uid, title in titles.items():
        pair.put(uid, title)

    def deafen(request: Request) -> Reply | None:
        if request.method == "PUT":
            pair.dav.answerers.remove(deafen)
            cable.cut("deaf")
        return None

    pair.dav.answerers.append(deafen)
    serving.start()
    eventually(lambda: cable.swallowed > 0, "a write of which nobody knows what came")
    assert pair.open_intents() > 0
    assert serving.stop() == 0

    cable.mend()
    serving.start()
    eventually(lambda: pair.agree_on(titles), "everything everywhere")
    serving.stop()
    pair.assert_whole()
    assert len(pair.creations()) == len(set(pair.creations())) == len(titles)


def test_a_daemon_is_killed_while_nobody_answers(serving: Daemon, pair: Pair, cable: Cable) -> None:
    """The same by kill -9, in a network that swallows requests, too."""
    serving.start()
    eventually(lambda: pair.passes() >= 2, "the first passes")
    cable.cut("silent")
    pair.put("e", "event")
    eventually(lambda: cable.swallowed > 0, "something is swallowed")
    serving.kill()

    cable.mend()
    serving.start()
    eventually(lambda: pair.agree_on({"e": "event"}), "the event everywhere")
    serving.stop()
    pair.assert_whole()
