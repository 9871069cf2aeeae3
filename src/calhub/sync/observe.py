"""Observe: bring the replica's observations up to what the remote shows now.

Each page's rows and its cursor commit together (I6). Absence counts as deletion only after a listing that the provider
declares complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from calhub.hub import accounts, links
from calhub.hub.sql import Connection
from calhub.providers.base import Item, Page
from calhub.sync.context import Pass, title
from calhub.sync.plan import Write

#: A few items missing from a listing are asked for one by one: rows shift between pages, servers skip what they cannot
#: read. Many missing at once are the guard's business.
_ASKED_SINGLY = 10


#: Makes events of new items in the transaction that stores them; returns those it took.
Take = Callable[[Pass, Connection, Sequence[Item]], Sequence[Item]]


def observe(of: Pass, *, take: Take | None = None) -> None:
    """Read what changed. What ``take`` does not take of a page waits to be planned.

    Raises `ProviderError`; pages committed until then stay, and the next pass goes on from their cursor.
    """
    known = links.KnownVersions(of.hub.read, of.replica.id)
    cursor = None if of.full else of.replica.cursor
    seen: set[str] = set()
    done = 0
    for page in of.provider.changes(of.replica.remote_id, cursor, known):
        seen.update(page.present)
        of.outdated.update(page.outdated)
        seen.update(item.remote_id for item in page.items)
        fresh = [item for item in page.items if _is_news(item, known)]
        of.written.update({item.remote_id: item.written for item in fresh if item.written is not None})
        for item in _store(of, page, fresh, known, seen, take):
            content = item.content or {}
            of.report.count("pulled", "create")
            write = Write(op="create", content=content, fields=tuple(sorted(content)))
            of.report.note("hub", write, item.uid or "", title(content))
        done += len(page.items)
        of.tell("reading", done, page.total)
        of.check_time()


def _is_news(item: Item, known: links.KnownVersions) -> bool:
    """Our own write comes back in the next listing: same version, nothing to do."""
    return item.version is None or item.remote_id not in known or known.version(item.remote_id) != item.version


def _store(
    of: Pass, page: Page, fresh: list[Item], known: links.KnownVersions, seen: set[str], take: Take | None
) -> Sequence[Item]:
    """Commit a page and return the items of it that were taken."""
    absent = [known_id for known_id in known.ids() if known_id not in seen] if page.complete else []
    if len(absent) <= _ASKED_SINGLY:
        there = {item.remote_id: item for item in _get(of, absent)}
        absent = [each for each in absent if each not in there]
        fresh = [*fresh, *(item for item in there.values() if _is_news(item, known))]
    gone = [*page.removed, *absent]
    if gone:
        with of.hub.read() as conn:
            twins = links.quarantined_twins(conn, of.replica.id, gone)
        fresh = [*fresh, *_get(of, [each for each in twins if each not in gone])]  # one may take the place of its twin
    now = of.hub.now()
    with of.hub.transaction() as conn:
        taken = take(of, conn, fresh) if take is not None and fresh else ()
        links.observe_items(conn, of.replica.id, fresh, now=now, settled={item.remote_id for item in taken})
        links.observe_gone(conn, of.replica.id, gone, now=now)
        if of.full and page.complete:
            links.pend_unlinked(conn, of.replica.id)  # links may have been lost; the listing itself shows no news then
        if page.cursor is not None:
            accounts.update_replica(conn, of.replica.id, cursor=page.cursor)
    return taken


def _get(of: Pass, remote_ids: Sequence[str]) -> list[Item]:
    asked = [of.provider.get(of.replica.remote_id, each) for each in remote_ids]
    return [item for item in asked if item is not None]


def observe_one(of: Pass, remote_id: str, uid: str) -> Item | None:
    """Look at one item after doubt, under its name or another one; returns what is there.

    Raises `ProviderError` when the remote cannot say.
    """
    item = of.provider.get(of.replica.remote_id, remote_id) or of.provider.find(of.replica.remote_id, uid)
    now = of.hub.now()
    with of.hub.transaction() as conn:
        if item is None or item.remote_id != remote_id:
            links.observe_gone(conn, of.replica.id, [remote_id], now=now)
        if item is not None:
            links.observe_items(conn, of.replica.id, [item], now=now)
    return item
