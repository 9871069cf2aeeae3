"""Real CalDAV servers for tests, benchmarks and the demo: Radicale and Xandikos, each as a subprocess on loopback.

    with radicale(tmp_path) as server:
        connect({"url": server.url, "username": server.username}, MemoryVault({"password": server.password}))

Both need the extra ``demo``. The process is ended when the block is left, also by an exception.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

USERNAME: Final = "user"
PASSWORD: Final = "secret"
START_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class CalDAVServer:
    """A running server. ``url`` is what a user would type; ``home_url`` the collection that holds the calendars."""

    url: str
    username: str
    password: str
    home_url: str


class ServerFailed(RuntimeError):
    """The server did not start; the message is the end of its own output."""


@contextmanager
def radicale(root: Path) -> Iterator[CalDAVServer]:
    """Radicale with its storage in ``root/collections`` and one user, who owns an empty home.

    A second call with the same ``root`` finds what the first one left. Raises `ServerFailed`.
    """
    root.mkdir(parents=True, exist_ok=True)
    users = root / "users"
    users.write_text(f"{USERNAME}:{PASSWORD}\n")
    config = root / "config"
    config.write_text(
        f"""
[auth]
type = htpasswd
htpasswd_filename = {users}
htpasswd_encryption = plain
delay = 0

[storage]
filesystem_folder = {root}

[logging]
level = warning
"""
    )
    port = _free_port()
    command = ["radicale", "--config", str(config), "--server-hosts", f"127.0.0.1:{port}"]
    with _running(command, port, root / "radicale.log"):
        yield _server(port)


@contextmanager
def xandikos(root: Path) -> Iterator[CalDAVServer]:
    """Xandikos with its storage in ``root/xandikos``; it asks for no password, so any is accepted.

    The home holds one calendar, ``calendars/calendar/``, to begin with. Raises `ServerFailed`.
    """
    storage = root / "xandikos"
    storage.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = ["xandikos", "serve", "--directory", str(storage), "--state-dir", str(root / "state"), "--defaults"]
    command += ["--current-user-principal", f"/{USERNAME}/", "--listen-address", "127.0.0.1", "--port", str(port)]
    command += ["--no-detect-systemd"]
    with _running(command, port, root / "xandikos.log"):
        yield _server(port, home=f"/{USERNAME}/calendars/")


def _server(port: int, home: str = f"/{USERNAME}/") -> CalDAVServer:
    url = f"http://127.0.0.1:{port}"
    return CalDAVServer(url=url + "/", username=USERNAME, password=PASSWORD, home_url=url + home)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _running(module_and_arguments: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """The Python module as a process of its own that listens on ``port``."""
    # A pipe nobody reads would fill up and stop the server, hence a file.
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module_and_arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    try:
        _wait_until_listening(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0 and process.poll() is None:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed(log.read_text(errors="replace")[-2000:] or "the server did not start")
        time.sleep(0.02)
