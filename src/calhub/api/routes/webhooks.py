"""``/webhooks/{google|microsoft|notion}/{replica}``: where services tell of changes. No token: each is verified in its
own way (`calhub.daemon.webhooks`), and all that a message can do is to have a calendar looked at.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from calhub.daemon.webhooks import Forged, Webhooks
from calhub.providers.notion.webhooks import SIGNATURE

#: Larger than any notification; Graph gathers up to a few hundred in one.
MOST_BYTES: Final = 1_000_000


router = APIRouter(prefix="/webhooks", include_in_schema=False)


def _of(request: Request) -> Webhooks:
    """Only a daemon has any: without one there is nobody to poke."""
    webhooks: Webhooks | None = request.app.state.surroundings.webhooks
    if webhooks is None:
        raise HTTPException(404)
    return webhooks


@router.post("/google/{replica}")
async def google(replica: int, request: Request) -> Response:
    # 200 in any case: Google would only repeat what is answered otherwise.
    await run_in_threadpool(_of(request).google, replica, request.headers)
    return Response(status_code=200)


@router.post("/microsoft/{replica}")
async def microsoft(replica: int, request: Request) -> Response:
    token = await run_in_threadpool(_of(request).handshake, replica, request.query_params)
    if token is not None:
        return PlainTextResponse(token, headers={"X-Content-Type-Options": "nosniff"})
    body = await _body(request)
    if body is None:
        return Response(status_code=413)
    await run_in_threadpool(_of(request).microsoft, replica, body)
    return Response(status_code=202)


@router.post("/notion/{replica}")
async def notion(replica: int, request: Request) -> Response:
    body = await _body(request)
    if body is None:
        return Response(status_code=413)
    try:
        await run_in_threadpool(_of(request).notion, replica, request.headers.get(SIGNATURE), body)
    except Forged:
        return Response(status_code=403)
    return Response(status_code=200)


async def _body(request: Request) -> bytes | None:
    """The body, read no further than `MOST_BYTES`; None where there is more."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MOST_BYTES:
            return None
    return bytes(parts)
