"""The server of the benchmarks: Radicale with the corpus in its one calendar, and a bare HTTP client to it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.tools import CALENDAR
from calhub.testing.corpus import samples
from calhub.testing.servers import CalDAVServer

_SYNC = """<?xml version="1.0"?>
<d:sync-collection xmlns:d="DAV:"><d:sync-token>{token}</d:sync-token>
<d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>"""
_MULTIGET = """<?xml version="1.0"?>
<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<prop><getetag/><C:calendar-data/></prop>{hrefs}</C:calendar-multiget>"""
_CHUNK = 5_000
_HREF = re.compile(r"<href>[^<]+\.ics</href>")
_TOKEN = re.compile(r"<(?:\w+:)?sync-token>([^<]+)<")
SUMMARY = re.compile(r"^SUMMARY:.*\r?\n(?:[ \t].*\r?\n)*", re.MULTILINE)
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


class Server:
    """Radicale with the corpus in its one calendar, and a bare HTTP client to it."""

    def __init__(self, server: CalDAVServer) -> None:
        self.address = server
        self._client = httpx.Client(auth=(server.username, server.password), timeout=600, trust_env=False)
        self._url = f"{server.home_url}{CALENDAR}/"

    def report(self, token: str = "") -> str:
        """One sync-collection REPORT, read but not parsed: the floor of a pass. Returns the new token."""
        found = _TOKEN.search(self._report(_SYNC.format(token=token)))
        assert found is not None
        return found[1]

    def bodies(self) -> None:
        """The listing, then all bodies in chunks, not parsed: the floor of a first pull."""
        hrefs = _HREF.findall(self._report(_SYNC.format(token="")))
        for first in range(0, len(hrefs), _CHUNK):
            self._report(_MULTIGET.format(hrefs="".join(hrefs[first : first + _CHUNK])))

    def _report(self, body: str) -> str:
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        answer = self._client.request("REPORT", self._url, content=body.encode(), headers=headers)
        return answer.raise_for_status().text

    def change(self, count: int, mark: str) -> None:
        """Give ``count`` events another title, as somebody else's program would."""
        for each in samples(count):
            text = SUMMARY.sub(f"SUMMARY:{mark}\r\n", each.text, count=1)
            headers = {"Content-Type": "text/calendar; charset=utf-8"}
            self._client.put(self._url + each.file_name, content=text.encode(), headers=headers).raise_for_status()


@contextmanager
def serve(root: Path, size: int) -> Iterator[Server]:
    """Radicale on loopback, ended with the block."""
    _store(root / "collection-root" / "user" / CALENDAR, size)
    (root / "users").write_text("user:secret\n")
    (root / "config").write_text(_CONFIG.format(root=root))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "radicale", "--config", str(root / "config"), "--server-hosts", host]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://{host}/", process)
        url = f"http://{host}/"
        yield Server(CalDAVServer(url=url, username="user", password="secret", home_url=f"{url}user/"))
    finally:
        process.terminate()
        process.wait()


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
    (folder / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR", "D:displayname": CALENDAR}))
    for each in samples(size):
        (folder / each.file_name).write_bytes(each.text.encode())
