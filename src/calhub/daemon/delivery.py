"""Delivering messages to endpoints, in the engine process but in threads of its own: no pass ever waits for it.

A message is sent when it is due, one at a time to each endpoint and several endpoints at once. One that fails does not
hold up those after it: items carry their ``seq``. What an attempt came to is committed after it, so a process that dies
in between sends once more, under the same id.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from calhub.daemon.outgoing import Answer, judge, post, signed
from calhub.daemon.work import log_failure
from calhub.hub import changes, endpoints, measures, messages
from calhub.hub.database import Hub
from calhub.hub.endpoints import Endpoint
from calhub.hub.errors import HubError, NotFound
from calhub.hub.messages import Due, Result
from calhub.ops import log
from calhub.ops.samples import Samples

#: Endpoints that are sent to at the same time.
AT_ONCE: Final = 4
#: At most so often messages are cut: a storm of changes becomes few of them.
GATHER_SECONDS: Final = 1.0
#: After a failure of our own, such as a full disk, and between two looks at the clock.
_TROUBLE_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 60.0
#: Attempts under way may take so long to end when the engine stops; others are made again after the next start.
_FAREWELL_SECONDS: Final = 1.0

Post = Callable[[str, str, dict[str, str], bool], Answer]


class Delivery:
    """Sends messages until `stop`. ``send`` makes an attempt, ``chance`` gives numbers from 0 to 1.

    Without `start`, whoever calls `cut` and `attempt` decides when something happens.
    """

    def __init__(self, hub: Hub, *, send: Post = post, chance: Callable[[], float] = random.random) -> None:
        self._hub = hub
        self._send = send
        self._chance = chance
        self._turn = threading.Lock()
        self._busy: dict[int, threading.Thread] = {}  # by endpoint
        self._woken, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="calhub-delivery", daemon=True)
        self._cut_next = 0.0  # by time.monotonic

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Somebody committed; may be called by any thread."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no more attempts, and wait a little for those under way."""
        self._over.set()
        self._woken.set()
        self._thread.join()
        end = time.monotonic() + _FAREWELL_SECONDS
        for thread in list(self._busy.values()):
            thread.join(max(end - time.monotonic(), 0.0))

    def cut(self) -> bool:
        """Make messages of what is new in the change log by now; what comes meanwhile waits for the next call, which
        finds more of it. False where there was nothing new for anybody.
        """
        with self._hub.read() as conn:
            last = changes.last_seq(conn)
            behind = messages.behind(conn, last)
        found = bool(behind)
        while behind:
            with self._hub.transaction() as conn:
                for endpoint_id in messages.behind(conn, last)[:1]:
                    messages.cut(conn, endpoint_id, self._hub.clock())
                behind = messages.behind(conn, last)
        return found

    def due(self) -> list[Due]:
        """What is to be sent now."""
        with self._hub.read() as conn:
            return messages.due(conn, self._hub.now(), list(self._busy))

    def attempt(self, of: Due) -> None:
        """Send a message and note what came of it. Raises `HubError` where that cannot be noted."""
        try:
            with self._hub.read() as conn:
                endpoint = endpoints.endpoint(conn, of.endpoint_id)
        except NotFound:
            return
        answer = dispatch(self._hub, endpoint, of.id, of.body, self._send)
        result = judge(of, answer, self._hub.clock(), self._chance())
        noted = Samples()
        noted.count("messages", outcome="failed" if result.state == "pending" else result.state)
        with self._hub.transaction() as conn:
            messages.attempted(conn, of, result, self._hub.now())
            measures.store(conn, noted.drain())
        if result.error is not None:
            _log(of, result)

    # In the thread

    def _run(self) -> None:
        while not self._over.is_set():
            self._woken.clear()
            try:
                self._woken.wait(self._look())
            except Exception as error:  # noqa: BLE001 - what fails now must not end what comes later
                log_failure("delivery", error)
                self._over.wait(_TROUBLE_SECONDS)

    def _look(self) -> float:
        """Begin what is to be done now; returns after how many seconds to look again."""
        now = time.monotonic()
        if now >= self._cut_next and self.cut():
            self._cut_next = now + GATHER_SECONDS
        for each in self.due()[: AT_ONCE - len(self._busy)]:
            self._begin(each)
        return min(self._until_due(), max(self._cut_next - now, 0.0) or _LONGEST_SECONDS)

    def _until_due(self) -> float:
        with self._turn:
            if len(self._busy) >= AT_ONCE:
                return _LONGEST_SECONDS  # the end of an attempt wakes us
            busy = list(self._busy)
        with self._hub.read() as conn:
            due = messages.next_due(conn, busy)
        if due is None:
            return _LONGEST_SECONDS
        return min(max((datetime.fromisoformat(due) - self._hub.clock()).total_seconds(), 0.001), _LONGEST_SECONDS)

    def _begin(self, of: Due) -> None:
        def work() -> None:
            try:
                self.attempt(of)
            except Exception as error:  # noqa: BLE001 - likewise
                log_failure("delivery", error)
                self._over.wait(_TROUBLE_SECONDS)  # or it would be sent again at once
            with self._turn:
                del self._busy[of.endpoint_id]
            self._woken.set()

        thread = threading.Thread(target=work, name="calhub-send", daemon=True)
        with self._turn:
            self._busy[of.endpoint_id] = thread
        thread.start()


def dispatch(hub: Hub, to: Endpoint, message_id: str, body: str, send: Post = post) -> Answer:
    """One attempt, whatever the state of the endpoint."""
    try:
        secrets = endpoints.secrets(hub.home, to, hub.now())
    except HubError:
        return Answer(None, "Its secret cannot be opened; give it a new one.")
    return send(to.url, body, signed(message_id, body, secrets, hub.clock()), to.public_only)


def ping(hub: Hub, endpoint_id: int, send: Post = post) -> dict[str, Any]:
    """Send a message of type ``ping`` now, once: ``{"webhook", "ok", "status", "error", "duration_ms"}``.

    It is not kept. Raises `NotFound`.
    """
    with hub.read() as conn:
        to = endpoints.endpoint(conn, endpoint_id)
    began = time.monotonic()
    answer = dispatch(hub, to, messages.new_id(), messages.body("ping", {}, hub.clock()), send)
    ok = answer.status is not None and 200 <= answer.status < 300
    error = None if ok else answer.error or f"The answer was {answer.status}."
    took = round((time.monotonic() - began) * 1000)
    return {"webhook": endpoint_id, "ok": ok, "status": answer.status, "error": error, "duration_ms": took}


def _log(of: Due, result: Result) -> None:
    about = {"message": of.id, "webhook": of.endpoint_id, "reason": result.error}
    logger = log.get("daemon")
    if result.disabled is not None:
        logger.warning("webhook disabled", **about)
    elif result.state == "dead":
        logger.warning("message given up", **about)
    else:
        logger.info("message not delivered", **about)
