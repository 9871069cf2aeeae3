"""The server that has its answers ready says the same as the one that looks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.instant import Prepared
from calhub.providers.base import Item, Provider
from calhub.providers.caldav import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract import Versions
from calhub.testing.corpus import samples
from calhub.testing.davserver import CALENDAR, DavServer


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


def pull(provider: Provider, cursor: str | None = None, known: Versions | None = None) -> tuple[list[Item], str | None]:
    pages = list(provider.changes(CALENDAR, cursor, known or Versions()))
    return [item for page in pages for item in page.items], pages[-1].cursor


def prepare(server: DavServer) -> Prepared:
    prepared = Prepared(server)
    for each in samples(12):
        prepared.store(each.file_name, each.text)
    return prepared


def test_same_answers(server: DavServer, provider: Provider) -> None:
    """A first pull brings the same items, bodies and versions, and ends at the same token."""
    prepared = prepare(server)
    plain = pull(provider)

    server.answerers.append(prepared)

    assert pull(provider) == plain
    assert len(plain[0]) == 12


def test_listing(server: DavServer, provider: Provider) -> None:
    """Without sync-collection items are listed by PROPFIND and fetched by multiget, as vdirsyncer does."""
    prepared = prepare(server)
    server.sync = False
    plain = pull(provider)

    server.answerers.append(prepared)

    assert pull(provider) == plain
    assert len(plain[0]) == 12


def test_changes_are_seen(server: DavServer, provider: Provider) -> None:
    """A PUT is in what a token brings, and in the next full answer."""
    server.answerers.append(prepare(server))
    items, cursor = pull(provider)
    first = items[0]
    assert first.uid is not None
    assert first.content is not None

    provider.update(
        CALENDAR, first.remote_id, first.uid, {**first.content, "title": "New"}, expected=first.version, raw=first.raw
    )

    known = Versions({item.remote_id: item.version for item in items})
    changed, _ = pull(provider, cursor, known)
    assert [(item.remote_id, item.content and item.content["title"]) for item in changed] == [(first.remote_id, "New")]
    assert [item.content and item.content["title"] for item in pull(provider)[0]].count("New") == 1
