"""Diff, apply, project and the three-way merge."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhub.calendar.event import FIELDS, RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.fields import (
    CANCELLED,
    CLEARED,
    Clash,
    apply,
    changed_fields,
    diff,
    merge,
    path_name,
    project,
    restore,
)
from calhub.calendar.recurrence import expand, validate

Prefer = Literal["hub", "remote"]
IDS = [f"2026-01-{day:02}T10:00:00+01:00" for day in (5, 12, 19, 26)]
ADDRESSES = ["ann@example.org", "bob@example.org", "cho@example.org"]
TEXTS = st.sampled_from(["a", "b", "c", "d", "e"])
PLAIN_FIELDS = ("title", "description", "location", "url", "color", "status", "privacy", "priority", "alarms")


def instance_patches() -> st.SearchStrategy[Content]:
    """What an override may say."""
    moved = st.sampled_from(["08", "14", "16"]).map(
        lambda hour: {"start": f"2026-01-07T{hour}:00:00", "end": f"2026-01-07T{hour}:30:00"}
    )
    said = st.dictionaries(st.sampled_from(["title", "location"]), st.none() | TEXTS, min_size=1)
    return st.one_of(said, moved, st.tuples(said, moved).map(lambda both: both[0] | both[1]))


def set_of(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.sets(st.sampled_from(values), min_size=1).map(sorted)


FIELD_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "title": TEXTS,
    "description": TEXTS,
    "location": TEXTS,
    "url": TEXTS,
    "color": TEXTS,
    "status": st.sampled_from(["tentative", "cancelled"]),
    "privacy": st.sampled_from(["private", "confidential"]),
    "busy": st.just(False),
    "priority": st.integers(1, 9),
    "alarms": st.lists(st.builds(dict, trigger=st.sampled_from(["-PT5M", "-PT15M"])), min_size=1, max_size=2),
    "categories": set_of(["home", "work", "trip"]),
    "attendees": st.dictionaries(
        st.sampled_from(ADDRESSES),
        st.dictionaries(st.sampled_from(["name", "status", "role"]), TEXTS),
        min_size=1,
    ),
    "extra": st.dictionaries(st.sampled_from(["X-ONE", "X-TWO"]), st.lists(TEXTS, min_size=1), min_size=1),
    "rrule": st.sampled_from(["FREQ=WEEKLY;COUNT=8", "FREQ=WEEKLY;BYDAY=MO", "FREQ=DAILY"]),
    "exdates": set_of(IDS),
    "rdates": set_of([f"2026-02-{day:02}T12:00:00+01:00" for day in (3, 4, 5)]),
    "overrides": st.dictionaries(st.sampled_from(IDS), instance_patches(), min_size=1),
}


@st.composite
def contents(draw: st.DrawFn, *, start: str | None = "2026-01-05T10:00:00") -> Content:
    """A valid content; with ``start`` None one of several starts."""
    start = start or draw(st.sampled_from(["2026-01-05T10:00:00", "2026-01-05T11:00:00", "2026-01-06T10:00:00"]))
    hours = draw(st.integers(0, 3))
    end = (datetime.fromisoformat(start) + timedelta(hours=hours)).isoformat()
    content: Content = {"start": start, "end": end, "time_zone": "Europe/Berlin"}
    for name in draw(st.sets(st.sampled_from(sorted(FIELD_VALUES)))):
        content[name] = draw(FIELD_VALUES[name])
    clean = [rid for rid in content.get("exdates", ()) if rid not in content.get("overrides", {})]
    content.pop("exdates", None)
    return content | ({"exdates": clean} if clean else {})


@st.composite
def edits(draw: st.DrawFn, base: Content, *, start: str | None = "2026-01-05T10:00:00") -> Content:
    """The base with some of its fields as another content has them."""
    other = draw(contents(start=start))
    unit = {*TIME_UNIT} if draw(st.booleans()) else set()
    names = draw(st.sets(st.sampled_from(sorted({*FIELD_VALUES})))) | unit
    result = {name: value for name, value in base.items() if name not in names}
    result |= {name: value for name, value in other.items() if name in names}
    clean = [rid for rid in result.get("exdates", ()) if rid not in result.get("overrides", {})]
    result.pop("exdates", None)
    return result | ({"exdates": clean} if clean else {})


@st.composite
def triples(draw: st.DrawFn, *, start: str | None = "2026-01-05T10:00:00") -> tuple[Content, Content, Content]:
    """A base and two edits of it: correlated, as real ones are."""
    base = draw(contents())
    return base, draw(edits(base, start=start)), draw(edits(base, start=start))


PREFER = st.sampled_from(["hub", "remote"])
MOVING = triples(start=None)


@given(MOVING)
def test_apply_undoes_diff(triple: tuple[Content, Content, Content]) -> None:
    """A diff applied to what it was taken from gives the other content, and nothing is changed in place."""
    _, one, other = triple
    kept = copy.deepcopy(one)

    assert other == apply(one, diff(one, other))
    assert kept == one


@given(MOVING, PREFER)
def test_merge_with_one_side_unchanged(triple: tuple[Content, Content, Content], prefer: Prefer) -> None:
    """A change of one side is taken as it is, without a clash."""
    base, changed, _ = triple

    for merged in (merge(base, changed, base, prefer=prefer), merge(base, base, changed, prefer=prefer)):
        assert changed == merged.content
        assert merged.clashes == ()


@given(MOVING, PREFER)
def test_merge_of_equal_changes(triple: tuple[Content, Content, Content], prefer: Prefer) -> None:
    """The same change on both sides is agreement."""
    base, changed, _ = triple

    for old in (base, None):
        merged = merge(old, changed, copy.deepcopy(changed), prefer=prefer)
        assert changed == merged.content
        assert merged.clashes == ()


@given(MOVING, st.booleans())
def test_merge_is_symmetric(triple: tuple[Content, Content, Content], empty: bool) -> None:
    """Swapping the sides together with the preference gives the same content and the mirrored clashes."""
    base, hub, remote = triple
    old = None if empty else base
    one = merge(old, hub, remote, prefer="hub")
    two = merge(old, remote, hub, prefer="remote")

    assert one.content == two.content
    assert [Clash(c.name, c.base, c.remote, c.hub) for c in two.clashes] == list(one.clashes)


@given(triples(), PREFER, st.booleans())
def test_merge_never_invents(triple: tuple[Content, Content, Content], prefer: Prefer, empty: bool) -> None:
    """Every value of the result is one that a side has."""
    base, hub, remote = triple
    merged = merge(None if empty else base, hub, remote, prefer=prefer).content
    known = leaves(hub) | leaves(remote)

    assert leaves(merged) <= known


def leaves(content: Content) -> set[tuple[str, str]]:
    """Every value by the path it is at; members of sets one by one."""
    found = set()
    for name, value in content.items():
        if name in ("categories", "exdates", "rdates"):
            found |= {(name, member) for member in value}
        elif name in ("attendees", "overrides"):
            found |= {
                (f"{name}/{key}/{field}", repr(v)) for key, record in value.items() for field, v in record.items()
            }
        elif name == "extra":
            found |= {(f"{name}/{key}", repr(v)) for key, v in value.items()}
        else:
            found.add((name, repr(value)))
    return found


@given(MOVING, PREFER)
def test_merge_is_idempotent(triple: tuple[Content, Content, Content], prefer: Prefer) -> None:
    """Merging the result again with either side, or as both sides, changes nothing."""
    base, hub, remote = triple
    merged = merge(base, hub, remote, prefer=prefer).content

    assert merged == merge(base, merged, merged, prefer=prefer).content
    emptied = {*hub.get("overrides", ())} & {*remote.get("overrides", ())} - {*merged.get("overrides", ())}
    if not emptied and all(side["start"] == base["start"] for side in (hub, remote)):
        assert merged == merge(base, merged, remote, prefer="hub").content
        assert merged == merge(base, hub, merged, prefer="remote").content


@given(triples(), PREFER)
def test_merge_keeps_disjoint_edits(triple: tuple[Content, Content, Content], prefer: Prefer) -> None:
    """Fields that only one side changed are in the result as that side has them."""
    base, hub, remote = triple
    merged = merge(base, hub, remote, prefer=prefer).content

    for name in PLAIN_FIELDS:
        if base.get(name) == remote.get(name):
            assert hub.get(name) == merged.get(name)
        if base.get(name) == hub.get(name):
            assert remote.get(name) == merged.get(name)


@given(triples(), PREFER, st.booleans())
def test_clashes_tell_the_truth(triple: tuple[Content, Content, Content], prefer: Prefer, empty: bool) -> None:
    """A clash shows what each side has, its sides differ, and a plain field is the preferred side's."""
    base, hub, remote = triple
    merged = merge(None if empty else base, hub, remote, prefer=prefer)
    sides = {"base": {} if empty else base, "hub": hub, "remote": remote}

    assert len({clash.name for clash in merged.clashes}) == len(merged.clashes)
    for clash in merged.clashes:
        assert clash.hub != clash.remote
        path = tuple(clash.name.split("/"))
        for name, side in sides.items():
            shown = getattr(clash, name)
            assert shown == value_at(side, path) or (shown == CANCELLED and path[1] in side["exdates"])
        if len(path) == 1:
            assert sides[prefer].get(path[0]) == merged.content.get(path[0]) or path[0] == "exdates"


