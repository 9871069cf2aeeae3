"""What every request passes before a route sees it: who asks, how often, how much; what is said if all fails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calhub.api.auth import Asked, Auth, Caller, Wrong
from calhub.api.limits import Mistakes, Rate
from calhub.api.problems import Problem, problem_of, unexpected
from calhub.api.surroundings import Surroundings
from calhub.health.refusals import Refusals
from calhub.hub import audit, tokens
from calhub.hub.database import instant
from calhub.hub.errors import HubError
from calhub.ops import log

#: Largest bodies in bytes: of anything, and of a calendar file.
BODY: Final = 1024 * 1024
FILE: Final = 10 * 1024 * 1024

#: A token's last use is noted as exactly as this.
_NOTED_EVERY: Final = timedelta(minutes=5)


class Gate:
    """The outermost layer of ours. ``public``: paths, or with a slash at the end whole trees, that ask for nothing."""

    def __init__(
        self,
        app: ASGIApp,
        surroundings: Surroundings,
        *,
        public: Sequence[str] = (),
        files: Sequence[str] = (),
        refusals: Refusals,
    ) -> None:
        self._app = app
        self._here = surroundings
        self._rate = Rate()
        self._mistakes = Mistakes()
        self._refusals = refusals
        self._auth = Auth(
            surroundings.hub,
            loopback=surroundings.loopback,
            origins=lambda: surroundings.origins,
            clock=surroundings.clock,
            steady=surroundings.steady,
        )
        self._public = public
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            receive = await self._admit(scope, receive)
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            return
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                log.record(error, "api")
                problem = unexpected()
            if begun:  # too late for another answer: the broken connection has to say it
                raise
            await problem.response()(scope, receive, sent)
        await self._note_use(scope)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Let the request in, as ``scope["caller"]``, and return where its body is read from. Raises `Problem`."""
        headers, path = Headers(scope=scope), scope["path"]
        limit = FILE if path in self._files else BODY
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
        now, address = self._here.steady(), (scope.get("client") or ("unknown",))[0]
        if self._is_public(path):
            self._take(f"address {address}", now)
            return _bounded(receive, limit)
        if "authorization" in headers and (seconds := self._mistakes.wait(address, now)):
            raise _later(seconds, "Too many wrong tokens came from this address.")
        try:
            receive, body = await self._body(headers, receive, limit)
            asked = Asked(scope["method"], _target(scope), headers, address, body)
            if self._auth.kind(headers) == "none":
                caller = self._auth.owner(asked)
            else:
                caller = await to_thread.run_sync(self._auth.caller, asked)
        except Wrong:
            self._mistakes.note(address, now)
            await to_thread.run_sync(lambda: self._refusals.note("credentials refused", address=address))
            raise Problem(
                401, "The credentials are not valid.", code="wrong-token",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            ) from None  # fmt: skip
        self._take(caller.key, now)
        scope["caller"] = caller
        audit.actor.set(caller.key)
        return receive

    def _is_public(self, path: str) -> bool:
        return any(path == each or (each.endswith("/") and path.startswith(each)) for each in self._public)

    def _take(self, key: str, now: float) -> None:
        if seconds := self._rate.wait(key, now, self._here.number("api_rate")):
            raise _later(seconds, "That was too many requests.")

    async def _body(self, headers: Headers, receive: Receive, limit: int) -> tuple[Receive, bytes]:
        """A signature covers the body, so that one is read first; else it is left to the route, within the limit."""
        receive = _bounded(receive, limit)
        if self._auth.kind(headers) != "signed":
            return receive, b""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)
        return _replayed(body, receive), body

    async def _note_use(self, scope: Scope) -> None:
        caller: Caller | None = scope.get("caller")
        if caller is None or caller.token is None:
            return
        hub, token = self._here.hub, caller.token
        if token.last_used is not None and token.last_used > instant(hub.clock() - _NOTED_EVERY):
            return

        def note() -> None:
            with hub.transaction() as conn:
                tokens.note_use(conn, token.id, now=hub.now())

        try:
            await to_thread.run_sync(note)
        except HubError as error:  # the answer is out, and was right
            log.get("api").warning("the use of a token was not noted", reason=error.message)


def _target(scope: Scope) -> str:
    """Path and query as they were sent."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("ascii", "surrogateescape")


def _bounded(receive: Receive, limit: int) -> Receive:
    """The body, up to the limit, also where its length was not declared or is wrong."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, str(_too_large(limit)))  # of all errors, FastAPI lets these through
        return message

    return bounded


def _replayed(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _too_large(limit: int) -> Problem:
    return Problem(413, f"The body is larger than {limit // 1024**2} MB.")


def _later(seconds: float, detail: str) -> Problem:
    return Problem(429, detail, hint="Wait, then try again.", headers={"Retry-After": str(max(1, round(seconds)))})
