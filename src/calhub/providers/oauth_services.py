"""How Google, Microsoft and Notion do OAuth: their endpoints, the least rights calhub needs, their oddities.

``settings`` are those of the account (``client_id`` and, where they are not the public ones, endpoints), ``secrets``
has the ``client_secret`` where the client has one. Raises `ProviderError` FATAL for settings that cannot work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from calhub.providers.oauth import FixedToken, RenewedTokens, Service, Tokens
from calhub.providers.pinned import public_only
from calhub.providers.vault import Vault

_GOOGLE_SCOPES: Final = "https://www.googleapis.com/auth/"
_AUTHORITY: Final = "https://login.microsoftonline.com"
_NOTION_ROOT: Final = "https://api.notion.com/v1"


def google(settings: Mapping[str, str], secrets: Mapping[str, str]) -> Service:
    """A desktop client with loopback redirect; its secret is no secret, but Google wants it all the same.

    ``prompt=consent``: without it a second sign-in brings no refresh token.
    """
    return Service(
        name="Google",
        client_id=settings.get("client_id", ""),
        client_secret=secrets.get("client_secret", ""),
        authorize_url=settings.get("auth_uri") or "https://accounts.google.com/o/oauth2/v2/auth",
        token_url=settings.get("token_uri") or "https://oauth2.googleapis.com/token",
        scopes=(_GOOGLE_SCOPES + "calendar.events", _GOOGLE_SCOPES + "calendar.calendarlist.readonly"),
        optional_scopes=(_GOOGLE_SCOPES + "calendar.app.created",),
        login_params={"access_type": "offline", "prompt": "consent"},
    )


def microsoft(settings: Mapping[str, str], secrets: Mapping[str, str]) -> Service:
    """A public client of the identity platform (v2.0), or a confidential one where there is a client secret."""
    base = f"{_authority(settings)}/oauth2/v2.0"
    secret = secrets.get("client_secret", "")
    return Service(
        name="Microsoft",
        client_id=settings.get("client_id", ""),
        client_secret=secret,
        authorize_url=f"{base}/authorize",
        token_url=f"{base}/token",
        device_url=f"{base}/devicecode",
        scopes=("Calendars.ReadWrite", "offline_access"),
        redirect_host="localhost",
        client_auth="client_secret_post" if secret else "none",
    )


def notion(settings: Mapping[str, str], secrets: Mapping[str, str]) -> Service:
    """A public connection. What it may do is set at Notion, page by page: there are no scopes.

    Notion compares the redirect address to the letter, port included, so it is a fixed one, or the account's own. Its
    token endpoint refuses members that it does not know, and PKCE is not among those documented; the client secret and
    ``state`` have to do.
    """
    root = (settings.get("api_root") or _NOTION_ROOT).rstrip("/")
    return Service(
        name="Notion",
        client_id=settings.get("client_id", ""),
        client_secret=secrets.get("client_secret", ""),
        authorize_url=settings.get("auth_uri") or f"{root}/oauth/authorize",
        token_url=settings.get("token_uri") or f"{root}/oauth/token",
        login_params={"owner": "user"},
        redirect_uri=settings.get("redirect_uri") or "http://localhost:8471/",
        client_auth="client_secret_basic",
        body="json",
        lasting_tokens=True,
        pkce=False,
    )


#: By kind of provider.
SERVICES: Final[Mapping[str, Callable[[Mapping[str, str], Mapping[str, str]], Service]]] = {
    "google": google,
    "microsoft": microsoft,
    "notion": notion,
}


def tokens(kind: str, settings: Mapping[str, str], vault: Vault) -> Tokens:
    """The bearer tokens of an account of this kind: the integration token in the vault, else renewed ones."""
    secrets = vault.load()
    token = secrets.get("token")
    if token and not secrets.get("refresh_token"):
        return FixedToken(token)
    service = replace(SERVICES[kind](settings, secrets), public_only=public_only(settings))
    return RenewedTokens(service, vault)


def _authority(settings: Mapping[str, str]) -> str:
    """With the tenant, which may be in the address already, as Microsoft's own libraries write it."""
    authority = (settings.get("authority") or _AUTHORITY).rstrip("/")
    tenant = settings.get("tenant", "")
    path = urlsplit(authority).path
    named = path.endswith(f"/{tenant}") if tenant else bool(path)
    return authority if named else f"{authority}/{tenant or 'common'}"
