"""Which web pages of other origins may use the API (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from calhub.api.surroundings import Surroundings


class Origins(CORSMiddleware):
    """Goes by the setting ``cors_origins`` as it is at the time; where that names none, there is no CORS."""

    def __init__(self, app: ASGIApp, surroundings: Surroundings) -> None:
        super().__init__(
            app, allow_methods=["*"], allow_headers=["*"], expose_headers=["ETag", "Location", "Retry-After"]
        )
        self._here = surroundings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._here.origins:
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        return origin in self._here.origins
