"""Every constraint of the schema bites: each case is a row that must be refused."""

from __future__ import annotations

from sqlite3 import IntegrityError
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint

from calhub.hub import schema, sql
from calhub.hub.database import Hub

#: A valid row of each table; ids from 1, so that they may point to one another.
ROWS: dict[str, dict[str, Any]] = {
    "account": {"id": 1, "name": "home", "provider": "caldav", "created": "t"},
    "secret": {"account_id": 1, "name": "password", "sealed": "aesgcm:"},
    "breaker": {"account_id": 1, "state": "open", "failures": 5, "until": "t"},
    "calendar": {"id": 1, "name": "Work", "created": "t"},
    "replica": {"id": 1, "calendar_id": 1, "account_id": 1, "remote_id": "/r", "remote_name": "R", "created": "t"},
    "event": {"id": 1, "calendar_id": 1, "uid": "u", "content": "{}", "rev": 1, "updated": "t"},
    "participant": {"event_id": 1, "email": "a@x", "role": "chair", "status": "accepted"},
    "occurrence": {
        "id": 1, "event_id": 1, "calendar_id": 1, "recurrence_id": "r", "start_ts": 1, "end_ts": 2, "span": 0,
        "start": "s", "end": "e",
    },
    "observation": {"id": 1, "replica_id": 1, "remote_id": "/r/1", "content": "{}", "seen": "t"},
    "link": {
        "id": 1, "replica_id": 1, "event_id": 1, "remote_id": "/r/1", "base_remote": "{}", "hub_rev": 1, "synced": "t",
    },
    "retry": {"replica_id": 1, "event_id": 1, "attempts": 1, "error": "e"},
    "intent": {
        "id": 1, "replica_id": 1, "event_id": 1, "uid": "u", "op": "create", "remote_id": "/r/1", "hub_rev": 1,
        "created": "t",
    },
    "conflict": {"id": 1, "replica_id": 1, "event_id": 1, "state": "open", "fields": "[]", "since": "t"},
    "hold": {
        "id": 1, "replica_id": 1, "side": "hub", "reason": "r", "creates": 0, "updates": 0, "deletes": 9, "plan": "[]",
        "since": "t",
    },
    "change": {"seq": 1, "calendar_id": 1, "event_id": 1, "uid": "u", "op": "create", "fields": "[]", "at": "t"},
    "run": {"id": 1, "account": "home", "calendar": "Work", "remote": "R", "started": "t"},
    "rule": {"id": 1, "kind": "mirror", "key": "k", "source_id": 1, "target_id": 9, "created": "t"},
    "copy": {"rule_id": 1, "source_uid": "u", "part": "", "uid": "c", "face": "{}"},
    "token": {"id": 1, "name": "n", "scope": "read", "hash": "h", "signing": "aesgcm:", "created": "t"},
    "reply": {"caller": "c", "key": "k", "request": "r", "status": 201, "headers": "{}", "body": b"{}", "at": "t"},
    "audit": {"id": 1, "at": "t", "actor": "", "what": "pass", "facts": "{}", "hash": "h"},
    "measure": {"name": "n", "labels": "{}", "bound": "", "value": 1.0},
    "sample": {"id": 1, "name": "n", "seconds": 1.0},
    "channel": {
        "id": 1, "account_id": 1, "replica_id": 1, "remote_id": "/r", "address": "u", "state": "open", "sealed": "s",
        "due": "t",
    },
    "endpoint": {
        "id": 1, "url": "https://x", "public_only": 0, "every": 0, "secret": "aesgcm:", "seq": 0, "created": "t",
    },
    "endpoint_calendar": {"endpoint_id": 1, "calendar_id": 1},
    "message": {
        "number": 1, "id": "m", "endpoint_id": 1, "type": "changes", "body": "{}", "next_try": "t", "created": "t",
    },
    "meta": {"key": "k", "value": "v"},
}  # fmt: skip

