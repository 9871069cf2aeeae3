"""``/webhooks/{google|microsoft|notion}/{replica}``: where services tell of changes. No token: each is verified in its
own way (`calhub.daemon.webhooks`), and all that a message can do is to have a calendar looked at.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from calhub.daemon.webhooks import Forged, Webhooks
from calhub.providers.notion.webhooks import SIGNATURE

#: Larger than any notification; Graph gathers up to a few hundred in one.
MOST_BYTES: Final = 1_000_000


def router(webhooks: Webhooks) -> APIRouter:
    """The routes, to be included without a prefix."""
    made = APIRouter(prefix="/webhooks", include_in_schema=False)

    @made.post("/google/{replica}")
    async def google(replica: int, request: Request) -> Response:
        # 200 in any case: Google would only repeat what is answered otherwise.
        await run_in_threadpool(webhooks.google, replica, request.headers)
        return Response(status_code=200)

    @made.post("/microsoft/{replica}")
    async def microsoft(replica: int, request: Request) -> Response:
        token = await run_in_threadpool(webhooks.handshake, replica, request.query_params)
        if token is not None:
            return PlainTextResponse(token, headers={"X-Content-Type-Options": "nosniff"})
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        await run_in_threadpool(webhooks.microsoft, replica, body)
        return Response(status_code=202)

    @made.post("/notion/{replica}")
    async def notion(replica: int, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        try:
            await run_in_threadpool(webhooks.notion, replica, request.headers.get(SIGNATURE), body)
        except Forged:
            return Response(status_code=403)
        return Response(status_code=200)

    return made


async def _body(request: Request) -> bytes | None:
    """The body, read no further than `MOST_BYTES`; None where there is more."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MOST_BYTES:
            return None
    return bytes(parts)
