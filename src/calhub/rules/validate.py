"""Validation: whether the copies of all rules, and the remotes that hold them, are what they should be.

`checks` says what must be true; here it is brought together what that is asked of: the hub, and items read from the
remotes, a sample of them or all. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.fields import diff, project
from calhub.calendar.mark import is_copy, made_by_rule
from calhub.hub import accounts, changes, events, links, rules, sql
from calhub.hub.accounts import Replica
from calhub.hub.database import Hub
from calhub.hub.events import StoredEvent
from calhub.hub.links import Link
from calhub.hub.rules import Rule
from calhub.hub.sql import Connection
from calhub.providers.base import Item, Provider, ProviderError
from calhub.rules import derive, options
from calhub.rules.checks import Finding, Scene, check_rule
from calhub.rules.cleanup import orphans
from calhub.sync.engine import Connect

#: Items read from each remote where not all are asked for.
SAMPLE: Final = 20

_TWINS: Final = (
    "SELECT uid FROM observation WHERE replica_id = ? AND gone = 0 AND uid IS NOT NULL "
    "GROUP BY uid HAVING count(*) > 1 ORDER BY uid"
)


def validate(hub: Hub, connect: Connect, *, calendar: str | None = None, full: bool = False) -> dict[str, Any]:
    """The design's validate shape, for all rules and replicas or those of one calendar.

    With ``full`` everything is read from the remotes and derived afresh for comparison, else a sample is read and what
    is new is derived. A remote that cannot be read is a finding. Raises `NotFound` for an unknown calendar.
    """
    with hub.read() as conn:
        only = None if calendar is None else accounts.calendar(conn, calendar).id
        found_rules = rules.rules(conn, calendar_id=only)
        replicas = accounts.replicas(conn, calendar_id=only)
        findings = list(_orphans(conn, only))
    for rule in found_rules:
        findings += _check_rule(hub, rule, full=full)
    for replica in replicas:
        if replica.state != "paused":
            findings += _check_replica(hub, connect, replica, full=full)
    return {"ok": not findings, "findings": [asdict(each) for each in dict.fromkeys(findings)]}


def _orphans(conn: Connection, only: int | None) -> Iterator[Finding]:
    for calendar_id, uids in orphans(conn).items():
        name = accounts.calendar(conn, calendar_id).name
        for uid in uids if only in (None, calendar_id) else ():
            message = "It is a copy of nothing; `calhub cleanup` removes it."
            yield Finding(check="duplicates", calendar=name, uid=uid, message=message)


def _check_rule(hub: Hub, rule: Rule, *, full: bool) -> list[Finding]:
    done = {"create": "made", "update": "changed", "delete": "deleted"}
    steps = derive.preview(hub, rule.id, everything=full)
    message = "The copy is still to be {}; run `calhub sync`."
    late = [
        Finding(check="up to date", calendar=rule.target, uid=step.uid, message=message.format(done[step.op]))
        for step in steps
    ]
    if rule.stale:  # its copies are as earlier options have them, and the steps say which are to change
        return late
    with hub.read() as conn:
        return late + list(check_rule(_scene(conn, rule, hub)))


def _scene(conn: Connection, rule: Rule, hub: Hub) -> Scene:
    given = options.read(rule.kind, rule.options)
    me, theirs = (accounts.owner_addresses(conn, each) for each in (rule.source_id, rule.target_id))
    sources = events.events(conn, rule.source_id)
    return Scene(
        rule=rule,
        options=given,
        sources={each.uid: each.content for each in sources if not made_by_rule(each.uid, each.content)},
        targets={each.uid: each.content for each in events.events(conn, rule.target_id)},
        copies=rules.copies(conn, rule.id),
        me=me,
        theirs=(theirs | {given.owner} if given.owner else theirs) - me,
        zone=derive.clock_zone(conn, rule, given),
        now_ts=int(hub.clock().timestamp()),
        pending=frozenset(changes.uids_since(conn, rule.seq, rule.source_id)),
    )


# Replicas


def _check_replica(hub: Hub, connect: Connect, replica: Replica, *, full: bool) -> list[Finding]:
    def finding(check: str, uid: str | None, message: str) -> Finding:
        return Finding(check=check, calendar=replica.calendar, uid=uid, message=f"{place}: {message}")

    place = f"{replica.remote_name} ({replica.account})"
    with hub.read() as conn:
        account = accounts.account(conn, replica.account_id)
        stored = {each.id: each for each in events.events(conn, replica.calendar_id)}
        known = links.links_by_event(conn, replica.id, list(stored))
        twins = sql.column(conn, _TWINS, (replica.id,))
    found = [finding("duplicates", uid, "There are several items with this UID.") for uid in twins]
    if replica.direction != "pull":
        lacking = [each.uid for event_id, each in stored.items() if event_id not in known]
        found += [finding("count", uid, "The event is not there yet.") for uid in lacking]
    try:
        provider = connect(account)
        try:
            keeps = provider.prepare(replica.remote_id, replica.settings).keeps
            items = _all_items(provider, replica) if full else _sample(provider, replica, stored, known)
        finally:
            provider.close()
    except ProviderError as error:
        return [*found, finding("remote", None, error.message)]
    for event_id, link in known.items():
        if full or link.remote_id in items:
            uid, item = stored[event_id].uid, items.get(link.remote_id)
            if item is None:
                found.append(finding("count", uid, "The event is not there any more."))
            elif item.content is None:
                found.append(finding("content", uid, "The item cannot be read."))
            elif names := differing(stored[event_id].content, item.content, link, keeps):
                found.append(finding("content", uid, f"Hub and remote differ in {', '.join(names)}."))
    linked = {link.remote_id for link in known.values()}
    for remote_id, item in items.items():
        if item is not None and remote_id not in linked and is_copy(item.uid or ""):
            found.append(finding("duplicates", item.uid, "The hub has lost this copy; see `calhub cleanup --remote`."))
    return found


def _sample(
    provider: Provider, replica: Replica, stored: Mapping[int, StoredEvent], known: Mapping[int, Link]
) -> dict[str, Item | None]:
    """Some of the items, evenly spread and copies first; None for one that is not there."""
    order = sorted(known, key=lambda event_id: (not is_copy(stored[event_id].uid), event_id))
    copies = [event_id for event_id in order if is_copy(stored[event_id].uid)]
    picked = [*_spread(copies), *_spread(order[len(copies) :])][:SAMPLE]
    remote_ids = [known[event_id].remote_id for event_id in picked]
    return {remote_id: provider.get(replica.remote_id, remote_id) for remote_id in remote_ids}


def _spread(ids: Sequence[int]) -> Sequence[int]:
    return ids[:: max(1, -(-len(ids) // SAMPLE))]


def _all_items(provider: Provider, replica: Replica) -> dict[str, Item | None]:
    pages = provider.changes(replica.remote_id, None, _NothingKnown())
    return {item.remote_id: item for page in pages for item in page.items}


class _NothingKnown:
    """The `calhub.providers.base.Known` of a remote calendar never seen before: everything is brought."""

    def version(self, _remote_id: str) -> str | None:
        return None

    def __contains__(self, _remote_id: object) -> bool:
        return False

    def ids(self) -> Iterator[str]:
        return iter(())


def differing(hub: Content, remote: Content, link: Link, keeps: frozenset[str]) -> list[str]:
    """Names of the fields in which the sides differ, but for what both agreed on: services rewrite what they get."""
    agreed = diff(project(link.base_hub, keeps), project(link.base_remote, keeps))
    between = diff(project(hub, keeps), project(remote, keeps))
    return sorted({path[0] for path, values in between.items() if agreed.get(path) != values})
