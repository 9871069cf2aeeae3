"""calhub and its peers as commands, each with its own files under one folder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.measure import run
from calhub.testing.servers import CalDAVServer

PEERS = Path(".bench/bin").absolute()
#: The server's calendar, its path and its name.
CALENDAR = "bench"


class Calhub:
    """The command, as a process of its own each time, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALHUB_")}
        self._env: Mapping[str, str] = kept | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

    def __call__(self, *arguments: str, given: str = "") -> str:
        command = [sys.executable, "-m", "calhub.cli", "--home", str(self.home), *arguments]
        return run(command, env=self._env, given=given)

    def sync(self) -> None:
        self("sync")

    def connect(self, server: CalDAVServer) -> None:
        """Start over, with the server's calendar not pulled yet."""
        shutil.rmtree(self.home, ignore_errors=True)
        sign_in = ("--url", server.url, "--username", server.username, "--password-stdin")
        self("account", "add", "caldav", "server", *sign_in, given=server.password)


class Vdirsyncer:
    """vdirsyncer between the server and a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "local" / CALENDAR

    def sync(self) -> None:
        run([PEERS / "vdirsyncer", "--config", self.root / "config", "sync"])

    def connect(self, server: CalDAVServer) -> None:
        """Start over, with the server's calendar discovered and not pulled yet."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.root / "config").write_text(
            f"""
[general]
status_path = "{self.root / "status"}"
[pair bench]
a = "here"
b = "there"
collections = ["{CALENDAR}"]
[storage here]
type = "filesystem"
path = "{self.folder.parent}"
fileext = ".ics"
[storage there]
type = "caldav"
url = "{server.url}"
username = "{server.username}"
password = "{server.password}"
"""
        )
        run([PEERS / "vdirsyncer", "--config", self.root / "config", "discover"], given="y\ny\n")


class Khal:
    """khal on a folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._config = root / "config"
        self._cache = root / "khal.db"
        self._config.write_text(
            f"""
[calendars]
[[bench]]
path = {folder}
[sqlite]
path = {self._cache}
[locale]
local_timezone = Europe/Berlin
default_timezone = Europe/Berlin
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
"""
        )

    def __call__(self, *arguments: str) -> str:
        return run([PEERS / "khal", "--config", self._config, *arguments])

    def forget(self) -> None:
        """The next command indexes everything anew."""
        self._cache.unlink(missing_ok=True)
