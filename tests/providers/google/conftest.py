"""A Google account at the emulator."""

from collections.abc import Callable, Iterator

import pytest

from calhub.providers.base import Provider
from calhub.providers.google import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract_kit import Remote
from calhub.testing.services.google import GoogleService
from calhub.testing.world import VirtualClock

SECRETS = ("client_secret", "refresh_token")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def google(clock: VirtualClock) -> Iterator[GoogleService]:
    with GoogleService(clock=clock) as service:
        yield service


def signed_in(google: GoogleService) -> Callable[[], Provider]:
    """Connects to a new account, again and again; its tokens are kept in between."""
    given = google.credentials()
    vault = MemoryVault({name: given[name] for name in SECRETS})
    settings = {name: value for name, value in given.items() if name not in SECRETS}
    return lambda: connect(settings, vault)


def account(google: GoogleService) -> Remote:
    """A new account with an empty calendar in Berlin."""
    return Remote(signed_in(google)(), google.user_add_calendar("Work"), mails=lambda: len(google.outbox))


@pytest.fixture
def remote(google: GoogleService) -> Iterator[Remote]:
    made = account(google)
    yield made
    made.provider.close()
