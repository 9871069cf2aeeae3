"""Signing in with OAuth: in the browser (RFC 8252: authorization code with PKCE, RFC 7636, and a loopback redirect), or
with a code that is typed in on another device (RFC 8628).

What comes out are the secrets to keep. Codes, tokens and the verifier are in no message and no log.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from calhub.providers.base import ProviderError, Trait
from calhub.providers.oauth import Grant, Service, TokenEndpoint, TokenError

#: How long the user has at the sign-in page.
BROWSER_SECONDS: Final = 600.0
#: RFC 8628 section 3.5: between two polls, and what ``slow_down`` adds.
POLL_SECONDS: Final = 5.0

_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
#: Microsoft's spelling beside that of RFC 8628.
_DECLINED: Final = frozenset({"access_denied", "authorization_declined"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})

#: Shows the user a line.
Tell = Callable[[str], object]


def in_browser(
    service: Service, tell: Tell, open_browser: Callable[[str], object] | None, *, seconds: float = BROWSER_SECONDS
) -> dict[str, str]:
    """Sign in in the browser on this machine, which ``open_browser`` opens; the address is told as well.

    Returns the secrets to keep. Raises `ProviderError`.
    """
    state, verifier = generate_token(32), generate_token(64)
    challenge = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    with _Redirect(service, state) as redirect:
        url = prepare_grant_uri(
            service.authorize_url, service.client_id, "code", redirect.uri, _scopes(service), state,
            **(challenge if service.pkce else {}), **service.login_params,
        )  # fmt: skip
        tell(f"Sign in at {service.name} in your browser:\n{url}")
        if open_browser is not None:
            open_browser(url)
        code = redirect.code(seconds)
        with TokenEndpoint(service) as endpoint:
            proof = {"code_verifier": verifier} if service.pkce else {}
            grant = endpoint.grant("authorization_code", redirect_uri=redirect.uri, code=code, **proof)
    return _secrets(service, grant)


def by_device_code(
    service: Service,
    tell: Tell,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, str]:
    """Sign in on another device, with a code that is told. Returns the secrets to keep. Raises `ProviderError`."""
    if service.device_url is None:
        raise ProviderError(
            f"{service.name} has no sign-in by device code for calendars.",
            "Sign in in the browser: leave out --device-code.",
            Trait.FATAL,
        )
    with TokenEndpoint(service) as endpoint:
        offer = endpoint.device(service.device_url, _scopes(service))
        user_code, page, device_code = (_text(offer, name) for name in ("user_code", "verification_uri", "device_code"))
        tell(f"Open {page} on any device and enter the code {user_code}")
        end = clock() + _number(offer, "expires_in", 900.0)
        wait = _number(offer, "interval", POLL_SECONDS)
        while True:
            sleep(wait)
            if clock() >= end:
                raise _too_late()
            try:
                return _secrets(service, endpoint.grant(_DEVICE_GRANT, device_code=device_code))
            except ProviderError as error:
                code = error.code if isinstance(error, TokenError) else ""
                if code in _DECLINED:
                    raise _declined(service) from error
                if code == "expired_token":
                    raise _too_late() from error
                if code == "slow_down" or (not code and error.trait is Trait.RETRY):
                    wait += POLL_SECONDS
                elif code != "authorization_pending" and error.trait is not Trait.RETRY:
                    raise


def _scopes(service: Service) -> str:
    return " ".join((*service.scopes, *service.optional_scopes))


def _secrets(service: Service, grant: Grant) -> dict[str, str]:
    """Users may untick single rights on the consent page, so what was granted is compared with what is needed."""
    if grant.scope is not None:
        granted = {_short(scope) for scope in grant.scope.split()}
        # that this one was granted shows in the refresh token
        missing = {_short(scope) for scope in service.scopes} - granted - {"offline_access"}
        if missing:
            raise ProviderError(
                f"{service.name} did not grant what is needed: {', '.join(sorted(missing))}.",
                "Sign in again and leave every box ticked.",
                Trait.LOGIN,
            )
    if grant.refresh_token is None:
        if service.lasting_tokens:
            return {"token": grant.access_token}
        raise ProviderError(
            f"{service.name} gave no refresh token.",
            "Withdraw calhub's access on the service's security page, then sign in again.",
            Trait.LOGIN,
        )
    return grant.secrets(datetime.now(UTC))


def _short(scope: str) -> str:
    """Services name one scope with or without the address in front of it, in any case."""
    return scope.rpartition("/")[2].lower()


def _text(offer: Mapping[str, Any], name: str) -> str:
    value = offer.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ProviderError("The service's answer has no device code.", "Try again later.")
    return value


def _number(offer: Mapping[str, Any], name: str, default: float) -> float:
    try:
        return max(0.0, float(offer.get(name, default)))
    except (TypeError, ValueError):
        return default


def _declined(service: Service) -> ProviderError:
    return ProviderError(f"The sign-in was declined at {service.name}.", "Start it again to allow it.", Trait.LOGIN)


def _too_late() -> ProviderError:
    return ProviderError("Nobody signed in in time.", "Start the sign-in again.", Trait.LOGIN)


# The redirect.


class _Redirect:
    """A server on the loopback interface that waits for the browser to come back with the code.

    Visits without our ``state`` come from somebody else and are turned away.
    """

    def __init__(self, service: Service, state: str) -> None:
        self._service = service
        asked = urlsplit(service.redirect_uri or f"http://{service.redirect_host}:0")
        if asked.scheme != "http" or asked.hostname not in _LOOPBACK:
            raise ProviderError(
                "The redirect address is not one of this machine.", "Write it like http://localhost:8471/.", Trait.FATAL
            )
        try:
            self._server = _Server(("127.0.0.1", asked.port or 0), state)
        except OSError as error:
            raise ProviderError(
                f"Port {asked.port} of this machine is taken.", "End what uses it, then try again.", Trait.FATAL
            ) from error
        self.uri = service.redirect_uri or f"http://{asked.hostname}:{self._server.server_address[1]}"

    def __enter__(self) -> _Redirect:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sign-in", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def code(self, seconds: float) -> str:
        """The code the browser brings. Raises `ProviderError` when it brings none in so many seconds."""
        try:
            answer = self._server.answers.get(timeout=seconds)
        except queue.Empty:
            raise _too_late() from None
        if code := answer.get("code"):
            return code
        if answer.get("error") in _DECLINED:
            raise _declined(self._service)
        word = answer.get("error", "")
        reason = f" ({word})" if word.replace("_", "").isalnum() else ""
        raise ProviderError(
            f"{self._service.name} broke off the sign-in{reason}.",
            "Check the client id, its redirect address and its rights at the service.",
            Trait.LOGIN,
        )


class _Server(ThreadingHTTPServer):
    """Several visits at once, since browsers open connections in advance that say nothing."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], state: str) -> None:
        self.state = state
        self.answers: queue.Queue[dict[str, str]] = queue.Queue()
        super().__init__(address, _Visit)


class _Visit(BaseHTTPRequestHandler):
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        answer = dict(parse_qsl(urlsplit(self.path).query))
        if not compare_digest(answer.get("state", "").encode(), self.server.state.encode()):
            self._show(400, "This is not the sign-in that calhub is waiting for.")
        elif "code" in answer:
            self._show(200, "The sign-in went through. You can close this page.")
            self.server.answers.put(answer)
        else:
            self._show(200, "The sign-in did not go through; calhub says more.")
            self.server.answers.put(answer)

    def _show(self, status: int, text: str) -> None:
        body = f"<!doctype html><title>calhub</title><p>{text}".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")  # the address of this page holds the code
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the request line holds the code."""
