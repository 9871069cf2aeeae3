"""Whose item is this? Items that we created, though no answer ever said so.

Each create goes out under an identity chosen before (`Provider.reserve`) and kept in the journal. An item that shows up
under it is ours: found while recovering, or much later, when a creation held up on the way arrives at last.
"""

from __future__ import annotations

from collections.abc import Sequence

from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.fields import Patch, diff
from calhub.hub import journal, links, lookup
from calhub.hub.events import StoredEvent
from calhub.hub.journal import Intent
from calhub.hub.links import Observation
from calhub.hub.sql import Connection
from calhub.sync.context import Pass


def created_by_us(conn: Connection, of: Pass, seen: Sequence[Observation]) -> dict[str, tuple[StoredEvent, Content]]:
    """For each item (of no link) that is ours, its event, perhaps a tombstone, and what we sent.

    What was sent is the base of the new link, so that a later edit at the remote is seen as one. For an item that was
    there before us, a first link against an empty base is right instead.
    """
    intents = journal.creates(conn, of.replica.id, [item.remote_id for item in seen])
    if not intents:
        return {}
    event_ids = [each.event_id for tries in intents.values() for each in tries]
    stored = lookup.events_by_id(conn, event_ids)
    linked = links.links_by_event(conn, of.replica.id, event_ids)
    found = {}
    for item in seen:
        sent = _sent(intents.get(item.remote_id, []), item)
        event = stored.get(sent.event_id) if sent is not None else None
        if sent is None or event is None or event.uid != sent.uid or event.id in linked:
            continue
        assert sent.content is not None  # a create has content
        found[item.remote_id] = (event, sent.content)
    return found


def dropped(sent: Content, shown: Content) -> Patch:
    """What was sent and is not shown, as a patch that takes it away.

    Where no answer came, this is taken for the service's doing: many drop what they do not know. Nobody's edit, so
    nothing that the hub should lose.
    """
    return {path: change for path, change in diff(sent, shown).items() if change[1] is None}


def _sent(tries: Sequence[Intent], item: Observation) -> Intent | None:
    """The try that made the item; None if it is somebody else's."""
    for each in tries:
        if each.state in ("open", "unknown"):
            return each
    for each in tries:
        if each.state == "stale" and item.uid != each.uid and _same_time(item.content, each.content):
            return each
    return None


def _same_time(shown: Content | None, sent: Content | None) -> bool:
    """Delivered twice to a service that renames UIDs, an item of ours is told from a stranger's by its time."""
    return bool(shown and sent) and all((shown or {}).get(name) == (sent or {}).get(name) for name in TIME_UNIT)
