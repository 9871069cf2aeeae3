"""Spans: pieces of work with a name, a beginning and an end.

The log and OpenTelemetry listen where they are set up (`calhub.ops.log`, `calhub.ops.telemetry`). Without a listener a
span costs next to nothing: a command from cron does not even load them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

#: Names and numbers that say which piece of work it is, and how it ended; never what is in an event.
Facts = dict[str, str | int | float | None]

#: Called with name and facts when a span begins; the facts may have grown when its context ends.
Listener = Callable[[str, Facts], AbstractContextManager[None]]

listeners: Final[list[Listener]] = []


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