def value_at(content: Content, path: tuple[str, ...]) -> Any:
    value: Any = content
    for part in path:
        value = value.get(part) if value is not None else None
    return value


@given(MOVING, PREFER, st.booleans())
def test_merge_is_valid_and_canonical(triple: tuple[Content, Content, Content], prefer: Prefer, empty: bool) -> None:
    """The result can be stored: valid times and rules, no empty collections, sorted sets."""
    base, hub, remote = triple
    merged = merge(None if empty else base, hub, remote, prefer=prefer).content

    validate(merged)
    list(expand(merged, 0, 1 << 32, limit=50))
    assert all(value not in (None, [], {}) for value in merged.values())
    for name in ("categories", "exdates", "rdates", "overrides", "attendees"):
        assert sorted(merged.get(name, ())) == list(merged.get(name, ()))


@given(MOVING, PREFER)
def test_units_come_from_one_side(triple: tuple[Content, Content, Content], prefer: Prefer) -> None:
    """Start, end and zone are never mixed."""
    base, hub, remote = triple
    merged = merge(base, hub, remote, prefer=prefer).content
    times = [{name: side.get(name) for name in TIME_UNIT} for side in (merged, hub, remote)]

    assert times[0] in times[1:]


def series(**changes: Any) -> Content:
    content = {"title": "a", "start": "2026-01-05T10:00:00", "end": "2026-01-05T11:00:00", "time_zone": "Europe/Berlin"}
    return content | {"rrule": "FREQ=WEEKLY"} | changes


