"""The planner: what one pass has to do for one event in one replica. Pure: no clock, no I/O, no randomness.

A pass has two steps, so that `sync` can pull every replica before it pushes any:

*pull* takes the remote's change into the hub and moves both bases to the remote's present state. What remains between
base and hub afterwards is exactly the hub's own change.
*push* writes that rest to the remote. It needs nothing but link and event.

Both speak in patches: ``diff(base_remote, remote)`` is the remote's change, ``diff(base_hub, hub projected)`` the hub's
(docs/architecture.md, "Two faces"). The decision table is that of the two functions' docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from calhub.calendar.event import Content
from calhub.calendar.fields import (
    CLEARED,
    Clash,
    Patch,
    apply,
    changed_fields,
    diff,
    merge,
    path_name,
    project,
    restore,
)

ConflictPolicy = Literal["merge", "newest", "hub", "remote", "ask"]
Direction = Literal["both", "pull", "push"]
OpName = Literal["create", "update", "delete"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the user and the provider have settled for a replica."""

    conflicts: ConflictPolicy = "merge"
    direction: Direction = "both"
    keeps: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class HubSide:
    content: Content  # of a tombstone: as it was when deleted
    deleted: bool
    updated: str
    edited: bool = False  # it has a revision the link has not seen, perhaps in fields the provider cannot hold


@dataclass(frozen=True, kw_only=True)
class RemoteSide:
    content: Content | None  # None: certainly gone
    modified: str | None = None


@dataclass(frozen=True, kw_only=True)
class Bases:
    remote: Content
    hub: Content