#: (constraint, table, what makes the row wrong). A second row where it is the pair that is wrong.
WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("account_state", "account", {"id": 2, "name": "n", "state": "fine"}),
    ("account_name", "account", {"id": 2, "name": ""}),
    ("account.name", "account", {"id": 2}),
    ("breaker_state", "breaker", {"state": "ajar"}),
    ("breaker_until", "breaker", {"until": None}),
    ("calendar_name", "calendar", {"id": 2, "name": ""}),
    ("calendar.name", "calendar", {"id": 2}),
    ("replica_one_per_remote", "replica", {"id": 2}),
    ("replica_direction", "replica", {"id": 2, "remote_id": "/s", "direction": "up"}),
    ("replica_conflicts", "replica", {"id": 2, "remote_id": "/s", "conflicts": "mine"}),
    ("replica_state", "replica", {"id": 2, "remote_id": "/s", "state": "fine"}),
    ("replica_phase", "replica", {"id": 2, "remote_id": "/s", "phase": "late"}),
    ("event_key", "event", {"id": 3}),
    ("event_uid", "event", {"id": 3, "uid": ""}),
    ("event_status", "event", {"id": 3, "uid": "v", "status": "maybe"}),
    ("event_privacy", "event", {"id": 3, "uid": "v", "privacy": "secret"}),
    ("event_flags", "event", {"id": 3, "uid": "v", "busy": 2}),
    ("event_flags", "event", {"id": 3, "uid": "v", "all_day": 2}),
    ("event_flags", "event", {"id": 3, "uid": "v", "deleted": 2}),
    ("participant_role", "participant", {"email": "b@x", "role": "guest"}),
    ("occurrence_order", "occurrence", {"id": 2, "recurrence_id": "q", "end_ts": 0}),
    ("occurrence_span", "occurrence", {"id": 2, "recurrence_id": "q", "span": 3}),
    ("occurrence_instance", "occurrence", {"id": 2}),
    ("observation_key", "observation", {"id": 2}),
    ("observation_gone", "observation", {"id": 2, "remote_id": "/r/2", "gone": 1}),
    ("observation_problem", "observation", {"id": 2, "remote_id": "/r/2", "problem": "p"}),
    ("link_event", "link", {"id": 2, "remote_id": "/r/2"}),
    ("link_remote", "link", {"id": 2, "event_id": 2}),
    ("retry_attempts", "retry", {"replica_id": 1, "event_id": 2, "attempts": -1}),
    ("intent_op", "intent", {"id": 2, "event_id": 2, "op": "touch"}),
    ("intent_state", "intent", {"id": 2, "event_id": 2, "state": "late", "closed": "t"}),
    ("intent_closed", "intent", {"id": 2, "event_id": 2, "state": "open", "closed": "t"}),
    ("intent_closed", "intent", {"id": 2, "event_id": 2, "state": "done"}),
    ("intent_one_open", "intent", {"id": 2}),
    ("conflict_state", "conflict", {"id": 2, "state": "new"}),
    ("hold_side", "hold", {"id": 2, "side": "left"}),
    ("hold_state", "hold", {"id": 2, "state": "new"}),
    ("hold_one_waiting", "hold", {"id": 2}),
    ("change_op", "change", {"seq": 2, "op": "touch"}),
    ("run_kind", "run", {"id": 2, "kind": "walk"}),
    ("run_status", "run", {"id": 2, "status": "fine"}),
    ("rule_kind", "rule", {"id": 2, "key": "l", "kind": "copy"}),
    ("rule_two_calendars", "rule", {"id": 2, "key": "l", "target_id": 1}),
    ("rule_stale", "rule", {"id": 2, "key": "l", "kind": "publish", "stale": 2}),
    ("rule.key", "rule", {"id": 2, "kind": "publish"}),
    ("rule_one_per_pair", "rule", {"id": 2, "key": "l"}),
    ("copy_uid", "copy", {"source_uid": "v"}),
    ("token_scope", "token", {"id": 2, "hash": "i", "scope": "root"}),
    ("token.hash", "token", {"id": 2}),
    ("reply_whole", "reply", {"key": "l", "status": None}),
    ("reply_whole", "reply", {"key": "l", "headers": None}),
    ("reply_whole", "reply", {"key": "l", "body": None}),
    ("channel_state", "channel", {"id": 2, "state": "ajar"}),
    ("channel_error", "channel", {"id": 2, "state": "refused"}),
    ("endpoint_flags", "endpoint", {"id": 2, "every": 2}),
    ("endpoint_flags", "endpoint", {"id": 2, "public_only": 2}),
    ("endpoint_previous", "endpoint", {"id": 2, "previous": "aesgcm:"}),
    ("endpoint_state", "endpoint", {"id": 2, "state": "asleep"}),
    ("endpoint_reason", "endpoint", {"id": 2, "state": "disabled"}),
    ("message.id", "message", {"number": 2}),
    ("message_state", "message", {"number": 2, "id": "n", "state": "lost", "next_try": None}),
    ("message_next_try", "message", {"number": 2, "id": "n", "next_try": None}),
    ("message_next_try", "message", {"number": 2, "id": "n", "state": "dead"}),
    ("message_body", "message", {"number": 2, "id": "n", "body": None}),
    ("message_attempts", "message", {"number": 2, "id": "n", "attempts": -1}),
]

