"""Made-up users, services, faults and crashes on the real engine; I1 to I10 after each step, Q1 to Q9 at rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calhub.testing.simulation.soak import Stage, play_scenario, play_seed, stage, story
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


NOT_TO_BE_KNOWN = {
    # A service put the text in its own words, and no answer told of it before the event was deleted elsewhere.
    "who chose other words": """
        remote work: ordinary
        remote phone: rewrites_text

        work creates e1: title t0001
        work edits e1: description t0002
        phone fails: create lost-after, 1 times after 0 good
        phone fails: get login, 1 times after 0 good
        sync
        work deletes e1
        sync
    """,
    # The update arrived, but no answer; then the item is deleted there. Perhaps by somebody who had not seen the edit.
    "whether an edit was seen": """
        remote work: ordinary

        hub creates e1: title t0001
        sync
        hub edits e1: title t0002
        work fails: update lost-after, 1 times after 0 good
        work fails: read 5xx, 1 times after 1 good
        sync
        work deletes e1
        sync
    """,
    # The phone's title is never shown at work. Who deletes the event there may not mean what he cannot see.
    "whether two deletions make one": """
        remote work: direction=pull
        remote phone: ordinary

        work creates e1: title t0001
        sync
        phone edits e1: title t0002
        sync
        phone deletes e1
        work edits e1: location t0003
        sync
        work deletes e1
    """,
    # Three of three events are deleted, and in the same pass a fourth can be read again: the calendar is not emptied.
    "that an event was unreadable": """
        remote phone: ordinary

        hub creates e1: title t0001
        hub creates e2: title t0002
        hub creates e3: title t0003
        phone creates e4: title t0004
        phone makes e4 unreadable
        sync
        hub deletes e1
        hub deletes e2
        hub deletes e3
    """,
}


@pytest.mark.parametrize("what", NOT_TO_BE_KNOWN)
def test_nothing_is_demanded_that_no_engine_could_know(on: Stage, what: str) -> None:
    """What looks like a deleted event that came back, or an emptied calendar, and is right."""
    played = play_scenario(on, read_scenario(NOT_TO_BE_KNOWN[what]))
    assert played.failure is None, story(played)


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
