"""Locks between processes, held on files under ``home/locks``; the OS releases them when their process dies.

A pass over a replica holds that replica's lock and, shared, the lock of the hub; restoring and migrating take the
lock of the hub for themselves, so neither runs beside a pass; nor beside a daemon, which shares it all its life. A sync
holds, besides, the lock of each account it works on: one service is not asked by two syncs at once, while an undo or an
atomic edit of another calendar need not wait.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from calhub.hub.errors import Busy

_WAIT: Final = "Wait until it has ended, then try again."


@contextmanager
def replica_lock(home: Path, replica_id: int) -> Iterator[None]:
    """Hold the lock of one replica. Raises `Busy` at once when another pass holds it, also one in this process."""
    message = f"Another pass is working on replica {replica_id}."
    with (
        _held(home, "hub", fcntl.LOCK_SH | fcntl.LOCK_NB, "The hub is being restored or migrated."),
        _held(home, f"replica-{replica_id}", fcntl.LOCK_EX | fcntl.LOCK_NB, message),
    ):
        yield


@contextmanager
def hub_lock(home: Path) -> Iterator[None]:
    """Keep every pass out. Raises `Busy` at once while one is under way."""
    with _held(home, "hub", fcntl.LOCK_EX | fcntl.LOCK_NB, "A pass is under way, or calhub serve runs."):
        yield


@contextmanager
def daemon_lock(home: Path) -> Iterator[None]:
    """Be the daemon of a home. Raises `Busy` at once while there is one, or while the hub is restored or migrated."""
    with (
        _held(home, "daemon", fcntl.LOCK_EX | fcntl.LOCK_NB, "Another calhub serve keeps this home.", "Stop it first."),
        _held(home, "hub", fcntl.LOCK_SH | fcntl.LOCK_NB, "The hub is being restored or migrated."),
    ):
        yield


@contextmanager
def engine_lock(home: Path) -> Iterator[None]:
    """Be the daemon's engine, waiting for one whose front has died to end."""
    with (
        _held(home, "engine", fcntl.LOCK_EX, "The engine before is ending."),
        _held(home, "hub", fcntl.LOCK_SH, "The hub is being restored or migrated."),
    ):
        yield


@contextmanager
def account_lock(home: Path, account_id: int, name: str) -> Iterator[None]:
    """Hold an account for one sync. Raises `Busy` at once while another one holds it, also one in this process."""
    message = f'Another sync is working on the account "{name}".'
    with _held(home, f"account-{account_id}", fcntl.LOCK_EX | fcntl.LOCK_NB, message):
        yield


@contextmanager
def secrets_lock(home: Path, account_id: int) -> Iterator[None]:
    """Hold the lock under which an account's secrets are changed, waiting for whoever holds it now."""
    with _held(home, f"secrets-{account_id}", fcntl.LOCK_EX, "The account is signing in."):
        yield


@contextmanager
def migration_lock(home: Path) -> Iterator[None]:
    """Hold the lock under which the schema is created or changed, waiting for whoever holds it now."""
    with _held(home, "migration", fcntl.LOCK_EX, "The hub is being migrated."):
        yield


def has_synced(home: Path) -> bool:
    """Whether a replica of this home has ever been locked for a pass; lock files stay."""
    return next((home / "locks").glob("replica-*.lock"), None) is not None


@contextmanager
def _held(home: Path, name: str, how: int, message: str, hint: str = _WAIT) -> Iterator[None]:
    folder = home / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The file stays behind on purpose: removing it would let two processes lock two different files of one name.
    handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, how)
        except BlockingIOError as error:
            raise Busy(message, hint) from error
        yield
    finally:
        os.close(handle)
