"""`cleanup`: what stands for nothing goes, what anybody may still need stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.rules.town import Town

from calhub.calendar.mark import copy_uid
from calhub.hub import accounts, events, rules, sql
from calhub.rules.cleanup import cleanup
from calhub.sync import engine
from calhub.sync.undo import undo
from calhub.testing.world import plain


def tidy(town: Town, **options: Any) -> dict[str, Any]:
    return cleanup(town.hub, town.connect, **options)


def change_database(town: Town, *statements: str) -> None:
    """As somebody who repairs a database by hand."""
    with sqlite3.connect(town.hub.path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def count(town: Town, what: str) -> int:
    with town.hub.read() as conn:
        return int(sql.value(conn, f"SELECT count(*) FROM {what}"))


@pytest.fixture
def mirrored(town: Town) -> Town:
    town.rule("mirror", "work", "private")
    town.put("work", "e1")
    town.put("work", "e2", start="2026-11-24T12:00:00", end="2026-11-24T13:00:00")
    town.put("private", "own", title="Dentist", start="2026-11-25T12:00:00", end="2026-11-25T13:00:00")
    town.settle()
    return town


def test_what_is_in_order_stays(mirrored: Town) -> None:
    before, writes = mirrored.in_hub("private"), mirrored.writes

    found = tidy(mirrored, remote=True)

    assert (found["run"], found["copies"], found["strays"]) == (None, [], {})
    assert found["expired"] == {"runs": 0, "intents": 0, "changes": 0}
    assert (mirrored.in_hub("private"), mirrored.writes) == (before, writes)
    assert {run["status"] for run in found["runs"]} == {"ok"}


def test_a_copy_whose_event_is_gone(mirrored: Town) -> None:
    """Gone without a trace in the change log, so that no derivation would find it."""
    with mirrored.hub.read() as conn:
        work = accounts.calendar(conn, "work").id
        stored = events.event(conn, work, "e1")
        (orphan,) = [copy.uid for copy in rules.copies(conn, 1, ["e1"])]
    assert stored is not None
    change_database(
        mirrored,
        f"DELETE FROM link WHERE event_id = {stored.id}",
        f"DELETE FROM occurrence WHERE event_id = {stored.id}",
        "DELETE FROM observation WHERE replica_id = 1 AND uid = 'e1'",
        f"DELETE FROM event WHERE id = {stored.id}",
    )

    found = tidy(mirrored)

    assert found["copies"] == [{"calendar": "private", "uid": orphan, "title": "Busy"}]
    assert orphan not in mirrored.in_hub("private")
    assert sorted(mirrored.own("private")) == ["own"]
    mirrored.settle()
    assert orphan not in mirrored.shown("private")


def test_what_the_next_derivation_will_see_to_is_left_to_it(mirrored: Town) -> None:
    """A series split in two takes its copy along; a cleanup in between must not delete that."""
    mirrored.delete("work", "e1")
    engine.sync(mirrored.hub, mirrored.connect)  # pulled, not derived

    assert tidy(mirrored)["copies"] == []


def test_copies_of_a_rule_nobody_knows(mirrored: Town, tmp_path: Path) -> None:
    mirrored.lose_the_hub(tmp_path / "new")
    mirrored.sync()

    found = tidy(mirrored)
    mirrored.settle()

    assert len(found["copies"]) == 2
    assert list(mirrored.shown("private")) == ["own"]
    assert sorted(mirrored.shown("work")) == ["e1", "e2"]


def test_undo_brings_them_back(mirrored: Town, tmp_path: Path) -> None:
    mirrored.lose_the_hub(tmp_path / "new")
    mirrored.sync()
    before = mirrored.in_hub("private")

    undo(mirrored.hub, mirrored.connect, tidy(mirrored)["run"])

    assert mirrored.in_hub("private") == before


def test_copies_that_a_new_rule_will_adopt_stay(mirrored: Town, tmp_path: Path) -> None:
    mirrored.lose_the_hub(tmp_path / "new")
    mirrored.rule("mirror", "work", "private")
    engine.sync(mirrored.hub, mirrored.connect)

    assert tidy(mirrored)["copies"] == []
    writes = mirrored.writes
    mirrored.settle()
    assert mirrored.writes == writes


def test_copies_that_were_kept_on_purpose_stay(mirrored: Town) -> None:
    before = mirrored.shown("private")
    with mirrored.hub.read() as conn:
        rule = rules.rule(conn, 1)
    mirrored.drop_rule(rule, keep_copies=True)

    assert tidy(mirrored, remote=True)["copies"] == []
    assert mirrored.shown("private") == before

    again = mirrored.rule("mirror", "work", "private")
    mirrored.settle()
    mirrored.drop_rule(again)
    mirrored.settle()
    assert list(mirrored.shown("private")) == ["own"]


def test_a_persons_own_duplicate_of_a_copy_stays(mirrored: Town) -> None:
    content = next(iter(mirrored.copies("private").values()))
    mirrored.services["private"].user_put(mirrored.remote_ids["private"], "dragged", content)
    mirrored.settle()

    assert tidy(mirrored, remote=True)["copies"] == []


def test_a_calendar_that_is_only_read_is_left_alone(mirrored: Town) -> None:
    """Copies that come from there are another hub's."""
    with mirrored.hub.transaction() as conn:
        (replica,) = accounts.replicas(conn, calendar_id=accounts.calendar(conn, "family").id)
        accounts.update_replica(conn, replica.id, direction="pull")
    mirrored.services["family"].user_put(mirrored.remote_ids["family"], copy_uid("0" * 12, "x"), plain(title="Busy"))
    mirrored.settle()

    assert tidy(mirrored)["copies"] == []


