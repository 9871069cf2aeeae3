"""What goes wrong around a daemon: nothing is lost, nothing is there twice, and it goes on by itself."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from tests.daemon.rig import Daemon, Pair, Storm, eventually

from calhub.testing.davserver import Reply, Request

DAY = {"start": {"date": "2026-11-23"}, "end": {"date": "2026-11-24"}}


def test_a_storm_of_files_becomes_few_passes(serving: Daemon, pair: Pair) -> None:
    serving.start()
    titles = {}
    for number in range(1000):
        uid = f"f{number % 50}"
        titles[uid] = f"edit {number}"
        pair.put(uid, titles[uid])

    eventually(lambda: pair.agree_on(titles), "all of it at the server")
    assert pair.passes() < 100
    serving.stop()
    pair.assert_whole()


def test_killed_in_a_storm(serving: Daemon, pair: Pair) -> None:
    """kill -9, again and again, of either process: what all three places hold in the end is what was written last."""
    with Storm(pair, edits=400, seed=1) as storm:
        serving.start()
        eventually(lambda: storm.made > 100, "the storm")
        serving.kill()
        serving.start()
        eventually(lambda: storm.made > 200, "the storm")
        assert serving.engine is not None
        os.kill(serving.engine, signal.SIGKILL)
        eventually(lambda: storm.made > 300, "the storm")
        serving.kill()
    serving.start()

    eventually(lambda: pair.agree_on(storm.titles), "everything everywhere")
    serving.stop()
    pair.assert_whole()


def test_a_killed_engine_is_started_again(serving: Daemon, pair: Pair) -> None:
    """Meanwhile the front answers; afterwards changes go on their way."""
    serving.start()
    first = serving.engine
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert serving.get("health").status_code == 200
    eventually(lambda: serving.engine not in (None, first), "another engine")

    pair.put("f", "afterwards")
    eventually(lambda: pair.agree_on({"f": "afterwards"}), "the change")


def test_the_engine_ends_with_its_front(serving: Daemon) -> None:
    serving.start()
    engine = serving.engine
    assert engine is not None
    serving.kill()
    eventually(lambda: not _runs(engine), "the engine ends")
    serving.start()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"  # nobody may be there to bury it


def test_a_server_that_is_gone_for_a_while(serving: Daemon, pair: Pair) -> None:
    """What is written meanwhile waits; when the server is back it gets there without anybody's help."""
    gone = threading.Event()

    def answer(_: Request) -> Reply | None:
        return Reply(503) if gone.is_set() else None

    pair.dav.answerers.append(answer)
    serving.start()
    pair.put("before", "before")
    eventually(lambda: pair.agree_on({"before": "before"}), "the first event")
    gone.set()
    asked = len(pair.dav.requests)
    pair.put("while", "while it was gone")
    pair.put_remote("there", "made there")
    eventually(lambda: len(pair.dav.requests) > asked, "it is tried")
    gone.clear()

    everything = {"before": "before", "while": "while it was gone", "there": "made there"}
    eventually(lambda: pair.agree_on(everything), "everything everywhere")
    serving.stop()
    pair.assert_whole()
