from __future__ import annotations

import os
from collections.abc import Iterator

import keyring
import pytest
import structlog
from hypothesis import settings
from keyring.backends.fail import Keyring as NoKeychain

from calhub.ops import log

#: The same examples in each run, so that a failure comes of the change at hand. `make explore` looks for new ones.
settings.register_profile("suite", derandomize=True, database=None)
settings.register_profile("explore")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(autouse=True)
def no_keychain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may touch the keychain of whoever runs it, in its own process or another, nor leave one behind."""
    monkeypatch.delenv("CALHUB_KEY", raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    keyring.set_keyring(NoKeychain())  # type: ignore[no-untyped-call]  # keyring leaves it untyped
    yield
    keyring.set_keyring(NoKeychain())  # type: ignore[no-untyped-call]  # likewise


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """No test may leave the next one a log in a folder of its own, or a file that is closed."""
    yield
    log.close()
    structlog.reset_defaults()
