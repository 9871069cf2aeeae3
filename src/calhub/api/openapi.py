"""The OpenAPI document: what FastAPI derives from the routes, with what holds for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from calhub.api import shapes
from calhub.api.idempotency import HEADER
from calhub.api.problems import MEDIA_TYPE

_ABOUT: Final = (
    "Calendars in step, by HTTP. Shapes are those of `--json` on the command line; lists are pages; errors are problem "
    "documents (RFC 9457)."
)

_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "`calhub token create`"},
    "signature": {
        "type": "apiKey", "in": "header", "name": "Authorization",
        "description": "CALHUB-HMAC-SHA256 id=, timestamp=, nonce=, signature= (docs/api.md)",
    },
}  # fmt: skip

_PROBLEM: Final = {
    "description": "A problem document.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_KEY: Final = {
    "name": HEADER, "in": "header", "required": False,
    "description": "The same key again, within a day: the same answer, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}  # fmt: skip


def describe(app: FastAPI, routers: Sequence[tuple[str, APIRouter]]) -> None:
    """Have the app describe itself; made once, when asked for. ``routers`` are those in it, with their prefixes."""
    scopes = {
        (prefix + route.path_format, method.lower()): _scope(route)
        for prefix, router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, scopes)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, scopes: Mapping[tuple[str, str], str | None]) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    found["servers"] = [{"url": "/"}]
    parts = found.setdefault("components", {})
    parts["securitySchemes"] = _SCHEMES
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = shapes.Problem.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(operation, method, scopes.get((path, method)))
    return found


def _complete(operation: dict[str, Any], method: str, scope: str | None) -> None:
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = _PROBLEM
    if scope is not None:
        operation["security"] = [{"token": [scope]}, {"signature": []}, {}]
        operation["x-scope"] = scope
    if method == "post":
        operation.setdefault("parameters", []).append(_KEY)


def _scope(route: APIRoute) -> str | None:
    """The scope that a route asks for; see `calhub.api.depends.needs`."""
    found = [getattr(each.dependency, "scope", None) for each in route.dependencies]
    return next(filter(None, found), None)
