"""Plays made-up scenarios; what fails is shortened to the steps that matter."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from calhub.hub.database import Hub
from calhub.testing.simulation.invent import Inventor, invent_remotes
from calhub.testing.simulation.play import Simulation
from calhub.testing.simulation.rest import come_to_rest
from calhub.testing.simulation.steps import RemoteSpec, Scenario, Step
from calhub.testing.world import START, World

#: Where there is a file system in memory, the databases of a soak go there: nothing about a disk is tested here.
_MEMORY = Path("/dev/shm")


@dataclass
class Played:
    """What came of one scenario. ``failure`` is None, or what broke."""

    scenario: Scenario
    told: list[str]
    reached: Counter[str]
    failure: Exception | None = None

    @property
    def verdict(self) -> str:
        """In a word: the invariant that broke, or the kind of error."""
        if self.failure is None:
            return "ok"
        return str(getattr(self.failure, "name", type(self.failure).__name__))


class Stage:
    """A folder to play in, again and again, with a new hub to start from each time."""

    def __init__(self, folder: Path) -> None:
        self._home = folder / "home"
        self._new = folder / "new"
        World(self._new).close()
        self._home.mkdir()
        self._hub = Hub(self._home, lambda: START)

    @contextmanager
    def simulation(self, remotes: tuple[RemoteSpec, ...]) -> Iterator[Simulation]:
        """A simulation on a new hub."""
        for each in self._home.iterdir():
            if each.is_file():
                each.unlink()
        shutil.copy(self._new / "hub.db", self._home)
        world = _World(self._home, hub=self._hub)
        try:
            yield Simulation(world, remotes)
        finally:
            world.close()


@dataclass
class _World(World):
    """Opens the same `Hub` again where another would make a new one, which would first look at the schema."""

    hub: Hub = field(kw_only=True)

    def _open(self) -> Hub:
        self.hub.clock = self.clock
        self.hub.on_commit = None
        return self.hub


@contextmanager
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="calhub-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Stage(Path(folder))


#: Steps of a run in a soak. Most faults need few; so most runs are short.
LENGTHS: Final = (4, 5, 6, 7, 8, 8, 10, 12, 16, 50)


def play_seed(on: Stage, seed: int, steps: int | None = None, services: Sequence[str] = ()) -> Played:
    """Invent and play a scenario at once, since each step is drawn for what is there.

    ``services``: kinds of providers; there is a remote at each, emulated.
    """
    random = Random(seed)
    steps = steps or random.choice(LENGTHS)
    remotes = invent_remotes(random, services)
    done: list[Step] = []
    with on.simulation(remotes) as sim:
        inventor = Inventor(sim, random)

        def play() -> None:
            for _ in range(steps):
                done.append(inventor.step())
                sim.carry_out(done[-1])

        failure = _play(sim, play)
    return Played(Scenario(remotes, tuple(done)), sim.told, sim.reached, failure)


def play_scenario(on: Stage, scenario: Scenario) -> Played:
    """Play a scenario to its end and to rest."""
    with on.simulation(scenario.remotes) as sim:
        failure = _play(sim, lambda: sim.play(scenario))
    return Played(scenario, sim.told, sim.reached, failure)


def _play(sim: Simulation, play: Callable[[], None]) -> Exception | None:
    try:
        play()
        come_to_rest(sim)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return error
    return None


def shorten(on: Stage, played: Played) -> Played:
    """Leave out steps, remotes' habits and remotes for as long as the same thing breaks."""
    best = played
    size = max(1, len(best.scenario.steps) // 2)
    while size:
        at, shorter = 0, False
        while at < len(best.scenario.steps):
            steps = best.scenario.steps[:at] + best.scenario.steps[at + size :]
            tried = play_scenario(on, replace(best.scenario, steps=steps))
            if tried.verdict == played.verdict:
                best, shorter = tried, True
            else:
                at += size
        if not shorter or size > 1:
            size //= 2
    for change in _plainer(best.scenario):
        tried = play_scenario(
            on, replace(best.scenario, remotes=tuple(filter(None, map(change, best.scenario.remotes))))
        )
        if tried.verdict == played.verdict:
            best = tried
    return best


def _plainer(scenario: Scenario) -> Iterator[Callable[[RemoteSpec], RemoteSpec | None]]:
    """Ways to make a scenario's remotes fewer or more ordinary."""
    said = " ".join(map(str, scenario.steps))

    def without(gone: RemoteSpec) -> Callable[[RemoteSpec], RemoteSpec | None]:
        return lambda spec: None if spec.name == gone.name else spec

    def lacking(at: RemoteSpec, quirk: str) -> Callable[[RemoteSpec], RemoteSpec | None]:
        return lambda spec: (
            replace(spec, quirks=tuple(q for q in spec.quirks if q != quirk)) if spec.name == at.name else spec
        )

    def plain(at: RemoteSpec) -> Callable[[RemoteSpec], RemoteSpec | None]:
        return lambda spec: (
            replace(spec, direction="both", conflicts="merge", guard="10") if spec.name == at.name else spec
        )

    for remote in scenario.remotes:
        if f"{remote.name} " not in said:
            yield without(remote)
        yield plain(remote)
        for quirk in remote.quirks:
            yield lacking(remote, quirk)


def story(played: Played) -> str:
    """The scenario of a failure with what broke, ready for a file."""
    why = "".join(traceback.format_exception_only(played.failure)).strip() if played.failure else "nothing broke"
    return str(replace(played.scenario, about=why))
