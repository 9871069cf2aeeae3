"""Recovery: an intent whose outcome is unknown is settled by looking at the item, never by repeating the call blindly.

Whatever the remote shows becomes an observation; the pull step then merges it like any other. So an update that was
applied is found equal and agreed on, one that was not is planned again, and an edit somebody made in between is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from calhub.calendar.event import TIME_UNIT, Content
from calhub.hub import journal, links, lookup
from calhub.hub.journal import Intent
from calhub.sync.context import Pass
from calhub.sync.observe import observe_one


def recover_open(of: Pass) -> None:
    """Settle every intent an earlier pass left open: the first thing done with a replica."""
    of.prepare()
    with of.hub.read() as conn:
        waiting = journal.open_intents(conn, of.replica.id)
    recover(of, waiting)


def recover(of: Pass, intents: Sequence[Intent]) -> None:
    """Look at the item of each intent, observe it, and close the intent.

    Raises `ProviderError` when the remote cannot be asked; intents not yet looked at stay as they are.
    """
    for intent in intents:
        found = observe_one(of, intent.remote_id, intent.uid)
        now = of.hub.now()
        with of.hub.transaction() as conn:
            sent = _sent(conn, of, intent) if found == intent.remote_id else None
            if sent is not None and _is_there(conn, intent):
                known = links.links_by_event(conn, of.replica.id, [intent.event_id])
                if not known:
                    links.set_link(
                        conn, of.replica.id, intent.event_id, intent.remote_id, base_remote=sent, base_hub=sent,
                        version=None, hub_rev=0, now=now,
                    )  # fmt: skip
            journal.close_intent(
                conn, intent.id, "failed", now=now, error="The answer was lost; the item was read instead."
            )
            if _is_there(conn, intent):
                links.requeue(conn, of.replica.id, intent.event_id, now=now)


def _sent(conn: Connection, of: Pass, intent: Intent) -> Content | None:
    """What we created under this identity, though no answer said so; None if the item is somebody else's.

    Then what was sent is the base, so that a later edit there is seen. For an item that was there before us, a first
    link against an empty base is right instead.
    """
    if intent.op != "create" or intent.content is None:
        return None
    if intent.state == "open":
        return intent.content
    earlier = journal.failed_create(conn, of.replica.id, intent.event_id, before=intent.id)
    if earlier is not None and earlier.remote_id == intent.remote_id:
        return earlier.content
    seen = links.observations(conn, of.replica.id, [intent.remote_id])[intent.remote_id]
    if seen.uid != intent.uid and seen.content is not None:
        # Delivered twice to a service that renames UIDs: told from a stranger under that name by its time.
        same = all(seen.content.get(name) == intent.content.get(name) for name in TIME_UNIT)
        return intent.content if same else None
    return None


def _is_there(conn: Connection, intent: Intent) -> bool:
    """Whether the event still exists (a rolled-back creation leaves none)."""
    stored = lookup.events_by_id(conn, [intent.event_id]).get(intent.event_id)
    return stored is not None and stored.uid == intent.uid
