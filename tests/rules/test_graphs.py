"""Any rules between any calendars, cycles and overlaps included: after any edits a few passes, then silence."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rules.town import Town, instants

from calhub.calendar.mark import is_copy
from calhub.rules.validate import validate

NAMES = "abcde"
PAIRS = list(permutations(NAMES, 2))
UIDS = ["u1", "u2", "u3"]

#: Everything in an event that is nobody else's business.
SECRET: dict[str, Any] = {
    "title": "token", "description": "token", "location": "token", "categories": ["token"], "url": "https://token",
    "attendees": {"token@example.com": {"name": "token"}}, "extra": {"X-TOKEN": ["X-TOKEN:token"]},
}  # fmt: skip


@contextmanager
def new_town() -> Iterator[Town]:
    with tempfile.TemporaryDirectory() as folder:
        town = Town(Path(folder) / "home", NAMES)
        try:
            yield town
        finally:
            town.hub.close()


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A single event or a series with exceptions; busy or not."""
    day, hour = draw(st.integers(22, 28)), draw(st.integers(8, 16))
    fields: dict[str, Any] = SECRET | {
        "start": f"2026-11-{day}T{hour:02}:00:00",
        "end": f"2026-11-{day}T{hour + 1:02}:00:00",
    }
    if draw(st.booleans()):
        fields["rrule"] = draw(st.sampled_from(["FREQ=DAILY;COUNT=4", "FREQ=WEEKLY;COUNT=3", "FREQ=DAILY"]))
        rid = f"2026-11-{day}T{hour:02}:00:00+01:00"
        patches = [
            {"title": "token"}, {"status": "cancelled"}, {"busy": False}, {"busy": True},
            {"start": f"2026-11-{day}T19:00:00", "end": f"2026-11-{day}T20:00:00", "description": "token"},
        ]  # fmt: skip
        patch = draw(st.none() | st.sampled_from(patches))
        fields |= {"overrides": {rid: patch}} if patch else {}
    if draw(st.integers(0, 4)) == 0:
        fields |= draw(st.sampled_from([{"busy": False}, {"status": "cancelled"}, {"status": "tentative"}]))
    return fields


#: Where, what, with which content: what one user does.
actions = st.tuples(
    st.sampled_from(NAMES), st.sampled_from(["put", "put", "put", "delete", "touch", "drop", "sync"]),
    st.sampled_from(UIDS), events(), st.integers(0, 20),
)  # fmt: skip


def act(town: Town, action: tuple[str, str, str, dict[str, Any], int]) -> bool:
    """Returns whether there was anything to do."""
    where, what, uid, fields, number = action
    copies = sorted(town.copies(where))
    if what == "put":
        town.put(where, uid, **fields)
    elif what == "delete" and uid in town.own(where):
        town.delete(where, uid)
    elif what == "touch" and copies:
        town.edit(where, copies[number % len(copies)], title="by hand")
    elif what == "drop" and copies:
        town.delete(where, copies[number % len(copies)])
    else:
        return False
    return True


def busy_in(town: Town, source: str, target: str) -> Counter[tuple[int, int]]:
    """The instances of the source that should have blocks in the target, by a plain reading of the rules."""
    there = town.own(target)
    found: Counter[tuple[int, int]] = Counter()
    for uid, content in town.own(source).items():
        if uid in there:
            continue
        master = content.get("busy", True) and content.get("status") != "cancelled"
        overrides = content.get("overrides", {})
        for rid, patch in overrides.items():
            fields = content | patch
            if fields.get("busy", True) and fields.get("status") != "cancelled":
                moved = {name: fields[name] for name in ("start", "end")} if "start" in patch else None
                single = moved or {"start": rid[:19], "end": content["end"][:11] + content["end"][11:]}
                found.update(instants({"time_zone": "Europe/Berlin"} | single))
        if master:
            dropped = sorted({*content.get("exdates", ()), *overrides})
            plain = {name: value for name, value in content.items() if name != "overrides"}
            found.update(instants(plain | ({"exdates": dropped} if dropped and "rrule" in content else {})))
    return found


def check(town: Town, pairs: list[tuple[str, str]]) -> None:
    for target in NAMES:
        expected: Counter[tuple[int, int]] = Counter()
        for source, other in pairs:
            if other == target:
                expected += busy_in(town, source, target)
        copies = town.copies(target).values()
        assert Counter(moment for copy in copies for moment in instants(copy)) == expected
        assert "token" not in str(list(copies))
        assert {copy["title"] for copy in copies} <= {"Busy"}
    assert validate(town.hub, town.connect, full=True)["findings"] == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(PAIRS), min_size=1, max_size=10, unique=True), st.lists(actions, min_size=1, max_size=12)
)
def test_any_graph_comes_to_rest(
    pairs: list[tuple[str, str]], done: list[tuple[str, str, str, dict[str, Any], int]]
) -> None:
    """As many writes as edits times rules at most, every copy says when and no more, and none is a copy of a copy."""
    with new_town() as town:
        for source, target in pairs:
            town.rule("mirror", source, target)
        edits = before = 0
        for action in done:
            if action[1] == "sync":
                town.sync()
            edits += act(town, action)
        town.settle()

        assert town.writes - before <= edits * (len(pairs) + 1)
        check(town, pairs)
        assert town.settle() == 0


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(PAIRS), min_size=1, max_size=6, unique=True), st.lists(actions, min_size=1, max_size=6),
    st.lists(st.sampled_from(PAIRS), max_size=6, unique=True),
)  # fmt: skip
def test_other_rules_leave_nothing_behind(
    before: list[tuple[str, str]], done: list[tuple[str, str, str, dict[str, Any], int]], after: list[tuple[str, str]]
) -> None:
    """Rules come and go; what is there at the end is what the last ones make."""
    with new_town() as town:
        rules = {pair: town.rule("mirror", *pair, keep=["title", "description"]) for pair in before}
        for action in done:
            act(town, action)
        town.settle()
        for pair, rule in rules.items():
            if pair not in after:
                town.drop_rule(rule)
        for pair in after:
            town.rule("mirror", *pair)
        town.settle()

        check(town, after)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=8, unique=True), st.lists(actions, min_size=1, max_size=8))
def test_a_lost_hub_doubles_nothing(
    pairs: list[tuple[str, str]], done: list[tuple[str, str, str, dict[str, Any], int]]
) -> None:
    with new_town() as town, tempfile.TemporaryDirectory() as folder:
        for pair in pairs:
            town.rule("mirror", *pair)
        for action in done:
            act(town, action)
        town.settle()
        town.lose_the_hub(Path(folder) / "home")
        for pair in pairs:
            town.rule("mirror", *pair)

        assert town.settle() == 0
        check(town, pairs)
        assert all(is_copy(uid) or uid in UIDS for name in NAMES for uid in town.shown(name))
