"""Where an account's secrets are kept, as the providers see it.

Secrets are texts by name: ``password``, ``token``, ``client_secret``, ``refresh_token``, ``access_token``, ... A
service may change them at any time (rotating refresh tokens), so a provider gets no copy of them but the vault itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class Vault(Protocol):
    """The secrets of one account. May be used by several threads at once."""

    def load(self) -> dict[str, str]:
        """The secrets as they are now, also those saved by another process. Raises `ProviderError` LOGIN when they
        cannot be opened."""

    def save(self, secrets: Mapping[str, str]) -> None:
        """Keep these, each in place of the one of its name, and all others as they are. Durable on return."""

    def lock(self) -> AbstractContextManager[object]:
        """One holder at a time over all threads and processes; others wait. Not reentrant."""


class MemoryVault:
    """Secrets of an account that is not stored yet; what is in there after signing in is what gets sealed."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._secrets = dict(secrets or {})
        self._lock = threading.Lock()

    def load(self) -> dict[str, str]:
        return dict(self._secrets)

    def save(self, secrets: Mapping[str, str]) -> None:
        self._secrets |= secrets

    def lock(self) -> AbstractContextManager[object]:
        return self._lock
