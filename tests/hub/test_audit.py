"""The audit log: whatever is done to it afterwards is found, and placed."""

from __future__ import annotations

from pathlib import Path

import pytest

from calhub.hub import accounts, audit, rules, sql, tokens
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue
from calhub.hub.jsontext import dumps

COUNT = 8


@pytest.fixture
def log(hub: Hub) -> Hub:
    """A hub whose log has a few entries, all different."""
    with hub.transaction() as conn:
        for number in range(1, COUNT + 1):
            audit.note(conn, "write", uid=f"event-{number}", op="update")
    return hub


def check(hub: Hub, expect: str | None = None) -> tuple[bool, int | None]:
    with hub.read() as conn:
        found = audit.verify(conn, expect)
    assert found["ok"] == (found["message"] is None)
    return found["ok"], found["entry"]


def tamper(hub: Hub, *statements: str) -> None:
    with hub.transaction() as conn:
        for each in statements:
            assert conn.execute(each).rowcount > 0


def test_untouched(log: Hub) -> None:
    assert check(log) == (True, None)


@pytest.mark.parametrize("column", ["at", "actor", "what", "facts", "hash"])
@pytest.mark.parametrize("entry", [1, 4, COUNT])
def test_edit(log: Hub, column: str, entry: int) -> None:
    tamper(log, f"UPDATE audit SET {column} = {column} || 'x' WHERE id = {entry}")

    assert check(log) == (False, entry)


@pytest.mark.parametrize("entry", [1, 4, COUNT])
def test_edit_with_its_hash_made_anew(log: Hub, entry: int) -> None:
    """Then the next entry does not follow; the last one is given away by the head."""
    with log.transaction() as conn:
        previous = sql.value(conn, "SELECT hash FROM audit WHERE id = ?", (entry - 1,)) or ""
        conn.execute("UPDATE audit SET facts = '{}' WHERE id = ?", (entry,))
        row = sql.first(conn, "SELECT * FROM audit WHERE id = ?", (entry,))
        assert row is not None
        sql.update(conn, "audit", entry, {"hash": audit._hash(previous, row)})

    assert check(log) == (False, min(entry + 1, COUNT))


@pytest.mark.parametrize("entry", range(1, COUNT + 1))
def test_removal(log: Hub, entry: int) -> None:
    tamper(log, f"DELETE FROM audit WHERE id = {entry}")

    assert check(log) == (False, entry)


@pytest.mark.parametrize("entry", range(1, COUNT))
def test_removal_with_the_rest_moved_up(log: Hub, entry: int) -> None:
    tamper(log, f"DELETE FROM audit WHERE id = {entry}", f"UPDATE audit SET id = id - 1 WHERE id > {entry}")

    assert check(log) == (False, entry)


@pytest.mark.parametrize("left", [0, 1, COUNT - 1])
def test_end_cut_off(log: Hub, left: int) -> None:
    tamper(log, f"DELETE FROM audit WHERE id > {left}")

    assert check(log) == (False, left + 1)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 7), (COUNT - 1, COUNT)])
def test_reordered(log: Hub, one: int, other: int) -> None:
    tamper(
        log,
        f"UPDATE audit SET id = 99 WHERE id = {one}",
        f"UPDATE audit SET id = {one} WHERE id = {other}",
        f"UPDATE audit SET id = {other} WHERE id = 99",
    )

    assert check(log) == (False, one)


def test_head_taken_away(log: Hub) -> None:
    tamper(log, "DELETE FROM meta WHERE key = 'audit'")

    assert check(log) == (False, COUNT + 1)


def test_head_that_is_no_head(log: Hub) -> None:
    tamper(log, "UPDATE meta SET value = 'none' WHERE key = 'audit'")

    assert check(log) == (False, COUNT + 1)


def test_emptied_with_its_head(log: Hub) -> None:
    tamper(log, "DELETE FROM audit", "DELETE FROM meta WHERE key = 'audit'")

    assert check(log) == (False, 1)


def test_entry_from_elsewhere(log: Hub) -> None:
    with log.transaction() as conn:
        last = sql.first(conn, "SELECT * FROM audit WHERE id = ?", (COUNT,))
        assert last is not None
        forged = dict(last) | {"id": COUNT + 1}
        sql.insert(conn, "audit", forged | {"hash": audit._hash(last["hash"], forged)})

    assert check(log) == (False, COUNT + 1)


def test_log_written_anew_is_found_by_a_head_seen_before(log: Hub) -> None:
    with log.read() as conn:
        seen = audit.verify(conn)["head"]
    assert check(log, seen) == (True, None)

    tamper(log, "DELETE FROM audit", "UPDATE meta SET value = '0 ' WHERE key = 'audit'")
    with log.transaction() as conn:
        audit.note(conn, "pass")

    assert check(log) == (True, None)
    assert check(log, seen) == (False, None)


def test_undone_with_its_transaction(log: Hub) -> None:
    def twice() -> None:
        with log.transaction() as conn:
            for _ in range(2):
                accounts.add_calendar(conn, "Work", log.now())

    with pytest.raises(InvalidValue):
        twice()

    assert [each["what"] for each in noted(log)] == ["write"] * COUNT
    assert check(log) == (True, None)


def noted(hub: Hub) -> list[dict[str, object]]:
    with hub.read() as conn:
        return audit.entries(conn, 100)[::-1]


def test_configuration_changes(hub: Hub, home: Path) -> None:
    """Each is noted, on whose behalf and when; none of them with a secret or a setting's value."""
    token = audit.actor.set("token 7")
    with hub.transaction() as conn:
        account = accounts.add_account(conn, "cloud", "caldav", {"url": "https://u:hunter2@x.example"}, hub.now())
        accounts.replace_secrets(conn, account.id, {"password": "aesgcm:sealed"})
        accounts.set_account_settings(conn, account.id, {"url": "https://y.example"})
        work = accounts.add_calendar(conn, "Work", hub.now())
        accounts.add_calendar(conn, "Home", hub.now())
        replica = accounts.add_replica(conn, work.id, account.id, "/r", "R", hub.now())
        rule = rules.add_rule(conn, "mirror", "Work", "Home", {"title": "Doctor"}, hub.now())
        rules.remove_rule(conn, rule.id, keep_copies=False, now=hub.now())
        made = tokens.create(conn, home, "read", "phone", now=hub.now())
        tokens.revoke(conn, home, made["id"], now=hub.now())
        accounts.rename_calendar(conn, work.id, "Job")
        accounts.set_account_state(conn, account.id, "needs_login", "gone")
        accounts.set_account_state(conn, account.id, "ok", None)
        accounts.remove_replica(conn, replica.id)
        accounts.remove_account(conn, account.id)
        accounts.remove_calendar(conn, work.id)
    audit.actor.reset(token)

    entries = noted(hub)
    assert [each["what"] for each in entries] == [
        "account added", "signed in", "account changed", "calendar added", "calendar added", "replica added",
        "rule added", "rule removed", "token created", "token revoked", "calendar renamed", "sign-in lost",
        "sign-in works again", "replica removed", "account removed", "calendar removed",
    ]  # fmt: skip
    assert {(each["actor"], each["at"]) for each in entries} == {("token 7", "2026-11-21T12:00:00.000Z")}
    text = dumps(entries)
    assert not [word for word in ("hunter2", "sealed", "example", "Doctor", made["token"]) if word in text]
