"""Components that start in order, are started again when they end by themselves, and stop in reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from calhub.ops import log

#: The pause before a component is started again: this, doubled each time up to ``_LONGEST``.
_PAUSE: Final = 0.2
_LONGEST: Final = 30.0
#: One that lived so long has recovered: the next pause is short again.
_HEALTHY: Final = 60.0


class Component(Protocol):
    """A part of the daemon with a life of its own."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Return once it works. Raises if it cannot."""

    async def ended(self) -> str:
        """Return when it has ended by itself, with why."""

    async def stop(self) -> None:
        """End it, within its own time. Nothing happens if it has ended."""


class Supervisor:
    """``sleep`` and ``clock`` are time, in seconds."""

    def __init__(
        self,
        components: Sequence[Component],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._components = components
        self._sleep = sleep
        self._clock = clock
        self.restarts = {each.name: 0 for each in components}

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Start all and call ``ready``; return when ``stop`` is set and all have stopped, in reverse order.

        One that cannot be started the first time ends all: its error is raised once the others have stopped.
        """
        started: list[tuple[Component, asyncio.Task[None]]] = []
        try:
            for component in self._components:
                await component.start()
                started.append((component, asyncio.create_task(self._keep(component))))
            ready()
            await stop.wait()
        finally:
            for component, keeper in reversed(started):
                keeper.cancel()
                await asyncio.wait([keeper])
                await component.stop()

    async def _keep(self, component: Component) -> None:
        """Start the component again whenever it has ended."""
        pause, since = _PAUSE, self._clock()
        while True:
            why = await component.ended()
            log.get("daemon").error("component ended", component=component.name, reason=why)
            if self._clock() - since > _HEALTHY:
                pause = _PAUSE
            while True:
                await self._sleep(pause)
                pause = min(pause * 2, _LONGEST)
                try:
                    await component.start()
                except Exception as error:  # noqa: BLE001 - whatever it is, it may pass
                    log.get("daemon").error("component cannot start", component=component.name, reason=str(error))
                else:
                    break
            since = self._clock()
            self.restarts[component.name] += 1
