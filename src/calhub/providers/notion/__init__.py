"""Notion: databases with a date property as calendars. See docs/providers-notion.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from calhub.providers.base import Provider, ProviderError, Trait
from calhub.providers.http import origin
from calhub.providers.limits import Limiter
from calhub.providers.notion.client import OLD_MODEL, RENAMED, Notion
from calhub.providers.notion.provider import NotionProvider
from calhub.providers.oauth_services import tokens
from calhub.providers.pinned import public_only
from calhub.providers.rest import Rest
from calhub.providers.vault import Vault

API_ROOT: Final = "https://api.notion.com/v1"
#: Versions of the API whose shapes are known here.
VERSIONS: Final = (OLD_MODEL, "2025-09-03", RENAMED)
_USUAL: Final = "2025-09-03"
#: 180 requests in any 60 seconds (https://developers.notion.com/reference/request-limits): `BURST` + 60 * `RATE`.
RATE: Final = 2.5
BURST: Final = 30


def connect(settings: Mapping[str, str], vault: Vault) -> Provider:
    """``settings``: ``api_root``, ``version``, and ``client_id`` of a public connection.

    The vault has the ``token`` of an internal connection, or a public one's ``client_secret`` and ``refresh_token``.
    """
    version = settings.get("version") or _USUAL
    if version not in VERSIONS:
        raise ProviderError(
            f"Version {version} of the Notion API is not known.", f"Use one of: {', '.join(VERSIONS)}.", Trait.FATAL
        )
    root = settings.get("api_root") or API_ROOT
    # Another service behind the same API has limits of its own, and says so by 429.
    limiter = Limiter(rate=RATE, burst=BURST, at_once=8) if origin(root) == origin(API_ROOT) else None
    rest = Rest(root, tokens("notion", settings, vault), limiter=limiter, public_only=public_only(settings))
    return NotionProvider(Notion(rest, version))
