"""A hub in a folder of its own, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError, PasswordSetError

from calhub.hub import accounts
from calhub.hub.database import Hub

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path) -> Iterator[Hub]:
    with Hub.open(home, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def work(hub: Hub) -> int:
    """The id of a calendar called Work."""
    with hub.transaction() as conn:
        return accounts.add_calendar(conn, "Work", hub.now()).id


@pytest.fixture
def replica(hub: Hub, work: int) -> accounts.Replica:
    """A replica that ties Work to the remote calendar /cal/work."""
    with hub.transaction() as conn:
        account = accounts.add_account(conn, "home", "caldav", {"url": "https://dav.example.org"}, hub.now())
        return accounts.add_replica(conn, work, account.id, "/cal/work", "Work", hub.now())


class MemoryKeychain(KeyringBackend):
    """A keychain as good as a real one, in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring leaves it untyped
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise PasswordSetError
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture
def keychain() -> MemoryKeychain:
    chosen = MemoryKeychain()
    keyring.set_keyring(chosen)
    return chosen
