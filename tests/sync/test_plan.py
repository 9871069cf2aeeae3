"""The planner alone: a base and two perturbations of it, against simulated success (engine.md 6, first row)."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calhub.calendar.event import FIELDS, Content
from calhub.calendar.fields import diff, project
from calhub.sync.plan import Bases, HubSide, Policy, RemoteSide, plan_pull, plan_push
from calhub.testing.world import plain

TEXT = st.text("abc", min_size=1, max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "title": TEXT,
    "location": TEXT,
    "description": TEXT,
    "start": st.sampled_from(["2026-11-23T09:00:00", "2026-11-23T10:00:00"]),
    "end": st.sampled_from(["2026-11-23T14:00:00", "2026-11-23T15:00:00"]),
    "categories": st.lists(TEXT, min_size=1, max_size=2, unique=True).map(sorted),
    "attendees": st.dictionaries(
        st.sampled_from(["a@x", "b@x"]), st.fixed_dictionaries({"status": st.sampled_from(["accepted", "declined"])}),
        min_size=1,
    ),
    "extra": st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.lists(TEXT, min_size=1, max_size=1), min_size=1),
}  # fmt: skip


@st.composite
def edits(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=4))
    optional = {"title", "location", "description", "categories", "attendees", "extra"}
    return {name: draw(VALUES[name] | st.none() if name in optional else VALUES[name]) for name in sorted(names)}


def perturbed(base: Content, changes: dict[str, Any]) -> Content:
    return {name: value for name, value in {**copy.deepcopy(base), **changes}.items() if value is not None}


contents = edits().map(lambda changes: perturbed(plain(), changes))
perturbations = st.none() | edits()
policies = st.sampled_from(["merge", "newest", "hub", "remote"])
keeps = st.sampled_from([FIELDS, FIELDS - {"location", "extra"}])


@settings(max_examples=500, deadline=None)
@given(contents, perturbations, perturbations, policies, keeps, st.booleans())
def test_two_perturbations_converge_and_lose_nothing(
    base: Content,
    hub_edit: dict[str, Any] | None,
    remote_edit: dict[str, Any] | None,
    conflicts: Any,
    keeps: frozenset[str],
    remote_later: bool,
) -> None:
    """One pull and one push, each pretended to succeed: both sides equal, every value in place or in the conflict."""
    policy = Policy(conflicts=conflicts, keeps=keeps)
    shown = project(base, keeps)
    hub_content = base if hub_edit is None else perturbed(base, hub_edit)
    hub = HubSide(
        content=hub_content, deleted=hub_edit is None, updated="2026-11-21T08:00:00.000Z", edited=bool(hub_edit)
    )
    stamp = "2026-11-21T09:00:00.000Z" if remote_later else "2026-11-21T07:00:00.000Z"
    remote_content = None if remote_edit is None else project(perturbed(shown, remote_edit), keeps)
    bases: Bases | None = Bases(remote=shown, hub=shown)

    pull = plan_pull(hub, RemoteSide(content=remote_content, modified=stamp), bases, policy)
    after = hub
    if pull.hub is not None:
        gone = pull.hub.content is None
        after = HubSide(content=pull.hub.content or hub.content, deleted=gone, updated=hub.updated)
    bases = pull.bases
    push = plan_push(after, remote_content, bases, policy, frozenset())
    remote_after = remote_content
    if push is not None:
        remote_after = push.content

    if after.deleted:
        assert remote_after is None
    else:
        assert remote_after == project(after.content, keeps)
    _check_no_value_lost(base, shown, hub_content, remote_content, hub.deleted, after, pull.noted)


def _check_no_value_lost(
    base: Content, shown: Content, mine: Content, theirs: Content | None, mine_deleted: bool, after: HubSide, noted: Any
) -> None:
    """Each edited value is in the result (or in the tombstone that a noted deletion keeps), or in the conflict (Q2)."""
    kept = {entry["name"]: entry for entry in noted.fields} if noted else {}
    sides = []
    if not mine_deleted:
        sides.append(("hub", diff(base, mine)))
    if theirs is not None:
        sides.append(("remote", diff(shown, theirs)))
    for side, patch in sides:
        for path, (_, new) in patch.items():
            name = "/".join(path)
            value: Any = after.content
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            in_result = (not after.deleted or "deleted" in kept) and (value == new or path[0] == "categories")
            assert in_result or any(
                name == known or name.startswith(known + "/") or known.startswith(name + "/") for known in kept
            ), (side, name, new, after, kept)


@settings(max_examples=200, deadline=None)
@given(contents, edits(), keeps)
def test_settled_pair_plans_nothing(base: Content, changes: dict[str, Any], keeps: frozenset[str]) -> None:
    """Where hub, remote and bases agree there is no work, however often one asks."""
    content = perturbed(base, changes)
    shown = project(content, keeps)
    policy = Policy(keeps=keeps)
    hub = HubSide(content=content, deleted=False, updated="2026-11-21T08:00:00.000Z")

    pull = plan_pull(hub, RemoteSide(content=shown), Bases(remote=shown, hub=shown), policy)

    assert pull.hub is None
    assert pull.noted is None
    assert plan_push(hub, shown, pull.bases, policy, frozenset()) is None
