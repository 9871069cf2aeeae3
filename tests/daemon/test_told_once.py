"""Whatever happens in whatever order, crashes included: each change of its calendars is told to an endpoint, in exactly
one message."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from calhub.daemon.delivery import Delivery
from calhub.daemon.outgoing import Answer
from calhub.hub import accounts, changes, endpoints, events, messages
from calhub.hub.database import Hub
from calhub.testing.world import plain


class Crash(BaseException):
    """The process ends here."""


class Play:
    """A hub whose process may end at any commit, and endpoints that may answer anything."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self._answers: list[int | None] = []
        self._number = 0
        self.from_seq: dict[str, int] = {}
        self.calendars: dict[str, list[str] | None] = {}
        self.bodies: dict[str, dict[str, str]] = defaultdict(dict)  # by URL and message id
        self._open()
        with self.hub.transaction() as conn:
            self._ids = {name: accounts.add_calendar(conn, name, self.hub.now()).id for name in ("Work", "Home")}

    def _open(self) -> None:
        self.hub = Hub.open(self._home, clock=lambda: self._now)
        self.delivery = Delivery(self.hub, send=self._take, chance=lambda: 0.0)

    def _take(self, url: str, body: str, headers: dict[str, str], _public_only: bool) -> Answer:
        answer = self._answers.pop() if self._answers else 204
        if answer is not None:  # else it never arrived
            assert self.bodies[url].setdefault(headers["webhook-id"], body) == body
        return Answer(answer, None if answer else "It cannot be reached.")

    # What may happen

    def add(self, calendars: list[str] | None) -> None:
        url = f"https://{len(self.calendars)}.example/"
        with self.hub.transaction() as conn:
            endpoints.add(conn, self._home, url, calendars, public_only=False, now=self.hub.now())
            since = changes.last_seq(conn)
        self.from_seq[url], self.calendars[url] = since, calendars

    def change(self, calendar: str, times: int) -> None:
        with self.hub.transaction() as conn:
            for _ in range(times):
                self._number += 1
                events.put_event(conn, self._ids[calendar], f"u{self._number}", plain(), now=self.hub.now())

    def cut(self) -> None:
        self.delivery.cut()

    def send(self, answers: list[int | None]) -> None:
        self._answers = answers
        for due in self.delivery.due():
            self.delivery.attempt(due)

    def wait(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def crash(self, calls: int, step: tuple[str, tuple[object, ...]]) -> None:
        """Do something, in a process that ends at the so-manieth moment before or after a commit."""
        left = iter(range(calls))

        def hook() -> None:
            if next(left, None) is None:
                raise Crash

        self.hub.on_commit = hook
        with suppress(Crash):
            self.do(step)
        self.hub.close()
        self._open()

    def do(self, step: tuple[str, tuple[object, ...]]) -> None:
        name, arguments = step
        getattr(self, name)(*arguments)

    def settle(self) -> None:
        """From now on all goes well, and somebody sees to what was given up."""
        with self.hub.transaction() as conn:
            for each in endpoints.endpoints(conn):
                endpoints.enable(conn, each.id, self.hub.now())
                messages.resend_dead(conn, each.id, self.hub.now())
        self._answers = []
        while self.delivery.cut() or self.delivery.due():
            self.send([])

    def check(self) -> None:
        with self.hub.read() as conn:
            log = changes.log_after(conn, 0, 10_000)
        for url, calendars in self.calendars.items():
            told = [item["seq"] for text in self.bodies[url].values() for item in json.loads(text)["data"]["items"]]
            mine = [each for each in log if each["seq"] > self.from_seq[url]]
            assert sorted(told) == [each["seq"] for each in mine if calendars is None or each["calendar"] in calendars]


STEP = st.one_of(
    st.tuples(st.just("add"), st.tuples(st.sampled_from([None, ["Home"], ["Home", "Work"]]))),
    st.tuples(st.just("change"), st.tuples(st.sampled_from(["Work", "Home"]), st.integers(1, 5))),
    st.tuples(st.just("cut"), st.just(())),
    st.tuples(st.just("send"), st.tuples(st.lists(st.sampled_from([204, 500, 503, 410, None]), max_size=4))),
    st.tuples(st.just("wait"), st.tuples(st.sampled_from([5.0, 400.0, 90_000.0]))),
)
# A crash while an endpoint is being made would leave open whether it is there, for us but not for the one who asked.
CRASH = st.tuples(
    st.just("crash"), st.tuples(st.integers(0, 5), STEP.filter(lambda step: step[0] not in ("add", "wait")))
)
STEPS = st.lists(st.one_of(STEP, STEP, CRASH), max_size=25)


@contextmanager
def played() -> Iterator[Play]:
    """With small messages, and few that wait."""
    with (
        tempfile.TemporaryDirectory() as home,
        patch.object(messages, "MOST_ITEMS", 3),
        patch.object(messages, "MOST_WAITING", 2),
    ):
        play = Play(Path(home))
        yield play
        play.hub.close()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_each_change_in_exactly_one_message(steps: list[tuple[str, tuple[object, ...]]]) -> None:
    with played() as play:
        play.add(None)
        for step in steps:
            play.do(step)
        play.settle()
        play.check()
