"""A workspace with one connection, and providers that use it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from calhub.providers.notion.client import Notion
from calhub.providers.notion.provider import NotionProvider
from calhub.providers.oauth import FixedToken
from calhub.providers.rest import Rest
from calhub.testing.services.notion import NEW, NotionService
from calhub.testing.services.notion.model import DataSource
from calhub.testing.world import VirtualClock

#: Every property calhub can use, under its usual name.
FULL: dict[str, Any] = {
    "Title": {"title": {}},
    "Date": {"date": {}},
    "Description": {"rich_text": {}},
    "Location": {"rich_text": {}},
    "Status": {"select": {}},
    "URL": {"url": {}},
    "Categories": {"multi_select": {}},
    "Attendees": {"rich_text": {}},
    "Recurrence": {"rich_text": {}},
    "UID": {"rich_text": {}},
    "Time zone": {"rich_text": {}},
    "Busy": {"checkbox": {}},
    "Privacy": {"select": {}},
}
#: Those of the defaults that people are told of, without the optional ones.
USUAL = {name: FULL[name] for name in list(FULL)[:10]}
#: What names the properties that are not used otherwise.
NAMED = {"properties": {"busy": "Busy", "privacy": "Privacy"}}

Connect = Callable[..., NotionProvider]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def service(clock: VirtualClock) -> Iterator[NotionService]:
    with NotionService(clock=clock) as service:
        yield service


@pytest.fixture
def connect(service: NotionService, clock: VirtualClock) -> Iterator[Connect]:
    """A provider as a process has it: each knows nothing but what it is told."""
    made: list[NotionProvider] = []

    def connect(version: str = NEW, table: DataSource | None = None, **settings: Any) -> NotionProvider:
        rest = Rest(service.api_root, FixedToken(service.token))
        made.append(NotionProvider(Notion(rest, version), clock=clock))
        if table is not None:
            made[-1].prepare(table.id if version >= NEW else table.database, settings)
        return made[-1]

    yield connect
    for provider in made:
        provider.close()


def text(content: str) -> list[dict[str, Any]]:
    """A title or rich_text value."""
    return [{"text": {"content": content}}]
