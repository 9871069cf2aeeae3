"""Refused requests in the audit log, few enough that a flood of them does not fill it."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from calhub.hub import audit
from calhub.hub.audit import Fact
from calhub.hub.database import Hub
from calhub.hub.errors import HubError
from calhub.ops import log

#: In so long each refusal is noted once, and no more than so many that differ.
_PERIOD: Final = timedelta(minutes=1)
_MOST: Final = 20


class Refusals:
    """Any thread may call it. An entry says as ``left_out`` how many refusals went without one before it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._turn = threading.Lock()
        self._began = datetime.min.replace(tzinfo=hub.clock().tzinfo)
        self._noted: set[str] = set()
        self._left_out = 0

    def note(self, what: str, **facts: Fact) -> None:
        """Somebody was refused. What cannot be noted now is said in the log: the refusal stands all the same."""
        with self._turn:
            now = self._hub.clock()
            if not timedelta(0) <= now - self._began < _PERIOD:
                self._began = now
                self._noted.clear()
            key = f"{what} {facts}"
            if key in self._noted or len(self._noted) >= _MOST:
                self._left_out += 1
                return
            self._noted.add(key)
            left_out, self._left_out = self._left_out, 0
        self._write(what, **facts, **({"left_out": left_out} if left_out else {}))

    def close(self) -> None:
        """Note how many have been left out since the last entry."""
        with self._turn:
            left_out, self._left_out = self._left_out, 0
        if left_out:
            self._write("refusals", left_out=left_out)

    def _write(self, what: str, **facts: Fact) -> None:
        try:
            with self._hub.transaction() as conn:
                audit.note(conn, what, **facts)
        except HubError as error:
            log.get("ops").warning("a refusal was not noted", what=what, reason=error.message)
