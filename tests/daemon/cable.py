"""What lies between a daemon and a server: a TCP relay that can be cut in the ways in which networks fail."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import urlsplit

#: ``refused``: nobody listens, as with a server that is being restarted. ``reset``: connections break at once.
#: ``silent``: bytes are swallowed either way, and nobody is told. ``deaf``: requests arrive, their answers do not.
State = Literal["whole", "refused", "reset", "silent", "deaf"]

_PIECE: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Cable:
    """Relays to the server at ``upstream``, a URL, from a port that stays the same; `close` ends it."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._upstream = parts.hostname, parts.port
        self._state: State = "whole"
        self._turn = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._swallowed = 0
        self._listener: socket.socket | None = None
        self._port = 0
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def swallowed(self) -> int:
        """How many pieces were swallowed or refused since the last cut."""
        return self._swallowed

    def cut(self, state: State) -> None:
        """From now on it is like this, also for connections there are."""
        with self._turn:
            self._state, self._swallowed = state, 0
        if state == "refused":
            self._hang_up()
        if state in ("refused", "reset"):
            self._break_all()

    def mend(self) -> None:
        """All is well again. Connections from before are reset: what was swallowed is missing in them."""
        refused = self._state == "refused"
        with self._turn:
            self._state = "whole"
        self._break_all()
        if refused:
            self._listen()

    def close(self) -> None:
        self.cut("refused")
        for thread in self._threads:
            thread.join()

    # In detail

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))  # may be taken again at once: SO_REUSEADDR
        self._port, self._listener = listener.getsockname()[1], listener
        self._start(lambda: self._accept(listener))

    def _hang_up(self) -> None:
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes up who waits in accept
            self._listener.close()
            self._listener = None

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="cable", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return  # it was hung up
            with self._turn:
                state = self._state
            if state in ("refused", "reset"):
                self._swallow()
                _reset(near)
            else:
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        far = socket.create_connection(self._upstream)
        with self._turn:
            self._open |= {near, far}
        self._start(lambda: self._pump(near, far, answers=False))
        self._start(lambda: self._pump(far, near, answers=True))

    def _pump(self, source: socket.socket, sink: socket.socket, *, answers: bool) -> None:
        with suppress(OSError):  # one of the two is gone
            while piece := source.recv(_PIECE):
                with self._turn:
                    state = self._state
                if state == "silent" or (state == "deaf" and answers):
                    self._swallow()
                else:
                    sink.sendall(piece)
        self._end(source)
        self._end(sink)

    def _swallow(self) -> None:
        with self._turn:
            self._swallowed += 1

    def _break_all(self) -> None:
        with self._turn:
            broken = set(self._open)
        for each in broken:
            self._end(each)

    def _end(self, end: socket.socket) -> None:
        with self._turn:
            if end not in self._open:
                return
            self._open.discard(end)
        _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RD)  # wakes up who reads, which closing alone does not
    end.close()
