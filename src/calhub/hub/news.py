"""What has happened in the hub that a replica should soon hear of: what the daemon looks at after each commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from calhub.hub import rules
from calhub.hub.accounts import Schedule, schedule_of
from calhub.hub.jsontext import loads
from calhub.hub.sql import Connection, column


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A replica that is to be kept in step: what decides when, and where to look."""

    replica_id: int
    calendar_id: int
    account_id: int
    provider: str
    settings: str  # of the account, as stored
    remote_id: str
    direction: str
    account_state: str

    @property
    def account_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = loads(self.settings)
        return settings

    @property
    def schedule(self) -> Schedule:
        return schedule_of(self.account_settings)


@dataclass(frozen=True)
class Touched:
    """A calendar that changed, and the replica that brought the change: None for a person, a rule or an undo."""

    calendar_id: int
    replica_id: int | None


_STANDING: Final = (
    "SELECT r.id, r.calendar_id, r.account_id, a.provider, a.settings, r.remote_id, r.direction, a.state "
    "FROM replica r JOIN account a ON a.id = r.account_id WHERE r.state <> 'paused' ORDER BY r.id"
)
_DECIDED: Final = (
    "WITH told AS (SELECT what, facts FROM audit WHERE id > :since) "
    "SELECT replica_id FROM conflict "
    "WHERE id IN (SELECT json_extract(facts, '$.conflict') FROM told WHERE what = 'conflict resolved') "
    "UNION SELECT replica_id FROM hold "
    "WHERE id IN (SELECT json_extract(facts, '$.hold') FROM told WHERE what IN ('hold released', 'hold discarded'))"
)


def standing(conn: Connection) -> list[Standing]:
    """All replicas that are not paused, oldest first."""
    names = Standing.__dataclass_fields__
    return [Standing(**dict(zip(names, row, strict=True))) for row in conn.execute(_STANDING)]


def touched_since(conn: Connection, seq: int) -> list[Touched]:
    """Which calendars have changes after ``seq``, and who brought them."""
    query = "SELECT DISTINCT calendar_id, replica_id FROM change WHERE seq > ?"
    return [Touched(*row) for row in conn.execute(query, (seq,))]


def to_be_told(touched: Iterable[Touched], replicas: Sequence[Standing]) -> set[int]:
    """The replicas that are written to and have not brought all of the changes in their calendar themselves."""
    news = set(touched)
    return {
        each.replica_id
        for each in replicas
        if each.direction != "pull"
        and any(one.calendar_id == each.calendar_id and one.replica_id != each.replica_id for one in news)
    }


def decided_since(conn: Connection, entry: int) -> list[int]:
    """The replicas for which a person decided a conflict or a hold after this entry of the audit log.

    The log's numbers only grow, whatever the clock does meanwhile.
    """
    return column(conn, _DECIDED, {"since": entry})


def rules_wait(conn: Connection, touched: Iterable[Touched]) -> bool:
    """Whether rules have something to derive from the changes, or were changed themselves."""
    calendars: set[Any] = {each.calendar_id for each in touched}
    if calendars and any({rule.source_id, rule.target_id} & calendars for rule in rules.rules(conn)):
        return True
    return bool(column(conn, "SELECT 1 FROM rule WHERE stale = 1 LIMIT 1"))
