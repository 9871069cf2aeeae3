"""Fixtures: a strict CalDAV server under the test's control, and a provider signed in to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calhub.providers.base import Provider
from calhub.providers.caldav import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.davserver import DavServer


@pytest.fixture
def server() -> Iterator[DavServer]:
    """An empty server; at the end no rule of the protocol may have been broken."""
    with DavServer() as server:
        yield server
    assert server.complaints == []


@pytest.fixture
def provider(server: DavServer) -> Iterator[Provider]:
    provider = connect({"url": server.url, "username": "user"}, MemoryVault({"password": "secret"}))
    yield provider
    provider.close()
