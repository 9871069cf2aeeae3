"""Canonical JSON text: equal values give equal text, so columns can be compared as text."""

from __future__ import annotations

import json
from typing import Any

from calhub.hub.errors import CorruptDatabase

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def dumps(value: Any) -> str:
    return _encode(value)


def loads(text: str) -> Any:
    """Raises `CorruptDatabase`: only what `dumps` made is ever stored."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise CorruptDatabase("The database holds a row that cannot be read.") from error
