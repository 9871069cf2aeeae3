"""Google accounts: Google Calendar API v3.

httpx rather than Google's own client library: it brings no types, hides If-Match and batches behind httplib2, and loads
for half a second. Sign-in is `calhub.providers.oauth`.

Settings: ``client_id`` and, where they are not Google's own, ``token_uri``, ``auth_uri``, ``api_root``; secrets:
``client_secret``, ``refresh_token``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from calhub.providers.base import Provider
from calhub.providers.google.client import Client
from calhub.providers.google.provider import GoogleProvider
from calhub.providers.http import host_of
from calhub.providers.limits import Limiter
from calhub.providers.oauth_services import tokens
from calhub.providers.pinned import public_only
from calhub.providers.rest import Rest
from calhub.providers.vault import Vault

__all__ = ["GoogleProvider", "connect"]

API_ROOT: Final = "https://www.googleapis.com/calendar/v3"


def connect(settings: Mapping[str, str], vault: Vault) -> Provider:
    """The provider for an account; no I/O. Raises `ProviderError` FATAL for settings that cannot work."""
    root = settings.get("api_root") or API_ROOT
    given = tokens("google", settings, vault)
    rest = Rest(root, given, limiter=_limiter(root), public_only=public_only(settings))
    return GoogleProvider(Client(rest, given))


def _limiter(root: str) -> Limiter | None:
    """600 requests a minute for a user (guide "Manage quotas"); other addresses than Google's have limits of their own.

    In any minute at most 100 + 60 * 8 begin.
    """
    return Limiter(rate=8, burst=100, at_once=8) if host_of(root).endswith(".googleapis.com") else None
