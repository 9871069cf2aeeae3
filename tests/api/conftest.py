"""The API over a real hub in a home of its own, with a folder as the service; no network but loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.cli.conftest import Folder

from calhub.api.app import make_app
from calhub.api.surroundings import Surroundings
from calhub.cli.context import SETTINGS
from calhub.hub import tokens
from calhub.hub.database import Hub
from calhub.hub.tokens import Scope

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

Settings = dict[str, str]


class Clock:
    """Stands still until it is told to go on, and can be put back."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()
        self._behind = 0.0

    def __call__(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.now + self._behind

    def put_back(self, seconds: float) -> None:
        self.now -= seconds
        self._behind += seconds


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub.open(tmp_path / "home", clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings() -> Settings:
    return {each.name: each.default for each in SETTINGS}


@pytest.fixture
def here(hub: Hub, settings: Settings, clock: Clock) -> Surroundings:
    return Surroundings(hub, settings.__getitem__, home_zone="Europe/Paris", clock=clock, steady=clock.steady)


class Server:
    """An API on a free port of this machine, in a thread of its own, until it is closed."""

    def __init__(self, here: Surroundings) -> None:
        self._here = here
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(make_app(here), log_config=None, lifespan="on", timeout_graceful_shutdown=10)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def close(self) -> None:
        """As the daemon does it: streams end first, then the server waits for what is under way."""
        self.client.close()
        self._here.stopping.set()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


Serve = Callable[[], Server]


@pytest.fixture
def serve(here: Surroundings) -> Iterator[Serve]:
    """Start an API with the surroundings as they are now."""
    servers: list[Server] = []

    def start() -> Server:
        servers.append(Server(here))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def api(serve: Serve) -> httpx.Client:
    """The API as its owner at the machine itself sees it."""
    return serve().client


@pytest.fixture
def work(api: httpx.Client) -> httpx.Client:
    """The API with one empty calendar, Work, in Paris."""
    assert api.post("/api/v1/calendars", json={"name": "Work", "time_zone": "Europe/Paris"}).status_code == 201
    return api


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "service")


@pytest.fixture
def disk(api: httpx.Client, folder: Folder) -> Folder:
    """An account ``disk``, added by the API, whose one remote calendar ``work`` is attached, empty and synced."""
    folder.calendar("work")
    body = {"provider": "folder", "name": "disk", "credentials": {"url": str(folder.path)}}
    assert api.post("/api/v1/accounts", json=body).status_code == 201
    assert api.post("/api/v1/sync").json()["runs"][0]["status"] == "ok"
    return folder


MakeToken = Callable[[Scope], str]


@pytest.fixture
def make_token(hub: Hub) -> MakeToken:
    def make(scope: Scope) -> str:
        with hub.transaction() as conn:
            token: str = tokens.create(conn, hub.home, scope, "", now=hub.now())["token"]
        return token

    return make


def add(api: httpx.Client, **fields: Any) -> dict[str, Any]:
    """Add an event to Work and return it."""
    body = {"calendar": "Work", "title": "Lunch", "start": "2026-11-23T12:00", **fields}
    answer = api.post("/api/v1/events", json=body)
    assert answer.status_code == 201, answer.text
    event: dict[str, Any] = answer.json()
    return event


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is this problem, as RFC 9457 has them, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["detail"]
    assert "Traceback" not in answer.text
    return document
