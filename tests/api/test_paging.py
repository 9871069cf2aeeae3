"""Documents as they leave the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from calhub.api.paging import Json


@pytest.mark.parametrize("value", ["half a pair: \ud800", 2**70, "plain", None, [1.5, True]])
def test_whatever_the_hub_holds_is_answered(value: Any) -> None:
    """Also what the fast writer of JSON refuses."""
    assert json.loads(bytes(Json({"value": value}).body)) == {"value": value}