def test_clash_of_times_takes_the_whole_unit() -> None:
    """Moved here and prolonged there: the times come from one side, with a clash for each field that differs."""
    base = series()
    hub = series(start="2026-01-05T12:00:00", end="2026-01-05T13:00:00")
    remote = series(end="2026-01-05T11:30:00")
    merged = merge(base, hub, remote, prefer="remote")

    assert remote == merged.content
    assert (
        Clash("start", base["start"], hub["start"], remote["start"]),
        Clash("end", base["end"], hub["end"], remote["end"]),
    ) == merged.clashes


def test_clash_of_rules() -> None:
    """Two different rules: rule and exceptions come from the preferred side."""
    base = series(exdates=[IDS[1]])
    hub = series(rrule="FREQ=DAILY", exdates=[IDS[1]])
    remote = series(rrule="FREQ=MONTHLY", exdates=[IDS[2]])
    merged = merge(base, hub, remote, prefer="hub")

    assert hub == merged.content
    assert [clash.name for clash in merged.clashes] == ["rrule", "exdates"]


def test_exceptions_merge_as_sets() -> None:
    """Instances cancelled here, others cancelled and one restored there: all of it survives."""
    base = series(exdates=IDS[:2])
    merged = merge(base, series(exdates=IDS[:3]), series(exdates=[IDS[1], IDS[3]]), prefer="hub")

    assert series(exdates=IDS[1:]) == merged.content
    assert merged.clashes == ()


