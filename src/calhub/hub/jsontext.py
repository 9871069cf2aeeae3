"""Canonical JSON text: equal values give equal text, so columns can be compared as text."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def dumps(value: Any) -> str:
    return _encode(value)


def loads(text: str) -> Any:
    return json.loads(text)
