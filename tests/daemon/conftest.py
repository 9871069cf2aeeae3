from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.rig import Daemon, Pair, daemon
from tests.daemon.town import Town

from calhub.testing.davserver import DavServer


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def serving(home: Path, tmp_path: Path) -> Iterator[Daemon]:
    """``calhub serve``, to be started."""
    with daemon(home, tmp_path / "serve.log") as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, serving: Daemon) -> Iterator[Pair]:
    """A calendar at a server and in a folder, tied to the home of ``serving``."""
    with DavServer() as dav:
        made = Pair(tmp_path, dav)
        made.connect(serving)
        yield made


@pytest.fixture
def town(home: Path) -> Iterator[Town]:
    made = Town(home)
    yield made
    made.close()
