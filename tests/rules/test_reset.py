"""`reset`: all that rules made in a calendar goes, nothing else does, and `undo` brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rules.town import Town

from calhub.hub import rules, runs
from calhub.hub.errors import InvalidValue, NotFound
from calhub.rules.reset import reset
from calhub.sync import engine
from calhub.sync.undo import undo
from calhub.testing.world import plain


@pytest.fixture
def mirrored(town: Town) -> Town:
    """Twenty events of work stand as blocks in private, beside one event of its own."""
    town.rule("mirror", "work", "private")
    for number in range(20):
        town.put(
            "work", f"e{number}", start=f"2026-12-{number + 1:02}T10:00:00", end=f"2026-12-{number + 1:02}T11:00:00"
        )
    town.put("private", "own", title="Dentist")
    town.settle()
    assert len(town.copies("private")) == 20
    return town


def test_copies_go_everywhere_and_nothing_else_does(mirrored: Town) -> None:
    """More of them than the guard would let through as an accident: this was asked for."""
    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    assert list(mirrored.shown("private")) == ["own"]
    assert list(mirrored.in_hub("private")) == ["own"]
    assert len(mirrored.shown("work")) == 20
    assert len(found["removed"]) == 20
    assert found["removed"][0]["title"] == "Busy"
    assert (found["calendar"], found["dry_run"]) == ("private", False)
    assert [(run["status"], run["pushed"]["deleted"]) for run in found["runs"]] == [("ok", 20)]


def test_without_confirmation_it_explains_and_does_nothing(mirrored: Town) -> None:
    before, writes = mirrored.in_hub("private"), mirrored.writes

    with pytest.raises(InvalidValue, match='20 copies that rules made in "private"') as refusal:
        reset(mirrored.hub, mirrored.connect, "private", confirm=False)

    assert "--confirm" in refusal.value.hint
    assert (mirrored.in_hub("private"), mirrored.writes) == (before, writes)


def test_a_dry_run_says_the_same_and_changes_nothing(mirrored: Town) -> None:
    before, writes, last = mirrored.in_hub("private"), mirrored.writes, history(mirrored)[0]["id"]

    rehearsed = reset(mirrored.hub, mirrored.connect, "private", confirm=False, dry_run=True)

    assert (mirrored.in_hub("private"), mirrored.writes, history(mirrored)[0]["id"]) == (before, writes, last)
    assert (rehearsed["dry_run"], rehearsed["run"]) == (True, None)
    assert rehearsed["removed"] == reset(mirrored.hub, mirrored.connect, "private", confirm=True)["removed"]


def test_an_unknown_calendar_is_refused(town: Town) -> None:
    with pytest.raises(NotFound):
        reset(town.hub, town.connect, "nowhere", confirm=True)


def test_the_rule_makes_its_copies_anew(mirrored: Town) -> None:
    before = mirrored.copies("private")
    reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    mirrored.settle()

    assert mirrored.copies("private") == before


def test_undo_brings_events_and_their_ties_back(mirrored: Town) -> None:
    """The ties too: a rule that leaves edits alone must still know what was edited."""
    rule = mirrored.rule("mirror", "work", "private", on_edit="keep")
    mirrored.settle()
    edited = next(iter(mirrored.copies("private")))
    mirrored.edit("private", edited, title="Do not disturb")
    mirrored.settle()
    before = mirrored.shown("private")
    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    back = undo(mirrored.hub, mirrored.connect, found["run"])
    mirrored.settle()

    assert (back["undone"], back["skipped"]) == (20, [])
    assert mirrored.shown("private") == before
    assert mirrored.shown("private")[edited]["title"] == "Do not disturb"
    with mirrored.hub.read() as conn:
        assert rules.copy_count(conn, rule.id) == 20


def test_undo_without_the_rule_brings_the_events_back(mirrored: Town) -> None:
    before = mirrored.shown("private")
    with mirrored.hub.read() as conn:
        (rule,) = rules.rules(conn)
    mirrored.drop_rule(rule, keep_copies=True)
    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)
    assert list(mirrored.shown("private")) == ["own"]

    undo(mirrored.hub, mirrored.connect, found["run"])
    mirrored.settle()

    assert mirrored.shown("private") == before


def test_undo_leaves_alone_what_was_made_anew(mirrored: Town) -> None:
    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)
    mirrored.settle()

    back = undo(mirrored.hub, mirrored.connect, found["run"])

    assert (back["undone"], len(back["skipped"])) == (0, 20)
    assert mirrored.settle() == 0


def test_a_dry_undo_changes_nothing(mirrored: Town) -> None:
    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)
    last = history(mirrored)[0]["id"]

    assert undo(mirrored.hub, mirrored.connect, found["run"], dry_run=True)["undone"] == 20

    assert list(mirrored.in_hub("private")) == ["own"]
    assert history(mirrored)[0]["id"] == last


def test_the_history_shows_it(mirrored: Town) -> None:
    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    (run,) = [each for each in history(mirrored) if each["kind"] == "reset"]

    assert (run["id"], run["calendar"], run["status"]) == (found["run"], "private", "ok")


def test_marked_copies_that_only_the_remote_has(mirrored: Town, tmp_path: Path) -> None:
    """The hub was lost, the rule is not there again: the marks are all there is."""
    mirrored.lose_the_hub(tmp_path / "new")

    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    assert len(found["removed"]) == 20
    assert list(mirrored.shown("private")) == ["own"]


def test_a_persons_own_duplicate_of_a_copy_stays(mirrored: Town) -> None:
    """Dragged with the mark in it, under a UID of its own."""
    content = next(iter(mirrored.copies("private").values()))
    assert "extra" in content
    mirrored.services["private"].user_put(mirrored.remote_ids["private"], "dragged", content)
    mirrored.settle()

    reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    assert sorted(mirrored.shown("private")) == ["dragged", "own"]


def test_what_an_offline_remote_holds_goes_later(mirrored: Town) -> None:
    mirrored.services["private"].fail("changes", "5xx")

    found = reset(mirrored.hub, mirrored.connect, "private", confirm=True)

    assert [run["status"] for run in found["runs"]] == ["failed"]
    assert list(mirrored.in_hub("private")) == ["own"]

    engine.sync(mirrored.hub, mirrored.connect)

    assert list(mirrored.shown("private")) == ["own"]


def test_a_reset_of_nothing_is_no_run(town: Town) -> None:
    town.put("private", "own")
    town.settle()

    found = reset(town.hub, town.connect, "private", confirm=True)

    assert (found["run"], found["removed"]) == (None, [])
    assert town.shown("private") == {"own": plain()}


def history(town: Town) -> list[dict[str, object]]:
    with town.hub.read() as conn:
        return runs.history(conn)
