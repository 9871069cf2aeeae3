"""Services that tell of changes: how channels are made and ended, the same for each kind.

A *state* is a text that holds what a channel is known by. It is stored before the channel is opened and replaced by
what `Push.open` gives; a channel whose answer got lost ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from calhub.providers.base import Provider
from calhub.providers.layers import Layer


class Push(Protocol):
    """The channels of one account. Methods that ask the service raise `ProviderError`."""

    def plan(self, calendar: str) -> str:
        """The state of a channel to be opened; no I/O."""

    def open(self, state: str, address: str) -> str:
        """Have the service tell ``address``, which may be called before this returns. FATAL: it never will."""

    def renew(self, state: str) -> str | None:
        """The channel with a later end; None where a new one has to take its place."""

    def stop(self, state: str) -> None:
        """End the channel; one that has ended is fine."""

    def expires(self, state: str) -> datetime:
        """When an open channel ends."""

    def due(self, state: str) -> datetime:
        """When it is time to renew an open channel."""


def push_of(provider: Provider, clock: Callable[[], datetime]) -> Push | None:
    """How the service behind a provider tells of changes; None where it does not."""
    while isinstance(provider, Layer):
        provider = provider.inner
    make: Callable[[Callable[[], datetime]], Push] | None = getattr(provider, "push", None)
    return None if make is None else make(clock)
