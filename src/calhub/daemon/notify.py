"""What systemd is told (sd_notify(3)): datagrams to the socket it names. Without systemd nothing happens.

A systemd that is gone, or does not read what it is told, is none of our trouble: nothing waits for it.
"""

from __future__ import annotations

import os
import socket


def notify(*states: str) -> None:
    """Send states such as ``READY=1``."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("\n".join(states).encode(), address)
        except OSError:
            return


def watchdog_seconds() -> float | None:
    """How often to say that all is well: half of what systemd waits for; None where it does not ask for it."""
    asked = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(asked) / 2_000_000 if asked.isdecimal() and mine else None
