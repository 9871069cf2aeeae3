"""Programs that write by the API while the daemon is killed, and send again what they had no answer to."""

from __future__ import annotations

import threading
from itertools import count

import httpx
from tests.daemon.rig import Daemon, Pair, eventually


class Writer:
    """Adds events in a thread until the block ends, each with a key of its own, every fourth one atomically."""

    def __init__(self, daemon: Daemon) -> None:
        self.titles: dict[str, str] = {}  # by key, of those that were answered
        self.repeated = 0
        self._daemon = daemon
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        for number in count():
            if self._over.wait(0.01):
                return
            key, title, mode = f"key-{number}", f"event {number}", "queued" if number % 4 else "atomic"
            pause = threading.Event()
            while not self._post(key, title, mode):
                self.repeated += 1
                pause.wait(0.05)
            self.titles[key] = title

    def _post(self, key: str, title: str, mode: str) -> bool:
        """Whether the event is known to be there."""
        event = {"calendar": "Work", "title": title, "start": "2026-11-24T10:00", "duration": "1h"}
        url = f"{self._daemon.url}api/v1/events?mode={mode}"
        try:
            answer = httpx.post(url, json=event, headers={"Idempotency-Key": key}, trust_env=False, timeout=60)
        except httpx.TransportError:
            return False  # killed before it answered
        code = answer.json().get("code", "")
        assert answer.status_code == 201 or code in ("exists", "busy", "atomic-failed", "too-many-requests"), (
            answer.text
        )
        return answer.status_code == 201 or code == "exists"


def test_killed_while_programs_write(serving: Daemon, pair: Pair) -> None:
    """kill -9 in the middle of queued and atomic writes: who sends a request again makes one event, everywhere."""
    serving.start()
    with Writer(serving) as writer:
        for answered in (10, 20, 30):
            eventually(lambda answered=answered: len(writer.titles) >= answered, "writes")  # type: ignore[misc]
            serving.kill()
            serving.start()

    assert sorted(pair.titles().values()) == sorted(writer.titles.values())
    eventually(lambda: pair.agree_on(pair.titles()), "all of them everywhere")
    assert writer.repeated > 0, "no request was cut off"
    serving.stop()
    pair.assert_whole()
    assert len(pair.creations()) == len(set(pair.creations()))
