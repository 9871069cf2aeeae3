"""``Idempotency-Key`` on POST: the same request sent again has the same answer, and is carried out once.

Keys belong to a caller and last a day. The same key with another request is refused (422), and while the first is under
way so is its repetition (409). Only success is kept: after a failure nothing was done, and the key may be used again.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calhub.api.problems import Problem
from calhub.hub import replies
from calhub.hub.database import Hub
from calhub.hub.replies import Reply

#: Of answers with a ``secret``, which is never kept in clear: a repetition shows none.
NO_STORE: Final = ("cache-control", "no-store")

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT: Final = ("content-type", "location", "etag")


class Idempotency:
    """Wraps the app below the gate: it needs to know who is calling."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self._app = app
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        if key is None or "caller" not in scope:
            await self._app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            raise Problem(422, f"{HEADER} is not 1 to 255 printable ASCII characters.", code="invalid-key")
        body = await Request(scope, receive).body()
        query: bytes = scope["query_string"]
        digest = hashlib.sha256(b"\n".join((scope["path"].encode(), query, body))).hexdigest()
        caller = scope["caller"].key
        known = await to_thread.run_sync(self._claim, caller, key, digest)
        if known is not None:
            await _again(known, digest)(scope, receive, send)
            return
        await self._first(scope, body, send, caller, key)

    async def _first(self, scope: Scope, body: bytes, send: Send, caller: str, key: str) -> None:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            await self._app(scope, receive, keep)
        finally:
            # Kept before it is sent: whoever has the answer can rely on it.
            await to_thread.run_sync(self._settle, caller, key, messages)
        for message in messages:
            await send(message)

    def _claim(self, caller: str, key: str, digest: str) -> Reply | None:
        with self._hub.transaction() as conn:
            return replies.claim(conn, caller, key, digest, now=self._hub.clock())

    def _settle(self, caller: str, key: str, messages: list[Message]) -> None:
        status = messages[0]["status"] if messages else 500
        with self._hub.transaction() as conn:
            if not 200 <= status < 300:
                replies.free(conn, caller, key)
                return
            headers = Headers(raw=messages[0]["headers"])
            kept = {name: headers[name] for name in _KEPT if name in headers}
            body = b"".join(each.get("body", b"") for each in messages)
            replies.keep(
                conn, caller, key, status, kept, _without_secret(body) if NO_STORE in headers.items() else body
            )


def _without_secret(body: bytes) -> bytes:
    return json.dumps(json.loads(body) | {"secret": None}, ensure_ascii=False).encode()


def _again(known: Reply, digest: str) -> Response:
    if known.request != digest:
        raise Problem(422, f"This {HEADER} was used for another request.", code="key-reused", hint="Use a new one.")
    if known.status is None:
        raise Problem(409, "The first request with this key is under way.", code="key-in-use", hint="Wait for it.")
    return Response(known.body, known.status, {**known.headers, "Idempotency-Replayed": "true"})
