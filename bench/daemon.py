"""``calhub serve`` as processes, with a client of its API."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.tools import Calhub

#: Nobody waits longer for something to come about.
PATIENCE: Final = 120.0
_TICK: Final = os.sysconf("SC_CLK_TCK")


class Daemon:
    """A daemon that runs. ``url`` is where, without a slash at the end."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The answer of the API, read; see `fetch`."""
        return json.loads(self.fetch(path, method, body))

    def fetch(self, path: str, method: str = "GET", body: Any = None) -> bytes:
        """The answer of the API, over one connection, for one thread at a time. Raises `RuntimeError` for a refusal."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return text

    def hang_up(self) -> None:
        """Begin with a new connection at the next question."""
        self._connection.close()

    def title(self, uid: str) -> str:
        """What the API says an event is called."""
        return str(self.ask(f"/api/v1/events/{uid}")["title"])

    def is_calm(self) -> bool:
        """Whether no pass is under way or due."""
        scheduler = self.ask("/health/detailed")["scheduler"]
        return bool(scheduler["running"] == 0 and scheduler["waiting"] == 0 and scheduler["passes"])

    def processor_seconds(self) -> float:
        """What its processes have used of a core so far."""
        return sum(sum(map(int, _stat(each)[11:13])) for each in self._processes()) / _TICK

    def megabytes(self, *, peak: bool) -> float:
        """The memory (resident set, 10^6 bytes) of its processes together; with ``peak`` the most of each so far."""
        name = "VmHWM:" if peak else "VmRSS:"
        lines = [line for each in self._processes() for line in Path(f"/proc/{each}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))

    def _processes(self) -> list[int]:
        found = [self._process.pid]
        for each in found:  # grows as it goes
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        return found


@contextmanager
def daemon(calhub: Calhub, *, services: bool = False) -> Iterator[Daemon]:
    """A daemon on the home of ``calhub``, stopped with the block; with ``services`` they can tell it of changes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    public = ("--public-url", f"http://127.0.0.1:{port}") if services else ()
    with calhub.begin("serve", "--port", str(port), *public) as process:
        try:
            made = Daemon(process, port)
            until(lambda: _answers(made), "the daemon answers")
            yield made
        finally:
            process.terminate()


def until(holds: Callable[[], bool], what: str, *, every: float = 0.02) -> None:
    """Wait until it holds. Raises `RuntimeError` after `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain: {what}")
        time.sleep(every)


def _answers(daemon: Daemon) -> bool:
    try:
        daemon.ask("/health")
    except OSError:
        daemon.hang_up()
        return False
    return True


def _stat(process: int) -> list[str]:
    """The fields of the process after its name."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
