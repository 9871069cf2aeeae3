"""Layers: wrappers that are a `Provider` and have one, stacked at start-up by `calhub.providers.registry`.

    Provider
      Layer       hands everything on
        Retry       repeats reads that failed in passing and writes that certainly were not applied
        DryRun      lets nothing be written
        Recording   tells what was asked and what came of it

Retrying is written out here, rather than taken from a library, since what decides is mostly not an exception: a write
answers with a value, and a listing may be taken up again only where a saved cursor allows it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from calhub.calendar.event import Content
from calhub.providers.base import (
    Capabilities,
    Item,
    Known,
    NotSent,
    Outcome,
    Page,
    Provider,
    ProviderError,
    RemoteCalendar,
    Trait,
    WriteRequest,
)

T = TypeVar("T")


class Layer:
    """Hands every call on to the provider inside: single reads through `_read`, single writes through `_write`."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    @property
    def requests(self) -> int:
        return self.inner.requests

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        return self._read(lambda: self.inner.prepare(calendar, settings))

    def discover(self) -> list[RemoteCalendar]:
        return self._read(self.inner.discover)

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        return self.inner.changes(calendar, cursor, known)

    def get(self, calendar: str, remote_id: str) -> Item | None:
        return self._read(lambda: self.inner.get(calendar, remote_id))

    def find(self, calendar: str, uid: str) -> Item | None:
        return self._read(lambda: self.inner.find(calendar, uid))

    def reserve(self, calendar: str, uid: str) -> str:
        return self.inner.reserve(calendar, uid)

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        return self._write(lambda: self.inner.create(calendar, remote_id, uid, content))

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        return self._write(lambda: self.inner.update(calendar, remote_id, uid, content, expected=expected, raw=raw))

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        return self._write(lambda: self.inner.delete(calendar, remote_id, expected=expected))

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        return self.inner.write_batch(calendar, requests)

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        return self.inner.create_calendar(name, color=color, time_zone=time_zone)

    def delete_calendar(self, calendar: str) -> None:
        self.inner.delete_calendar(calendar)

    def close(self) -> None:
        self.inner.close()

    def _read(self, call: Callable[[], T]) -> T:
        return call()

    def _write(self, call: Callable[[], Outcome]) -> Outcome:
        return call()


#: Waiting times in seconds: the first one, and the longest this layer waits at all.
BASE: Final = 0.5
LONGEST: Final = 30.0


class Retry(Layer):
    """Tries again after a jittered, exponentially growing pause, up to ``attempts`` calls in all.

    Repeated are reads that raise a `ProviderError` with trait RETRY and writes that come back as `NotSent`. Never
    repeated is an `Unknown` write, or one that raised: it may have been applied, and only the engine, which holds the
    journal, can look. Nor is `create_calendar`. Where the service asks for more than `LONGEST` seconds, the failure
    goes to the caller at once, with ``retry_after``, so that one service does not keep the others waiting.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        attempts: int = 4,
        sleep: Callable[[float], object] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(inner)
        self._attempts = attempts
        self._sleep = sleep
        self._rng = rng or random.Random()

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        """A listing that breaks off is taken up from the last cursor.

        A full listing, which has none before its end, is not repeated once a page of it is out: an item deleted
        between the two attempts would count as listed and its deletion would never be reported.
        """
        failures = 0
        while True:
            resumable = True
            try:
                for page in self.inner.changes(calendar, cursor, known):
                    resumable = page.cursor is not None
                    cursor = page.cursor or cursor
                    failures = 0
                    yield page
                return
            except ProviderError as error:
                failures += 1
                if not (resumable and error.trait is Trait.RETRY and self._pause(failures, error.retry_after)):
                    raise

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        """Only the writes of the batch that certainly were not applied are sent again."""
        outcomes = self.inner.write_batch(calendar, requests)
        failures = 0
        while True:
            waiting = {at: each for at, each in enumerate(outcomes) if isinstance(each, NotSent)}
            failures += 1
            longest = max((each.retry_after or 0 for each in waiting.values()), default=0)
            if not waiting or not self._pause(failures, longest):
                return outcomes
            again = self.inner.write_batch(calendar, [requests[at] for at in waiting])
            for at, outcome in zip(waiting, again, strict=True):
                outcomes[at] = outcome

    def _read(self, call: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return call()
            except ProviderError as error:
                failures += 1
                if error.trait is not Trait.RETRY or not self._pause(failures, error.retry_after):
                    raise

    def _write(self, call: Callable[[], Outcome]) -> Outcome:
        failures = 0
        while True:
            outcome = call()
            failures += 1
            if not isinstance(outcome, NotSent) or not self._pause(failures, outcome.retry_after):
                return outcome

    def _pause(self, failures: int, retry_after: float | None) -> bool:
        """Wait before the next attempt; False if there is to be none."""
        if failures >= self._attempts or (retry_after or 0) > LONGEST:
            return False
        longest = min(LONGEST, BASE * 2 ** (failures - 1))
        # Spread over the whole interval, so that many clients that failed together do not come back together.
        self._sleep((retry_after or 0) + self._rng.uniform(0, longest))
        return True


class DryRun(Layer):
    """Reads as ever; while ``on`` says so, every write raises a `ProviderError` before anything is sent."""

    def __init__(self, inner: Provider, on: Callable[[], bool] = lambda: True) -> None:
        super().__init__(inner)
        self._on = on

    def _write(self, call: Callable[[], Outcome]) -> Outcome:
        self._check()
        return call()

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        self._check()
        return self.inner.write_batch(calendar, requests)

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        self._check()
        return self.inner.create_calendar(name, color=color, time_zone=time_zone)

    def delete_calendar(self, calendar: str) -> None:
        self._check()
        self.inner.delete_calendar(calendar)

    def _check(self) -> None:
        if self._on():
            raise ProviderError(
                "This is a dry run: nothing is written.", "Run again without --dry-run, or switch the mode off.",
                Trait.FATAL,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as `Recording` tells it: names and outcomes, never what is in an event."""

    method: str
    calendar: str | None = None
    remote_id: str | None = None
    uid: str | None = None
    expected: str | None = None
    result: str  # the class of the outcome, "None", a number of rows, or the trait of a `ProviderError`


