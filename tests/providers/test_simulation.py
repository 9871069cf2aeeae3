"""The simulation with the emulated services as remotes: the real providers under made-up users, faults and crashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from calhub.providers.microsoft.trail import Trail
from calhub.testing.simulation.emulated import Emulated
from calhub.testing.simulation.emulators import HABITS
from calhub.testing.simulation.soak import Stage, play_scenario, play_seed, stage, story
from calhub.testing.simulation.steps import read_scenario, step

KINDS = tuple(HABITS)
RUNS = 30
STEPS = 30
FOLDER = Path(__file__).parent / "scenarios"
SCENARIOS = {path.stem: read_scenario(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.txt"))}


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_doubled_or_left_apart(on: Stage, kind: str, part: int) -> None:
    """30 runs of 30 steps at each. `make soak SERVICES=... SEED=...` shortens a failing one."""
    for seed in range(part, RUNS, 3):
        played = play_seed(on, seed, STEPS, (kind,))
        assert played.failure is None, f"seed {seed}, {STEPS} steps\n{story(played)}"


def test_nor_with_all_of_them_at_once(on: Stage) -> None:
    for seed in range(8):
        played = play_seed(on, seed, STEPS, KINDS)
        assert played.failure is None, f"seed {seed}, {STEPS} steps\n{story(played)}"


def test_a_seed_tells_the_same_story_twice(on: Stage) -> None:
    """Q13: with real providers, too."""
    for seed in range(5000, 5003):
        first, second = play_seed(on, seed, 20, KINDS), play_seed(on, seed, 20, KINDS)
        assert first.told == second.told
        assert first.told[-1].startswith("  end ")


FAILING = """
remote {kind}: service={kind}

hub creates kept: title t0001
hub creates gone: title t0002
hub creates the series series: title t0003
hub edits series on 2026-11-25: location t0004
sync
{kind} fails: any {how}, {times} times after {skip} good
hub creates new: title t0005
hub creates the series other: title t0006
hub edits other on 2026-11-26: title t0007
hub cancels other on 2026-11-24, title t0008
hub edits kept: title t0009
hub edits series: title t0010
hub deletes gone
sync
sync
"""


@pytest.mark.parametrize("how", Emulated.faults)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_when_answers_are(on: Stage, kind: str, how: str) -> None:
    """Requests fail in every way, one by one and several in a row, early and late in a pass."""
    for skip in range(0, 12, 2):
        scenario = read_scenario(FAILING.format(kind=kind, how=how, times=1 + skip % 4, skip=skip))
        played = play_scenario(on, scenario)
        assert played.failure is None, story(played)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_was_found_once(on: Stage, name: str) -> None:
    assert play_scenario(on, SCENARIOS[name]).failure is None


def test_a_sync_can_be_killed_anywhere(on: Stage) -> None:
    """Q7: before and after each commit and each HTTP request of the last syncs but one."""
    scenario = SCENARIOS["series-everywhere"]
    *before, last, again = scenario.steps
    with on.simulation(scenario.remotes) as sim:
        sim.play(replace(scenario, steps=tuple(before)))
        moments = sim.count_moments()
    assert moments > 60
    for moment in range(1, moments + 1, 5):  # each fifth: all of them take minutes
        killed = (*before, step("kill", moment=moment), last, again)
        played = play_scenario(on, replace(scenario, steps=killed))
        assert played.failure is None, f"killed at moment {moment}\n{story(played)}"


def test_the_checks_notice_a_swallowed_edit(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sabotaged provider loses is found."""
    monkeypatch.setattr(Trail, "is_left", lambda *_: False)

    assert play_scenario(on, SCENARIOS["microsoft-edit-before-the-echo"]).verdict == "Q1"
