"""The line between the front and its engine: one JSON object a line, over a pair of sockets.

Nothing that matters lives only in a message: what is true is in the database, and a poke that is lost is made up for by
polling. When one side is gone, the other one reads the end of the file.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]


class Link:
    """The engine's end. `send` may be called by any thread; one thread reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._turn = threading.Lock()

    def send(self, message: Message) -> None:
        """Tell the front; where it is gone, nobody is told."""
        line = encode(message)
        with self._turn:
            try:
                self._socket.sendall(line)
            except OSError:
                return  # whoever reads finds out, and ends the engine

    def messages(self) -> Iterator[Message]:
        """What the front says, until it is gone."""
        with self._socket.makefile("rb") as lines:
            try:
                for line in lines:
                    yield json.loads(line)
            except OSError:
                return


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
