"""One calendar everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.providers.mixed.world import MixedWorld, Services

from calhub.testing.world import VirtualClock


@pytest.fixture
def services(tmp_path: Path, clock: VirtualClock) -> Iterator[Services]:
    (tmp_path / "folders").mkdir()
    with Services(tmp_path / "folders", clock) as services:
        yield services


@pytest.fixture
def world(tmp_path: Path, services: Services, clock: VirtualClock) -> Iterator[MixedWorld]:
    world = MixedWorld(tmp_path / "home", clock=clock)
    world.services = services
    yield world
    world.close()
