"""The Django app on a small site of its own, in processes of their own: settings are made once for each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Manage = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def manage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manage:
    """Run a management command of the site; its home is in the temporary folder."""
    monkeypatch.setenv("CALHUB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # what tests can import, the cases can

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "django", *argv]
        site = Path(__file__).parent / "project"
        return subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_with_djangos_own_runner(manage: Manage) -> None:
    """All cases of the site pass, and there are some."""
    ended = manage("test", "--pattern", "cases.py")

    assert ended.returncode == 0, ended.stderr
    ran = re.search(r"Ran (\d+) tests", ended.stderr)
    assert ran is not None
    assert int(ran[1]) >= 7


def test_home_is_that_of_the_command_line(manage: Manage, tmp_path: Path) -> None:
    """Without CALHUB_HOME in the settings the home is where `calhub` would look."""
    assert manage("sync_calendars").returncode == 0
    assert (tmp_path / "home" / "hub.db").exists()


def test_exit_code_and_one_sentence(manage: Manage) -> None:
    """From a shell: the exit code of `calhub`, one line on standard error, no stack trace."""
    ended = manage("sync_calendars", "--account-id", "nobody")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == 'CommandError: There is no account "nobody". There is no account yet.\n'
