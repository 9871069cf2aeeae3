"""``/webhooks/{google|microsoft|notion}/{replica}``: where services tell of changes. No token: each is verified in its
own way (`calhub.daemon.webhooks`), and all that a message can do is to have a calendar looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from calhub.daemon.webhooks import Outcome, Webhooks
from calhub.providers.notion.webhooks import SIGNATURE

#: Larger than any notification; Graph gathers up to a few hundred in one.
MOST_BYTES: Final = 1_000_000


router = APIRouter(prefix="/webhooks", include_in_schema=False)

Replica = Annotated[int, Path(ge=1, le=2**62)]


def _of(request: Request) -> Webhooks:
    """Only a daemon has any: without one there is nobody to poke."""
    webhooks: Webhooks | None = request.app.state.surroundings.webhooks
    if webhooks is None:
        raise HTTPException(404)
    return webhooks


@router.post("/google/{replica}")
async def google(replica: Replica, request: Request) -> Response:
    webhooks = _of(request)
    # 200 in any case: Google would only repeat what is answered otherwise.
    await _read(request, "google", replica, lambda: webhooks.google(replica, request.headers))
    return Response(status_code=200)


@router.post("/microsoft/{replica}")
async def microsoft(replica: Replica, request: Request) -> Response:
    webhooks = _of(request)
    token = await run_in_threadpool(webhooks.handshake, replica, request.query_params)
    if token is not None:
        return PlainTextResponse(token, headers={"X-Content-Type-Options": "nosniff"})
    body = await _body(request)
    if body is None:
        return Response(status_code=413)
    await _read(request, "microsoft", replica, lambda: webhooks.microsoft(replica, body))
    return Response(status_code=202)


@router.post("/notion/{replica}")
async def notion(replica: Replica, request: Request) -> Response:
    webhooks = _of(request)
    body = await _body(request)
    if body is None:
        return Response(status_code=413)
    signature = request.headers.get(SIGNATURE)
    outcome = await _read(request, "notion", replica, lambda: webhooks.notion(replica, signature, body))
    return Response(status_code=403 if outcome == "refused" else 200)


async def _read(request: Request, provider: str, replica: int, read: Callable[[], Outcome]) -> Outcome:
    """Have the message read. Each is counted, and one that nobody of ours has sent is a security event."""
    state, address = request.app.state, request.client.host if request.client else "unknown"

    def work() -> Outcome:
        outcome = read()
        state.metrics.told(provider, outcome)
        if outcome == "refused":
            state.refusals.note("webhook refused", provider=provider, replica=replica, address=address)
        return outcome

    return await run_in_threadpool(work)


async def _body(request: Request) -> bytes | None:
    """The body, read no further than `MOST_BYTES`; None where there is more."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MOST_BYTES:
            return None
    return bytes(parts)