class Recording(Layer):
    """Calls ``log`` after every call to the provider inside, for a listing after every page."""

    def __init__(self, inner: Provider, log: Callable[[Call], object]) -> None:
        super().__init__(inner)
        self._log = log

    def discover(self) -> list[RemoteCalendar]:
        return self._tell(self.inner.discover, lambda found: str(len(found)), "discover")

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        pages = self.inner.changes(calendar, cursor, known)
        while True:
            page = self._tell(lambda: next(pages, None), _rows, "changes", calendar)
            if page is None:
                return
            yield page

    def get(self, calendar: str, remote_id: str) -> Item | None:
        return self._tell(lambda: self.inner.get(calendar, remote_id), _kind, "get", calendar, remote_id)

    def find(self, calendar: str, uid: str) -> Item | None:
        return self._tell(lambda: self.inner.find(calendar, uid), _kind, "find", calendar, uid=uid)

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        return self._tell(
            lambda: self.inner.create(calendar, remote_id, uid, content), _kind, "create", calendar, remote_id, uid
        )

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        return self._tell(
            lambda: self.inner.update(calendar, remote_id, uid, content, expected=expected, raw=raw),
            _kind,
            "update",
            calendar,
            remote_id,
            uid,
            expected,
        )

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        return self._tell(
            lambda: self.inner.delete(calendar, remote_id, expected=expected),
            _kind,
            "delete",
            calendar,
            remote_id,
            expected=expected,
        )

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        return self._tell(
            lambda: self.inner.write_batch(calendar, requests),
            lambda outcomes: " ".join(map(_kind, outcomes)),
            "write_batch",
            calendar,
        )

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        return self._tell(
            lambda: self.inner.create_calendar(name, color=color, time_zone=time_zone), _kind, "create_calendar"
        )

    def delete_calendar(self, calendar: str) -> None:
        self._tell(lambda: self.inner.delete_calendar(calendar), _kind, "delete_calendar", calendar)

    def _tell(
        self,
        call: Callable[[], T],
        result: Callable[[T], str],
        method: str,
        calendar: str | None = None,
        remote_id: str | None = None,
        uid: str | None = None,
        expected: str | None = None,
    ) -> T:
        told = "failed"
        try:
            answer = call()
            told = result(answer)
            return answer
        except ProviderError as error:
            told = error.trait.value
            raise
        finally:  # also when something else was raised: a record without its failures would lie
            self._log(
                Call(method=method, calendar=calendar, remote_id=remote_id, uid=uid, expected=expected, result=told)
            )


def _kind(answer: object) -> str:
    return "None" if answer is None else type(answer).__name__


def _rows(page: Page | None) -> str:
    return "end" if page is None else str(len(page.items) + len(page.removed))
