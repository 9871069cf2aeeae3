"""Whose item is this? Items that we created, though no answer ever said so.

Each create goes out under an identity chosen before (`Provider.reserve`) and kept in the journal. An item that shows up
under it is ours: found while recovering, or much later, when a creation held up on the way arrives at last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.fields import Patch, diff
from calhub.hub import journal, links, lookup
from calhub.hub.events import StoredEvent
from calhub.hub.journal import Intent
from calhub.hub.links import Observation
from calhub.hub.sql import Connection
from calhub.sync.context import Pass

#: States of a write that may have been applied, though no answer said so.
_IN_DOUBT: Final = ("open", "unknown")


def created_by_us(conn: Connection, of: Pass, seen: Sequence[Observation]) -> dict[str, tuple[StoredEvent, Intent]]:
    """For each item (of no link) that is ours, its event, perhaps a tombstone, and the create that made it.

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
        if sent is not None and event is not None and event.uid == sent.uid and event.id not in linked:
            found[item.remote_id] = (event, sent)
    return found


def created_before_deleted(conn: Connection, of: Pass, stored: Iterable[StoredEvent]) -> dict[int, Intent]:
    """For each tombstone that we may have created here, under whatever name, by event id, the create.

    An item with its UID that `adds_nothing` is no event of its own, whoever made it: the one who deleted the event had
    seen all of it. While an event lives a first link is right instead.
    """
    tombstones = {event.id: event.uid for event in stored if event.deleted}
    if not tombstones:
        return {}
    tries = journal.creates_of(conn, of.replica.id, list(tombstones))
    in_doubt = [each for found in tries.values() for each in found if each.state in (*_IN_DOUBT, "stale")]
    return {each.event_id: each for each in in_doubt if each.uid == tombstones[each.event_id]}


def adds_nothing(sent: Intent, item: Observation) -> bool:
    """Whether the item shows what was sent, or less."""
    difference = diff(sent.content or {}, item.content or {})
    return dropped(difference) == difference


def dropped(difference: Patch) -> Patch:
    """Of the difference between what was sent and what is shown: what is not shown at all.

    Where no answer came, this is taken for the service's doing: many drop what they do not know. Nobody's edit, so
    nothing that the hub should lose.
    """
    return {path: change for path, change in difference.items() if change[1] is None}


def _sent(tries: Sequence[Intent], item: Observation) -> Intent | None:
    """The try that made the item; None if it is somebody else's."""
    for each in tries:
        if each.state in _IN_DOUBT:
            return each
    for each in tries:
        if each.state == "stale" and item.uid != each.uid and _same_time(item.content, each.content):
            return each
    return None


def _same_time(shown: Content | None, sent: Content | None) -> bool:
    """Delivered twice to a service that renames UIDs, an item of ours is told from a stranger's by its time."""
    return bool(shown and sent) and all((shown or {}).get(name) == (sent or {}).get(name) for name in TIME_UNIT)
