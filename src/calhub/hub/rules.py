"""Rules and their copies: rows, and how users name them. What a rule derives is decided in `calhub.rules`.

A rule ties a source calendar to a target calendar; a copy ties an event of the target, by its UID, to the event of the
source (or a part of it) that it stands for, with the *face* the rule last gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from calhub.calendar.event import Content
from calhub.calendar.mark import PROPERTY, is_copy, mark_of, rule_key
from calhub.hub import accounts, audit, events, sql
from calhub.hub.errors import InvalidValue, NotFound
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection

Kind = Literal["mirror", "publish"]

#: Source UID and part: what a copy stands for.
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """``source`` and ``target`` are the calendars' names, for showing."""

    id: int
    kind: Kind
    key: str
    source_id: int
    source: str
    target_id: int
    target: str
    options: Mapping[str, Any]
    seq: int
    stale: bool
    reached_ts: int | None


@dataclass(frozen=True, kw_only=True)
class Copy:
    """``uid`` names the event in the rule's target; ``end_ts`` is when its last instance ends, None for never."""

    source_uid: str
    part: str
    uid: str
    face: Content
    end_ts: int | None

    @property
    def key(self) -> Key:
        return self.source_uid, self.part


#: Before a rule's key, in ``meta``: the rule is gone, its copies were to stay.
_KEPT: Final = "kept-copies:"

_RULES: Final = (
    "SELECT rule.id, kind, key, source_id, source.name, target_id, target.name, options, seq, stale, reached_ts "
    "FROM rule JOIN calendar AS source ON source.id = source_id JOIN calendar AS target ON target.id = target_id "
)
_COPIES: Final = "SELECT source_uid, part, uid, face, end_ts FROM copy WHERE rule_id = ? "


def add_rule(conn: Connection, kind: Kind, source: str, target: str, options: Mapping[str, Any], now: str) -> Rule:
    """Store a rule, or give the one there is between the two calendars other options; its copies follow with the next
    derivation.

    Raises `NotFound`, `Ambiguous`, and `InvalidValue` for a calendar that would be its own target.
    """
    begin, end = accounts.calendar(conn, source), accounts.calendar(conn, target)
    if begin.id == end.id:
        raise InvalidValue("A rule needs two calendars.", "Name another calendar for its copies.")
    same = [each for each in rules(conn) if (each.kind, each.source_id, each.target_id) == (kind, begin.id, end.id)]
    if same:
        conn.execute("UPDATE rule SET options = ?, stale = 1 WHERE id = ?", (dumps(options), same[0].id))
        audit.note(conn, "rule changed", rule=same[0].id, options=sorted(options))
        return rule(conn, same[0].id)
    key, again = rule_key(kind, begin.name, end.name), 0
    while conn.execute("SELECT 1 FROM rule WHERE key = ?", (key,)).fetchone():
        again += 1
        key = rule_key(kind, begin.name, end.name, again)
    row = {
        "kind": kind,
        "key": key,
        "source_id": begin.id,
        "target_id": end.id,
        "options": dumps(options),
        "created": now,
    }
    conn.execute("DELETE FROM meta WHERE key = ?", (_KEPT + key,))
    made = rule(conn, sql.insert(conn, "rule", row))
    audit.note(conn, "rule added", rule=made.id, kind=kind, source=begin.name, target=end.name)
    return made


