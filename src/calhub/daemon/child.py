"""The engine process, as a component of the front."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from calhub.daemon.link import Message, encode
from calhub.daemon.settings import Settings
from calhub.hub.errors import HubError

#: Bytes; a job's reports may name many errors.
_LONGEST_LINE: Final = 64 * 1024 * 1024
_START_SECONDS: Final = 60.0
#: An engine that has not been heard of for so long hangs.
SILENCE_SECONDS: Final = 30.0
#: A second more than the engine gives itself.
_STOP_SECONDS: Final = 10.0


class EngineFailed(HubError):
    """The engine did not start."""


class EngineChild:
    """Starts ``python -m calhub.daemon.engine`` and talks to it; all of it belongs to the event loop.

    It is killed when it has said nothing for ``silence`` seconds; when all is well it speaks every second.
    """

    name = "engine"

    def __init__(self, home: Path, settings: Settings, *, silence: float = SILENCE_SECONDS) -> None:
        self._home = home
        self._silence = silence
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._orders = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.last_beat = 0.0  # by time.monotonic
        self.load: dict[str, int] = {}
        self._pokes: dict[bool, set[int]] = {}  # to be sent, by whether a full pass is needed

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    # Component

    async def start(self) -> None:
        """Return once the engine has begun. Raises `EngineFailed`."""
        ours, theirs = socket.socketpair()
        self._ready = asyncio.Event()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "calhub.daemon.engine", str(self._home), str(theirs.fileno()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        self._reading = asyncio.create_task(self._read(reader))
        self.go_by(self._settings)
        began, ended = asyncio.create_task(self._ready.wait()), asyncio.create_task(self._process.wait())
        await asyncio.wait([began, ended], timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        began.cancel()
        ended.cancel()
        if not self._ready.is_set():
            await self._kill()
            raise EngineFailed("The engine did not start; see the log.")
        self.last_beat = time.monotonic()

    async def ended(self) -> str:
        """Return when the process is gone; one that has fallen silent is killed."""
        assert self._process is not None
        while True:
            try:
                status = await asyncio.wait_for(self._process.wait(), timeout=self._silence / 3)
            except TimeoutError:
                if time.monotonic() - self.last_beat > self._silence:
                    await self._kill()
                    return "it was silent"
            else:
                await self._hang_up()
                return f"exit status {status}"

    async def stop(self) -> None:
        if self._process is None:
            return
        self._send({"stop": True})
        try:
            await asyncio.wait_for(self._process.wait(), timeout=_STOP_SECONDS)
        except TimeoutError:
            await self._kill()
        await self._hang_up()

    # What it is told

    def go_by(self, settings: Settings) -> None:
        """These are the settings from now on, also those of an engine that takes this one's place."""
        self._settings = settings
        self._send({"settings": settings.as_dict()})

    def tend(self) -> None:
        """Have it see to the channels."""
        self._send({"tend": True})

    async def order(self, wish: Message) -> list[dict[str, Any]]:
        """Have the passes of a sync made now: its options are ``account``, ``calendar``, ``full``, ``dry_run`` and
        ``timeout`` (seconds, or None). Returns the run shapes. Raises `EngineFailed` where there will be no answer.
        """
        self._orders += 1
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[self._orders] = answer
        self._send({"order": self._orders, **wish})
        if self._writer is None:
            self._give_up()
        found = await answer
        if "error" in found:
            raise EngineFailed(found["error"])
        runs: list[dict[str, Any]] = found["runs"]
        return runs

    def poke(self, replicas: Iterable[int], full: bool = False) -> None:
        """Something may have changed. A flood is gathered up to the next turn of the loop."""
        if not self._pokes:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pokes.setdefault(full, set()).update(replicas)

    def _flush(self) -> None:
        pokes, self._pokes = self._pokes, {}
        for full, replicas in pokes.items():
            self._send({"poke": sorted(replicas), "full": full})

    def _send(self, message: Message) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    # What it says

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            message = json.loads(line)
            if "ready" in message:
                self._ready.set()
            elif "beat" in message:
                self.last_beat, self.load = time.monotonic(), message["beat"]
            elif (answer := self._answers.pop(message.get("answer"), None)) is not None and not answer.done():
                answer.set_result(message)

    async def _kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._hang_up()

    async def _hang_up(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._process = None
        self._give_up()

    def _give_up(self) -> None:
        """Nobody will answer what was ordered."""
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_result({"error": "The engine ended meanwhile; ask again."})