def test_lost_copies_at_a_remote(mirrored: Town) -> None:
    """The listing says nothing of them any more, as after an item was skipped: only a full one finds them."""
    lost = copy_uid("0" * 12, "x")
    service, remote_id = mirrored.services["private"], mirrored.remote_ids["private"]
    service.user_put(remote_id, lost, plain(title="Busy"))
    service.user_put(remote_id, "new", plain(title="Mine"))
    change_database(
        mirrored, f"UPDATE replica SET cursor = '{service.epoch}:{service.seq}' WHERE remote_name = 'private'"
    )
    mirrored.settle()
    assert lost not in mirrored.in_hub("private")
    assert tidy(mirrored)["copies"] == []

    found = tidy(mirrored, remote=True)

    assert [each["uid"] for each in found["copies"]] == [lost]
    assert lost not in mirrored.shown("private")
    assert mirrored.shown("private")["new"]["title"] == "Mine"
    assert len(mirrored.copies("private")) == 2


def test_a_dry_run_says_the_same_and_changes_nothing(mirrored: Town, tmp_path: Path) -> None:
    mirrored.lose_the_hub(tmp_path / "new")
    mirrored.sync()
    before, writes = mirrored.in_hub("private"), mirrored.writes

    rehearsed = tidy(mirrored, remote=True, dry_run=True)

    assert (mirrored.in_hub("private"), mirrored.writes) == (before, writes)
    assert (rehearsed["dry_run"], rehearsed["run"]) == (True, None)
    assert rehearsed["copies"] == tidy(mirrored, remote=True)["copies"]


def test_rows_of_replicas_that_are_gone(mirrored: Town) -> None:
    change_database(mirrored, "PRAGMA foreign_keys = OFF", "DELETE FROM replica WHERE remote_name = 'family'")
    change_database(
        mirrored,
        "INSERT INTO observation (replica_id, remote_id, seen) VALUES (99, 'a', '')",
        "INSERT INTO link (replica_id, event_id, remote_id, base_remote, hub_rev, synced) "
        "SELECT 99, id, 'a', '{}', 1, '' FROM event WHERE uid = 'own'",
    )

    assert tidy(mirrored, dry_run=True)["strays"] == {"link": 1, "observation": 1}
    assert tidy(mirrored)["strays"] == {"link": 1, "observation": 1}
    assert tidy(mirrored)["strays"] == {}
    assert count(mirrored, "link WHERE replica_id = 99") == 0


