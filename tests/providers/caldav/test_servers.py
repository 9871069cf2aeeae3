"""The provider contract against real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from calhub.providers.caldav import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract import ProviderContract, Remote
from calhub.testing.servers import CalDAVServer, radicale, xandikos


def attached(server: CalDAVServer) -> Iterator[Remote]:
    """A fresh calendar at the server."""
    provider = connect({"url": server.url, "username": server.username}, MemoryVault({"password": server.password}))
    calendar = provider.create_calendar("Contract")

    def plant(text: str) -> None:
        url = httpx.URL(server.url).join(calendar.id).join(f"{uuid4()}.ics")
        headers = {"Content-Type": "text/calendar"}
        answer = httpx.put(url, content=text.encode(), headers=headers, auth=(server.username, server.password))
        if answer.status_code == 400:
            pytest.skip("this server stores no such text")
        answer.raise_for_status()

    yield Remote(provider, calendar.id, plant=plant)
    provider.close()


@pytest.fixture(scope="module")
def radicale_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalDAVServer]:
    root: Path = tmp_path_factory.mktemp("radicale")
    with radicale(root) as server:
        yield server


@pytest.fixture(scope="module")
def xandikos_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalDAVServer]:
    root: Path = tmp_path_factory.mktemp("xandikos")
    with xandikos(root) as server:
        yield server


class TestRadicale(ProviderContract):
    @pytest.fixture
    def remote(self, radicale_server: CalDAVServer) -> Iterator[Remote]:
        yield from attached(radicale_server)


class TestXandikos(ProviderContract):
    @pytest.fixture
    def remote(self, xandikos_server: CalDAVServer) -> Iterator[Remote]:
        yield from attached(xandikos_server)
