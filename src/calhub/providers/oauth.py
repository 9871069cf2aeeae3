"""OAuth 2 (RFC 6749) as the providers use it: bearer tokens that are renewed before they end.

    Tokens
      FixedToken       one token that lasts (a Notion integration's)
      RenewedTokens    access tokens from a refresh token, renewed once for all threads and processes of the account

Authlib writes the requests; sending them follows the rules of `calhub.providers.http`. What a refresh brings
is saved before it is used: a service may have replaced the refresh token, and the old one may be dead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol, Self
from urllib.parse import parse_qsl, urlencode

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request

from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import Answer, NoAnswer, Web, check_endpoint, host_of, retry_after
from calhub.providers.vault import Vault

#: How long a token that is handed out is still good for, in seconds; less where the service's tokens are shorter-lived.
SPARE_SECONDS: Final = 60
ANSWER_LIMIT: Final = 1024 * 1024
_FORM: Final = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}

#: Error codes of a token endpoint (RFC 6749 section 5.2, OpenID Connect Core section 3.1.2.6, Entra's list of AADSTS
#: errors) after which only the user can go on.
_LOGIN_ERRORS: Final = frozenset(
    {"invalid_grant", "interaction_required", "consent_required", "login_required", "access_denied"}
)
_CLIENT_ERRORS: Final = frozenset({"invalid_client", "unauthorized_client"})


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Tokens(Protocol):
    """Bearer tokens of one account. May be used by several threads at once."""

    def current(self) -> str:
        """A token that is good for another minute. Raises `ProviderError`, with trait LOGIN when there is none."""

    def refused(self, token: str) -> None:
        """The service answered 401 to this token: `current` does not return it again if there can be another."""


class FixedToken:
    """A token that is good until its owner withdraws it."""

    def __init__(self, token: str) -> None:
        self._token = token.strip()
        if not self._token.isascii() or not self._token.isprintable() or not self._token:
            raise ProviderError("The token has characters that cannot be sent.", "Copy it again.", Trait.FATAL)

    def current(self) -> str:
        return self._token

    def refused(self, token: str) -> None:
        """There is no other."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """How one service does OAuth, with the client registered there. All addresses are checked when it is made.

    ``scopes`` are those calhub cannot do without, ``optional_scopes`` those it can; ``login_params`` are added to the
    address of the sign-in page. ``client_auth``: how the token endpoint learns the client (RFC 6749 section 2.3.1);
    ``none`` is for public clients. ``body``: ``json`` for Notion, which is no friend of forms. ``redirect_uri``: where
    the service wants it registered with its port; otherwise a free port on ``redirect_host`` is taken.
    ``lasting_tokens``: an access token that comes without a refresh token does not end. ``pkce``: the service
    understands RFC 7636. ``public_only``: its endpoints must not be in a private network.
    """

    name: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    authorize_url: str
    token_url: str
    device_url: str | None = None
    scopes: tuple[str, ...] = ()
    optional_scopes: tuple[str, ...] = ()
    login_params: Mapping[str, str] = field(default_factory=dict)
    redirect_host: Literal["127.0.0.1", "localhost"] = "127.0.0.1"
    redirect_uri: str = ""
    lasting_tokens: bool = False
    pkce: bool = True
    client_auth: Literal["none", "client_secret_post", "client_secret_basic"] = "client_secret_post"
    body: Literal["form", "json"] = "form"
    public_only: bool = False

    def __post_init__(self) -> None:
        if not self.client_id:
            raise ProviderError(
                f"A {self.name} account needs the client_id of your own OAuth client.",
                "Put it into the file given to --credentials; docs/signing-in.md says how to get one.",
                Trait.FATAL,
            )
        for url in (self.authorize_url, self.token_url, self.device_url):
            if url is not None:
                check_endpoint(url)


@dataclass(frozen=True)
class Grant:
    """What a token endpoint gave. ``seconds`` is the token's lifetime, None where it was not said."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    seconds: float | None
    scope: str | None

    def secrets(self, now: datetime) -> dict[str, str]:
        """As kept in a vault. The refresh token comes first: it is the one that must not get lost."""
        kept = {"refresh_token": self.refresh_token} if self.refresh_token else {}
        until = ""
        if self.seconds is not None:
            until = (now + timedelta(seconds=self.seconds - min(SPARE_SECONDS, self.seconds / 2))).isoformat()
        return {**kept, "access_token": self.access_token, "access_until": until}


class TokenError(ProviderError):
    """The token endpoint refused. ``code`` is the ``error`` of RFC 6749 section 5.2, empty where there is none."""

    code: str = ""


