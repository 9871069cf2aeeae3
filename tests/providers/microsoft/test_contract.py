"""The provider contract against the emulator."""

from __future__ import annotations

import pytest

from calhub.providers.microsoft import MicrosoftProvider
from calhub.testing.contract import ProviderContract, Remote
from calhub.testing.services.graph import Graph


class TestMicrosoft(ProviderContract):
    @pytest.fixture
    def remote(self, graph: Graph, provider: MicrosoftProvider) -> Remote:
        return Remote(provider, graph.user_calendar("Contract"), mails=lambda: len(graph.outbox.mails))
