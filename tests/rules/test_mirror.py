"""Busy blocks, as people meet them: in the services, after a sync."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.rules.town import Town, instants, said

from calhub.calendar.mark import PROPERTY, copy_uid
from calhub.hub import accounts
from calhub.rules.derive import preview
from calhub.sync import engine

WEEKLY: dict[str, Any] = {
    "start": "2026-11-23T10:00:00",
    "end": "2026-11-23T11:00:00",
    "time_zone": "Europe/Berlin",
    "rrule": "FREQ=WEEKLY;COUNT=6",
}
SECRETS: dict[str, Any] = {
    "title": "Interview at Rival & Co",
    "description": "salary",
    "location": "Rival's office",
    "url": "https://rival.example/jobs",
    "categories": ["career"],
    "attendees": {"boss@rival.example": {"name": "Boss"}},
    "organizer": {"email": "boss@rival.example"},
    "attachments": [{"uri": "https://rival.example/offer.pdf"}],
    "conferences": [{"uri": "https://meet.rival.example/1"}],
    "alarms": [{"trigger": "-PT15M", "action": "DISPLAY", "description": "go to Rival"}],
    "extra": {"X-SECRET": ["X-SECRET:rival"]},
}


def test_a_busy_block_says_when_and_no_more(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1", **SECRETS)

    town.settle()

    assert said(town.only_copy("work")) == {
        "title": "Busy", "start": "2026-11-23T12:00:00", "end": "2026-11-23T13:00:00", "time_zone": "Europe/Berlin",
    }  # fmt: skip
    assert "rival" not in str(town.copies("work")).lower()


def test_a_block_follows_its_event(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    town.edit("private", "e1", start="2026-11-23T15:00:00", end="2026-11-23T16:00:00")
    town.settle()

    assert town.only_copy("work")["start"] == "2026-11-23T15:00:00"

    town.delete("private", "e1")
    town.settle()

    assert town.copies("work") == {}


def test_a_change_that_a_block_does_not_show_writes_nothing(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    town.edit("private", "e1", title="Something else", description="entirely")

    assert town.settle() == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"busy": False},
        {"status": "cancelled"},
        {"attendees": {"private@example.org": {"status": "declined"}}},
    ],
)
def test_what_keeps_nobody_busy_makes_no_block(town: Town, fields: dict[str, Any]) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1", **fields)
    town.settle()

    assert town.copies("work") == {}


def test_an_event_that_becomes_free_loses_its_block(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    town.edit("private", "e1", busy=False)
    town.settle()

    assert town.copies("work") == {}


def test_opted_in_fields_are_kept(town: Town) -> None:
    options = {"keep": ["title", "location"], "prefix": "[P] ", "color": "red", "private": True, "alarms": True}
    town.rule("mirror", "private", "work", **options)
    town.put("private", "e1", **SECRETS)
    town.settle()
    copy = town.only_copy("work")

    assert copy["title"] == "[P] Interview at Rival & Co"
    assert (copy["location"], copy["color"], copy["privacy"]) == ("Rival's office", "red", "private")
    assert copy["alarms"] == SECRETS["alarms"]
    assert not copy.keys() & {"description", "attendees", "organizer", "url", "categories", "conferences"}


def test_the_title_may_name_the_calendar(town: Town) -> None:
    town.rule("mirror", "private", "work", title="Busy ({calendar})")
    town.put("private", "e1")
    town.settle()

    assert town.only_copy("work")["title"] == "Busy (private)"


def test_the_title_follows_the_name_of_the_calendar(town: Town) -> None:
    town.rule("mirror", "private", "work", title="Busy ({calendar})")
    town.put("private", "e1")
    town.settle()
    with town.hub.transaction() as conn:
        accounts.rename_calendar(conn, accounts.calendar(conn, "private").id, "home")
    town.settle()

    assert town.only_copy("work")["title"] == "Busy (home)"


def test_a_series_stays_a_series(town: Town) -> None:
    """Moved, cancelled and renamed instances: what changes the time is there, what does not is not."""
    town.rule("mirror", "private", "work")
    town.put(
        "private", "s", **WEEKLY, exdates=["2026-11-30T10:00:00+01:00"],
        overrides={
            "2026-12-07T10:00:00+01:00": {"start": "2026-12-08T14:00:00", "end": "2026-12-08T15:00:00", "title": "x"},
            "2026-12-14T10:00:00+01:00": {"title": "only renamed", "description": "secret"},
            "2026-12-21T10:00:00+01:00": {"busy": False},
            "2026-12-28T10:00:00+01:00": {"status": "cancelled"},
        },
    )  # fmt: skip
    town.settle()
    copy = town.only_copy("work")

    assert copy["rrule"] == "FREQ=WEEKLY;COUNT=6"
    assert copy["overrides"] == {
        "2026-12-07T10:00:00+01:00": {"start": "2026-12-08T14:00:00", "end": "2026-12-08T15:00:00"}
    }
    assert copy["exdates"] == [f"2026-{day}T10:00:00+01:00" for day in ("11-30", "12-21", "12-28")]


def test_the_busy_instances_of_a_free_series_have_blocks(town: Town) -> None:
    town.rule("mirror", "private", "work")
    busy = {"2026-12-07T10:00:00+01:00": {"busy": True}}
    town.put("private", "s", **WEEKLY, busy=False, overrides=busy)
    town.settle()

    assert said(town.only_copy("work")) == {
        "title": "Busy", "start": "2026-12-07T10:00:00", "end": "2026-12-07T11:00:00", "time_zone": "Europe/Berlin",
    }  # fmt: skip


def test_this_and_following_keeps_the_blocks(town: Town) -> None:
    """A series cut in two is two series at its service; no block is deleted for that."""
    town.rule("mirror", "private", "work")
    town.put("private", "s", **WEEKLY)
    town.settle()
    (uid,) = town.copies("work")
    town.edit("private", "s", rrule="FREQ=WEEKLY;UNTIL=20261213T090000Z")
    town.put(
        "private",
        "s2",
        **WEEKLY | {"start": "2026-12-14T16:00:00", "end": "2026-12-14T17:00:00", "rrule": "FREQ=WEEKLY;COUNT=3"},
    )
    writes = town.settle()

    assert writes == 2
    assert len(town.copies("work")) == 2
    assert town.copies("work")[uid]["rrule"] == "FREQ=WEEKLY;UNTIL=20261213T090000Z"


def test_an_event_under_a_new_uid_keeps_its_block(town: Town) -> None:
    """Services and people delete an event and make it again; who looks at the blocks should not notice."""
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    before = town.copies("work")
    town.delete("private", "e1")
    town.put("private", "e2")

    assert town.settle() == 0
    assert town.copies("work") == before

    town.delete("private", "e2")
    town.settle()
    assert town.copies("work") == {}


def test_copies_are_no_sources(town: Town) -> None:
    """Both ways, and in a ring."""
    for source, target in (("work", "private"), ("private", "work"), ("private", "family"), ("family", "work")):
        town.rule("mirror", source, target)
    town.put("work", "w")
    town.put("private", "p", start="2026-11-24T12:00:00", end="2026-11-24T13:00:00")
    town.put("family", "f", start="2026-11-25T12:00:00", end="2026-11-25T13:00:00")
    town.settle()

    found = {name: len(town.copies(name)) for name in ("work", "private", "family")}
    assert found == {"work": 2, "private": 1, "family": 1}
    assert town.settle() == 0


def test_an_event_that_is_there_anyway_makes_no_block(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "same")
    town.put("work", "same")
    town.put("private", "invited", attendees={"work@example.org": {}}, organizer={"email": "a@b.example"})
    town.settle()

    assert town.copies("work") == {}

    town.delete("work", "same")
    town.settle()
    assert len(town.copies("work")) == 1


def test_the_same_event_arriving_later_takes_the_block_away(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "same")
    town.settle()
    town.put("work", "same")
    town.settle()

    assert town.copies("work") == {}


def test_a_block_touched_by_hand_is_put_back(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    before = town.copies("work")
    (uid,) = before
    town.edit("work", uid, title="Dentist", start="2026-11-23T09:00:00")
    town.settle()
    assert town.copies("work") == before

    town.delete("work", uid)
    town.settle()
    assert town.copies("work") == before
    assert town.settle() == 0


def test_a_block_touched_by_hand_is_left_where_the_rule_says_so(town: Town) -> None:
    """Its own edit stays, what the event changes elsewhere still arrives; and it goes with its event."""
    town.rule("mirror", "private", "work", on_edit="keep")
    town.put("private", "e1")
    town.put("private", "e2", start="2026-11-24T12:00:00", end="2026-11-24T13:00:00")
    town.settle()
    first, second = (uid for uid, _ in sorted(town.copies("work").items(), key=lambda pair: pair[1]["start"]))
    town.edit("work", first, title="Dentist")
    town.delete("work", second)
    town.settle()
    assert {uid: copy["title"] for uid, copy in town.copies("work").items()} == {first: "Dentist"}

    town.edit("private", "e1", start="2026-11-23T15:00:00", end="2026-11-23T16:00:00")
    town.edit("private", "e2", start="2026-11-24T15:00:00", end="2026-11-24T16:00:00")
    town.settle()
    copy = town.only_copy("work")
    assert (copy["title"], copy["start"]) == ("Dentist", "2026-11-23T15:00:00")

    town.delete("private", "e1")
    town.settle()
    assert town.copies("work") == {}


def test_a_dragged_copy_of_a_block_is_the_persons_own(town: Town) -> None:
    """It has the mark, but another UID: it is left alone, and is itself a reason to be busy elsewhere."""
    town.rule("mirror", "private", "work")
    town.rule("mirror", "work", "family")
    town.put("private", "e1")
    town.settle()
    copy = town.only_copy("work")
    town.put("work", "dragged", **copy | {"start": "2026-11-26T12:00:00", "end": "2026-11-26T13:00:00"})
    town.settle()
    town.delete("private", "e1")
    town.settle()

    assert list(town.own("work")) == ["dragged"]
    assert town.only_copy("family")["start"] == "2026-11-26T12:00:00"


def test_a_lost_hub_finds_its_copies_again(town: Town, tmp_path: Path) -> None:
    town.rule("mirror", "private", "work")
    town.rule("mirror", "work", "private")
    town.put("private", "e1")
    town.put("private", "s", **WEEKLY)
    town.put("work", "w", start="2026-11-25T12:00:00", end="2026-11-25T13:00:00")
    town.settle()
    before = {name: town.shown(name) for name in ("work", "private")}
    town.lose_the_hub(tmp_path / "new")
    town.settle()  # without rules yet: copies are events like others, and make none
    town.rule("mirror", "private", "work")
    town.rule("mirror", "work", "private")

    assert town.settle() == 0
    assert {name: town.shown(name) for name in ("work", "private")} == before

    town.edit("private", "e1", start="2026-11-23T15:00:00", end="2026-11-23T16:00:00")
    town.delete("private", "s")
    town.settle()
    assert [copy["start"] for copy in town.copies("work").values()] == ["2026-11-23T15:00:00"]


def test_blocks_of_an_earlier_install_are_taken_over(town: Town, tmp_path: Path) -> None:
    """The calendars have other names now, so the marks are others: the same time tells which is which."""
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.put("private", "s", **WEEKLY)
    town.settle()
    uids = set(town.copies("work"))
    old = copy_uid("0" * 12, "e1")
    (e1,) = (uid for uid, copy in town.copies("work").items() if "rrule" not in copy)
    copy = town.copies("work")[e1]
    town.delete("work", e1)
    town.put("work", old, **copy)
    town.lose_the_hub(tmp_path / "new")
    town.rule("mirror", "private", "work")
    town.settle()

    assert set(town.copies("work")) == uids - {e1} | {old}


def test_a_copy_whose_uid_the_service_replaced_is_found_by_its_mark(town: Town, tmp_path: Path) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    ((uid, copy),) = town.copies("work").items()
    town.delete("work", uid)
    town.put("work", "of-the-service", **copy)
    town.lose_the_hub(tmp_path / "new")
    town.rule("mirror", "private", "work")
    town.rule("mirror", "work", "family")
    town.settle()

    assert list(town.shown("work")) == ["of-the-service"]
    assert town.shown("work")["of-the-service"]["extra"][PROPERTY]

    town.lose_the_hub(tmp_path / "newer")
    town.rule("mirror", "private", "work")
    town.rule("mirror", "work", "family")
    town.settle()

    assert list(town.shown("work")) == ["of-the-service"]
    assert town.shown("family") == {}


def test_a_copy_under_another_uid_is_no_source_either(town: Town, tmp_path: Path) -> None:
    """Taken over by its mark, it is a copy like any other: no block comes back from it."""
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    ((uid, content),) = town.copies("work").items()
    town.services["work"].user_put(town.remote_ids["work"], "dragged", content)
    town.delete("work", uid)
    town.lose_the_hub(tmp_path / "new")

    town.rule("mirror", "work", "private")
    town.rule("mirror", "private", "work")
    town.settle()

    assert list(town.shown("private")) == ["e1"]
    assert list(town.shown("work")) == ["dragged"]


def test_removing_a_rule_removes_its_copies(town: Town) -> None:
    rule = town.rule("mirror", "private", "work")
    for number in range(30):  # more than the guard would let go without asking
        town.put(
            "private", f"e{number}", start=f"2026-12-{number + 1:02}T10:00:00", end=f"2026-12-{number + 1:02}T11:00:00"
        )
    town.put("work", "mine")
    town.settle()
    town.drop_rule(rule)
    town.settle()

    assert list(town.shown("work")) == ["mine"]


def test_kept_copies_stay_and_are_taken_over_by_the_same_rule(town: Town) -> None:
    rule = town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.settle()
    before = town.copies("work")
    town.drop_rule(rule, keep_copies=True)
    town.settle()
    assert town.copies("work") == before

    town.rule("mirror", "private", "work", title="Blocked")
    town.settle()
    assert {uid: copy["title"] for uid, copy in town.copies("work").items()} == dict.fromkeys(before, "Blocked")


def test_another_title_rewrites_all_copies(town: Town) -> None:
    town.rule("mirror", "private", "work", keep=["title"])
    for number in range(30):
        town.put(
            "private", f"e{number}", start=f"2026-12-{number + 1:02}T10:00:00", end=f"2026-12-{number + 1:02}T11:00:00"
        )
    town.settle()
    town.rule("mirror", "private", "work")
    town.settle()

    assert {copy["title"] for copy in town.copies("work").values()} == {"Busy"}


def test_the_window_lets_in_what_time_brings(town: Town) -> None:
    """What leaves it keeps its block, which still follows its event."""
    town.rule("mirror", "private", "work", past="7d", future="10d")
    town.put("private", "soon", start="2026-11-25T12:00:00", end="2026-11-25T13:00:00")
    town.put("private", "late", start="2026-12-20T12:00:00", end="2026-12-20T13:00:00")
    town.put("private", "old", start="2026-11-01T12:00:00", end="2026-11-01T13:00:00")
    town.settle()
    assert {copy["start"][:10] for copy in town.copies("work").values()} == {"2026-11-25"}

    town.clock.advance(days=25)
    town.settle()
    assert {copy["start"][:10] for copy in town.copies("work").values()} == {"2026-11-25", "2026-12-20"}

    town.edit("private", "soon", start="2026-11-24T12:00:00", end="2026-11-24T13:00:00")
    town.settle()
    assert {copy["start"][:10] for copy in town.copies("work").values()} == {"2026-11-24", "2026-12-20"}


def test_a_buffer_is_around_each_instance(town: Town) -> None:
    town.rule("mirror", "private", "work", buffer="15m")
    town.put(
        "private",
        "s",
        **WEEKLY,
        overrides={"2026-12-07T10:00:00+01:00": {"start": "2026-12-08T14:00:00", "end": "2026-12-08T15:00:00"}},
    )
    town.settle()
    copy = town.only_copy("work")

    assert copy["rrule"] == "FREQ=WEEKLY;COUNT=6"
    assert instants(copy) == [(start - 900, end + 900) for start, end in instants(town.shown("private")["s"])]


def test_a_buffer_over_midnight_makes_single_blocks(town: Town) -> None:
    """No rule says "on Sundays, for the Monday": the instances have a block each."""
    town.rule("mirror", "private", "work", buffer="30m")
    times = {"start": "2026-11-23T00:10:00", "end": "2026-11-23T01:00:00"}
    town.put("private", "s", **WEEKLY | times | {"rrule": "FREQ=MONTHLY;COUNT=3;BYDAY=4MO"})
    town.settle()

    found = sorted(moment for copy in town.copies("work").values() for moment in instants(copy))
    assert found == [(start - 1800, end + 1800) for start, end in instants(town.shown("private")["s"])]


def test_hours_and_days(town: Town) -> None:
    """A series that is partly outside has a block for each instance inside; one that is inside stays a series."""
    town.rule("mirror", "private", "work", hours="09:00-18:00", days="mon-fri")
    town.put("private", "daily", start="2026-11-23T10:00:00", end="2026-11-23T11:00:00", rrule="FREQ=DAILY;COUNT=7")
    town.put("private", "weekly", start="2026-11-23T17:30:00", end="2026-11-23T19:00:00", rrule="FREQ=WEEKLY;COUNT=3")
    town.put("private", "evening", start="2026-11-24T20:00:00", end="2026-11-24T21:00:00")
    town.put("private", "tokyo", start="2026-11-24T20:00:00", end="2026-11-24T21:00:00", time_zone="Asia/Tokyo")
    town.settle()

    starts = sorted((copy["start"], copy.get("rrule")) for copy in town.copies("work").values())
    assert starts == [
        *((f"2026-11-23T{hour}", rrule) for hour, rrule in (("10:00:00", None), ("17:30:00", "FREQ=WEEKLY;COUNT=3"))),
        ("2026-11-24T10:00:00", None), ("2026-11-24T20:00:00", None), ("2026-11-25T10:00:00", None),
        ("2026-11-26T10:00:00", None), ("2026-11-27T10:00:00", None),
    ]  # fmt: skip


def test_merged_blocks_do_not_tell_how_many(town: Town) -> None:
    town.rule("mirror", "private", "work", merge=True)
    day = "2026-11-24T"
    for number, (start, end) in enumerate(
        [("09:00", "10:30"), ("10:00", "11:00"), ("11:00", "12:00"), ("14:00", "15:00")]
    ):
        town.put("private", f"e{number}", start=f"{day}{start}:00", end=f"{day}{end}:00")
    town.settle()
    times = {(copy["start"][11:16], copy["end"][11:16]) for copy in town.copies("work").values()}
    assert times == {("09:00", "12:00"), ("14:00", "15:00")}

    town.delete("private", "e1")
    town.settle()
    times = {(copy["start"][11:16], copy["end"][11:16]) for copy in town.copies("work").values()}
    assert times == {("09:00", "10:30"), ("11:00", "12:00"), ("14:00", "15:00")}
    assert town.settle() == 0


def test_a_preview_says_what_will_be_done_and_does_not_do_it(town: Town) -> None:
    rule = town.rule("mirror", "private", "work")
    town.put("private", "e1")
    town.put("private", "free", busy=False)
    engine.sync(town.hub, town.connect)  # no derivation: the events are in the hub, their blocks are not

    assert [(step.op, step.title) for step in preview(town.hub, rule.id)] == [("create", "Busy")]
    assert town.in_hub("work") == {}

    town.settle()
    assert preview(town.hub, rule.id) == []


def test_a_dry_run_shows_what_the_rules_would_do(town: Town) -> None:
    town.rule("mirror", "private", "work")
    town.put("private", "e1")
    reports = town.sync(dry_run=True)

    steps = [(step["side"], step["op"], step["title"]) for report in reports for step in report.shape()["plan"]]
    assert ("remote", "create", "Busy") in steps
    assert town.copies("work") == {}
    assert preview(town.hub, 1) == []  # nothing has been pulled