class TokenEndpoint:
    """A service's token endpoint (RFC 6749 section 3.2) and its device endpoint (RFC 8628 section 3.1).

    A context manager. Every request raises `TokenError` when the service says no, else `ProviderError`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._client = ClientAuth(service.client_id, service.client_secret, service.client_auth)
        # An `httpx.Auth` that adds nothing keeps redirects from carrying the body to another owner's host.
        self._web = Web(service.token_url, httpx.Auth(), returns_401=True, public_only=service.public_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._web.close()

    def grant(self, grant_type: str, **parameters: str) -> Grant:
        """Tokens, for a refresh token, a code or a device code."""
        body = prepare_token_request(grant_type, **parameters)
        _, headers, body = self._client.prepare("POST", self._service.token_url, dict(_FORM), body)
        if self._service.body == "json":
            headers["Content-Type"] = "application/json"
            body = json.dumps(dict(parse_qsl(body)))
        return _grant(self._post(self._service.token_url, headers, body))

    def device(self, url: str, scope: str) -> dict[str, Any]:
        """The answer of the device endpoint, in which nothing is checked yet."""
        return self._post(url, _FORM, urlencode({"client_id": self._service.client_id, "scope": scope}))

    def _post(self, url: str, headers: Mapping[str, str], body: str) -> dict[str, Any]:
        answer = self._web.send("POST", url, headers=headers, content=body.encode(), limit=ANSWER_LIMIT)
        return _document(answer, self._service.name)


def _document(answer: Answer, service: str) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if answer.status < 300 and isinstance(document, dict):
        return document
    raise _refusal(answer, document if isinstance(document, dict) else {}, service)


def _refusal(answer: Answer, document: Mapping[str, Any], service: str) -> ProviderError:
    """The error for anything but a success. Descriptions of the service are left out: some quote what was sent."""
    host, status = host_of(answer.url), answer.status
    code = document.get("error") or document.get("code")  # Notion's own error shape has ``code``
    code = code if isinstance(code, str) else ""
    if status < 300:
        return NoAnswer(f"{host} gave an answer that is no token.", "Try again later.")
    if status >= 500 or status in (408, 429) or code == "temporarily_unavailable":
        error = TokenError(f"{host} cannot renew the sign-in now.", "Try again later.", Trait.RETRY)
        error.retry_after = retry_after(answer.headers)
    elif code in _LOGIN_ERRORS:
        error = TokenError(f"The sign-in at {service} has ended or was withdrawn.", "", Trait.LOGIN)
    elif code in _CLIENT_ERRORS or status == 401:
        error = TokenError(
            f"{service} does not accept the client id and secret.",
            "Check them there, and give them anew: calhub account login NAME --credentials FILE",
            Trait.LOGIN,
        )
    else:
        word = f" ({code})" if code.replace("_", "").isalnum() else ""
        error = TokenError(
            f"{host} refused with HTTP {status}{word}.", "Check the endpoints in the credentials.", Trait.FATAL
        )
    error.code = code
    return error


def _grant(document: Mapping[str, Any]) -> Grant:
    token, refresh = document.get("access_token"), document.get("refresh_token")
    seconds, scope = document.get("expires_in"), document.get("scope")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise NoAnswer("The service gave an answer without a token.", "Try again later.")
    try:
        lifetime = None if seconds is None else max(0.0, float(seconds))  # Entra's older endpoints send a text
    except (TypeError, ValueError):
        lifetime = None
    return Grant(
        access_token=token,
        refresh_token=refresh if isinstance(refresh, str) and refresh else None,
        seconds=lifetime,
        scope=scope if isinstance(scope, str) else None,
    )


class RenewedTokens:
    """Access tokens that are renewed with the account's refresh token.

    The access token is kept in the vault, so that many short-lived processes share it. Whoever finds it at its end
    takes the account's lock, looks again (somebody else may have renewed it meanwhile), asks for a new one and saves
    what came before anybody uses it.
    """

    def __init__(self, service: Service, vault: Vault, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._service = service
        self._vault = vault
        self._clock = clock
        self._held: tuple[str, str] | None = None  # token and the instant from which it counts as ended
        self._refused: str | None = None

    def current(self) -> str:
        held = self._held
        if held is not None and self._good(*held):
            return held[0]
        with self._vault.lock():
            secrets = self._vault.load()
            token, until = secrets.get("access_token", ""), secrets.get("access_until", "")
            if not self._good(token, until):
                fresh = self._renew(secrets.get("refresh_token", ""))
                self._vault.save(fresh)
                token, until = fresh["access_token"], fresh["access_until"]
            self._held = token, until
        return token

    def refused(self, token: str) -> None:
        self._refused = token

    def _good(self, token: str, until: str) -> bool:
        """A token without a known end is good until it is refused."""
        if not token or token == self._refused:
            return False
        return not until or self._clock() < datetime.fromisoformat(until)

    def _renew(self, refresh_token: str) -> dict[str, str]:
        if not refresh_token:
            raise ProviderError(f"The account is not signed in at {self._service.name}.", "", Trait.LOGIN)
        with TokenEndpoint(self._service) as endpoint:
            return endpoint.grant("refresh_token", refresh_token=refresh_token).secrets(self._clock())
