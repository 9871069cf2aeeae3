"""Accounts: endpoints from the settings, so that national clouds and gateways work, and no talk to the service."""

from __future__ import annotations

from typing import Any

import pytest

from calhub.providers import registry
from calhub.providers.base import ProviderError, Trait
from calhub.providers.vault import MemoryVault
from calhub.testing.services.graph import Graph

VAULT = {"refresh_token": "r"}


def test_an_account_by_its_credentials(graph: Graph) -> None:
    """The settings of ``--credentials`` reach the emulator, tokens are fetched by the refresh token."""
    given = graph.credentials()
    vault = MemoryVault({"refresh_token": given["refresh_token"]})
    provider = registry.connect("microsoft", given, vault)
    found = provider.discover()
    provider.close()

    assert [entry.name for entry in found] == ["Calendar"]
    assert vault.load()["refresh_token"] != given["refresh_token"]


@pytest.mark.parametrize(
    "settings",
    [
        {"client_id": "c", "api_root": "http://graph.example/v1.0"},
        {"client_id": "c", "api_root": "ftp://graph.example"},
        {"client_id": "c", "authority": "http://login.example"},
        {},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    """A token is not sent in clear, and there is no sign-in without a client."""
    with pytest.raises(ProviderError) as caught:
        registry.connect("microsoft", settings, MemoryVault(VAULT))

    assert caught.value.trait is Trait.FATAL


def test_a_national_cloud() -> None:
    """Another root and authority are taken without asking anybody."""
    settings = {
        "client_id": "c",
        "authority": "https://login.chinacloudapi.cn",
        "api_root": "https://microsoftgraph.chinacloudapi.cn/v1.0",
    }
    provider = registry.connect("microsoft", settings, MemoryVault(VAULT))

    assert provider.requests == 0
    provider.close()