#: Columns that name a row of another table.
POINTERS = sorted(
    (table.name, key.parent.name) for table in schema.metadata.sorted_tables for key in table.foreign_keys
)


@pytest.fixture
def filled(hub: Hub) -> Hub:
    """A hub with one row in each table, and a second event for rows that need another one."""
    with hub.transaction() as conn:
        for table in schema.metadata.sorted_tables:
            sql.insert(conn, table.name, ROWS[table.name])
            if table.name == "calendar":  # a rule needs two
                sql.insert(conn, "calendar", ROWS["calendar"] | {"id": 9, "name": "Home"})
        sql.insert(conn, "event", {**ROWS["event"], "id": 2, "uid": "second"})
    return hub


@pytest.mark.parametrize(("constraint", "table", "wrong"), WRONG)
def test_constraint_bites(filled: Hub, constraint: str, table: str, wrong: dict[str, Any]) -> None:
    """The wrong row is refused, and for the reason named."""
    row = {**ROWS[table], **wrong}

    with pytest.raises(IntegrityError) as caught, filled.transaction() as conn:
        sql.insert(conn, table, row)
    assert constraint in str(caught.value) or _columns(constraint) in str(caught.value)


def uniques(table: Table) -> list[UniqueConstraint | Index]:
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    return [*constraints, *(index for index in table.indexes if index.unique)]


def _columns(constraint: str) -> str:
    """How SQLite names a unique constraint or index: by its columns."""
    for table in schema.metadata.sorted_tables:
        for unique in uniques(table):
            if unique.name == constraint:
                return ", ".join(f"{table.name}.{column.name}" for column in unique.columns)
    return constraint


@pytest.mark.parametrize(("table", "column"), POINTERS)
def test_pointers_need_their_row(filled: Hub, table: str, column: str) -> None:
    """A reference to a row that does not exist is refused."""
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), filled.transaction() as conn:
        conn.execute(f'UPDATE "{table}" SET {column} = 99')


def test_every_constraint_has_a_case() -> None:
    """A constraint added to the schema without a wrong row here fails."""
    tables = schema.metadata.sorted_tables
    checks = {one for table in tables for one in table.constraints if isinstance(one, CheckConstraint)}
    named = {str(one.name) for one in checks | {one for table in tables for one in uniques(table)} if one.name}

    assert len(named) > 20
    assert named <= {constraint for constraint, _, _ in WRONG}


def test_a_linked_event_cannot_be_removed(filled: Hub) -> None:
    """The row of an event stays as long as a link points to it (I7)."""
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), filled.transaction() as conn:
        conn.execute("DELETE FROM event WHERE id = 1")
