"""CalDAV (RFC 4791) accounts.

A thin layer on httpx and lxml. The library ``caldav`` was considered: it changes calendar data to please servers, which
rules out exact round trips, hides ETags, replaces a failed sync-collection by fetching everything, and does not go on
after a truncated one. What is left of the protocol is small.

Settings: ``url`` and ``username``; secrets: ``password`` or ``token`` (a bearer token).
"""

from __future__ import annotations

from collections.abc import Mapping

from calhub.providers.base import Provider, ProviderError, Trait
from calhub.providers.caldav.provider import CalDAVProvider
from calhub.providers.http import Credentials, Web, check_url
from calhub.providers.pinned import public_only
from calhub.providers.vault import Vault

__all__ = ["CalDAVProvider", "connect"]


def connect(settings: Mapping[str, str], vault: Vault) -> Provider:
    """The provider for an account; no I/O. Raises `ProviderError` FATAL for settings that cannot work."""
    if not settings.get("url"):
        raise ProviderError("A CalDAV account needs an address.", "Give --url.", Trait.FATAL)
    url = check_url(settings["url"])
    secrets, guarded = vault.load(), public_only(settings)
    if token := secrets.get("token"):
        if not token.isascii() or not token.isprintable():
            raise ProviderError("The token has characters that cannot be sent.", "Copy it again.", Trait.FATAL)
        return CalDAVProvider(Web(url, Credentials(token=token), public_only=guarded))
    if not settings.get("username"):
        raise ProviderError("A CalDAV account needs a user name.", "Give --username.", Trait.FATAL)
    credentials = Credentials(username=settings["username"], password=secrets.get("password", ""))
    return CalDAVProvider(Web(url, credentials, public_only=guarded))