def busy_months(town: Town) -> None:
    """A change and a sync a day, for forty days."""
    for day in range(40):
        town.clock.advance(days=1)
        town.edit("work", "e1", title=f"Day {day}")
        town.sync()


def test_history_expires_by_number_and_by_age(mirrored: Town) -> None:
    """What is among the last runs of its replica or young enough stays."""
    busy_months(mirrored)
    replicas = count(mirrored, "replica")

    tidy(mirrored, keep_runs=1000)
    assert count(mirrored, "run") > 40 * replicas
    tidy(mirrored, keep_runs=5, keep_days=1000)
    assert count(mirrored, "run") > 40 * replicas

    found = tidy(mirrored, keep_runs=5, keep_days=10)

    for replica in range(1, replicas + 1):
        assert count(mirrored, f"run WHERE replica_id = {replica}") == 11
    assert min(found["expired"].values()) > 0
    tidy(mirrored, keep_runs=5, keep_days=0)
    for replica in range(1, replicas + 1):
        assert count(mirrored, f"run WHERE replica_id = {replica}") == 5


def test_sync_goes_on_as_if_nothing_had_happened(mirrored: Town) -> None:
    busy_months(mirrored)
    mirrored.clock.advance(days=1)
    tidy(mirrored, keep_runs=0, keep_days=0)
    assert count(mirrored, "change") == 0

    assert mirrored.settle() == 0
    mirrored.edit("work", "e1", start="2026-11-23T15:00:00", end="2026-11-23T16:00:00")
    mirrored.delete("work", "e2")
    mirrored.settle()

    assert [copy["start"] for copy in mirrored.copies("private").values()] == ["2026-11-23T15:00:00"]


def test_changes_that_a_rule_or_a_replica_has_not_seen_stay(mirrored: Town) -> None:
    with mirrored.hub.read() as conn:
        seq = rules.rule(conn, 1).seq
    busy_months(mirrored)
    mirrored.clock.advance(days=1)
    change_database(mirrored, f"UPDATE rule SET seq = {seq}")

    tidy(mirrored, keep_runs=0, keep_days=0)

    assert count(mirrored, f"change WHERE seq > {seq}") == 40
    assert count(mirrored, f"change WHERE seq <= {seq}") == 0


def test_a_run_that_is_kept_can_be_undone(mirrored: Town) -> None:
    busy_months(mirrored)
    tidy(mirrored, keep_runs=3, keep_days=0)
    with mirrored.hub.read() as conn:
        run = sql.value(
            conn, "SELECT run.id FROM run JOIN change ON run_id = run.id WHERE uid = 'e1' ORDER BY run.id DESC"
        )

    assert undo(mirrored.hub, mirrored.connect, run)["undone"] == 1
    assert mirrored.in_hub("work")["e1"]["title"] == "Day 38"


def test_a_write_that_waits_keeps_its_identity(mirrored: Town) -> None:
    """A create that was never answered goes out again under the name it had, however long that takes."""
    mirrored.services["private"].fail("create", "lost-before", times=1000)
    mirrored.put("work", "e3", start="2026-11-27T12:00:00", end="2026-11-27T13:00:00")
    mirrored.sync()
    before = count(mirrored, "intent WHERE op = 'create' AND state IN ('failed', 'unknown', 'open')")
    assert before

    mirrored.clock.advance(days=60)
    tidy(mirrored, keep_runs=0, keep_days=0)

    assert count(mirrored, "intent WHERE op = 'create' AND state IN ('failed', 'unknown', 'open')") == before
