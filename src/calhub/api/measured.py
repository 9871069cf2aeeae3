"""How long answers take, for `/metrics` by route and for the criterion ``query``; and by what id the log knows them."""

from __future__ import annotations

import re
import time
import uuid
from collections import deque
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calhub.health.metrics import Metrics
from calhub.ops import trace

#: Routes, below the root of the API, that ask the hub and nobody else.
QUERIES: Final = ("/occurrences", "/search", "/events", "/events/{uid}", "/freebusy")

#: So many of the latest answering times are kept.
KEPT: Final = 1000


#: What the log calls a request: as the caller says, or anew.
REQUEST: Final = "X-Request-ID"


class Measured:
    """Measures from the arrival of a request to the last byte of its answer. Streams, which never end, are left out."""

    def __init__(self, app: ASGIApp, metrics: Metrics, queries: deque[float], root: str) -> None:
        self._app = app
        self._metrics = metrics
        self._queries = queries
        self._root = root
        self._asking = frozenset(root + path for path in QUERIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, stream = time.perf_counter(), 500, False
        request = _id(Headers(scope=scope).get(REQUEST))

        async def sent(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST] = request
                stream = any(
                    value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                    if name == b"content-type"
                )
            await send(message)

        with trace.span("request", request=request, method=scope["method"]) as told:
            try:
                await self._app(scope, receive, sent)
            finally:
                told["code"], told["route"] = status, self._route(scope)
                if not stream:
                    self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope)
        self._metrics.answered(route, scope["method"], status, seconds)
        if scope["method"] == "GET" and status < 400 and route in self._asking:
            self._queries.append(seconds)

    def _route(self, scope: Scope) -> str:
        """The pattern of the route that answered, with the API's root, which newer FastAPIs leave out."""
        pattern: str | None = getattr(scope.get("route"), "path_format", None)
        if pattern is None:
            return "none"
        below = scope["path"].startswith(f"{self._root}/") and not pattern.startswith(f"{self._root}/")
        return self._root + pattern if below else pattern


def _id(given: str | None) -> str:
    return given if given is not None and re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else uuid.uuid4().hex
