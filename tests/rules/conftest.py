from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rules.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Three people's calendars: work, private and family, and a public one."""
    town = Town(tmp_path / "home", ["work", "private", "family", "public"])
    yield town
    town.hub.close()