@dataclass(frozen=True, kw_only=True)
class Write:
    """One write to one side. ``content`` is the whole new content of that side, None for a delete."""

    op: OpName
    content: Content | None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A clash to be kept for a person: ``open`` waits for one, ``auto`` was decided and can be flipped."""

    state: Literal["open", "auto"]
    fields: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Pull:
    """What the pull step does. ``bases`` None = there is (to be) no link."""

    hub: Write | None = None
    bases: Bases | None = None
    noted: Noted | None = None


def plan_pull(hub: HubSide | None, remote: RemoteSide, bases: Bases | None, policy: Policy) -> Pull:
    """Take a remote's observation into the hub.

    ======  =======  =======  ===================================================================
    base    hub      remote   decision
    ======  =======  =======  ===================================================================
    b       any      b        move nothing
    b       b        r        r into the hub
    b       h        r        merge by field; a clash by policy, the loser noted
    b       b        gone     delete in the hub
    b       h        gone     edit against delete: by policy, normally unlink, so that push creates it again; noted
    b       deleted  r        delete against edit: by policy, normally the event comes back; noted
    b       deleted  gone     unlink
    none    none     r        create in the hub
    none    h        r        first link: merge against an empty base
    none    any      gone     nothing
    ======  =======  =======  ===================================================================
    """
    bases = None if bases is None else _held(bases, policy)
    if remote.content is None:
        return _pull_gone(hub, bases, policy)
    if bases is None:
        return _pull_first(hub, remote, policy)
    # What the remote means in the hub's terms: its change on top of what the hub had at the last agreement.
    change = diff(bases.remote, remote.content)
    theirs = apply(bases.hub, change)
    moved = Bases(remote=remote.content, hub=theirs)
    if hub is None or hub.deleted:
        return _pull_against_delete(hub, theirs, moved, bases, policy)
    if policy.direction == "push":
        return Pull(bases=moved)
    return _pull_merge(hub, remote, _without_unseen(bases.hub, change), theirs, moved, policy)


def _without_unseen(base: Content, change: Patch) -> Content:
    """The base for a merge, without what the remote replaced but had never shown (it drops what it does not know).

    Whoever typed there cannot have seen the hub's value, so the two clash instead of one giving way.
    """
    unseen: Patch = {}
    for path, (old, new) in change.items():
        value: Any = base
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if old is None and value is not None and value != new:
            unseen[path] = (value, None)
    return apply(base, unseen)


def _held(bases: Bases, policy: Policy) -> Bases:
    """What the remote can hold may shrink (a property was removed there): what went with it is no change."""
    return Bases(remote=project(bases.remote, policy.keeps), hub=project(bases.hub, policy.keeps))


def _pull_gone(hub: HubSide | None, bases: Bases | None, policy: Policy) -> Pull:
    if bases is None or hub is None or hub.deleted or policy.direction == "push":
        return Pull()
    mine = project(hub.content, policy.keeps)
    if mine == bases.hub and not hub.edited:
        return Pull(hub=Write(op="delete", content=None))
    edited = _values(diff(bases.hub, mine), theirs=False)
    # Where nothing is pushed, nothing says how old an edit is; one of fields the remote cannot hold gives way, noted.
    if policy.conflicts == "remote" or (policy.direction == "pull" and not edited):
        # No base holds such fields; so the note keeps them all, also where somebody else brings the event back.
        typed = _values(diff(bases.hub, hub.content), theirs=False)
        fields = (_deletion(hub=False, remote=True, taken="remote"), *typed)
        return Pull(hub=Write(op="delete", content=None), noted=Noted(state="auto", fields=fields))
    # Under `ask` too the edit stays in the hub; the open conflict keeps push from creating it again.
    asked = policy.conflicts == "ask"
    fields = (_deletion(hub=False, remote=True, taken=None if asked else "hub"), *edited)
    return Pull(noted=Noted(state="open" if asked else "auto", fields=fields))


def _pull_first(hub: HubSide | None, remote: RemoteSide, policy: Policy) -> Pull:
    assert remote.content is not None
    found = Bases(remote=remote.content, hub=remote.content)
    if policy.direction == "push":
        return Pull(bases=found) if hub is not None and not hub.deleted else Pull()
    if hub is None or hub.deleted:
        return Pull(hub=Write(op="create", content=remote.content, fields=tuple(sorted(remote.content))), bases=found)
    return _pull_merge(hub, remote, None, remote.content, found, policy)


def _pull_against_delete(hub: HubSide | None, theirs: Content, moved: Bases, bases: Bases, policy: Policy) -> Pull:
    changed = diff(bases.hub, theirs)
    if not changed or hub is None or policy.direction == "push":
        return Pull(bases=moved)
    edited = _values(changed, theirs=True)
    if policy.conflicts in ("hub", "ask"):
        asked = policy.conflicts == "ask"
        fields = (_deletion(hub=True, remote=False, taken=None if asked else "hub"), *edited)
        return Pull(bases=moved, noted=Noted(state="open" if asked else "auto", fields=fields))
    # What the provider cannot hold, or has not been sent yet, comes back from the tombstone.
    merged = merge(bases.hub, project(hub.content, policy.keeps), theirs, prefer="remote")
    full = _canonical(restore(hub.content, merged.content, policy.keeps))
    lost = {clash.name: _clash_entry(clash, "remote") for clash in merged.clashes}
    kept = tuple(entry for entry in edited if entry["name"] not in lost)
    fields = (_deletion(hub=True, remote=False, taken="remote"), *kept, *lost.values())
    back = Write(op="create", content=full, fields=tuple(path_name(path) for path in changed))
    return Pull(hub=back, bases=moved, noted=Noted(state="auto", fields=fields))


def _canonical(content: Content) -> Content:
    from calhub.calendar.ical_write import canonical  # most passes plan nothing, and it brings the whole codec

    return canonical(content)


def _pull_merge(
    hub: HubSide, remote: RemoteSide, base: Content | None, theirs: Content, moved: Bases, policy: Policy
) -> Pull:
    mine = project(hub.content, policy.keeps)
    prefer = _preferred(hub, remote, policy)
    merged = merge(base, mine, theirs, prefer=prefer)
    full = _canonical(restore(hub.content, merged.content, policy.keeps))
    write = None
    if full != hub.content:
        write = Write(op="update", content=full, fields=tuple(changed_fields(hub.content, full)))
    noted = None
    if merged.clashes:
        asked = policy.conflicts == "ask"
        taken = None if asked else prefer
        noted = Noted(
            state="open" if asked else "auto", fields=tuple(_clash_entry(clash, taken) for clash in merged.clashes)
        )
    return Pull(hub=write, bases=moved, noted=noted)


def _preferred(hub: HubSide, remote: RemoteSide, policy: Policy) -> Literal["hub", "remote"]:
    """Who wins a clash. Under `ask` nobody does: the hub keeps its value and push withholds the field."""
    match policy.conflicts:
        case "remote":
            return "remote"
        case "merge" | "newest":
            return "remote" if remote.modified is not None and remote.modified > hub.updated else "hub"
        case _:
            return "hub"


def plan_push(
    hub: HubSide, remote_now: Content | None, bases: Bases | None, policy: Policy, withheld: frozenset[str]
) -> Write | None:
    """The write that brings the remote to the hub's state, or None.

    ``remote_now`` is the remote's present content, equal to ``bases.remote`` after the pull step; only fields that
    differ from ``bases.hub`` are changed in it (I10), and none named in ``withheld``.

    ======  =======  ==========================
    link    hub      decision
    ======  =======  ==========================
    none    h        create, projected
    none    deleted  nothing
    b       b        nothing
    b       h        update the differing fields
    b       deleted  delete
    ======  =======  ==========================
    """
    if policy.direction == "pull" or "deleted" in withheld:
        return None
    if bases is None:
        if hub.deleted:
            return None
        content = project(hub.content, policy.keeps)
        return Write(op="create", content=content, fields=tuple(sorted(content)))
    if hub.deleted:
        return Write(op="delete", content=None)
    bases = _held(bases, policy)
    mine = project(hub.content, policy.keeps)
    patch = {path: pair for path, pair in diff(bases.hub, mine).items() if path_name(path) not in withheld}
    if not patch or remote_now is None:
        return None
    target = apply(remote_now, patch)
    if target == remote_now:
        return None
    return Write(op="update", content=target, fields=tuple(path_name(path) for path in patch))


def unholdable(content: Content, keeps: frozenset[str]) -> str | None:
    """Why the event cannot be written to a provider without saying something else there; None if it can.

    A field left out is a field less. But a change of all later instances, without ``following``, is another change.
    """
    if "following" not in keeps and any(patch.get("following") for patch in content.get("overrides", {}).values()):
        return "The service has no changes of an instance and all later ones; the series is whole in the hub."
    return None


def _deletion(*, hub: bool, remote: bool, taken: str | None) -> dict[str, Any]:
    return {"name": "deleted", "base": False, "hub": hub, "remote": remote, "taken": taken}


def _values(patch: dict[tuple[str, ...], tuple[Any, Any]], *, theirs: bool) -> tuple[dict[str, Any], ...]:
    """The values an edit made, kept beside a deletion so that nothing typed is lost."""
    return tuple(
        {
            "name": path_name(path),
            "base": _json(old),
            "hub": None if theirs else _json(new),
            "remote": _json(new) if theirs else None,
            "taken": "remote" if theirs else "hub",
        }
        for path, (old, new) in patch.items()
    )


def _json(value: Any) -> Any:
    """A patch's value as JSON: a field cleared in one instance reads as none."""
    return None if value is CLEARED else value


def _clash_entry(clash: Clash, taken: str | None) -> dict[str, Any]:
    return {"name": clash.name, "base": clash.base, "hub": clash.hub, "remote": clash.remote, "taken": taken}
