"""Microsoft 365 and Outlook.com calendars through Microsoft Graph v1.0.

Spoken over httpx rather than by Microsoft's own library: that one hides etags and single results of batches, and loads
for seconds.

Settings: ``client_id``, ``tenant``, ``authority``, ``api_root`` (for national clouds, gateways and tests); secrets:
``refresh_token``, ``client_secret``.
"""

from __future__ import annotations

from collections.abc import Mapping

from calhub.providers.base import Provider
from calhub.providers.microsoft.client import ROOT, Graph, limiter
from calhub.providers.microsoft.provider import MicrosoftProvider
from calhub.providers.oauth_services import tokens
from calhub.providers.pinned import public_only
from calhub.providers.rest import Rest
from calhub.providers.vault import Vault

__all__ = ["MicrosoftProvider", "connect"]


def connect(settings: Mapping[str, str], vault: Vault) -> Provider:
    """The provider for an account; no I/O. Raises `ProviderError` FATAL for settings that cannot work."""
    root = settings.get("api_root") or ROOT
    given = tokens("microsoft", settings, vault)
    return MicrosoftProvider(Graph(Rest(root, given, limiter=limiter(), public_only=public_only(settings))))
