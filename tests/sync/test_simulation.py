"""Made-up users, services, faults and crashes on the real engine; I1 to I10 after each step, Q1 to Q9 at rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calhub.testing.simulation.soak import Stage, play_seed, stage, story
from calhub.testing.simulation.steps import SENTENCES, Step, read_scenario, read_step

STEPS = 50
RUNS = 200
PARTS = 20


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_doubled_or_left_apart(on: Stage, part: int) -> None:
    """200 runs of 50 steps. A failing seed is told with its whole story; `make soak SEED=...` shortens it."""
    for seed in range(part, RUNS, PARTS):
        played = play_seed(on, seed, STEPS)
        assert played.failure is None, f"seed {seed}, {STEPS} steps\n{story(played)}"


def test_a_seed_tells_the_same_story_twice(on: Stage) -> None:
    """Q13: the same requests in the same order, and the same database at the end."""
    for seed in range(5000, 5006):
        first, second = play_seed(on, seed, 30), play_seed(on, seed, 30)
        assert first.told == second.told
        assert first.told[-1].startswith("  end ")


def test_a_made_up_scenario_can_be_written_down_and_played_again(on: Stage) -> None:
    """Its text says everything: read again, it is the same scenario."""
    played = play_seed(on, 7, 40)

    assert read_scenario(str(played.scenario)) == played.scenario
    assert {step.kind for step in played.scenario.steps} <= set(SENTENCES)


@pytest.mark.parametrize("kind", SENTENCES)
def test_every_sentence_can_be_read(kind: str) -> None:
    """Each kind of step is told from the others by its sentence alone."""
    gaps = {"who": "work", "uid": "e1", "value": "t0001", "field": "title", "day": "2026-11-24", "minutes": "5",
            "moment": "3", "call": "create", "how": "late", "times": "1", "skip": "0", "quirk": "page_size=2",
            "side": "hub", "step": "hub deletes e1"}  # fmt: skip
    sentence = SENTENCES[kind].format(**gaps)

    assert read_step(sentence) == Step(kind, {gap: gaps[gap] for gap in gaps if f"{{{gap}}}" in SENTENCES[kind]})


def test_what_is_no_sentence_is_refused() -> None:
    """A misspelt line of a scenario is an error, not a step left out."""
    with pytest.raises(ValueError, match="Not a step"):
        read_scenario("remote work: ordinary\n\nwork sings e1")
