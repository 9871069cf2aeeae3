"""One calendar at all services at once, on the command line; two commands at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Calhub

from calhub.testing.davserver import PASSWORD, USERNAME
from calhub.testing.everywhere import NAMES, Everywhere

#: Near today, since Microsoft's events are read in a window around it.
DAY = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()


def at(hour: int) -> dict[str, Any]:
    return {"start": f"{DAY}T{hour:02}:00:00", "end": f"{DAY}T{hour + 1:02}:00:00"}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Everywhere]:
    (tmp_path / "folders").mkdir()
    with Everywhere(tmp_path / "folders") as services:
        yield services


@pytest.fixture
def connected(services: Everywhere, calhub: Calhub, tmp_path: Path) -> Everywhere:
    """Each has an account, and holds the calendar Team."""
    for name, given in services.credentials().items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(given))
        assert calhub("account", "add", name, name, "--credentials", str(file), "--calendars", "none").code == 0
    at_server = ("--url", services.dav.url, "--username", USERNAME, "--password-stdin")
    stdin = PASSWORD.encode()
    assert calhub("account", "add", "caldav", "caldav", *at_server, "--calendars", "none", stdin=stdin).code == 0
    path = str(services.path)
    assert calhub("account", "add", "folder", "folder", "--url", path, "--calendars", "none").code == 0
    for name in NAMES:
        assert calhub("replica", "add", "Team", name, services.calendars[name]).code == 0
    return services


def test_two_commands_at_once(connected: Everywhere, calhub: Calhub) -> None:
    """Both write, both renew their tokens; nothing is there twice, nothing is lost."""
    people = connected.people
    for number, name in enumerate(NAMES):
        people[name].add(title=f"From {name}", **at(9 + number))
    in_two_processes("sync", "sync")
    assert calhub("sync").code == 0
    for name, other in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True):
        people[name].edit(f"From {other}", location=f"Typed in {name}")
    for emulator in (connected.google, connected.graph):
        emulator.oauth.expire()
    before = {name: len(each.requests("POST *token")) for name, each in connected.emulators.items()}
    in_two_processes("sync", "sync")
    for _ in range(3):
        assert calhub("sync").code == 0
    writes = connected.writes()
    assert calhub("sync").code == 0

    assert connected.writes() == writes
    expected = [(f"From {name}", f"Typed in {other}") for name, other in zip(NAMES, NAMES[-1:] + NAMES, strict=False)]
    for name in NAMES:
        assert [(each.title, each.location) for each in people[name].entries()] == expected, name
    renewals = {name: len(each.requests("POST *token")) - before[name] for name, each in connected.emulators.items()}
    assert renewals == {"google": 1, "microsoft": 1, "notion": 0}


def in_two_processes(*commands: str) -> None:
    """Both end, each in order or because the other one was at it (exit code 3)."""
    started = [subprocess.Popen([sys.executable, "-m", "calhub.cli", command, "--json"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for command in commands]  # fmt: skip
    ended = [(process.communicate(timeout=60), process.returncode) for process in started]
    assert {code for _, code in ended} <= {0, 3}, ended
