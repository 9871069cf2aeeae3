"""calhub and its peers as commands, each with its own files under one folder."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bench.corpus import samples
from bench.measure import peak_megabytes, run
from bench.server import NAME, PATH, Server, titled
from calhub.hub import accounts, events
from calhub.hub.database import Hub

PEERS = Path(".bench/bin").absolute()
_UID = re.compile(rb"^UID:(.+?)\r?$", re.MULTILINE)


class Calhub:
    """The command, as a process of its own each time, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALHUB_")}
        self._env: Mapping[str, str] = kept | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

    def __call__(self, *arguments: str, given: str = "") -> str:
        return run(self._command(*arguments), env=self._env, given=given)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            self._command(*arguments), env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def sync(self) -> None:
        self("sync")

    def peak(self) -> float:
        """The memory of one sync, in MB."""
        return peak_megabytes(self._command("sync"), env=self._env)

    def connect(self, server: Server) -> None:
        """Start over, with the server's calendar not pulled yet."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.add(server)

    def add(self, server: Server) -> None:
        """Add the server's account."""
        address = server.address
        sign_in = ("--url", address.url, "--username", address.username, "--password-stdin")
        self("account", "add", "caldav", "server", *sign_in, given=address.password)

    def count(self, title: str | None = None) -> int:
        """How many events it has; with this title, if one is given."""
        with closing(sqlite3.connect(self.home / "hub.db")) as db:
            found = db.execute("SELECT count(*) FROM event WHERE deleted = 0 AND ifnull(title = ?, 1)", (title,))
            return int(found.fetchone()[0])

    def edit(self, first: int, count: int, title: str) -> None:
        """Give events another title in the hub, as the user would."""
        with Hub.open(self.home) as hub, hub.transaction() as conn:
            calendar = accounts.calendar(conn, NAME)
            for each in samples(count, first=first):
                stored = events.find_event(conn, each.uid)
                events.put_event(conn, calendar.id, each.uid, {**stored.content, "title": title}, now=hub.now())

    def _command(self, *arguments: str) -> list[str | Path]:
        return [sys.executable, "-m", "calhub.cli", "--home", self.home, *arguments]


class Vdirsyncer:
    """vdirsyncer between the server and a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "local" / PATH

    def sync(self) -> None:
        run(self._command("sync"))

    def peak(self) -> float:
        """The memory of one sync, in MB."""
        return peak_megabytes(self._command("sync"))

    def connect(self, server: Server) -> None:
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
collections = ["{PATH}"]
[storage here]
type = "filesystem"
path = "{self.folder.parent}"
fileext = ".ics"
[storage there]
type = "caldav"
url = "{server.address.url}"
username = "{server.address.username}"
password = "{server.address.password}"
"""
        )
        run(self._command("discover"), given="y\ny\n")

    def count(self, title: str | None = None) -> int:
        """How many events it has; with this title, if one is given."""
        texts = (path.read_bytes() for path in self.folder.glob("*.ics"))
        line = re.compile(rb"^SUMMARY:%s\r?$" % re.escape((title or "").encode()), re.MULTILINE)
        return sum(title is None or line.search(text) is not None for text in texts)

    def edit(self, first: int, count: int, title: str) -> None:
        """Give events another title in the folder, as the user would."""
        wanted = {each.uid.encode() for each in samples(count, first=first)}
        for path in self.folder.glob("*.ics"):
            text = path.read_bytes()
            uid = _UID.search(text)
            if uid is not None and uid[1] in wanted:
                path.write_bytes(titled(text.decode(), title).encode())

    def _command(self, *arguments: str) -> list[str | Path]:
        return [PEERS / "vdirsyncer", "--config", self.root / "config", *arguments]


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

    def count(self) -> int:
        """How many events it has indexed."""
        with closing(sqlite3.connect(self._cache)) as db:
            return int(db.execute("SELECT count(DISTINCT href) FROM events").fetchone()[0])

    def forget(self) -> None:
        """The next command indexes everything anew."""
        self._cache.unlink(missing_ok=True)
