"""Who is asking, and what they may do.

    Authorization: Bearer TOKEN
    Authorization: CALHUB-HMAC-SHA256 id=ID, timestamp=UNIX, nonce=TEXT, signature=HEX

A signature is HMAC-SHA256 with the key ``hex(SHA-256("calhub-sign:" + TOKEN))`` over the lines METHOD, path with query,
timestamp, nonce and hex SHA-256 of the body. The token itself never travels. A request is accepted once, within five
minutes; and none from before this process began, which is how nonces need not be stored. How long ago that was is not
measured by the clock: one that is put back must not keep everybody out until it is where it was.

Without either, on a server bound to loopback, a request from this machine that names it by a loopback name is the
owner's: neither another site's page nor a name that was pointed here later (DNS rebinding) can make one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from calhub.api.problems import Problem
from calhub.hub import tokens
from calhub.hub.database import Hub
from calhub.hub.tokens import SCOPES, Scope, Token

SIGNED: Final = "CALHUB-HMAC-SHA256"
_WINDOW: Final = 300.0
_NONCES: Final = 100_000
_PART: Final = re.compile(r"(id|timestamp|nonce|signature)=([\x21-\x2b\x2d-\x7e]{1,200})")


@dataclass(frozen=True)
class Caller:
    """``key`` is what limits go by; ``token`` is None for the owner at the machine itself."""

    key: str
    scope: Scope
    token: Token | None = None

    def may(self, scope: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


@dataclass(frozen=True)
class Asked:
    """What of a request says who sent it. ``target`` is path and query as sent; ``body`` is for signed ones."""

    method: str
    target: str
    headers: Headers
    address: str
    body: bytes = b""


class Wrong(Exception):
    """Credentials were offered, and they are no good."""


class Auth:
    """Decides who is asking. ``clock`` and ``steady`` are those of `Surroundings`."""

    def __init__(
        self,
        hub: Hub,
        *,
        loopback: bool,
        origins: Callable[[], frozenset[str]],
        clock: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._loopback = loopback
        self._origins = origins
        self._clock = clock
        self._steady = steady
        self._started = steady()
        self._lock = threading.Lock()
        self._nonces: dict[tuple[str, str], float] = {}

    def kind(self, headers: Headers) -> Literal["bearer", "signed", "none"]:
        """What is offered. Raises `Wrong` for a scheme that is neither."""
        offered = headers.get("authorization")
        if offered is None:
            return "none"
        scheme = offered.partition(" ")[0].lower()
        if scheme == "bearer":
            return "bearer"
        if scheme == SIGNED.lower():
            return "signed"
        raise Wrong

    def caller(self, asked: Asked) -> Caller:
        """Whose credentials these are, by the hub. Raises `Wrong`."""
        value = asked.headers["authorization"].partition(" ")[2].strip()
        token = self._bearer(value) if self.kind(asked.headers) == "bearer" else self._signed(value, asked)
        return Caller(f"token {token.id}", token.scope, token)

    def owner(self, asked: Asked) -> Caller:
        """Whoever asks without credentials. Raises `Problem` where these are needed."""
        headers = asked.headers
        forwarded = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-forwarded-host"))
        if not self._loopback or forwarded or not is_loopback_name(headers.get("host", "")):
            raise Problem(
                401, "A token is needed.", code="token-needed", hint="Make one with: calhub token create --scope read",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        origin = headers.get("origin")
        foreign = (
            origin is not None and urlsplit(origin).netloc != headers.get("host") and origin not in self._origins()
        )
        if foreign or (origin is None and headers.get("sec-fetch-site") == "cross-site"):
            raise Problem(403, "Pages of other sites may not use this API.", code="cross-site")
        return Caller(f"address {asked.address}", "admin")

    def _bearer(self, value: str) -> Token:
        with self._hub.read() as conn:
            found = tokens.by_token(conn, value)
        if found is None:
            raise Wrong
        return found

    def _signed(self, value: str, asked: Asked) -> Token:
        given = {found[1]: found[2] for found in map(_PART.fullmatch, value.split(", ")) if found}
        if given.keys() != {"id", "timestamp", "nonce", "signature"}:
            raise Wrong
        try:
            at = float(given["timestamp"])
        except ValueError:
            raise Wrong from None
        with self._hub.read() as conn:
            found = tokens.by_id(conn, self._hub.home, given["id"])
        key = "" if found is None else found[1]
        made = sign(key, asked.method, asked.target, given["timestamp"], given["nonce"], asked.body)
        if not hmac.compare_digest(made.encode(), given["signature"].encode()) or found is None:
            raise Wrong
        now, age = self._clock(), self._steady() - self._started
        if not now - min(_WINDOW, age) <= at <= now + _WINDOW or not self._fresh(given, at, now):
            raise Wrong
        return found[0]

    def _fresh(self, given: dict[str, str], at: float, now: float) -> bool:
        """Remember the nonce; False where it was used before. With too many in the window, no more are taken."""
        nonce = (given["id"], given["nonce"])
        with self._lock:  # the same request may be at it in another thread
            if len(self._nonces) >= _NONCES:
                self._nonces = {known: end for known, end in self._nonces.items() if end > now}
            if nonce in self._nonces or len(self._nonces) >= _NONCES:
                return False
            self._nonces[nonce] = at + _WINDOW
            return True


def sign(key: str, method: str, target: str, timestamp: str, nonce: str, body: bytes) -> str:
    """The signature of a request, hexadecimal."""
    lines = (method.upper(), target, timestamp, nonce, hashlib.sha256(body).hexdigest())
    return hmac.new(key.encode(), "\n".join(lines).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def is_loopback_name(host: str) -> bool:
    """Whether a Host header names this machine and can name no other."""
    name = re.sub(r":\d+$", "", host.lower())
    return name == "[::1]" or re.fullmatch(r"(.+\.)?localhost|127(\.\d{1,3}){3}", name) is not None
