"""A client for JSON services with bearer tokens, over the rules of `calhub.providers.http`.

    ProviderError
      Unreached   certainly not received: no connection, or the limiter would have to wait too long (RETRY)
      NoAnswer    sent, but no whole answer that can be understood came back (RETRY)
      LOGIN       401 also with a fresh token

Any other status is a `Reply`; what it means is for the provider to say.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import BODY_LIMIT, Answer, NoAnswer, Unreached, Web, check_endpoint, host_of, retry_after
from calhub.providers.limits import Limiter
from calhub.providers.oauth import Tokens

Params = Mapping[str, str | int | list[str]]

__all__ = ["Params", "Reply", "Rest", "retry_after"]

_BUSY: Final = frozenset({429, 503, 529})


@dataclass(frozen=True)
class Reply:
    """An answer. ``json`` is None where the body is empty or no JSON; ``body`` is as it came."""

    status: int
    headers: Mapping[str, str]
    json: Any
    body: bytes = b""


class Rest:
    """One account's way to its service. Safe to use from several threads; connections are kept and shared.

    ``root`` is the address of the API; https, or http on a loopback host (`ProviderError` FATAL otherwise).
    ``headers`` go with every request. A 429 or 503 with Retry-After makes the limiter pause. ``transport`` takes the
    place of the network.
    """

    def __init__(
        self,
        root: str,
        tokens: Tokens,
        *,
        headers: Mapping[str, str] | None = None,
        limiter: Limiter | None = None,
        public_only: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.root = check_endpoint(root).rstrip("/")
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._limiter = limiter
        self._web = Web(self.root, _TokenAuth(tokens), public_only=public_only, transport=transport)

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._web.requests

    def request(
        self,
        method: str,
        path_or_url: str,
        *,
        params: Params | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        cost: int = 1,
    ) -> Reply:
        """One exchange. ``json`` or ``content`` is the body; ``cost`` is what it counts for in the limiter.

        A path is taken below the root, escaped by the caller; an address (a link to the next page) must belong to the
        same owner. Raises `ProviderError` as told in the module.
        """
        url = self._url(path_or_url, params)
        sent = {**self._headers, **(headers or {})}
        if json is not None:
            content = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            sent.setdefault("Content-Type", "application/json")
        if self._limiter is None:
            return self._send(method, url, sent, content)
        with self._limiter.slot(cost):
            reply = self._send(method, url, sent, content)
        if reply.status in _BUSY and (wait := retry_after(reply.headers)):
            self._limiter.pause(wait)
        return reply

    def close(self) -> None:
        """Release connections. Idempotent."""
        self._web.close()

    def _url(self, path_or_url: str, params: Params | None) -> str:
        absolute = path_or_url.startswith(("https://", "http://"))
        url = path_or_url if absolute else f"{self.root}/{path_or_url.lstrip('/')}"
        return str(httpx.URL(url).copy_merge_params(dict(params))) if params else url

    def _send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Reply:
        answer = self._web.send(method, url, headers=headers, content=content, limit=BODY_LIMIT)
        return Reply(answer.status, answer.headers, _json(answer), answer.body)


def _json(answer: Answer) -> Any:
    """The body as JSON, where it is said to be. A success that cannot be understood is no answer."""
    kind = answer.headers.get("content-type", "").lower()
    succeeded = answer.status < 300
    if "json" not in kind:
        if succeeded and "html" in kind:  # a login page of the network, or a proxy's
            raise NoAnswer(f"{host_of(answer.url)} answered with a web page.", "Check the network connection.")
        return None
    if not answer.body:
        return None
    try:
        return jsonlib.loads(answer.body)
    except (ValueError, RecursionError):
        if succeeded:
            raise NoAnswer(f"{host_of(answer.url)} sent an answer that is no JSON.", "Try again later.") from None
        return None


class _TokenAuth(httpx.Auth):
    """The current token with each request (RFC 6750 section 2.1), and once more with a fresh one after a 401."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._current()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code != 401:
            return
        self._tokens.refused(token)
        fresh = self._current()
        if fresh != token:
            request.headers["Authorization"] = f"Bearer {fresh}"
            yield request

    def _current(self) -> str:
        try:
            return self._tokens.current()
        except ProviderError as error:
            if error.trait is not Trait.RETRY:
                raise
            # whatever became of the request for a token, the one in hand was not received
            raise Unreached(error.message, error.hint, error.trait, error.retry_after) from error
