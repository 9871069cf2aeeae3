"""A service with OAuth and one guarded resource, for tests of what the providers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calhub.providers.oauth import Service as OAuthService
from calhub.testing.services.base import Clock, Failed, Request, Response, Route, Service
from calhub.testing.services.oauth import OAuth, Paths
from calhub.testing.world import VirtualClock


class Desk(Service):
    """``/papers/{paper}`` needs a token that was given out by ``oauth``; whatever is sent there is answered."""

    def __init__(self, clock: Clock | None = None, **oauth: Any) -> None:
        super().__init__(clock=clock or VirtualClock())
        self.oauth = OAuth(clock=self.clock, **{"rotates": True, "paths": Paths(device="/device"), **oauth})
        self.reply: Response | None = None

    def routes(self) -> Sequence[Route]:
        papers = [Route(method, "/v1/papers/{paper}", self._paper) for method in ("GET", "POST", "PATCH")]
        return [*papers, *self.oauth.routes()]

    def expire_tokens(self) -> None:
        self.oauth.expire()

    def _paper(self, request: Request) -> Response:
        if self.oauth.scope_of(request) is None:
            raise Failed(Response.of({"error": "unauthorized"}, 401))
        return self.reply or Response.of({"paper": request.path_value("paper"), "sent": request.json()})

    def client(self, **changes: Any) -> OAuthService:
        """The client's side of it, as registered here."""
        facts = {
            "name": "Desk",
            "client_id": "client",
            "client_secret": "client-secret",
            "authorize_url": f"{self.url}/o/oauth2/v2/auth",
            "token_url": f"{self.url}/token",
            "device_url": f"{self.url}/device",
            "scopes": ("papers.write",),
        }
        return OAuthService(**{**facts, **changes})

    @property
    def refreshes(self) -> int:
        """Requests to the token endpoint."""
        return len(self.requests("POST /token"))
