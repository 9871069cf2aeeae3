"""The API as one application. Thin: routes parse, call what the command line calls too, and shape the answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from calhub.api import problems
from calhub.api.alerting import keep_telling
from calhub.api.depends import SLOW_CALLS
from calhub.api.gate import Gate
from calhub.api.idempotency import Idempotency
from calhub.api.measured import KEPT, Measured
from calhub.api.openapi import describe
from calhub.api.origins import Origins
from calhub.api.paging import Json
from calhub.api.routes import (
    accounts,
    calendars,
    endpoints,
    events,
    governing,
    health,
    inbox,
    queries,
    replicas,
    rules,
    stream,
    syncing,
    webhooks,
)
from calhub.api.surroundings import Surroundings, check, is_on
from calhub.health.metrics import Metrics
from calhub.health.refusals import Refusals
from calhub.hub import replies

ROOT: Final = "/api/v1"

#: Below `ROOT`, in the order of the documentation.
ROUTERS: Final[Sequence[APIRouter]] = (
    queries.router,
    events.router,
    calendars.router,
    accounts.router,
    replicas.router,
    rules.router,
    syncing.router,
    inbox.router,
    governing.router,
    stream.router,
    endpoints.router,
)

#: Beside it, with paths of their own: health, metrics, webhooks.
OUTSIDE: Final[Sequence[APIRouter]] = (health.router, webhooks.router)

#: What asks for no token: paths, or with a slash at the end whole trees. Webhooks prove their senders themselves.
PUBLIC: Final = ("/health", "/webhooks/")


def make_app(surroundings: Surroundings) -> FastAPI:
    """The application for a hub. Whoever serves it sets ``surroundings.stopping`` before it shuts the server down.

    Raises `InvalidValue` for settings that make no sense.
    """
    check(surroundings.setting)
    app = FastAPI(
        title="calhub",
        version=version("calhub"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.surroundings = surroundings
    app.state.slow = CapacityLimiter(SLOW_CALLS)
    app.state.metrics = Metrics(surroundings.hub, lambda: surroundings.load())
    app.state.refusals = Refusals(surroundings.hub)
    app.state.queries = deque[float](maxlen=KEPT)
    app.state.pulse = stream.Pulse(surroundings.hub.path)
    routers = [*((ROOT, router) for router in ROUTERS), *(("", router) for router in OUTSIDE)]
    if is_on(surroundings.setting("development")):
        routers.append(("", health.debug))
    for prefix, router in routers:
        app.include_router(router, prefix=prefix)
    app.add_api_route(f"{ROOT}/openapi.json", _document, include_in_schema=False)
    app.add_api_route("/", _signpost, include_in_schema=False)
    problems.install(app)
    describe(app, routers)
    app.add_middleware(Idempotency, hub=surroundings.hub)
    app.add_middleware(
        Gate,
        surroundings=surroundings,
        public=PUBLIC,
        files=(f"{ROOT}/import",),
        refusals=app.state.refusals,
    )
    app.add_middleware(Measured, metrics=app.state.metrics, queries=app.state.queries, root=ROOT)
    app.add_middleware(Origins, surroundings=surroundings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    hub = app.state.surroundings.hub

    def free() -> None:
        with hub.transaction() as conn:
            replies.free_all(conn)

    await to_thread.run_sync(free)
    telling = asyncio.create_task(keep_telling(app.state.surroundings))
    try:
        yield
    finally:
        telling.cancel()
        await to_thread.run_sync(app.state.refusals.close)


def _signpost(request: Request) -> Response:
    """For whoever opens the address that `calhub serve` shows: where to go from here."""
    there = {
        "api": f"{ROOT}/openapi.json", "agenda": f"{ROOT}/occurrences", "status": f"{ROOT}/status",
        "health": "/health/detailed", "history": "/history", "metrics": "/metrics",
    }  # fmt: skip
    root = str(request.base_url).rstrip("/")
    return Json({"calhub": version("calhub"), **{name: root + path for name, path in there.items()}})


def _document(request: Request) -> Response:
    """What the API is, for programs."""
    return Json(request.app.openapi())
