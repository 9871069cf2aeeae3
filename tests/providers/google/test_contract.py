"""The provider contract against the emulator."""

from collections.abc import Iterator

import pytest

from calhub.testing.contract import ProviderContract, Remote
from calhub.testing.services.google import GoogleService
from tests.providers.google.conftest import account


class TestGoogle(ProviderContract):
    @pytest.fixture
    def remote(self, google: GoogleService) -> Iterator[Remote]:
        made = account(google)
        yield made
        made.provider.close()
