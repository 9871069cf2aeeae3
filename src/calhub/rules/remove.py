"""Taking copies away: from the hub, as a run of the history, so that `undo` can bring them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calhub.hub import accounts, events, removed, rules, runs
from calhub.hub.database import Hub
from calhub.hub.sql import Connection


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An event that was taken away. ``calendar`` and ``title`` are for showing."""

    calendar: str
    uid: str
    title: str


@dataclass
class Removal:
    """One run that takes copies away, in as many steps as it needs; none is made where there is nothing to do."""

    hub: Hub
    run_id: int | None = None
    taken: list[Taken] = field(default_factory=list)

    def remove(self, doomed: Mapping[int, Sequence[str]]) -> None:
        """Delete the events of these UIDs, by the id of their calendar, and what rules know of them.

        A rule that loses copies derives everything anew the next time: those it still should have come back then.
        """
        if not any(doomed.values()):
            return
        with self.hub.transaction() as conn:
            if self.run_id is None:
                place = accounts.calendar(conn, next(iter(doomed))).name if len(doomed) == 1 else ""
                self.run_id = runs.start_hub_run(conn, place, kind="reset", now=self.hub.now())
            for calendar_id, uids in doomed.items():
                removed.remember(conn, self.run_id, _forget(conn, calendar_id, frozenset(uids)))
                name = accounts.calendar(conn, calendar_id).name
                for uid in uids:
                    stored = events.event(conn, calendar_id, uid)
                    if stored is not None:
                        rules.drop_event(conn, calendar_id, uid, now=self.hub.now(), run_id=self.run_id)
                        self.taken.append(Taken(calendar=name, uid=uid, title=stored.content.get("title", "")))
            counts = runs.empty_counts() | {"removed": len(self.taken)}
            runs.finish_run(
                conn, self.run_id, status="ok", counts=counts, errors=[], requests=0, duration_ms=0, now=self.hub.now()
            )


def _forget(conn: Connection, calendar_id: int, uids: frozenset[str]) -> list[tuple[int, rules.Copy]]:
    """Drop the rows of these copies; returns them, each with the id of its rule."""
    forgotten: list[tuple[int, rules.Copy]] = []
    for rule in rules.rules(conn, calendar_id=calendar_id):
        rows = (
            [copy for copy in rules.copies(conn, rule.id) if copy.uid in uids] if rule.target_id == calendar_id else []
        )
        if rows:
            rules.drop_copies(conn, rule.id, [copy.uid for copy in rows])
            rules.set_stale(conn, rule.id)
            forgotten += [(rule.id, copy) for copy in rows]
    return forgotten
