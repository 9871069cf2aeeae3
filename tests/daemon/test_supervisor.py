"""Components start in order, come back, and stop in reverse; what systemd hears of it."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from calhub.daemon.notify import notify, watchdog_seconds
from calhub.daemon.supervisor import Supervisor


class Part:
    """A component that ends when told to."""

    def __init__(self, name: str, log: list[str], fails: int = 0) -> None:
        self.name = name
        self._log = log
        self.fails = fails
        self.dead = asyncio.Event()

    async def start(self) -> None:
        self._log.append(f"start {self.name}")
        if self.fails:
            self.fails -= 1
            raise OSError("no room")
        self.dead.clear()

    async def ended(self) -> str:
        await self.dead.wait()
        return "killed"

    async def stop(self) -> None:
        self._log.append(f"stop {self.name}")


class Pauses:
    """Virtual time: each pause is over at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def clock(self) -> float:
        return self.now


def test_in_order_and_in_reverse() -> None:
    async def play() -> list[str]:
        log: list[str] = []
        stop = asyncio.Event()

        def ready() -> None:
            log.append("ready")
            stop.set()

        await Supervisor([Part("a", log), Part("b", log)]).run(stop, ready)
        return log

    assert asyncio.run(play()) == ["start a", "start b", "ready", "stop b", "stop a"]


def test_what_cannot_start_ends_all() -> None:
    async def play() -> list[str]:
        log: list[str] = []
        with pytest.raises(OSError, match="no room"):
            await Supervisor([Part("a", log), Part("b", log, fails=1)]).run(asyncio.Event())
        return log

    assert asyncio.run(play()) == ["start a", "start b", "stop a"]


def test_what_dies_is_started_again_after_ever_longer_pauses() -> None:
    """Also when it cannot be started for a while; after a minute of health the pauses are short again."""

    async def play() -> tuple[list[str], list[float], int]:
        log: list[str] = []
        part, pauses, stop = Part("a", log), Pauses(), asyncio.Event()
        supervisor = Supervisor([part], sleep=pauses.sleep, clock=pauses.clock)
        ready = asyncio.Event()
        running = asyncio.create_task(supervisor.run(stop, ready.set))
        await ready.wait()
        for fails, healthy in ((0, 0), (3, 0), (0, 100)):
            pauses.now += healthy
            part.fails = fails
            before = supervisor.restarts["a"]
            part.dead.set()
            while supervisor.restarts["a"] == before:
                await asyncio.sleep(0)
        stop.set()
        await running
        return log, pauses.slept, supervisor.restarts["a"]

    log, slept, restarts = asyncio.run(play())
    assert slept == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 0.2])
    assert restarts == 3
    assert log == ["start a"] * 7 + ["stop a"]


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notify("READY=1", "STATUS=fine")
        assert systemd.recv(100) == b"READY=1\nSTATUS=fine"
        for _ in range(2000):  # nobody reads: more than the system keeps
            notify("WATCHDOG=1")
    notify("READY=1")  # systemd is gone
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")


def test_the_watchdog_asks_only_who_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watchdog_seconds() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_seconds() == 15
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_seconds() == 15
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_seconds() is None
