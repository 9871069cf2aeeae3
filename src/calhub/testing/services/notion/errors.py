"""Notion's error bodies (notion: "JSON shapes used by the adapter", "Limits and errors")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from calhub.testing.services.base import Failed, Response

CODES: Final = {
    400: "validation_error",
    401: "unauthorized",
    403: "restricted_resource",
    404: "object_not_found",
    409: "conflict_error",
    429: "rate_limited",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
    529: "service_overload",
}


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    body = {
        "object": "error",
        "status": status,
        "code": code or CODES.get(status, "invalid_request_url"),
        "message": message,
        "request_id": "00000000-0000-4000-8000-000000000000",
    }
    return Response.of(body | ({"additional_data": dict(more)} if more else {}), status, headers)


def failed(status: int, message: str, *, code: str | None = None) -> Failed:
    return Failed(error_response(status, message, code=code))


def invalid(message: str) -> Failed:
    """400 validation_error."""
    return failed(400, message)
