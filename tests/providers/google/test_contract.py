"""The provider contract against the emulator."""

from collections.abc import Iterator

import pytest
from tests.providers.google.conftest import account

from calhub.testing.contract import ProviderContract, Remote
from calhub.testing.services.google import GoogleService


class TestGoogle(ProviderContract):
    @pytest.fixture
    def remote(self, google: GoogleService) -> Iterator[Remote]:
        made = account(google)
        yield made
        made.provider.close()
