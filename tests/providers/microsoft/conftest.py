"""One mailbox at the emulator, and the provider signed in to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.providers.microsoft.kit import Clock

from calhub.providers.limits import Limiter
from calhub.providers.microsoft import MicrosoftProvider
from calhub.providers.microsoft.client import Graph as Client
from calhub.providers.oauth import FixedToken
from calhub.providers.rest import Rest
from calhub.testing.contract_kit import Remote
from calhub.testing.services.graph import Graph


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def graph(clock: Clock) -> Iterator[Graph]:
    with Graph(clock=clock) as service:
        service.oauth.lifetime = 1e9  # tests move the clock by months
        yield service


@pytest.fixture
def provider(graph: Graph, clock: Clock) -> Iterator[MicrosoftProvider]:
    limiter = Limiter(rate=1000, burst=1000, clock=lambda: 0.0, sleep=clock.sleep)
    rest = Rest(graph.root, FixedToken(graph.oauth.access()), limiter=limiter)
    made = MicrosoftProvider(Client(rest, sleep=clock.sleep), clock=clock)
    yield made
    made.close()


@pytest.fixture
def remote(graph: Graph, provider: MicrosoftProvider) -> Remote:
    return Remote(provider, graph.user_calendar("Contract"), mails=lambda: len(graph.outbox.mails))