def rule(conn: Connection, rule_id: int) -> Rule:
    """The rule with this id. Raises `NotFound`."""
    row = conn.execute(_RULES + "WHERE rule.id = ?", (rule_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no rule {rule_id}.", "See `calhub rule list`.")
    return _rule(tuple(row))


def rules(conn: Connection, *, calendar_id: int | None = None) -> list[Rule]:
    """All rules, or those that read or write a calendar; oldest first."""
    found = [_rule(tuple(row)) for row in conn.execute(_RULES + "ORDER BY rule.id")]
    return [each for each in found if calendar_id in (None, each.source_id, each.target_id)]


def set_derived(conn: Connection, rule_id: int, seq: int, reached_ts: int) -> None:
    """All changes up to ``seq`` have been derived, and all events that begin before ``reached_ts``."""
    values = (seq, reached_ts, rule_id)
    conn.execute("UPDATE rule SET seq = ?, reached_ts = ?, stale = 0 WHERE id = ?", values)


def set_stale(conn: Connection, rule_id: int) -> None:
    """Have everything derived anew."""
    conn.execute("UPDATE rule SET stale = 1 WHERE id = ?", (rule_id,))


def remove_rule(conn: Connection, rule_id: int, *, keep_copies: bool, now: str) -> int:
    """Remove the rule and, unless they are to be kept, its copies: from the hub at once, from the remotes with the next
    sync. Returns how many events that were. What is kept is still a copy, no source for any rule.
    """
    found = rule(conn, rule_id)
    uids = [] if keep_copies else [each.uid for each in copies(conn, rule_id)]
    removed = sum(drop_event(conn, found.target_id, uid, now=now) for uid in uids)
    if keep_copies:
        conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_KEPT + found.key, now))
    conn.execute("DELETE FROM rule WHERE id = ?", (rule_id,))
    audit.note(conn, "rule removed", rule=rule_id, source=found.source, target=found.target)
    return removed


def kept_keys(conn: Connection) -> set[str]:
    """The keys of rules that were removed with the wish to keep their copies."""
    names = sql.column(conn, "SELECT key FROM meta WHERE key LIKE ?", (_KEPT + "%",))
    return {name.removeprefix(_KEPT) for name in names}


def drop_event(conn: Connection, calendar_id: int, uid: str, *, now: str, run_id: int | None = None) -> bool:
    """Delete an event of the calendar, and forget it at once where no replica knows it. False: there was none."""
    stored = events.event(conn, calendar_id, uid)
    if stored is None:
        return False
    events.delete_event(conn, stored.id, now=now, run_id=run_id)
    events.forget_tombstone(conn, stored.id)
    return True


# Copies


def copies(conn: Connection, rule_id: int, source_uids: Sequence[str] | None = None) -> list[Copy]:
    """The copies of a rule: all, or those of some source events."""
    if source_uids is None:
        return [_copy(tuple(row)) for row in conn.execute(_COPIES, (rule_id,))]
    wanted = _COPIES + "AND source_uid IN (SELECT value FROM json_each(?))"
    return [_copy(tuple(row)) for row in conn.execute(wanted, (rule_id, dumps(list(source_uids))))]


