"""What has to hold once users, faults and lies have stopped: Q1 to Q12 (docs/testing.md)."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.fields import diff, project
from calhub.hub import inbox, sql
from calhub.hub.jsontext import loads
from calhub.testing.simulation.checks import Broken, demand, unsettled
from calhub.testing.simulation.ledger import tokens

if TYPE_CHECKING:
    from calhub.testing.simulation.far import Place
    from calhub.testing.simulation.play import Simulation

#: Cycles within which everything must be in step again (Q1), counted from the last decision of a person.
CYCLES: Final = 3
#: Decisions there can be at most; more means that they chase one another.
DECISIONS: Final = 8
#: Quirks that make a listing untrue, or writes impossible. What is true of a service for good stays on.
LIES: Final = (
    "idle_etag_moves", "lists_late", "page_duplicates", "page_drops_row", "expired_token", "read_only",
)  # fmt: skip


def come_to_rest(sim: Simulation) -> None:
    """End all faults, sync until nothing moves, and check what is left. Raises `Broken`."""
    for remote in sim.names.values():
        for quirk in LIES:
            setattr(remote.service.quirks, quirk, False)
        remote.service.mend(remote.calendar)
    _run_until_idle(sim)
    sim.watch.doubted.clear()
    _converged(sim)
    _nothing_lost(sim)
    _nothing_back(sim)
    _nothing_twice(sim)
    _loop_free(sim)
    _bounded(sim)
    sim.told.append(f"  end {dump(sim)}")


def _run_until_idle(sim: Simulation) -> None:
    """Passes, with time for each backoff to end; a person decides what waits for one (Q12).

    Full ones where a service may have told untruths about its rows.
    """
    since_decision = 0
    for _ in range(CYCLES * DECISIONS):
        before = _marks(sim)
        sim.sync(full=sim.has_liars)
        sim.world.clock.advance(hours=12)
        since_decision += 1
        if sim.decide_holds(inbox.release_hold) + sim.resolve_conflicts("hub"):
            since_decision = 0
        elif before == _marks(sim) and not _waiting(sim):
            return
        else:
            demand(since_decision <= CYCLES, "Q1", f"not in step after {CYCLES} cycles")
    raise Broken("Q12", "a person is asked again and again")


def _marks(sim: Simulation) -> tuple[int, int]:
    return sum(remote.writes for remote in sim.names.values()), sim.world.seq


def _waiting(sim: Simulation) -> bool:
    """Whether anything is still to be done without a person (dead letters wait for one)."""
    with sim.world.hub.read() as conn:
        return bool(
            sql.value(
                conn,
                "SELECT (SELECT count(*) FROM intent WHERE state = 'open') + (SELECT count(*) FROM observation "
                "WHERE pending = 1) + (SELECT count(*) FROM retry WHERE next_try IS NOT NULL)",
            )
        )


def _converged(sim: Simulation) -> None:
    """Q1: hub and remotes show the same of each event, as far as a remote can hold it."""
    for name, remote in sim.names.items():
        if remote.replica.direction != "both":
            continue
        rows = remote.rows
        with sim.world.hub.read() as conn:
            excused = unsettled(conn, remote)
            links = conn.execute(
                "SELECT e.id, e.uid, e.deleted, l.remote_id FROM event e "
                "LEFT JOIN link l ON l.event_id = e.id AND l.replica_id = ?",
                (remote.replica.id,),
            ).fetchall()
            broken = {each["remote_id"] for each in inbox.quarantine(conn, replica_id=remote.replica.id)}
        hub = sim.world.contents
        left = rows.keys() - broken
        for event_id, uid, deleted, remote_id in links:
            left.discard(remote_id)
            if event_id in excused:
                continue
            demand(bool(deleted) != (remote_id in rows), "Q1", f"{uid}: deleted {deleted} in the hub, not so at {name}")
            if not deleted:
                difference = diff(_shown(remote, hub[uid]), _shown(remote, rows[remote_id].content))
                demand(not difference, "Q1", f"{uid} differs between hub and {name}: {difference}")
        demand(not left, "Q1", f"{name} has {sorted(left)}, the hub has not")


def _shown(remote: Place, content: Content) -> Content:
    """What of a content can be compared: the service's own habits of writing left out."""
    quirks = remote.service.quirks
    shown = {
        name: value for name, value in project(content, quirks.keeps).items() if name not in quirks.drops_fields
    }  # fmt: skip
    if quirks.rewrites_text:
        shown |= {name: _plain_text(shown[name]) for name in ("title", "description") if name in shown}
    overrides = _telling(shown, shown.pop("overrides", {}))
    return shown | {"overrides": overrides} if overrides else shown


