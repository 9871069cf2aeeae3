"""From the settings of an account to a provider."""

import pytest
from tests.providers.notion.conftest import FULL, text

from calhub.providers import registry
from calhub.providers.base import ProviderError, Trait
from calhub.providers.notion import BURST, RATE, connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract_kit import Remote, listing
from calhub.testing.services.notion import VERSIONS, NotionService


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_token_of_an_integration(service: NotionService, version: str | None) -> None:
    service.add_database("Team", FULL)
    settings = {"api_root": service.api_root, **({"version": version} if version else {})}
    provider = registry.connect("notion", settings, MemoryVault({"token": service.token}))

    assert [found.name for found in provider.discover()] == ["Team"]
    assert service.log[-1].header("notion-version") == version or "2025-09-03"
    provider.close()


def test_public_connection_renews_its_token_in_the_middle_of_a_listing(service: NotionService) -> None:
    source = service.add_database("Team", FULL)
    for number in range(120):
        service.user_create(source, {"Title": text(str(number)), "Date": {"start": "2026-11-23"}})
    vault = MemoryVault({"client_secret": "client-secret", "refresh_token": service.oauth.issue()})
    provider = connect({"api_root": service.api_root, "client_id": "client"}, vault)
    service.fail("POST */query", "expired", skip=1)
    found = listing(Remote(provider, source.id))

    assert len(found.items) == 120
    provider.close()


def test_withdrawn_consent_needs_login(service: NotionService) -> None:
    vault = MemoryVault({"client_secret": "client-secret", "refresh_token": service.oauth.issue()})
    provider = connect({"api_root": service.api_root, "client_id": "client"}, vault)
    service.oauth.revoke_all()
    with pytest.raises(ProviderError) as caught:
        provider.discover()

    assert caught.value.trait is Trait.LOGIN
    provider.close()


def test_unknown_version_is_refused() -> None:
    with pytest.raises(ProviderError) as caught:
        connect({"version": "2020-01-01"}, MemoryVault({"token": "ntn_x"}))

    assert caught.value.trait is Trait.FATAL


def test_limits_stay_below_those_published() -> None:
    """180 requests in any 60 seconds."""
    assert BURST + 60 * RATE <= 180
