"""Requests that reach an emulator without a network: as fast as a call, and what is raised on the way goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from calhub.testing.services.base import Cut, Service

#: Where the emulator seems to be. Nothing listens there.
ORIGIN: Final = "http://localhost"


class Direct(httpx.BaseTransport):
    """A transport to one emulator. ``around`` is called with ``"PATCH /events/1"`` and ``"before"``, then ``"after"``.

    Without it nobody is to notice: no planned fault strikes, and nothing is logged.
    """

    def __init__(self, service: Service, around: Callable[[str, str], None] | None = None) -> None:
        self._service = service
        self._around = around

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = request.method, request.url.raw_path.decode(), dict(request.headers), request.read()
        if self._around is None:
            response = self._service.peek(*sent)
        else:
            name = f"{request.method} {request.url.path}"
            self._around(name, "before")
            try:
                response = self._service.receive(*sent)
            except Cut as cut:
                raise httpx.RemoteProtocolError("The connection was closed.", request=request) from cut
            self._around(name, "after")
        return httpx.Response(response.status, headers=dict(response.headers), content=response.body)