def _telling(series: Content, overrides: Content) -> Content:
    """The overrides without what says the same as the series; most services do not show that."""
    told = {
        rid: {name: value for name, value in patch.items() if name in TIME_UNIT or series.get(name) != value}
        for rid, patch in overrides.items()
    }
    return {rid: patch for rid, patch in told.items() if patch}


def _plain_text(value: str) -> str:
    return " ".join(value.removeprefix("<p>").removesuffix("</p>").split())


def _nothing_lost(sim: Simulation) -> None:
    """Q2: every token that nobody replaced is in the hub, in a conflict or in quarantine."""
    with sim.world.hub.read() as conn:  # flipping a conflict about a deletion brings the whole event back
        disputed = sql.column(
            conn, "SELECT e.content FROM event e JOIN conflict c ON c.event_id = e.id WHERE c.state != 'resolved'"
        )
        there = tokens([loads(content) for content in disputed])
        broken = {(each["replica"], each["remote_id"]) for each in inbox.quarantine(conn)}
    for remote in sim.names.values():
        there |= tokens([row.content for name, row in remote.rows.items() if (remote.replica.id, name) in broken])
    there |= tokens(sim.world.conflicts).union(*map(tokens, sim.world.contents.values()))
    lost = sim.ledger.owed() - there
    demand(not lost, "Q2", f"lost: {sorted(lost)}")


def _nothing_back(sim: Simulation) -> None:
    """Q3: an event lives only if something was typed into it that its deleter had not seen."""
    for content in sim.world.contents.values():
        family = sim.ledger.family(content)
        demand(family is None or sim.ledger.may_live(family), "Q3", f"back from the dead: {sorted(tokens(content))}")


def _nothing_twice(sim: Simulation) -> None:
    """Q5: one event of each family in the hub and at each remote."""
    places = {"hub": list(sim.world.contents.values())}
    places |= {name: [row.content for row in remote.rows.values()] for name, remote in sim.names.items()}
    for name, contents in places.items():
        counted = Counter(map(sim.ledger.family, contents))
        twice = {family: count for family, count in counted.items() if count > 1 and family is not None}
        demand(not twice, "Q5", f"more than once at {name}: {twice}")


def _loop_free(sim: Simulation) -> None:
    """Q8: one more cycle writes nothing, anywhere."""
    before, writes = dump(sim), _marks(sim)
    sim.sync()
    demand(_marks(sim) == writes, "Q8", "a further cycle writes")
    demand(dump(sim) == before, "Q8", "a further cycle changes the database")


def _bounded(sim: Simulation) -> None:
    """Q8: no more writes than edits times remotes, and one for each that failed, was cut off or found a newer item."""
    writes = sum(remote.writes for remote in sim.names.values())
    with sim.world.hub.read() as conn:
        again = sql.value(conn, "SELECT count(*) FROM intent WHERE state != 'done'")
    allowed = sim.edits * len(sim.names) + again
    demand(
        writes <= allowed, "Q8", f"{writes} writes for {sim.edits} edits at {len(sim.names)} remotes, {again} repeated"
    )


#: Everything that has a meaning for the next pass; history and timestamps have none.
_DUMPED: Final = {
    "event": "id, uid, content, rev, deleted",
    "occurrence": "event_id, recurrence_id, start_ts, end_ts",
    "observation": "replica_id, remote_id, uid, version, content, gone, problem, pending",
    "link": "replica_id, event_id, remote_id, base_remote, base_hub, version, hub_rev",
    "intent": "id, op, remote_id, state",
    "retry": "replica_id, event_id, attempts, error",
    "conflict": "id, event_id, state, fields",
    "hold": "id, side, plan, state",
    "change": "seq, uid, op, fields",
    "replica": "id, phase, state, hub_seq",
}


def dump(sim: Simulation) -> int:
    """A fingerprint of the database. The remotes' rows are part of it."""
    with sim.world.hub.read() as conn:
        parts = [
            repr([tuple(row) for row in conn.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}")])
            for table, columns in _DUMPED.items()
        ]
        cursors = conn.execute("SELECT id, cursor FROM replica ORDER BY id").fetchall()
    lasting = {place.replica.id for place in sim.names.values() if place.service.lasting_cursors}
    parts.append(repr([cursor for replica, cursor in cursors if replica in lasting]))
    parts += [repr(sorted(remote.contents.items())) for remote in sim.names.values()]
    return zlib.crc32("".join(parts).encode())
