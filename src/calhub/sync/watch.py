"""The layer that tells an account's circuit breaker how its calls went, and stops when that opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.hub.breaker import Breaker
from calhub.hub.database import Hub
from calhub.providers.base import (
    Capabilities,
    Known,
    NotSent,
    Outcome,
    Page,
    Provider,
    ProviderError,
    RemoteCalendar,
    Trait,
    Unknown,
    WriteRequest,
)
from calhub.providers.layers import Layer

T = TypeVar("T")


class Paused(ProviderError):
    """The account's breaker is open: nothing was asked."""


class Watch(Layer):
    """Counts failures in passing: a `ProviderError` RETRY, writes `NotSent` or `Unknown` by the service's doing.

    Any other answer of the service, also one that refuses an item, closes the breaker; errors that only the user can
    help leave it as it is. Calls that fail side by side count as one: a connection that breaks for a moment takes all
    of them along. When a failure opens it, that call's outcome is returned and every later one raises. Whether
    a pass may begin at all is for the engine to ask (`admit`): a person who tries the account by hand is not kept from
    it.
    """

    def __init__(self, inner: Provider, hub: Hub, account: Account) -> None:
        super().__init__(inner)
        self._hub = hub
        self._account = account
        with hub.read() as conn:
            self._failing = accounts.breaker(conn, account.id) != Breaker()
        self._paused_until: datetime | None = None
        self._failures = 0  # so far, of calls through here

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        # it may ask the service, but need not: that it returns proves nothing
        return self._call(lambda: self.inner.prepare(calendar, settings), proves=False)

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        pages = self.inner.changes(calendar, cursor, known)
        while (page := self._call(lambda: next(pages, None))) is not None:
            yield page

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        return self._call(lambda: self.inner.write_batch(calendar, requests))

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        return self._call(lambda: self.inner.create_calendar(name, color=color, time_zone=time_zone))

    def delete_calendar(self, calendar: str) -> None:
        self._call(lambda: self.inner.delete_calendar(calendar))

    def _read(self, call: Callable[[], T]) -> T:
        return self._call(call)

    def _write(self, call: Callable[[], Outcome]) -> Outcome:
        return self._call(call)

    def _call(self, call: Callable[[], T], *, proves: bool = True) -> T:
        if self._paused_until is not None:
            raise ProviderError(_pause(self._account, self._paused_until), _hint(self._account))
        before = self._failures
        try:
            answer = call()
        except ProviderError as error:
            if error.trait is Trait.RETRY:
                self._failed(error.message, before)
            elif error.trait is Trait.GONE:
                self._succeeded()
            raise
        reason = _failure(answer)
        if reason is not None:
            self._failed(reason, before)
        elif proves:
            self._succeeded()
        return answer

    def _failed(self, reason: str, before: int) -> None:
        """Count it, unless another call failed while this one was under way."""
        if before != self._failures:
            return
        self._failures += 1
        self._failing = True
        with self._hub.transaction() as conn:
            breaker = accounts.breaker(conn, self._account.id).failed(self._hub.clock())
            accounts.set_breaker(conn, self._account.id, breaker)
            if breaker.state == "open":
                accounts.set_account_state(conn, self._account.id, "failing", reason)
        self._paused_until = breaker.until

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            with self._hub.transaction() as conn:
                accounts.set_breaker(conn, self._account.id, Breaker())


def _failure(answer: object) -> str | None:
    """Why the service failed, where that is a value: a batch has failed when each of its writes has."""
    if isinstance(answer, list) and answer:
        reasons = [_failure(each) for each in answer]
        return None if None in reasons else reasons[0]
    return answer.reason if isinstance(answer, NotSent | Unknown) and not answer.of_item else None


def admit(hub: Hub, account: Account) -> None:
    """Let a pass over this account begin, as the probe where one is due. Raises `Paused` where it must wait."""
    with hub.transaction() as conn:
        breaker = accounts.breaker(conn, account.id)
        admitted = breaker.admit(hub.clock())
        if admitted is None:
            assert breaker.until is not None  # a closed breaker admits everybody
            raise Paused(_pause(account, breaker.until), _hint(account))
        if admitted != breaker:
            accounts.set_breaker(conn, account.id, admitted)


def _pause(account: Account, until: datetime) -> str:
    return f'The account "{account.name}" kept failing and is left alone until {until:%H:%M:%S} UTC.'


def _hint(account: Account) -> str:
    return f'To try at once: calhub account test "{account.name}"'
