"""The servers of the benchmarks, each a process of its own with the corpus in its one calendar, and a bare client."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.corpus import samples
from calhub.testing.davserver import CALENDAR as INSTANT_CALENDAR
from calhub.testing.davserver import HOME
from calhub.testing.servers import CalDAVServer

#: The calendar on each server: the end of its path, and its name.
PATH = INSTANT_CALENDAR.rstrip("/").rpartition("/")[2]
NAME = "Cal"
#: What connections a client of ours opens at once for writing; calhub has as many.
_CONNECTIONS = 4
_SYNC = """<?xml version="1.0"?>
<d:sync-collection xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:sync-token>{token}</d:sync-token>
<d:sync-level>1</d:sync-level><d:prop><d:getetag/><c:calendar-data/></d:prop></d:sync-collection>"""
_SUMMARY = re.compile(r"^SUMMARY:.*\r?\n(?:[ \t].*\r?\n)*", re.MULTILINE)
_TOKEN = re.compile(rb"<(?:\w+:)?sync-token>([^<]+)<")
#: At its defaults, Radicale answers 400 to every REPORT of vdirsyncer in a calendar of more than 10,000 VEVENTs.
_CONFIG = """
[auth]
type = htpasswd
htpasswd_filename = {root}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {root}
[reporting]
max_expand_occurrence = 1000000
[logging]
level = warning
"""


def titled(text: str, title: str) -> str:
    """The calendar object with another title."""
    return _SUMMARY.sub(f"SUMMARY:{title}\r\n", text, count=1)


class Server:
    """A server with ``size`` events, and a bare HTTP client to it. ``name`` is how the cases call it."""

    def __init__(self, name: str, size: int, address: CalDAVServer) -> None:
        self.name = name
        self.size = size
        self.address = address
        self._client = httpx.Client(auth=(address.username, address.password), timeout=900, trust_env=False)
        self._url = f"{address.home_url}{PATH}/"

    def report(self, token: str = "") -> tuple[str, bytes]:
        """One sync-collection REPORT with bodies, read but not parsed: the floor of every pass.

        All events without a token, else what changed since. Returns the new token and the whole answer.
        """
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        content = _SYNC.format(token=token).encode()
        answer = self._client.request("REPORT", self._url, content=content, headers=headers).raise_for_status()
        found = _TOKEN.search(answer.content, max(0, len(answer.content) - 1000)) or _TOKEN.search(answer.content)
        assert found is not None
        return found[1].decode(), answer.content

    def count(self, title: str) -> int:
        """How many events have this title."""
        return self.report()[1].count(f"SUMMARY:{title}".encode())

    def change(self, count: int, title: str, *, first: int = 0) -> None:
        """Give ``count`` events another title, as somebody else's program would; over four connections."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(
                pool.map(
                    self._put, ((each.file_name, titled(each.text, title)) for each in samples(count, first=first))
                )
            )

    def _put(self, item: tuple[str, str]) -> None:
        name, text = item
        headers = {"Content-Type": "text/calendar; charset=utf-8"}
        self._client.put(self._url + name, content=text.encode(), headers=headers).raise_for_status()


@contextmanager
def radicale(root: Path, size: int) -> Iterator[Server]:
    """Radicale with its storage in ``root`` and its own cache filled, which is nobody's merit."""
    _store(root / "collection-root" / "user" / PATH, size)
    (root / "users").write_text("user:secret\n")
    (root / "config").write_text(_CONFIG.format(root=root))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "radicale", "--config", str(root / "config"), "--server-hosts", host]
    with process(command) as started:
        url = f"http://{host}/"
        _wait(url, started)
        address = CalDAVServer(url=url, username="user", password="secret", home_url=f"{url}user/")
        server = Server("Radicale", size, address)
        server.report()
        yield server


@contextmanager
def instant(_: Path, size: int, first: int = 0) -> Iterator[Server]:
    """A server that has its answers ready: `bench.instant`. Its events are numbered from ``first``."""
    with process([sys.executable, "-m", "bench.instant", str(size), str(first)]) as started:
        assert started.stdout is not None
        url = started.stdout.readline().decode().strip()
        if not url:
            raise RuntimeError("The instant server did not start")
        address = CalDAVServer(url=f"{url}/", username="user", password="secret", home_url=f"{url}{HOME}")
        yield Server("instant server", size, address)


@contextmanager
def process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Ended with the block."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(url, trust_env=False)
        except httpx.ConnectError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("Radicale did not start")


def _store(folder: Path, size: int) -> None:
    """Write the corpus straight into Radicale's storage."""
    folder.mkdir(parents=True)
    (folder / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR", "D:displayname": NAME}))
    for each in samples(size):
        (folder / each.file_name).write_bytes(each.text.encode())
