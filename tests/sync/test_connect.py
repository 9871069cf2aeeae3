"""Accounts of the hub and their secrets, shared by threads and processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.providers.base import ProviderError, Trait
from calhub.providers.oauth import RenewedTokens
from calhub.providers.oauth_services import google
from calhub.sync.connect import HubVault, connector
from calhub.testing.services.base import Request
from calhub.testing.services.google import GoogleService

#: A process that says when it is there, waits for a line, says when it wants the lock, and tells the token it got.
_PROCESS = """
import sys
from pathlib import Path
from calhub.hub import accounts
from calhub.hub.database import Hub
from calhub.providers.oauth_services import tokens
from calhub.sync.connect import HubVault

class Telling(HubVault):
    def lock(self):
        print("locking", flush=True)
        return super().lock()

with Hub.open(Path(sys.argv[1])) as hub:
    with hub.read() as conn:
        account = accounts.account(conn, "work")
    given = tokens("google", account.settings, Telling(hub, account))
    print("ready", flush=True)
    sys.stdin.readline()
    print(given.current(), flush=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path) -> Iterator[Hub]:
    with Hub.open(home) as hub:
        yield hub


@pytest.fixture
def service() -> Iterator[GoogleService]:
    with GoogleService() as service:
        service.oauth.rotates = True
        yield service


@pytest.fixture
def account(hub: Hub, service: GoogleService) -> Account:
    """An account that signed in a while ago: only its refresh token is still good."""
    credentials = service.credentials()
    secrets = {name: credentials.pop(name) for name in ("client_secret", "refresh_token")}
    with hub.transaction() as conn:
        account = accounts.add_account(conn, "work", "google", credentials, hub.now())
    HubVault(hub, account).save(secrets)
    return account


def test_saved_secrets_are_sealed_and_durable(hub: Hub, account: Account, home: Path) -> None:
    """What is saved is there for another connection at once, beside what was there, and nowhere in clear."""
    HubVault(hub, account).save({"access_token": "open-sesame"})

    with Hub.open(home) as other:
        found = HubVault(other, account).load()
    assert found["access_token"] == "open-sesame"
    assert found["client_secret"] == "client-secret"
    assert not [path for path in home.iterdir() if path.is_file() and b"open-sesame" in path.read_bytes()]


def test_lost_key_needs_a_login(hub: Hub, account: Account, home: Path) -> None:
    """An account whose secrets cannot be opened is one account's trouble."""
    (home / "key").unlink()

    with pytest.raises(ProviderError) as caught:
        connector(hub)(account)
    assert caught.value.trait is Trait.LOGIN


def test_account_removed_meanwhile(hub: Hub, account: Account) -> None:
    """A token renewed for an account that is gone is given up, not stored."""
    with hub.transaction() as conn:
        accounts.remove_account(conn, account.id)

    with pytest.raises(ProviderError, match="removed"):
        HubVault(hub, account).save({"access_token": "late"})


def test_one_holder(hub: Hub, account: Account, home: Path) -> None:
    """While one vault of the account is locked, nobody else gets the lock, in this process or another."""
    with HubVault(hub, account).lock():
        handle = os.open(home / "locks" / f"secrets-{account.id}.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)


def test_processes_renew_once(account: Account, home: Path, service: GoogleService) -> None:
    """A process that finds the token ended while another one is renewing it waits, and takes that one's token."""
    asked, answer = threading.Event(), threading.Event()

    def hold(_: Request) -> None:
        asked.set()
        answer.wait(timeout=60)

    service.hook = hold
    first, second = _process(home), _process(home)
    _expect(first, "ready", "locking")
    assert asked.wait(timeout=60)
    _expect(second, "ready", "locking")
    answer.set()

    assert [process.communicate(timeout=60)[0] for process in (first, second)] == ["access-1\n", "access-1\n"]
    assert len(service.requests("POST /token")) == 1
    with Hub.open(home) as hub:
        assert HubVault(hub, account).load()["refresh_token"] == "refresh-2"


def _process(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROCESS, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _expect(process: subprocess.Popen[str], ready: str, then: str) -> None:
    """Read the first word, let the process go on, and read the second."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == f"{ready}\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{then}\n"


def test_killed_right_after_saving(hub: Hub, account: Account, service: GoogleService) -> None:
    """The process dies after the commit of a rotated token: the next one goes on with what was committed."""

    class Killed(BaseException):
        pass

    commits = 0

    def die() -> None:
        nonlocal commits
        commits += 1
        if commits == 2:  # the first call is before the commit, the second one after it
            raise Killed

    client = google(account.settings, {"client_secret": "client-secret"})
    hub.on_commit = die
    with pytest.raises(Killed):
        RenewedTokens(client, HubVault(hub, account)).current()
    hub.on_commit = None

    assert RenewedTokens(client, HubVault(hub, account)).current() == "access-1"
    assert len(service.requests("POST /token")) == 1
    service.expire_tokens()
    renewed = RenewedTokens(client, HubVault(hub, account))
    renewed.refused("access-1")
    assert renewed.current() == "access-2"
