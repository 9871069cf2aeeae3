"""The daemon's parts: each may die or hang, and is started again; and what systemd hears of it all."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.daemon.rig import DEADLINE, Daemon, Pair, eventually

from calhub.daemon.child import EngineChild
from calhub.daemon.front import _Http, listen
from calhub.daemon.settings import Settings
from calhub.daemon.supervisor import Component, Supervisor
from calhub.hub.database import Hub


def supervised(part: Component, play: Callable[[Supervisor], Awaitable[None]]) -> None:
    """Play with a part while a supervisor keeps it."""

    async def run() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        supervisor = Supervisor([part])
        running = asyncio.create_task(supervisor.run(stop, ready.set))
        try:
            async with asyncio.timeout(DEADLINE):
                await ready.wait()
                await play(supervisor)
        finally:
            stop.set()
            await running

    asyncio.run(run())


async def restarted(supervisor: Supervisor, part: Component) -> None:
    before = supervisor.restarts[part.name]
    while supervisor.restarts[part.name] == before:
        await asyncio.sleep(0.01)


def test_an_engine_that_hangs_is_killed_and_started_again(home: Path) -> None:
    """It is stopped dead, so that nothing is heard of it; whoever waits for its answer is told, and may ask again."""
    Hub.open(home).close()
    child = EngineChild(home, Settings(), silence=3)
    wish = {"account": None, "calendar": None, "full": False, "dry_run": False, "timeout": None}

    async def play(supervisor: Supervisor) -> None:
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        asked = asyncio.create_task(child.order(wish))
        await restarted(supervisor, child)
        with pytest.raises(Exception, match="ask again"):
            await asked
        assert child.pid not in (None, first)
        assert await child.order(wish) == []

    supervised(child, play)


def test_a_web_server_that_ends_is_started_again() -> None:
    """At the same address: its socket is not closed meanwhile, so that who comes then only waits."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("well"))])
    with listen("127.0.0.1", 0) as sock:
        part, url = _Http(app, sock), f"http://127.0.0.1:{sock.getsockname()[1]}/"

        async def ask() -> str:
            async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
                return (await client.get(url)).text

        async def play(supervisor: Supervisor) -> None:
            assert await ask() == "well"
            assert part._server is not None
            part._server.should_exit = True
            answer = asyncio.create_task(ask())
            await restarted(supervisor, part)
            assert await answer == "well"

        supervised(part, play)


class Systemd:
    """The socket to which a service tells how it is."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._heard: SimpleQueue[str] = SimpleQueue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def hears(self, message: str) -> None:
        """Wait for a message; only those of the watchdog may come before it."""
        while (heard := self._heard.get(timeout=DEADLINE)) == "WATCHDOG=1" != message:
            pass
        assert re.fullmatch(message, heard)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)  # the thread reads an empty message
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while heard := self._socket.recv(4096):
            self._heard.put(heard.decode())


@pytest.fixture
def systemd(tmp_path: Path, serving: Daemon) -> Iterator[Systemd]:
    made = Systemd(tmp_path / "notify")
    serving.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    yield made
    made.close()


def test_systemd_hears_how_it_is(serving: Daemon, systemd: Systemd) -> None:
    """Ready once all of it works, alive as long as the engine is, reloading and ready again, stopping."""
    serving.start()
    systemd.hears("READY=1")
    assert serving.get("health").status_code == 200
    systemd.hears("WATCHDOG=1")
    serving.signal(signal.SIGHUP)
    systemd.hears(r"RELOADING=1\nMONOTONIC_USEC=\d+")
    systemd.hears("READY=1")
    systemd.hears("WATCHDOG=1")
    assert serving.stop() == 0
    systemd.hears("STOPPING=1")


def test_a_sync_beside_the_daemon(serving: Daemon, pair: Pair) -> None:
    """It takes its turn like any other pass, and ends with 3 only where it never got one."""
    serving.start()
    pair.put_remote("r", "from the server")
    eventually(lambda: _syncs(serving), "a sync by hand")
    eventually(lambda: pair.agree_on({"r": "from the server"}), "what it brought")
    serving.stop()
    pair.assert_whole()


def _syncs(serving: Daemon) -> bool:
    """Whether ``calhub sync`` had its turn; the daemon may be at it just then."""
    runs = serving.calhub("sync", code=None)["runs"]
    return all(run["status"] == "ok" for run in runs)
