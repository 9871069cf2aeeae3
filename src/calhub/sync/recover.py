"""Recovery: an intent whose outcome is unknown is settled by looking at the item, never by repeating the call blindly.

Whatever the remote shows becomes an observation; the pull step then merges it like any other (`calhub.sync.identity`
knows what we created). So an update that was applied is found equal and agreed on, one that was not is planned again,
and an edit somebody made in between is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calhub.calendar.event import Content
from calhub.calendar.fields import Path, apply, diff
from calhub.hub import journal, links, lookup
from calhub.hub.journal import Intent
from calhub.hub.sql import Connection
from calhub.providers.base import Item
from calhub.sync.context import Pass
from calhub.sync.identity import adds_nothing, dropped
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
        item = observe_one(of, intent.remote_id, intent.uid)
        now = of.hub.now()
        with of.hub.transaction() as conn:
            if item is not None and _is_our_creation(intent, item):
                journal.rename(conn, intent.id, item.remote_id)
            if intent.op == "update":
                _agree_on_what_shows(conn, of, intent)
            if intent.state == "stale":
                journal.close_intent(conn, intent.id, "stale", now=now)
            else:
                error = "The answer was lost; the item was read."
                journal.close_intent(conn, intent.id, "unknown", now=now, error=error)
            if _is_there(conn, intent):
                links.requeue(conn, of.replica.id, intent.event_id, now=now)


def _is_our_creation(intent: Intent, item: Item) -> bool:
    """Whether a creation nobody heard of is this item, which the service has named itself: it shows what we sent."""
    if intent.op != "create" or intent.state != "open" or item.remote_id == intent.remote_id:
        return False
    return adds_nothing(intent.content, item.content)


def _agree_on_what_shows(conn: Connection, of: Pass, intent: Intent) -> None:
    """Where the item shows our write, move the bases as its answer would have: what is ours is no edit of anybody.

    Nor is what is missing since: the service may drop it from an update, or somebody took it out. Nobody can tell, so
    nothing is lost: it counts as the hub's alone, and is sent once more. Where all that we changed is as before, the
    write never arrived. One that was refused as stale may have been delivered twice; but then all of it shows.
    """
    link = links.links_by_remote(conn, of.replica.id, [intent.remote_id]).get(intent.remote_id)
    seen = links.observations(conn, of.replica.id, [intent.remote_id]).get(intent.remote_id)
    if link is None or seen is None or seen.content is None or intent.content is None:
        return
    before = intent.before or {}
    ours = diff(before, intent.content)
    shown = {path: change for path, change in ours.items() if _shows(seen.content, path, change[1])}
    arrived = not all(_shows(seen.content, path, old) for path, (old, _) in ours.items())
    if not arrived or (intent.state == "stale" and shown != ours):
        return
    agreed = shown | dropped(diff(before, seen.content))
    links.set_link(
        conn, of.replica.id, link.event_id, link.remote_id, version=link.version, hub_rev=link.hub_rev,
        base_remote=apply(link.base_remote, agreed), base_hub=apply(link.base_hub, agreed), now=of.hub.now(),
    )  # fmt: skip


def _shows(content: Content, path: Path, value: Any) -> bool:
    return apply(content, {path: (None, value)}) == content


def _is_there(conn: Connection, intent: Intent) -> bool:
    """Whether the event still exists; the journal may outlive it."""
    stored = lookup.events_by_id(conn, [intent.event_id]).get(intent.event_id)
    return stored is not None and stored.uid == intent.uid
