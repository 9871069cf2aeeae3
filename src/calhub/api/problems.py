"""What goes wrong, as clients see it: ``application/problem+json`` (RFC 9457): a sentence and a hint, no stack trace.

``type`` is about:blank: the status says what kind of problem it is; ``code`` is for programs, ``hint`` for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from calhub.calendar.event import InvalidEvent
from calhub.hub import errors
from calhub.providers.base import ProviderError
from calhub.sync.atomic import AtomicFailed

MEDIA_TYPE: Final = "application/problem+json"


#: Where the names of statuses have changed between versions of HTTP, and of Python.
_CODES: Final = {413: "too-large", 422: "invalid"}


class Problem(Exception):
    """An answer that says why not."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.document = {
            "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail,
            "code": code or _CODES.get(status) or HTTPStatus(status).name.lower().replace("_", "-"), "hint": hint,
            **more,
        }  # fmt: skip
        self.headers = dict(headers or {})

    def response(self) -> Response:
        text = json.dumps(self.document, ensure_ascii=False)
        body = text.encode("utf-8", "backslashreplace")  # a lone surrogate is escaped as JSON does it
        return Response(body, self.status, self.headers, MEDIA_TYPE)


#: The first that fits: error, status, code. `HubError` itself is a failure of ours.
_STATUS: Final = (
    (errors.NotFound, 404, "not-found"),
    (errors.Ambiguous, 409, "ambiguous"),
    (errors.Outdated, 409, "outdated"),
    (errors.InvalidValue, 422, "invalid-value"),
    (errors.Busy, 503, "busy"),
    (errors.DiskFull, 507, "disk-full"),
    (AtomicFailed, 409, "atomic-failed"),
    (ProviderError, 502, "service-failed"),
    (errors.HubError, 500, "hub-failed"),
)


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error of calhub means; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, InvalidEvent):
        return Problem(422, str(error), code="invalid-event", hint="Change the value and try again.")
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            more = {"candidates": list(error.candidates)} if isinstance(error, errors.Ambiguous) else {}
            headers = {"Retry-After": "1"} if status == 503 else {}
            return Problem(status, str(error), code=code, hint=error.hint, headers=headers, **more)
    return None


def unexpected() -> Problem:
    return Problem(
        500, "Something unexpected happened; this is a fault of calhub.", hint="Details are in the log; calhub doctor"
    )


def install(app: FastAPI) -> None:
    """Have every error that arises in the app answered as a problem."""

    def foreseen(_: Request, error: Exception) -> Response:
        found = problem_of(error)
        assert found is not None  # registered for those only
        return found.response()

    for kind in (Problem, HTTPException, InvalidEvent, *(kind for kind, _, _ in _STATUS)):
        app.add_exception_handler(kind, foreseen)
    app.add_exception_handler(RequestValidationError, _of_validation)


def _of_http(error: HTTPException) -> Problem:
    """What FastAPI raises, with a sentence where it has only the name of the status."""
    said = error.detail if error.detail != HTTPStatus(error.status_code).phrase else None
    return Problem(error.status_code, said or _DETAILS.get(error.status_code, error.detail), headers=error.headers)


_DETAILS: Final = {
    400: "The body cannot be read.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}


def _of_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{"where": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
    first = f"{found[0]['where']}: {found[0]['message']}." if found else "The request is not as documented."
    return Problem(422, first, code="invalid-request", hint="See /api/v1/openapi.json", errors=found).response()
