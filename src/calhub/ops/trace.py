"""Spans: pieces of work with a name, a beginning and an end.

The log and OpenTelemetry listen where they are set up (`calhub.ops.log`, `calhub.ops.telemetry`). Without a listener a
span costs next to nothing: a command from cron does not even load them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import copy_context
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")

#: Names and numbers that say which piece of work it is, and how it ended; never what is in an event.
Facts = dict[str, str | int | float | None]

#: Called with name and facts when a span begins; the facts may have grown when its context ends.
Listener = Callable[[str, Facts], AbstractContextManager[None]]

listeners: Final[list[Listener]] = []


def carried(work: Callable[[A], B]) -> Callable[[A], B]:
    """The same, for other threads: their spans are then part of the one that is under way here."""
    here = copy_context()
    return lambda given: here.copy().run(work, given)


def tell(name: str, **facts: str | int | float | None) -> None:
    """Something has happened that is over."""
    with span(name, **facts):
        pass


@contextmanager
def span(name: str, **facts: str | int | float | None) -> Iterator[Facts]:
    """A piece of work of this thread or task. What is put into the facts meanwhile is told at its end."""
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener(name, facts))
        try:
            yield facts
        except BaseException:
            facts["status"] = "failed"
            raise
