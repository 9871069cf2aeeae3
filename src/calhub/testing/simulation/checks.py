"""The invariants I1 to I10 (docs/testing.md), checked at each request and after each step of a simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from calhub.calendar.event import Content
from calhub.calendar.fields import diff, path_name, project
from calhub.hub import sql
from calhub.hub.jsontext import loads
from calhub.testing.memory import Request
from calhub.testing.memory_service import WRITES

if TYPE_CHECKING:
    from calhub.hub.sql import Connection
    from calhub.sync.report import RunReport
    from calhub.testing.simulation.far import Place
    from calhub.testing.simulation.play import Simulation


class Broken(AssertionError):
    """An invariant does not hold. ``name`` is the one, as in docs/testing.md."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


@dataclass
class Watch:
    """What the checks remember between steps."""

    #: Remotes that have told untruths about their rows; what they never listed cannot have been observed.
    doubted: set[str] = field(default_factory=set)


def demand(holds: object, name: str, why: str) -> None:
    if not holds:
        raise Broken(name, why)


# --- around each request --------------------------------------------------------------------------------------------


def at_request(sim: Simulation, remote: Place, label: str) -> None:
    """I4, I8, I10 and Q4 hold for the write that begins now, or has ended.

    I8: it carries the version it was planned upon; without conditional writes the item was read before.
    """
    method, _, when = label.partition(":")
    if method not in WRITES:
        return
    request = remote.service.log[-1]
    if when == "after":
        if remote.service.quirks.no_conditional_writes and method != "create":
            demand(remote.service.looked(request), "I8", f"{request.remote_id} was not looked at before the write")
        return
    with sim.world.hub.read() as conn:
        _announced(conn, remote, request)
        if method == "update":
            _least_touch(conn, remote, request)
        if method == "delete":  # two users' events of one UID may have become one in the very pass that deletes them
            _one_family(sim, _links(conn, remote))
    if method != "create":
        demand(request.expected is not None, "I8", f"{request.method} of {request.remote_id} carries no version")
    if method == "delete":
        _wanted_gone(sim, remote, request)


def _announced(conn: Connection, remote: Place, request: Request) -> None:
    """I4: an intent for just this was committed before the request began."""
    found = conn.execute(
        "SELECT 1 FROM intent WHERE replica_id = ? AND remote_id = ? AND op = ? AND state = 'open'",
        (remote.replica.id, request.remote_id, request.method),
    ).fetchone()
    demand(found, "I4", f"{request.method} of {request.remote_id} was sent without an intent")


def _least_touch(conn: Connection, remote: Place, request: Request) -> None:
    """I10: only fields that changed in the hub since the last agreement are changed at the remote."""
    row = remote.rows.get(request.remote_id or "")
    if row is None or row.version != request.expected or request.content is None:
        return
    found = conn.execute(
        "SELECT e.content, coalesce(l.base_hub, l.base_remote) FROM link l JOIN event e ON e.id = l.event_id "
        "WHERE l.replica_id = ? AND l.remote_id = ?",
        (remote.replica.id, request.remote_id),
    ).fetchone()
    keeps = remote.service.quirks.keeps
    hub, base = (loads(text) for text in found)
    allowed = {path_name(path) for path in diff(base, project(hub, keeps))}
    touched = {path_name(path) for path in diff(project(row.content, keeps), request.content)}
    demand(touched <= allowed, "I10", f"{request.remote_id}: {sorted(touched - allowed)} did not change in the hub")


def _wanted_gone(sim: Simulation, remote: Place, request: Request) -> None:
    """Q4: somebody has deleted the event, somewhere, before it is deleted here."""
    row = remote.rows.get(request.remote_id or "")
    family = sim.ledger.family(row.content) if row is not None else None
    demand(
        family is None or sim.ledger.was_deleted(family), "Q4", f"{request.remote_id} is deleted; nobody asked for it"
    )


# --- after each pass --------------------------------------------------------------------------------------------------


def linked_counts(sim: Simulation) -> dict[int, int]:
    """For each replica on which no hold has been decided, how many events are linked."""
    with sim.world.hub.read() as conn:
        rows = conn.execute(
            "SELECT replica_id, count(*) FROM link WHERE replica_id NOT IN "
            "(SELECT replica_id FROM hold WHERE state IN ('released', 'discarded')) GROUP BY 1"
        )
        return {row[0]: row[1] for row in rows}


