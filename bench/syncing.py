"""Pull, no change, remote changes, local changes: calhub, vdirsyncer and a bare client against one server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import CommandFailed, Run, timed
from bench.server import Server, instant, radicale
from bench.tools import Calhub, Vdirsyncer

FLOOR = "floor"
PARTS = ("pull", "memory", "unchanged", "changes", "push")
REMOTE_CHANGES = 100
LOCAL_CHANGES = 200
#: How the cost follows the number of changes, for the plot; with this many events.
CURVE = (1, 10, 100, 1000)
CURVE_SIZE = 10_000
_FIRST_PUSHED = 500
_PUSH_LIMIT = 10_000
_SERVERS: tuple[tuple[Callable[[Path, int], AbstractContextManager[Server]], Sequence[str]], ...] = (
    (instant, ("pull", "memory", "unchanged", "changes")),
    (radicale, ("pull", "unchanged", "changes", "push")),
)


def measure(run: Run, size: int, folder: str | None) -> None:
    """All cases at one size, on Radicale and on the server that has its answers ready."""
    for serve, parts in _SERVERS:
        if not run.wants(*parts):
            continue
        with TemporaryDirectory(prefix="calhub-bench-", dir=folder) as root, serve(Path(root), size) as server:
            _Syncing(run, server, Path(root)).measure()


class _Syncing:
    """The cases on one server."""

    def __init__(self, run: Run, server: Server, root: Path) -> None:
        self._run = run
        self._server = server
        self._slow = server.name == "Radicale"
        self._token = ""
        self._clients: dict[str, Calhub | Vdirsyncer] = {
            "calhub": Calhub(root / "calhub"),
            "vdirsyncer": Vdirsyncer(root / "vdirsyncer"),
        }

    def measure(self) -> None:
        self._pull()
        if self._run.wants("memory") and not self._slow:
            self._memory()
        if self._run.wants("unchanged"):
            self._unchanged()
        if self._run.wants("changes"):
            curve = CURVE if not self._slow and self._server.size == CURVE_SIZE else (REMOTE_CHANGES,)
            for count in curve:
                self._changes(count)
        if self._run.wants("push") and self._slow:
            self._push()

    def _pull(self) -> None:
        """Also what all other cases begin with; then done once, and not recorded."""
        recorded = self._run.wants("pull")
        for number, turn in enumerate(self._turns(long=True)):
            if number and not recorded:
                break
            for who in turn:
                if who == FLOOR:
                    self._token = ""
                elif who in self._clients:
                    self._clients[who].connect(self._server)
                self._time("first pull", who, recorded=recorded)
                if who in self._clients:
                    self._agree(who, self._server.size)

    def _memory(self) -> None:
        for who, client in self._clients.items():
            client.connect(self._server)
            self._run.results.add("memory of a first pull", self._server.size, who, client.peak(), "MB")
            self._agree(who, self._server.size)

    def _unchanged(self) -> None:
        assert self._token  # else the floor would be a full answer
        for turn in self._turns():
            for who in turn:
                self._time("nothing changed", who)

    def _changes(self, count: int) -> None:
        for number, turn in enumerate(self._turns(long=self._slow)):
            title = f"Changed remotely {count} {number}."
            self._server.change(count, title)
            self._server.report(self._token)  # fills the server's own cache, which is nobody's merit
            before = self._token
            for who in turn:
                self._time(f"{count:,} remote changes", who)
                self._agree(who, count, title)
            assert before != self._token

    def _push(self) -> None:
        """The floor: the same PUTs from a bare client over four connections."""
        size = self._server.size
        if size > _PUSH_LIMIT:
            self._run.results.leave_out(
                f"{LOCAL_CHANGES} local changes at {size:,} events: one PUT takes Radicale half a second there"
            )
            return
        case = f"{LOCAL_CHANGES} local changes, {self._server.name}"
        for number, turn in enumerate(self._turns()):
            for who in turn:
                title = f"Changed by {who} {number}."
                if who == FLOOR:
                    seconds = timed(lambda title=title: self._server.change(LOCAL_CHANGES, title, first=_FIRST_PUSHED))
                else:
                    self._clients[who].edit(_FIRST_PUSHED, LOCAL_CHANGES, title)
                    seconds = timed(self._clients[who].sync)
                self._run.results.add(case, size, who, seconds)
                assert self._server.count(title) == LOCAL_CHANGES
                for other in self._clients:  # all know of it before the next one writes
                    self._clients[other].sync()
                    self._agree(other, LOCAL_CHANGES, title)

    def _turns(self, *, long: bool = False) -> Iterator[Sequence[str]]:
        return self._run.turns([FLOOR, *self._clients], self._server.size, long=long)

    def _time(self, case: str, who: str, *, recorded: bool = True) -> None:
        """One pass of a client, or the bare client's REPORT since its last one."""
        if who != FLOOR and who not in self._clients:
            return  # it failed before
        try:
            seconds = timed(self._report if who == FLOOR else self._clients[who].sync)
        except CommandFailed as error:
            if who == "calhub":
                raise
            self._run.results.leave_out(f"{who} on {self._server.name}, {self._server.size:,} events: {error}")
            del self._clients[who]
            return
        if recorded:
            self._run.results.add(f"{case}, {self._server.name}", self._server.size, who, seconds)

    def _report(self) -> None:
        self._token, _ = self._server.report(self._token)

    def _agree(self, who: str, expected: int, title: str | None = None) -> None:
        """A client has the events, or what was measured was something else."""
        if who in self._clients:
            found = self._clients[who].count(title)
            assert found == expected, f"{who} has {found} events, not {expected} ({title or 'in all'})"
