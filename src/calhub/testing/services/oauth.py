"""An OAuth 2.0 authorisation server for the emulators (RFC 6749, RFC 7636 PKCE, RFC 8628 device code).

The user at the consent screen is `OAuth.user`: authorise requests are answered by a redirect at once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from calhub.testing.services.base import Clock, Failed, Request, Response, Route, tokens

CODE_SECONDS: Final = 600
DEVICE_SECONDS: Final = 900
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Route templates; None where the service has no such endpoint."""

    authorize: str = "/o/oauth2/v2/auth"
    token: str = "/token"
    device: str | None = None
    revoke: str | None = None


@dataclass(kw_only=True)
class User:
    """What the user does at the consent screen."""

    denies: bool = False  # "access_denied"
    unticks: frozenset[str] = frozenset()  # scopes that are not granted although asked for


@dataclass
class _Grant:
    """What the user once agreed to; tokens hang on it and die with it."""

    scope: str
    dead: bool = False


@dataclass
class _Code:
    grant: _Grant
    redirect_uri: str
    challenge: str | None
    expires: datetime


@dataclass
class _Device:
    scope: str
    user_code: str
    expires: datetime
    state: str = "pending"


@dataclass(kw_only=True)
class OAuth:
    """Endpoints and tokens of one registered client.

    ``client_secret`` None is a public client. With ``rotates`` each refresh gives a new refresh token and the old one
    is dead at once (stricter than Microsoft, which lets it live for a while): a client that loses the new one shows it.
    """

    clock: Clock
    client_id: str = "client"
    client_secret: str | None = "client-secret"
    lifetime: float = 3600.0  # seconds an access token lives
    rotates: bool = False
    needs_pkce: bool = True
    gives_refresh: bool = True
    paths: Paths = field(default_factory=Paths)
    extra: Mapping[str, Any] = field(default_factory=dict)  # further members of a token answer
    user: User = field(default_factory=User)

    def __post_init__(self) -> None:
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, _Device] = {}
        self._refresh: dict[str, _Grant] = {}
        self._access: dict[str, tuple[_Grant, datetime]] = {}
        self._names = {kind: tokens(kind) for kind in ("code", "device", "USER", "refresh", "access")}

    # What tests and emulators do.

    def issue(self, scope: str = "") -> str:
        """A refresh token, as if the user had signed in before."""
        return self._new_refresh(_Grant(scope))

    def access(self, scope: str = "") -> str:
        """An access token, as if one had been fetched just now."""
        return self._new_access(_Grant(scope))

    def expire(self) -> None:
        """Every access token given out so far is dead; refresh tokens live on."""
        self._access.clear()

    def revoke_all(self) -> None:
        """The user takes every consent back."""
        for grant in [*self._refresh.values(), *(grant for grant, _ in self._access.values())]:
            grant.dead = True

    def approve_device(self, user_code: str, *, denied: bool = False) -> None:
        """The user types the code in at the verification page. Raises KeyError for a wrong one."""
        device = next((device for device in self._devices.values() if device.user_code == user_code), None)
        if device is None:
            raise KeyError(user_code)
        device.state = "denied" if denied else "approved"

    def scope_of(self, request: Request) -> str | None:
        """The scope granted to the request's bearer token; None if there is no valid one."""
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        grant, expires = self._access.get(token, (None, None))
        if scheme.lower() != "bearer" or grant is None or expires is None or grant.dead or expires <= self.clock():
            return None
        return grant.scope

    def routes(self) -> Sequence[Route]:
        routes = [Route("GET", self.paths.authorize, self._authorize), Route("POST", self.paths.token, self._token)]
        if self.paths.device is not None:
            routes.append(Route("POST", self.paths.device, self._device))
        if self.paths.revoke is not None:
            routes.append(Route("POST", self.paths.revoke, self._revoke))
        return routes

    # Endpoints.

    def _authorize(self, request: Request) -> Response:
        """RFC 6749 4.1.1; errors before the redirect address is known to be good are shown, not redirected."""
        redirect = request.param("redirect_uri") or ""
        if request.param("client_id") != self.client_id or not _is_loopback(redirect):
            raise _failed("invalid_request", "unknown client or redirect address")
        state = {"state": request.param("state")} if request.param("state") is not None else {}
        challenge, method = request.param("code_challenge"), request.param("code_challenge_method")
        if request.param("response_type") != "code":
            return _redirect(redirect, {"error": "unsupported_response_type", **state})
        if self.needs_pkce and (challenge is None or method != "S256"):
            return _redirect(redirect, {"error": "invalid_request", **state})
        if self.user.denies:
            return _redirect(redirect, {"error": "access_denied", **state})
        asked = (request.param("scope") or "").split()
        grant = _Grant(" ".join(scope for scope in asked if scope not in self.user.unticks))
        code = next(self._names["code"])
        self._codes[code] = _Code(grant, redirect, challenge, self._after(CODE_SECONDS))
        return _redirect(redirect, {"code": code, **state})

    def _token(self, request: Request) -> Response:
        form = _members(request)
        self._check_client(request, form)
        match form.get("grant_type"):
            case "authorization_code":
                return self._answer(self._redeem(form), refresh=self.gives_refresh)
            case "refresh_token":
                return self._refreshed(form.get("refresh_token", ""))
            case grant if grant == DEVICE_GRANT and self.paths.device is not None:
                return self._answer(self._device_grant(form), refresh=self.gives_refresh)
            case _:
                raise _failed("unsupported_grant_type", "this grant type is not supported")

    def _device(self, request: Request) -> Response:
        """RFC 8628 section 3.2."""
        form = _members(request)
        if form.get("client_id") != self.client_id:
            raise _failed("invalid_client", "unknown client", 401)
        code, user_code = next(self._names["device"]), next(self._names["USER"])
        self._devices[code] = _Device(form.get("scope", ""), user_code, self._after(DEVICE_SECONDS))
        return Response.of(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": f"http://{request.header('host')}/device",
                "expires_in": DEVICE_SECONDS,
                "interval": 1,
                "message": f"Enter the code {user_code}.",
            }
        )

    def _revoke(self, request: Request) -> Response:
        """RFC 7009: an access or a refresh token; both end the grant."""
        token = _members(request).get("token") or request.param("token") or ""
        grant = self._refresh.get(token) or self._access.get(token, (None, None))[0]
        if grant is None:
            raise _failed("invalid_token", "the token is not known")
        grant.dead = True
        return Response.of({})

    # Inside.

    def _check_client(self, request: Request, form: Mapping[str, str]) -> None:
        client, secret = form.get("client_id"), form.get("client_secret")
        scheme, _, value = (request.header("authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            client, _, secret = base64.b64decode(value).decode().partition(":")
        if client != self.client_id or (self.client_secret is not None and secret != self.client_secret):
            raise _failed("invalid_client", "The OAuth client was not found.", 401)

    def _redeem(self, form: Mapping[str, str]) -> _Grant:
        code = self._codes.pop(form.get("code", ""), None)  # a code works once
        if code is None or code.expires <= self.clock() or code.redirect_uri != form.get("redirect_uri"):
            raise _failed("invalid_grant", "The code is wrong, used or too old.")
        if code.challenge is not None and code.challenge != _s256(form.get("code_verifier", "")):
            raise _failed("invalid_grant", "The code verifier does not fit.")
        return code.grant

    def _device_grant(self, form: Mapping[str, str]) -> _Grant:
        device = self._devices.get(form.get("device_code", ""))
        if device is None:
            raise _failed("invalid_grant", "The device code is wrong.")
        if device.expires <= self.clock():
            raise _failed("expired_token", "The device code is too old.")
        if device.state == "pending":
            raise _failed("authorization_pending", "The user has not answered yet.")
        if device.state == "denied":
            raise _failed("access_denied", "The user said no.")
        del self._devices[form["device_code"]]
        return _Grant(device.scope)

    def _refreshed(self, token: str) -> Response:
        grant = self._refresh.get(token)
        if grant is None or grant.dead:
            raise _failed("invalid_grant", "Token has been expired or revoked.")
        if self.rotates:
            del self._refresh[token]
        return self._answer(grant, refresh=self.rotates)

    def _answer(self, grant: _Grant, *, refresh: bool) -> Response:
        document = {
            "access_token": self._new_access(grant),
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "scope": grant.scope,
            **self.extra,
        }
        if refresh:
            document["refresh_token"] = self._new_refresh(grant)
        return Response.of(document, headers={"Cache-Control": "no-store"})

    def _new_access(self, grant: _Grant) -> str:
        token = next(self._names["access"])
        self._access[token] = grant, self._after(self.lifetime)
        return token

    def _new_refresh(self, grant: _Grant) -> str:
        token = next(self._names["refresh"])
        self._refresh[token] = grant
        return token

    def _after(self, seconds: float) -> datetime:
        return self.clock() + timedelta(seconds=seconds)


def _members(request: Request) -> dict[str, str]:
    """The body, a form (RFC 6749) or JSON (Notion)."""
    try:
        if "json" in (request.header("content-type") or ""):
            return {name: value for name, value in (request.json() or {}).items() if isinstance(value, str)}
        return request.form()
    except ValueError as error:
        raise _failed("invalid_request", "the body cannot be read") from error


def _failed(error: str, description: str, status: int = 400) -> Failed:
    return Failed(Response.of({"error": error, "error_description": description}, status))


def _redirect(to: str, params: Mapping[str, str | None]) -> Response:
    return Response(status=302, headers={"Location": f"{to}{'&' if '?' in to else '?'}{urlencode(params)}"})


def _is_loopback(url: str) -> bool:
    """RFC 8252 section 7.3: any port of the loopback interface."""
    return urlsplit(url).scheme == "http" and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