def after_pass(report: RunReport, before: dict[int, int], after: dict[int, int]) -> None:
    """Q9: nobody empties a calendar, or deletes a large part of it, without being asked first."""
    had = before.get(report.replica_id or 0, 0)
    # What is linked apart from what the push has just made: an item may have been linked before others were deleted.
    left = {"pulled": 0, "pushed": after.get(report.replica_id or 0, 0) - report.counts["pushed"]["created"]}
    for side in ("pulled", "pushed"):
        deleted = report.counts[side]["deleted"]
        demand(had < 3 or deleted < had or left[side] > 0, "Q9", f"{side}: all {had} events were deleted in one pass")
        demand(deleted <= max(10, 0.3 * had), "Q9", f"{side}: {deleted} of {had} events were deleted in one pass")


# --- after each step ------------------------------------------------------------------------------------------------


def after_step(sim: Simulation) -> None:
    """All that can be seen from the database, the outboxes and the feeds."""
    with sim.world.hub.read() as conn:
        _matching(conn)
        _one_hope(conn)
        for name, remote in sim.names.items():
            linked = _links(conn, remote)
            _one_family(sim, linked)
            _agreement(conn, remote, linked)
            _nothing_left_behind(conn, remote)
            _cursor_truth(conn, sim, name, remote)
            _nothing_forgotten(conn, remote, linked)
            demand(not remote.service.outbox, "I9", f"{name} has mailed {remote.service.outbox}")


UNIQUE: Final = {
    "link": (("replica_id", "event_id"), ("replica_id", "remote_id")),
    "intent": (("replica_id", "event_id"),),
}


def _matching(conn: Connection) -> None:
    """I1: no two links share event or item in a replica, and the schema itself forbids it."""
    for table, keys in UNIQUE.items():
        found = set()
        for row in conn.execute(f"PRAGMA index_list({table})"):
            if row["unique"]:
                found.add(tuple(each["name"] for each in conn.execute(f"PRAGMA index_info({row['name']})")))
        demand(set(keys) <= found, "I1" if table == "link" else "I5", f"{table} lacks a unique index: {keys}")
    twice = conn.execute(
        "SELECT replica_id, remote_id FROM link GROUP BY 1, 2 HAVING count(*) > 1 "
        "UNION ALL SELECT replica_id, event_id FROM link GROUP BY 1, 2 HAVING count(*) > 1"
    ).fetchall()
    demand(not twice, "I1", f"linked twice: {[tuple(row) for row in twice]}")


def _one_hope(conn: Connection) -> None:
    """I5: at most one open intent for an event in a replica; none without an event or an identity."""
    rows = conn.execute(
        "SELECT i.replica_id, i.event_id, count(*), min(length(i.remote_id)), "
        "max(i.op != 'create' AND l.id IS NULL) FROM intent i "
        "LEFT JOIN link l ON l.replica_id = i.replica_id AND l.event_id = i.event_id "
        "WHERE i.state = 'open' GROUP BY 1, 2"
    )
    for row in rows:
        demand(row[2] == 1, "I5", f"{row[2]} open intents for event {row[1]}")
        demand(row[3], "I5", f"an intent without an identity for event {row[1]}")
        demand(not row[4], "I5", f"an intent for event {row[1]}, which is linked to nothing")


@dataclass(frozen=True)
class Linked:
    """A link with both of its ends, as they are stored."""

    event_id: int
    remote_id: str
    hub: Content
    deleted: bool
    rev: int
    base_hub: Content
    base_remote: Content
    version: str | None
    hub_rev: int
    seen: Content | None
    seen_version: str | None
    gone: bool
    pending: bool
    problem: bool
    uid: str
    seen_uid: str | None


def _links(conn: Connection, remote: Place) -> list[Linked]:
    rows = conn.execute(
        "SELECT l.event_id, l.remote_id, e.content, e.deleted, e.rev, coalesce(l.base_hub, l.base_remote), "
        "l.base_remote, l.version, l.hub_rev, o.content, o.version, coalesce(o.gone, 1), coalesce(o.pending, 1), "
        "o.problem IS NOT NULL, e.uid, o.uid "
        "FROM link l JOIN event e ON e.id = l.event_id "
        "LEFT JOIN observation o ON o.replica_id = l.replica_id AND o.remote_id = l.remote_id WHERE l.replica_id = ?",
        (remote.replica.id,),
    )
    return [
        Linked(
            row[0], row[1], loads(row[2]), bool(row[3]), row[4], loads(row[5]), loads(row[6]), row[7], row[8],
            loads(row[9]) if row[9] else None, row[10], bool(row[11]), bool(row[12]), bool(row[13]), row[14], row[15],
        )
        for row in rows
    ]  # fmt: skip


