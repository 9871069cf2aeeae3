"""Lists: ``{"items": [...], "next": cursor | null}``. A cursor says where a page ended; what comes later is next.

Rows that appear or go meanwhile shift nothing. Cursors are opaque to clients, and worth nothing to them: a made-up one
just begins elsewhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Query
from starlette.responses import Response

from calhub.api.problems import Problem

MOST: Final = 1000

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]

Item = TypeVar("Item")


class Json(Response):
    """A document, as the hub shaped it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        try:
            return orjson.dumps(content)
        except TypeError:  # half a surrogate pair, or a number beyond 64 bits
            return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")


def page(items: Iterable[Item], limit: int, cursor: str | None, key: Callable[[Item], list[Any]]) -> Json:
    """The part of a whole list, sorted by ``key``, that a cursor asks for. ``key`` is unique."""
    after = read_cursor(cursor)
    try:
        rest = [item for item in items if after is None or key(item) > after]
    except TypeError:  # numbers and texts mixed up
        raise _bad_cursor() from None
    return part(rest[: limit + 1], limit, key)


def part(items: list[Any], limit: int, key: Callable[[Any], list[Any]]) -> Json:
    """A page from its items and, where there is one, the item after them."""
    more = len(items) > limit
    return Json({"items": items[:limit], "next": write_cursor(key(items[limit - 1])) if more else None})


def by_id(item: dict[str, Any]) -> list[Any]:
    return [item["id"]]


def read_cursor(cursor: str | None, *kinds: type) -> list[Any] | None:
    """The key a cursor stands for, with values of these kinds where they are named. Raises `Problem`."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
    except (ValueError, RecursionError):
        raise _bad_cursor() from None
    if not isinstance(found, list) or not {type(each) for each in found} <= {int, str}:
        raise _bad_cursor()
    if kinds and [type(each) for each in found] != list(kinds):
        raise _bad_cursor()
    return found


def number(cursor: str | None) -> int | None:
    """The one number a cursor stands for. Raises `Problem`."""
    found = read_cursor(cursor, int)
    if found is None:
        return None
    value = int(found[0])
    if not 0 <= value < 1 << 62:
        raise _bad_cursor()
    return value


def write_cursor(key: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _bad_cursor() -> Problem:
    return Problem(422, "The cursor is none of ours.", code="invalid-cursor", hint="Use `next` of the page before.")