def test_attendees_merge_by_attribute() -> None:
    """One side renames a participant and invites another, the other side sees an answer."""
    base = series(attendees={"a@x": {"name": "A"}})
    hub = series(attendees={"a@x": {"name": "Ann"}, "b@x": {}})
    remote = series(attendees={"a@x": {"name": "A", "status": "accepted"}})
    merged = merge(base, hub, remote, prefer="hub")

    assert merged.content["attendees"] == {"a@x": {"name": "Ann", "status": "accepted"}, "b@x": {}}
    assert merged.clashes == ()


def test_attendee_attribute_clash() -> None:
    """Two different answers clash under the attendee's name."""
    sides = [series(attendees={"a@x": {"status": status}}) for status in ("tentative", "accepted", "declined")]
    merged = merge(*sides, prefer="remote")

    assert sides[2] == merged.content
    assert (Clash("attendees/a@x/status", "tentative", "accepted", "declined"),) == merged.clashes


@pytest.mark.parametrize("prefer", ["hub", "remote"])
def test_edited_instance_survives_reset(prefer: Prefer) -> None:
    """An override taken back on one side and edited on the other stays, whoever is preferred."""
    base = series(overrides={IDS[1]: {"title": "b"}})
    remote = series(overrides={IDS[1]: {"title": "c"}})
    merged = merge(base, series(), remote, prefer=prefer)

    assert remote == merged.content
    assert (Clash(f"overrides/{IDS[1]}", {"title": "b"}, None, {"title": "c"}),) == merged.clashes


@pytest.mark.parametrize("prefer", ["hub", "remote"])
@pytest.mark.parametrize("base", [series(), series(overrides={IDS[1]: {"title": "b"}})])
def test_edited_instance_survives_cancelling(base: Content, prefer: Prefer) -> None:
    """An instance cancelled on one side and edited on the other stays; the other cancelled one does not."""
    hub = series(exdates=IDS[1:3])
    remote = series(overrides={IDS[1]: {"title": "c"}})
    merged = merge(base, hub, remote, prefer=prefer)

    assert series(exdates=[IDS[2]], overrides={IDS[1]: {"title": "c"}}) == merged.content
    old = base.get("overrides", {}).get(IDS[1])
    assert (Clash(f"overrides/{IDS[1]}", old, CANCELLED, {"title": "c"}),) == merged.clashes


def test_exdate_beside_override_of_one_side_stays() -> None:
    """Where one side has both for an instance, as some services do, that is no clash."""
    both = series(exdates=[IDS[1]], overrides={IDS[1]: {"title": "c"}})
    merged = merge(series(), both, series(), prefer="remote")

    assert both == merged.content
    assert merged.clashes == ()


def test_override_fields_merge() -> None:
    """The same instance moved here and renamed there is moved and renamed; None is a value."""
    times = {"start": "2026-01-12T15:00:00", "end": "2026-01-12T16:00:00"}
    base = series(location="x", overrides={IDS[1]: {"title": "b"}})
    hub = series(location="x", overrides={IDS[1]: {"title": "b"} | times})
    remote = series(location="x", overrides={IDS[1]: {"title": "b", "location": None}})
    merged = merge(base, hub, remote, prefer="hub")

    assert {IDS[1]: {"title": "b", "location": None} | times} == merged.content["overrides"]
    assert merged.clashes == ()


def test_override_that_lost_all_its_fields_goes() -> None:
    """Each side takes back another field of the instance: nothing is left of the override."""
    base = series(overrides={IDS[1]: {"title": "b", "location": "y"}})
    hub = series(overrides={IDS[1]: {"title": "b"}})
    remote = series(overrides={IDS[1]: {"location": "y"}})

    assert series() == merge(base, hub, remote, prefer="hub").content


