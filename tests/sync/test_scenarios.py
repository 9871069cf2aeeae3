"""Scenarios that people can read, each played to its end, and stopped at every moment of every sync (Q7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from calhub.hub.jsontext import dumps
from calhub.testing.simulation.play import Simulation
from calhub.testing.simulation.rest import come_to_rest
from calhub.testing.simulation.soak import Stage, stage
from calhub.testing.simulation.steps import Scenario, Step, read_scenario, step

FOLDER = Path(__file__).parent / "scenarios"
SCENARIOS = {path.stem: read_scenario(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.txt"))}
SYNCS = ("sync", "full")


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


@dataclass(frozen=True)
class Outcome:
    """What users see at the end: the events in each place, and the values that lost a clash."""

    places: tuple[list[str], ...]
    losers: frozenset[tuple[str, str, str]]

    def is_like(self, clean: Outcome) -> bool:
        """The same events everywhere, and nothing lost. A write that nobody heard the end of may count as an edit."""
        return self.places == clean.places and self.losers >= clean.losers


def outcome(sim: Simulation) -> Outcome:
    places = [sim.world.contents, *(remote.contents for remote in sim.names.values())]
    losers = {
        (entry["name"], str(entry["hub"]), str(entry["remote"]))
        for clash in sim.world.conflicts
        for entry in clash["fields"]
    }
    return Outcome(tuple(sorted(map(dumps, place.values())) for place in places), frozenset(losers))


def play(on: Stage, scenario: Scenario) -> Outcome:
    with on.simulation(scenario.remotes) as sim:
        sim.play(scenario)
        come_to_rest(sim)
        return outcome(sim)


def moments_of_syncs(on: Stage, scenario: Scenario) -> list[int]:
    """How many moments each plain sync of the scenario has."""
    counts = []
    with on.simulation(scenario.remotes) as sim:
        for each in scenario.steps:
            if each.kind in SYNCS:
                counts.append(sim.count_moments(full=each.kind == "full"))
            else:
                sim.carry_out(each)
    return counts


def stopped(scenario: Scenario, sync: int, *moments: int) -> Scenario:
    """The scenario with its n-th plain sync killed at the moments, one process after the other, and then repeated."""
    steps: list[Step] = []
    for each in scenario.steps:
        if each.kind in SYNCS:
            if sync == 0:
                steps += [step("kill", moment=moment) for moment in moments]
            sync -= 1
        steps.append(each)
    return replace(scenario, steps=tuple(steps))


@pytest.mark.parametrize("name", SCENARIOS)
def test_stopping_anywhere_ends_like_the_clean_run(on: Stage, name: str, subtests: pytest.Subtests) -> None:
    """Before and after each commit and each remote call of each sync; then once more, soon after the restart."""
    scenario = SCENARIOS[name]
    clean = play(on, scenario)
    counts = moments_of_syncs(on, scenario)
    assert sum(counts) > 10
    for sync, moments in enumerate(counts):
        for moment in range(1, moments + 1):
            for points in ([moment], [moment, 1 + moment % 7]):
                with subtests.test(sync=sync, points=points):
                    assert play(on, stopped(scenario, sync, *points)).is_like(clean)
