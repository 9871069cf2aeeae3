"""What routes ask for: the surroundings, the scope a caller needs, and calls that wait for services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from calhub.api.auth import Caller
from calhub.api.problems import Problem
from calhub.api.surroundings import Surroundings
from calhub.hub.tokens import Scope

T = TypeVar("T")

#: Calls at once that wait for other services. They have threads of their own: reads never wait for them.
SLOW_CALLS = 8


# Asynchronous though they wait for nothing: FastAPI gives others a thread each, which takes longer than they do.


async def _surroundings(request: Request) -> Surroundings:
    found: Surroundings = request.app.state.surroundings
    return found


Here = Annotated[Surroundings, Depends(_surroundings)]


def needs(scope: Scope) -> Any:
    """A dependency of routes that only callers of this scope may use."""

    async def check(request: Request) -> None:
        caller: Caller = request.scope["caller"]
        if not caller.may(scope):
            raise Problem(403, f"This needs a token with the scope {scope}.", code="scope")

    check.scope = scope  # type: ignore[attr-defined]  # read by the OpenAPI document
    return Depends(check)


async def _slowly(request: Request) -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    limiter: CapacityLimiter = request.app.state.slow

    async def call(work: Callable[[], Any]) -> Any:
        return await to_thread.run_sync(work, limiter=limiter)

    return call


#: Runs work that may take long, off the loop: ``await slowly(lambda: ...)``.
Slowly = Annotated[Callable[[Callable[[], Any]], Awaitable[Any]], Depends(_slowly)]