def test_moved_start_takes_the_other_sides_instances_along() -> None:
    """The series is moved here; there one instance is edited and one cancelled: both follow the move."""
    until = "FREQ=WEEKLY;UNTIL=20260202T090000Z"
    base = series(rrule=until, overrides={IDS[1]: {"title": "b"}})
    new = [rid.replace("T10", "T11") for rid in IDS]
    times = {"start": "2026-01-05T11:00:00", "end": "2026-01-05T12:00:00"}
    hub = series(rrule="FREQ=WEEKLY;UNTIL=20260202T100000Z", overrides={new[1]: {"title": "b"}}, **times)
    remote = series(rrule=until, overrides={IDS[1]: {"title": "c"}}, exdates=[IDS[2]])
    merged = merge(base, hub, remote, prefer="hub")

    assert hub | {"overrides": {new[1]: {"title": "c"}}, "exdates": [new[2]]} == merged.content
    assert merged.clashes == ()


def test_start_moved_along_its_series_leaves_ids_alone() -> None:
    """A series that only begins a week later names its instances as before."""
    hub = series(start="2026-01-12T10:00:00", end="2026-01-12T11:00:00")
    remote = series(exdates=[IDS[2]])

    assert hub | {"exdates": [IDS[2]]} == merge(series(), hub, remote, prefer="hub").content