def put_copies(conn: Connection, rule_id: int, rows: Iterable[Copy]) -> None:
    """Store copies by what they stand for. One that stood for something else under the same UID does so no more."""
    values = [(rule_id, each.source_uid, each.part, each.uid, dumps(each.face), each.end_ts) for each in rows]
    if values:
        conn.executemany(
            "INSERT OR REPLACE INTO copy (rule_id, source_uid, part, uid, face, end_ts) VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )


def drop_copies(conn: Connection, rule_id: int, uids: Iterable[str]) -> None:
    """Forget copies, by their own UIDs; their events stay as they are."""
    values = [(rule_id, uid) for uid in uids]
    if values:
        conn.executemany("DELETE FROM copy WHERE rule_id = ? AND uid = ?", values)


def copy_count(conn: Connection, rule_id: int) -> int:
    return int(sql.value(conn, "SELECT count(*) FROM copy WHERE rule_id = ?", (rule_id,)))


def sources_of(conn: Connection, rule_id: int, uids: Sequence[str]) -> list[str]:
    """The source UIDs of those of the events that are copies of the rule."""
    wanted = "SELECT source_uid FROM copy WHERE rule_id = ? AND uid IN (SELECT value FROM json_each(?))"
    return list(dict.fromkeys(sql.column(conn, wanted, (rule_id, dumps(list(uids))))))


def copies_of(conn: Connection, calendar_id: int, uid: str) -> list[dict[str, Any]]:
    """What rules have made of an event: ``copies`` of the design's why shape. ``calendar`` is where the copy is."""
    rows = conn.execute(
        "SELECT rule_id, copy.uid, calendar.name FROM copy JOIN rule ON rule.id = rule_id "
        "JOIN calendar ON calendar.id = target_id WHERE source_id = ? AND source_uid = ? ORDER BY rule_id, part",
        (calendar_id, uid),
    )
    return [{"rule": rule_id, "uid": copy, "calendar": name} for rule_id, copy, name in rows]


def origin(conn: Connection, calendar_id: int, uid: str) -> dict[str, Any] | None:
    """What an event is the copy of: ``copy_of`` of the design's why shape; None where no rule here made it.

    ``calendar`` is the source; ``uid`` is None for a copy that stands for several events (``--merge``).
    """
    row = conn.execute(
        "SELECT rule_id, source_uid, calendar.name FROM copy JOIN rule ON rule.id = rule_id "
        "JOIN calendar ON calendar.id = source_id WHERE target_id = ? AND copy.uid = ?",
        (calendar_id, uid),
    ).fetchone()
    return None if row is None else {"rule": row[0], "uid": row[1] or None, "calendar": row[2]}


def ended(conn: Connection, rule_id: int, before_ts: int) -> list[str]:
    """The source UIDs of copies whose last instance ended before."""
    wanted = "SELECT DISTINCT source_uid FROM copy WHERE rule_id = ? AND end_ts <= ?"
    return sql.column(conn, wanted, (rule_id, before_ts))


def in_parts(conn: Connection, rule_id: int) -> list[str]:
    """The source UIDs of series whose instances have a copy each, as far as the window goes."""
    wanted = "SELECT DISTINCT source_uid FROM copy WHERE rule_id = ? AND part <> ''"
    return sql.column(conn, wanted, (rule_id,))


def claimed(conn: Connection, calendar_id: int) -> set[str]:
    """The UIDs in a calendar that are copies of a rule there is."""
    wanted = "SELECT uid FROM copy JOIN rule ON rule.id = rule_id WHERE target_id = ?"
    return set(sql.column(conn, wanted, (calendar_id,)))


def marked_events(conn: Connection, calendar_id: int) -> list[tuple[str, Content]]:
    """The events of a calendar, by UID, that have the mark of a copy, whoever made them."""
    wanted = (
        "SELECT uid, content FROM event WHERE calendar_id = ? AND deleted = 0 "
        f"AND (uid LIKE 'calhub-copy-%' OR instr(content, '\"{PROPERTY}\"')) ORDER BY id"
    )
    rows = [(uid, loads(text)) for uid, text in conn.execute(wanted, (calendar_id,))]
    return [(uid, content) for uid, content in rows if is_copy(uid) or mark_of(content)]


# What time alone brings


def beginning(conn: Connection, calendar_id: int, start_ts: int, end_ts: int) -> list[str]:
    """The UIDs of events with an occurrence that begins in ``[start_ts, end_ts)``."""
    wanted = (
        "SELECT DISTINCT uid FROM occurrence JOIN event ON event.id = event_id "
        "WHERE span IN (0, 1, 2) AND start_ts >= ? AND start_ts < ? AND occurrence.calendar_id = ?"
    )
    return sql.column(conn, wanted, (start_ts, end_ts, calendar_id))


def taking_place(conn: Connection, calendar_id: int, start_ts: int, end_ts: int) -> list[str]:
    """The UIDs of events with an occurrence that overlaps ``[start_ts, end_ts)``."""
    wanted = (
        "SELECT DISTINCT uid FROM occurrence JOIN event ON event.id = event_id "
        "WHERE start_ts < ? AND end_ts > ? AND occurrence.calendar_id = ?"
    )
    return sql.column(conn, wanted, (end_ts, start_ts, calendar_id))


# Shapes


def rule_shape(conn: Connection, of: Rule) -> dict[str, Any]:
    """The design's rule shape."""
    return {
        "id": of.id, "kind": of.kind, "source": of.source, "target": of.target, "options": dict(of.options),
        "copies": copy_count(conn, of.id),
    }  # fmt: skip


def _rule(row: tuple[Any, ...]) -> Rule:
    rule_id, kind, key, source_id, source, target_id, target, options, seq, stale, reached_ts = row
    return Rule(
        id=rule_id, kind=cast(Kind, kind), key=key, source_id=source_id, source=source, target_id=target_id,
        target=target, options=loads(options), seq=seq, stale=bool(stale), reached_ts=reached_ts,
    )  # fmt: skip


def _copy(row: tuple[Any, ...]) -> Copy:
    source_uid, part, uid, face, end_ts = row
    return Copy(source_uid=source_uid, part=part, uid=uid, face=loads(face), end_ts=end_ts)
