"""The front: the process that answers, and that keeps the engine running."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from calhub.daemon.child import EngineChild
from calhub.daemon.notify import notify, watchdog_seconds
from calhub.daemon.settings import Settings
from calhub.daemon.supervisor import Supervisor
from calhub.daemon.webhooks import Webhooks
from calhub.hub.database import Hub
from calhub.hub.errors import HubError

#: Requests under way may take so long to end.
_FAREWELL_SECONDS: Final = 3
#: An engine heard of within this time is alive, as far as systemd's watchdog is concerned.
_FRESH_SECONDS: Final = 20.0


class Front:
    """The daemon of a hub, listening on ``sock``. ``reload`` is called at each SIGHUP, in a thread; see `go_by`.

    ``make_app`` gives the application that answers; it is handed the front, for `webhooks`, `order`, `load`, and
    ``stopping``, which is set when the end has begun. ``say`` is for what the person at the terminal should know.
    """

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        *,
        settings: Settings,
        reload: Callable[[], object],
        make_app: Callable[[Front], ASGIApp],
        say: Callable[[str], None],
    ) -> None:
        self.hub = hub
        self._say = say
        self._reload = reload
        self._engine = EngineChild(hub.home, settings)
        self.webhooks = Webhooks(hub, self._poke, self._tend, say)
        self.stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._supervisor = Supervisor([_Http(make_app(self), sock), self._engine])
        self._stop = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` once everything works; return after SIGINT or SIGTERM, when everything has ended."""
        self._loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(name, self._begin_to_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._begin_to_reload)

        def begin() -> None:
            notify("READY=1")
            ready()

        watchdog = asyncio.create_task(self._watchdog())
        try:
            await self._supervisor.run(self._stop, begin)
        finally:
            watchdog.cancel()

    # For the application; may be called by any thread

    def order(self, wish: dict[str, Any]) -> list[dict[str, Any]]:
        """Have a sync made and wait for its run shapes; see `EngineChild.order`. Not from the event loop itself."""
        assert self._loop is not None  # nobody asks before `run`
        return asyncio.run_coroutine_threadsafe(self._engine.order(wish), self._loop).result()

    def go_by(self, settings: Settings) -> None:
        """These are the settings from now on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._engine.go_by, settings)

    @property
    def load(self) -> dict[str, Any]:
        """How the engine fares: what it last said of itself, how long ago (seconds), and how often it was restarted."""
        silent = round(time.monotonic() - self._engine.last_beat, 1)
        return {**self._engine.load, "silent": silent, "restarts": dict(self._supervisor.restarts)}

    def _poke(self, replicas: Iterable[int], full: bool) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._engine.poke, replicas, full)

    def _tend(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._engine.tend)

    # Signals

    def _begin_to_stop(self) -> None:
        notify("STOPPING=1")
        self.stopping.set()
        self._stop.set()

    def _begin_to_reload(self) -> None:
        def work() -> None:
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                self._reload()
            except HubError as error:
                self._say(f"The settings stay as they were: {error}")
            notify("READY=1")

        assert self._loop is not None
        self._loop.run_in_executor(None, work)

    async def _watchdog(self) -> None:
        every = watchdog_seconds()
        while every is not None:
            await asyncio.sleep(every)
            if time.monotonic() - self._engine.last_beat < _FRESH_SECONDS:
                notify("WATCHDOG=1")


class _Server(uvicorn.Server):
    """Leaves the signals to the front."""

    def capture_signals(self) -> Any:
        return nullcontext()


class _Http:
    """The web server, as a component."""

    name = "http"

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        self._app = app
        self._sock = sock
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, server_header=False, lifespan="auto",
            timeout_graceful_shutdown=_FAREWELL_SECONDS,
        )  # fmt: skip
        self._server = _Server(config)
        # A copy: uvicorn closes what it is given, and after a restart there must be something to listen on.
        self._task = asyncio.create_task(self._server.serve(sockets=[self._sock.dup()]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("The web server did not start.")
            await asyncio.sleep(0.01)

    async def ended(self) -> str:
        assert self._task is not None
        await asyncio.wait([self._task])
        return str(self._task.exception() or "it ended")

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.wait([self._task])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any free one. Raises `OSError`."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock
