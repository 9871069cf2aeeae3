from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.providers.desk import Desk

from calhub.testing.world import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def desk(clock: VirtualClock) -> Iterator[Desk]:
    with Desk(clock) as service:
        yield service