def test_private_zone_comes_with_the_times_that_need_it() -> None:
    """The side whose times win brings the definition of their zone, even where the other side dropped it."""
    text = (
        "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
        "TZOFFSETFROM:+0130\r\nTZOFFSETTO:+0130\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )
    base = series(time_zone="Ours", zones={"Ours": text}, exdates=["2026-01-12T10:00:00+01:30"])
    remote = base | {"start": "2026-01-05T09:00:00", "exdates": ["2026-01-12T09:00:00+01:30"]}
    merged = merge(base, series(exdates=[IDS[1]]), remote, prefer="remote")

    assert remote == merged.content


def test_without_base_what_only_one_side_has_is_kept() -> None:
    """An empty base: equal fields agree, one-sided ones stay, differing ones clash."""
    merged = merge(None, series(location="x"), series(title="b", url="u"), prefer="remote")

    assert series(title="b", location="x", url="u") == merged.content
    assert (Clash("title", None, "a", "b"),) == merged.clashes


def test_diff_tells_clearing_from_inheriting() -> None:
    """An instance that lacks the master's location is something else than one that has it."""
    inherits = series(location="x", overrides={IDS[1]: {"title": "b"}})
    lacks = series(location="x", overrides={IDS[1]: {"title": "b", "location": None}})
    patch = diff(inherits, lacks)

    assert {("overrides", IDS[1], "location"): (None, CLEARED)} == patch
    assert lacks == apply(inherits, patch)
    assert inherits == apply(lacks, diff(lacks, inherits))


def test_diff_names_parts_of_keyed_fields() -> None:
    """Participants, overrides and unknown properties are told apart by key."""
    one = series(attendees={"a@x": {"name": "A"}, "b@x": {}}, extra={"X-FOO": ["X-FOO:1"]})
    two = series(attendees={"a@x": {"name": "B"}, "c@x": {}}, overrides={IDS[0]: {"title": "b"}})

    assert ["attendees/a@x/name", "attendees/b@x", "attendees/c@x", "extra/X-FOO", f"overrides/{IDS[0]}"] == (
        changed_fields(one, two)
    )
    assert path_name(("overrides", "1", "title")) == "overrides/1/title"


def test_apply_joins_records_that_both_sides_added() -> None:
    """A patch that adds an attendee who is there already keeps what is known of them."""
    patched = apply(series(attendees={"a@x": {"name": "A"}}), {("attendees", "a@x"): (None, {"status": "accepted"})})

    assert patched["attendees"] == {"a@x": {"name": "A", "status": "accepted"}}


def test_project_reaches_into_overrides() -> None:
    """What a service cannot hold is gone from overrides too, with those that said nothing else."""
    content = series(color="red", overrides={IDS[0]: {"color": "blue"}, IDS[1]: {"color": None, "title": "b"}})
    keeps = frozenset({*TIME_UNIT, *RECURRENCE_UNIT, "title", "overrides"})

    assert series(overrides={IDS[1]: {"title": "b"}}) == project(content, keeps)


def test_project_tells_the_end_in_the_zone_of_the_start() -> None:
    """A flight for a service with one zone per event lands at the same instant."""
    flight = series(end="2026-01-05T12:00:00", end_time_zone="America/New_York")
    keeps = frozenset({"start", "end", "time_zone", "title", "rrule"})

    assert series(end="2026-01-05T18:00:00") == project(flight, keeps)


# What a provider that keeps less than all can hold, and the way back.

INSTANTS = FIELDS - {"time_zone", "end_time_zone", "zones"}


@pytest.mark.parametrize(
    ("content", "held"),
    [
        (
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00", "time_zone": "Europe/Berlin"},
            {"start": "2026-07-01T08:00:00", "end": "2026-07-01T09:00:00", "time_zone": "UTC"},
        ),
        (
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00"},
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00", "time_zone": "UTC"},
        ),
        (
            {
                "start": "2026-07-01T10:00:00", "end": "2026-07-01T10:30:00", "time_zone": "Europe/Berlin",
                "end_time_zone": "Europe/Lisbon",
            },
            {"start": "2026-07-01T08:00:00", "end": "2026-07-01T09:30:00", "time_zone": "UTC"},
        ),
        ({"start": "2026-07-01", "all_day": True}, {"start": "2026-07-01", "all_day": True}),
        (
            {"start": "2026-07-01T10:00:00", "time_zone": "Europe/Berlin", "rrule": "FREQ=DAILY"},
            {"start": "2026-07-01T10:00:00", "time_zone": "Europe/Berlin", "rrule": "FREQ=DAILY"},
        ),
    ],
)  # fmt: skip
def test_without_zones_times_are_instants(content: Content, held: Content) -> None:
    """A single event is told in UTC; a series stays in its zone."""
    assert held == project(content, INSTANTS)
    assert held == project(held, INSTANTS)


@pytest.mark.parametrize(
    ("content", "held", "expected"),
    [
        (
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00", "time_zone": "Europe/Berlin"},
            {"start": "2026-12-01T08:00:00", "end": "2026-12-01T09:30:00", "time_zone": "UTC"},
            {"start": "2026-12-01T09:00:00", "end": "2026-12-01T10:30:00", "time_zone": "Europe/Berlin"},
        ),
        (
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00"},
            {"start": "2026-07-01T12:00:00", "end": "2026-07-01T13:00:00", "time_zone": "UTC"},
            {"start": "2026-07-01T12:00:00", "end": "2026-07-01T13:00:00"},
        ),
        (
            {
                "start": "2026-07-01T10:00:00", "end": "2026-07-01T10:30:00", "time_zone": "Europe/Berlin",
                "end_time_zone": "Europe/Lisbon",
            },
            {"start": "2026-07-01T09:00:00", "end": "2026-07-01T10:30:00", "time_zone": "UTC"},
            {
                "start": "2026-07-01T11:00:00", "end": "2026-07-01T11:30:00", "time_zone": "Europe/Berlin",
                "end_time_zone": "Europe/Lisbon",
            },
        ),
        (
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00", "time_zone": "Europe/Berlin"},
            {"start": "2026-07-01", "end": "2026-07-02", "all_day": True},
            {"start": "2026-07-01", "end": "2026-07-02", "all_day": True},
        ),
        (
            {"start": "2026-07-01", "end": "2026-07-02", "all_day": True},
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00", "time_zone": "UTC"},
            {"start": "2026-07-01T10:00:00", "end": "2026-07-01T11:00:00", "time_zone": "UTC"},
        ),
    ],
)  # fmt: skip
def test_times_come_back_by_the_clocks_they_were_in(content: Content, held: Content, expected: Content) -> None:
    """What moved there moves here; the zones stay, and so does what cannot be held."""
    content, expected = ({**each, "title": "Lunch", "color": "red"} for each in (content, expected))
    keeps = INSTANTS - {"color"}

    assert expected == restore(content, {**held, "title": "Lunch"}, keeps)
    assert {**held, "title": "Lunch"} == project(expected, keeps)


def test_nothing_changed_there_changes_nothing_here() -> None:
    content = {"start": "2026-10-25T02:30:00", "time_zone": "Europe/Berlin", "title": "Twice in that night"}

    assert content == restore(content, project(content, INSTANTS), INSTANTS)
