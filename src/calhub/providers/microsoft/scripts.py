"""Writes as scripts: generators that yield requests and get the answers, so that one or twenty run by the same code.

A script does no I/O of its own and ends with an outcome. `run_one` sends its requests one by one; `run_many` takes up
to `client.BATCH` scripts forward together, each step in one ``$batch``, where parts need no order among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from calhub.providers.base import NotSent, Outcome, ProviderError, Refused, Stale, Trait, Unknown
from calhub.providers.http import Unreached, retry_after
from calhub.providers.microsoft.client import Graph, Part, code_of, error_of, is_absent
from calhub.providers.rest import Reply

T = TypeVar("T")
Script: TypeAlias = Generator[Part, Reply, Outcome]

_LATER: Final = frozenset({423, 424, 429})
_SENTENCES: Final = {
    "erroroccurrencecrossingboundary": "Microsoft 365 does not let an occurrence be moved past its neighbours.",
    "erroraccessdenied": "The account may not write to this calendar.",
    "errorquotaexceeded": "The mailbox at Microsoft 365 is full.",
    "errormessagesizeexceeded": "The event is larger than Microsoft 365 allows.",
    "errorpropertyvalidationfailure": "Microsoft 365 does not take an event of this form.",
}


class Stopped(Exception):
    """Raised inside a script that cannot go on; ``outcome`` is how it ends, ``error`` why a read failed."""

    def __init__(self, outcome: Outcome, error: ProviderError | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.error = error


def refused(reply: Reply) -> Outcome:
    """The outcome of a write that was answered, but not with a success (microsoft: Limits and errors)."""
    status, code = reply.status, code_of(reply)
    wait = retry_after(reply.headers)
    if status == 412 or code == "errorirresolvableconflict":
        return Stale()
    if is_absent(reply):
        return Stale()
    # A 503 that names a time was refused at the door; ErrorConcurrentItemSave comes after half of the work.
    if status in _LATER or (status == 503 and wait is not None and code != "errorconcurrentitemsave"):
        return NotSent(f"Microsoft 365 is busy (HTTP {status}).", wait)
    if status == 401:
        return NotSent("Microsoft 365 does not accept the sign-in any more.")
    if status == 403:
        return Refused(_SENTENCES.get(code, "The account may not write to this calendar."))
    if status < 500:
        named = _SENTENCES.get(code)
        return Refused(named or f"Microsoft 365 refused the event (HTTP {status}{f', {code}' if code else ''}).")
    return Unknown(f"Microsoft 365 failed with HTTP {status}.")


@dataclass
class _Running:
    """A script under way. ``written``: it has changed something at the service by now."""

    script: Script
    part: Part | None = None
    outcome: Outcome | None = None
    written: bool = False

    def start(self) -> None:
        self._step(lambda: next(self.script))

    def answer(self, reply: Reply) -> None:
        assert self.part is not None
        if self.part.writes and reply.status < 300:
            self.written = not self.part.undoes
        self._step(lambda: self.script.send(reply))

    def lose(self, reason: str, *, sent: bool, wait: float | None = None) -> None:
        """There is no answer to the request under way."""
        assert self.part is not None
        self.script.close()
        self._end(Unknown(reason) if sent and self.part.writes else NotSent(reason, wait))

    def _step(self, move: Callable[[], Part]) -> None:
        try:
            self.part = move()
        except StopIteration as end:
            self._end(end.value)
        except Stopped as stopped:
            self._end(stopped.outcome)

    def _end(self, outcome: Outcome) -> None:
        """What was written in part is looked at again by the engine, whatever stopped the rest."""
        self.part = None
        if self.written and isinstance(outcome, Refused | NotSent | Stale):
            reason = "" if isinstance(outcome, Stale) else f": {outcome.reason}"
            failed = isinstance(outcome, NotSent) and not outcome.of_item
            outcome = Unknown(f"Written in part{reason}", of_item=not failed)
        self.outcome = outcome


def run_one(graph: Graph, script: Script) -> Outcome:
    """Send a script's requests one by one. Raises `ProviderError` LOGIN, GONE or FATAL where nothing was written."""
    running = _Running(script)
    running.start()
    while running.part is not None:
        try:
            reply = graph.send(running.part)
        except ProviderError as error:
            if error.trait is not Trait.RETRY and not running.written:
                raise
            running.lose(error.message, sent=not isinstance(error, Unreached), wait=error.retry_after)
        else:
            running.answer(reply)
    assert running.outcome is not None
    return running.outcome


def run_many(graph: Graph, scripts: Sequence[Script]) -> list[Outcome]:
    """Take the scripts forward together; outcomes in order. Raises as `run_one`, where nothing at all was written."""
    every = [_Running(script) for script in scripts]
    for running in every:
        running.start()
    while waiting := [running for running in every if running.part is not None]:
        parts = [running.part for running in waiting if running.part is not None]
        try:
            replies = graph.batch(parts)
        except ProviderError as error:
            if error.trait is not Trait.RETRY and not any(running.written for running in every):
                raise
            for running in waiting:
                # Refused at the door, with a time to come back: nothing was carried out. A bare 5xx does not say so.
                sent = not isinstance(error, Unreached) and error.trait is Trait.RETRY and error.retry_after is None
                running.lose(error.message, sent=sent, wait=error.retry_after)
            continue
        for running, reply in zip(waiting, replies, strict=True):
            if reply is None:
                running.lose("Microsoft Graph left out an answer.", sent=True)
            else:
                running.answer(reply)
    return [running.outcome for running in every if running.outcome is not None]


def read(url: str) -> Generator[Part, Reply, Reply]:
    """A read inside a script: its answer, 404 included. Raises `Stopped` when it cannot be had."""
    reply = yield Part("GET", url)
    if reply.status < 300 or is_absent(reply):
        return reply
    error = error_of(reply)
    if error.trait in (Trait.RETRY, Trait.LOGIN):
        raise Stopped(NotSent(error.message, error.retry_after), error)
    raise Stopped(Refused(error.message), error)


def run_read(graph: Graph, script: Generator[Part, Reply, T]) -> T:
    """Send the requests of a script that only reads, and return what it returns. Raises `ProviderError`."""
    try:
        part = next(script)
        while True:
            part = script.send(graph.send(part))
    except StopIteration as end:
        value: T = end.value
        return value
    except Stopped as stopped:
        raise (stopped.error or ProviderError("Microsoft Graph cannot be read.")) from None