def unsettled(conn: Connection, remote: Place) -> set[int]:
    """Events with an open intent, a retry, a dead letter or a conflict in this replica."""
    rows = conn.execute(
        "SELECT event_id FROM intent WHERE replica_id = ?1 AND state = 'open' "
        "UNION SELECT event_id FROM retry WHERE replica_id = ?1 "
        "UNION SELECT event_id FROM conflict WHERE replica_id = ?1 AND state = 'open'",
        (remote.replica.id,),
    )
    return {row[0] for row in rows}


def _agreement(conn: Connection, remote: Place, linked: list[Linked]) -> None:
    """I2 and I3: where hub and remote differ from what was agreed, something says so and will see to it."""
    waiting = unsettled(conn, remote)
    if remote.replica.direction != "both":
        return
    for each in linked:
        dirty = each.rev != each.hub_rev or each.pending or each.problem
        if dirty or each.event_id in waiting:
            continue
        where = f"event {each.event_id}, {each.remote_id}"
        mine = project(each.hub, remote.service.quirks.keeps)
        base = project(each.base_hub, remote.service.quirks.keeps)
        demand(not each.deleted and not each.gone, "I3", f"{where}: one end is gone and nothing says so")
        demand(mine == base, "I3", f"{where}: the hub moved on and nothing says so: {diff(base, mine)}")
        demand(each.seen == each.base_remote, "I3", f"{where}: the remote moved on and nothing says so")
        demand(each.version == each.seen_version, "I2", f"{where}: agreed on {each.version}, seen {each.seen_version}")


def _nothing_left_behind(conn: Connection, remote: Place) -> None:
    """I3 also: an event the push step has passed over is linked, or something says why not."""
    if remote.replica.direction == "pull":
        return
    waiting = unsettled(conn, remote)
    rows = conn.execute(
        "SELECT e.id, e.uid FROM event e JOIN replica r ON r.id = ? "
        "LEFT JOIN link l ON l.event_id = e.id AND l.replica_id = r.id "
        "WHERE e.deleted = 0 AND l.id IS NULL AND e.rev <= r.hub_seq AND r.phase = 'steady'",
        (remote.replica.id,),
    )
    for event_id, uid in rows:
        demand(event_id in waiting, "I3", f"{uid} is not at replica {remote.replica.id} and nothing says why")


def _cursor_truth(conn: Connection, sim: Simulation, name: str, remote: Place) -> None:
    """I6: whatever the service has told up to the cursor is stored."""
    cursor = sql.value(conn, "SELECT cursor FROM replica WHERE id = ?", (remote.replica.id,))
    told = remote.service.told(remote.calendar, cursor)
    if name in sim.watch.doubted or told is None:
        return
    seen = {
        row[0]: (row[1], row[2])
        for row in conn.execute(
            "SELECT remote_id, version, gone FROM observation WHERE replica_id = ?", (remote.replica.id,)
        )
    }
    for remote_id, version in told.items():
        if version is None:
            known = remote_id not in seen or seen[remote_id][1] or remote.service.quirks.no_deletion_feed
            demand(known, "I6", f"{remote_id} was deleted before the cursor and counts as there")
        else:
            known = seen.get(remote_id, ("", 0))[0] == version
            demand(known, "I6", f"{remote_id} changed before the cursor, unseen")


def _nothing_forgotten(conn: Connection, remote: Place, linked: list[Linked]) -> None:
    """I7: a tombstone stays until its items are gone, so each settled item belongs to something."""
    if remote.replica.direction == "push":
        return
    known = {each.remote_id for each in linked}
    rows = conn.execute(
        "SELECT remote_id FROM observation WHERE replica_id = ? AND gone = 0 AND pending = 0 AND problem IS NULL",
        (remote.replica.id,),
    )
    for (remote_id,) in rows:
        demand(remote_id in known, "I7", f"{remote_id} is at the remote and belongs to no event any more")


def _one_family(sim: Simulation, linked: list[Linked]) -> None:
    """Users who chose one UID for two events have one event now."""
    for each in linked:
        if each.seen_uid == each.uid:
            sim.ledger.joined([each.hub, each.seen])
