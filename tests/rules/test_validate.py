"""`validate`: silent where all is right, and each kind of damage has its finding, which names the event."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.rules.town import Town

from calhub.calendar.event import Content
from calhub.calendar.mark import copy_uid, marked
from calhub.hub import accounts, events, rules
from calhub.hub.rules import Copy
from calhub.rules.validate import validate
from calhub.testing.memory import Quirks
from calhub.testing.world import plain

WEEKLY: dict[str, Any] = {
    "start": "2026-11-23T10:00:00",
    "end": "2026-11-23T11:00:00",
    "time_zone": "Europe/Berlin",
    "rrule": "FREQ=WEEKLY;COUNT=8",
}
#: One of every kind that rules treat differently.
CORPUS: dict[str, dict[str, Any]] = {
    "plain": {"title": "Lunch with Ann", "location": "Canteen", "categories": ["open"]},
    "free": {"busy": False},
    "cancelled": {"status": "cancelled"},
    "maybe": {"status": "tentative", "start": "2026-11-26T12:00:00", "end": "2026-11-26T13:00:00"},
    "secret": {"title": "Doctor", "privacy": "private", "categories": ["open"], "location": "Clinic"},
    "day": {"start": "2026-11-25", "end": "2026-11-27", "all_day": True, "time_zone": None, "title": "Fair"},
    "floating": {"time_zone": None, "start": "2026-11-27T07:00:00", "end": "2026-11-27T07:30:00"},
    "over midnight": {"start": "2026-11-27T23:00:00", "end": "2026-11-28T02:00:00", "title": "Night train"},
    "other zone": {"time_zone": "America/New_York", "end_time_zone": "Europe/Paris", "end": "2026-11-23T23:00:00"},
    "long ago": {"start": "2023-03-01T12:00:00", "end": "2023-03-01T13:00:00", "title": "Old news"},
    "far ahead": {"start": "2031-03-01T12:00:00", "end": "2031-03-01T13:00:00"},
    "declined": {"attendees": {"work@example.org": {"status": "declined"}, "ann@example.org": {"name": "Ann"}}},
    "meeting": {"attendees": {"work@example.org": {"status": "accepted"}, "bob@example.org": {}}, "title": "Jour fixe"},
    "with them": {"attendees": {"private@example.org": {"status": "accepted"}}},
    "rich": {
        "start": "2026-12-01T09:00:00", "end": "2026-12-01T10:00:00", "title": "Concert", "location": "Hall 1",
        "description": "<p>Come to <a href='https://example.org/x'>the show</a></p><script>alert(1)</script>",
        "url": "https://example.org/concert", "categories": ["open"], "priority": 1,
        "alarms": [{"trigger": "-PT15M", "action": "DISPLAY", "description": "leave now"}],
        "conferences": [{"uri": "https://meet.example.org/1"}], "extra": {"X-NOTE": ["X-NOTE:crew only"]},
    },
    "series": WEEKLY | {"title": "Choir", "location": "Church", "categories": ["open"]},
    "thinned": WEEKLY | {"exdates": ["2026-11-30T10:00:00+01:00"], "title": "Yoga"},
    "varied": WEEKLY | {
        "title": "Team", "location": "Room 1",
        "overrides": {
            "2026-11-30T10:00:00+01:00": {"title": "Team outing", "location": None},
            "2026-12-07T10:00:00+01:00": {"start": "2026-12-08T15:00:00", "end": "2026-12-08T17:00:00"},
            "2026-12-14T10:00:00+01:00": {"busy": False},
            "2026-12-21T10:00:00+01:00": {"privacy": "private", "title": "Layoffs"},
        },
    },
    "split": WEEKLY | {
        "title": "Course",
        "overrides": {
            "2026-12-07T10:00:00+01:00": {"following": True, "start": "2026-12-07T18:00:00", "title": "Late"},
        },
    },
    "ended": WEEKLY | {
        "overrides": {"2026-12-07T10:00:00+01:00": {"following": True, "status": "cancelled"}}, "title": "Short course"
    },
    "daily": {
        "start": "2026-10-01T08:30:00", "end": "2026-10-01T09:15:00", "time_zone": "Europe/Berlin",
        "rrule": "FREQ=DAILY", "title": "Stand-up",
    },
    "free series": WEEKLY | {
        "busy": False, "overrides": {"2026-12-07T10:00:00+01:00": {"busy": None, "title": "Only this one"}}
    },
}  # fmt: skip

OPTIONS: list[tuple[Any, dict[str, Any]]] = [
    ("mirror", {}),
    ("mirror", {"keep": "title,location,attendees,alarms", "skip": "tentative,all-day,private"}),
    ("mirror", {"title": "Busy ({calendar}: {title})", "prefix": "> ", "color": "red", "private": True}),
    ("mirror", {"title_match": "t", "title_not": "lunch|course"}),
    ("mirror", {"hours": "09:00-18:00", "days": "mon-fri"}),
    ("mirror", {"hours": "08:00-09:00", "time_zone": "America/New_York", "buffer": "15m"}),
    ("mirror", {"past": "7d", "future": "21d"}),
    ("mirror", {"buffer": "30m"}),
    ("mirror", {"merge": True}),
    ("mirror", {"merge": True, "buffer": "15m", "hours": "08:00-20:00"}),
    ("mirror", {"on_edit": "keep"}),
    ("publish", {}),
    ("publish", {"category": "open", "cutoff": "30d", "fields": "title,start,end,url", "footer": "Ours"}),
    ("publish", {"fields": "title,description,location,categories", "show_as": "busy", "prefix": "[x] "}),
]


def findings(town: Town, **options: Any) -> list[dict[str, Any]]:
    found = validate(town.hub, town.connect, **options)
    assert found["ok"] is (not found["findings"])
    result: list[dict[str, Any]] = found["findings"]
    for each in result:
        assert list(each) == ["check", "calendar", "uid", "message"]
    return result


def checks(town: Town, **options: Any) -> set[tuple[str, str, str | None]]:
    return {(each["check"], each["calendar"], each["uid"]) for each in findings(town, **options)}


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=[json.dumps(options) for _, options in OPTIONS])
def test_what_rules_make_passes(town: Town, kind: Any, options: dict[str, Any]) -> None:
    """With every kind of event, at once and after a week has gone by."""
    town.rule(kind, "work", "private", **options)
    for uid, fields in CORPUS.items():
        town.put("work", uid, **fields)
    town.put("private", "with them", title="Invited")
    town.settle()

    assert findings(town, full=True) == []

    town.clock.advance(days=7)
    town.settle()
    assert findings(town) == []


@pytest.fixture
def fair(town: Town) -> Town:
    """Work is mirrored into private and published; all is in order."""
    town.rule("mirror", "work", "private", skip="private")
    town.rule("publish", "work", "public", cutoff="90d")
    town.put("work", "e1", title="Concert", location="Hall", description="With the choir of Saint Paul")
    town.put("work", "e2", start="2026-11-24T12:00:00", end="2026-11-24T13:00:00", title="Doctor", privacy="private")
    town.put("work", "s1", **WEEKLY, title="Choir")
    town.settle()
    assert findings(town, full=True) == []
    return town


def copy_of(town: Town, source_uid: str, where: str) -> str:
    with town.hub.read() as conn:
        calendar = accounts.calendar(conn, where)
        (rule,) = (each for each in rules.rules(conn) if each.target_id == calendar.id)
        (copy,) = rules.copies(conn, rule.id, [source_uid])
    return copy.uid


def forge(town: Town, where: str, uid: str, change: Callable[[Content], Content]) -> None:
    """Have the hub believe that the rule wrote this, as a fault in derivation would: nobody will look at it again."""
    with town.hub.transaction() as conn:
        calendar = accounts.calendar(conn, where)
        stored = events.event(conn, calendar.id, uid)
        assert stored is not None
        content = {name: value for name, value in change(stored.content).items() if value is not None}
        events.put_event(conn, calendar.id, uid, content, now=town.hub.now())
        for rule in rules.rules(conn):
            rows = [copy for copy in rules.copies(conn, rule.id) if rule.target_id == calendar.id and copy.uid == uid]
            rules.put_copies(
                conn, rule.id,
                [Copy(source_uid=c.source_uid, part=c.part, uid=uid, face=content, end_ts=c.end_ts) for c in rows],
            )  # fmt: skip
        seen_to(town)


def seen_to(town: Town) -> None:
    with town.hub.transaction() as conn:
        conn.execute("UPDATE rule SET seq = (SELECT max(seq) FROM change)")


def test_text_that_the_rule_does_not_keep(fair: Town) -> None:
    """In a field the rule has, so that only the words give it away."""
    uid = copy_of(fair, "e1", "private")
    forge(fair, "private", uid, lambda content: content | {"title": "Busy with the choir of Saint Paul"})
    forge(fair, "private", uid, lambda content: content | {"title": "Busy: With the choir of Saint Paul"})

    assert ("leak", "private", uid) in checks(fair)


def test_a_field_that_the_rule_does_not_keep(fair: Town) -> None:
    uid = copy_of(fair, "e1", "public")
    forge(fair, "public", uid, lambda content: content | {"attendees": {"ann@example.org": {}}})

    assert ("fields", "public", uid) in checks(fair)


def test_a_field_of_an_override(fair: Town) -> None:
    uid = copy_of(fair, "s1", "private")
    override = {"2026-11-30T10:00:00+01:00": {"location": "Church"}}
    forge(fair, "private", uid, lambda content: content | {"overrides": override})

    assert ("fields", "private", uid) in checks(fair)


def test_another_property_than_the_mark(fair: Town) -> None:
    uid = copy_of(fair, "e1", "private")
    forge(fair, "private", uid, lambda content: content | {"extra": content["extra"] | {"X-NOTE": ["X-NOTE:crew"]}})

    assert ("fields", "private", uid) in checks(fair)


def test_a_zone_that_says_more_than_the_time(fair: Town) -> None:
    text = (
        "BEGIN:VTIMEZONE\r\nTZID:Bunker\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\n"
        "TZOFFSETTO:+0100\r\nTZNAME:Bunker time\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )
    uid = copy_of(fair, "e1", "private")
    forge(fair, "private", uid, lambda content: content | {"time_zone": "Bunker", "zones": {"Bunker": text}})

    assert ("fields", "private", uid) in checks(fair)


def test_a_copy_that_is_not_public(fair: Town) -> None:
    uid = copy_of(fair, "e1", "public")
    forge(fair, "public", uid, lambda content: content | {"privacy": "confidential"})

    assert ("public", "public", uid) in checks(fair)


def test_unsafe_markup(fair: Town) -> None:
    uid = copy_of(fair, "e1", "public")
    forge(fair, "public", uid, lambda content: content | {"description": "<a href='javascript:x()'>Choir</a>"})

    assert ("fields", "public", uid) in checks(fair)


def test_a_field_that_is_not_as_the_rule_says(fair: Town) -> None:
    uid = copy_of(fair, "e1", "public")
    forge(fair, "public", uid, lambda content: content | {"location": "Elsewhere"})
    assert ("properties", "public", uid) in checks(fair)

    forge(fair, "public", uid, lambda content: content | {"location": "Hall", "busy": None})
    assert ("properties", "public", uid) in checks(fair)


def test_other_times(fair: Town) -> None:
    uid = copy_of(fair, "e1", "private")
    forge(fair, "private", uid, lambda content: content | {"end": "2026-11-23T14:00:00"})

    assert ("times", "private", uid) in checks(fair)


def test_a_series_with_an_instance_too_few(fair: Town) -> None:
    uid = copy_of(fair, "s1", "private")
    forge(fair, "private", uid, lambda content: content | {"exdates": ["2026-12-07T10:00:00+01:00"]})

    assert ("series", "private", uid) in checks(fair)


def test_copies_of_instances_beside_the_series(fair: Town) -> None:
    uid = copy_of(fair, "s1", "private")
    with fair.hub.transaction() as conn:
        (copy,) = rules.copies(conn, 1, ["s1"])
        single = {name: value for name, value in copy.face.items() if name != "rrule"}
        part = copy_uid(rules.rule(conn, 1).key, "s1", "2026-11-23T10:00:00+01:00")
        calendar = accounts.calendar(conn, "private")
        events.put_event(conn, calendar.id, part, marked(single, part), now=fair.hub.now())
        row = Copy(source_uid="s1", part="2026-11-23T10:00:00+01:00", uid=part, face=marked(single, part), end_ts=None)
        rules.put_copies(conn, 1, [row])
    seen_to(fair)

    assert {("series", "private", uid), ("series", "private", part)} & checks(fair)


def private_copy(town: Town, where: str, rule_id: int) -> str:
    """A copy of the private event, as if the rule had made it."""
    with town.hub.transaction() as conn:
        rule = rules.rule(conn, rule_id)
        uid = copy_uid(rule.key, "e2")
        face = marked(plain(title="Busy", start="2026-11-24T12:00:00", end="2026-11-24T13:00:00"), uid)
        events.put_event(conn, accounts.calendar(conn, where).id, uid, face, now=town.hub.now())
        rules.put_copies(conn, rule_id, [Copy(source_uid="e2", part="", uid=uid, face=face, end_ts=None)])
    seen_to(town)
    return uid


def test_a_private_event_in_public(fair: Town) -> None:
    """No finding says its title."""
    uid = private_copy(fair, "public", 2)

    assert ("private", "public", uid) in checks(fair)
    assert "Doctor" not in json.dumps(findings(fair, full=True))


def test_a_private_event_where_the_rule_skips_them(fair: Town) -> None:
    uid = private_copy(fair, "private", 1)

    assert ("private", "private", uid) in checks(fair)


def test_an_event_without_its_copy(fair: Town) -> None:
    uid = copy_of(fair, "e1", "private")
    with fair.hub.transaction() as conn:
        rules.drop_copies(conn, 1, [uid])
        rules.drop_event(conn, accounts.calendar(conn, "private").id, uid, now=fair.hub.now())
    seen_to(fair)

    assert ("count", "work", "e1") in checks(fair)


def test_a_copy_that_is_missing(fair: Town) -> None:
    uid = copy_of(fair, "e1", "private")
    with fair.hub.transaction() as conn:
        rules.drop_event(conn, accounts.calendar(conn, "private").id, uid, now=fair.hub.now())
    seen_to(fair)

    assert ("count", "private", uid) in checks(fair)


def test_a_copy_whose_event_is_gone(fair: Town) -> None:
    uid = copy_of(fair, "e1", "private")
    with fair.hub.transaction() as conn:
        rules.drop_event(conn, accounts.calendar(conn, "work").id, "e1", now=fair.hub.now())
    seen_to(fair)

    assert {("count", "private", uid), ("duplicates", "private", uid)} <= checks(fair)


def test_a_copy_beside_the_event_itself(fair: Town) -> None:
    """The calendar has got the event by another way since."""
    uid = copy_of(fair, "e1", "private")
    with fair.hub.transaction() as conn:
        events.put_event(conn, accounts.calendar(conn, "private").id, "e1", plain(), now=fair.hub.now())
    seen_to(fair)

    assert ("duplicates", "private", uid) in checks(fair)


def test_a_marked_copy_that_stands_for_nothing(fair: Town) -> None:
    uid = copy_uid("0" * 12, "x")
    with fair.hub.transaction() as conn:
        events.put_event(conn, accounts.calendar(conn, "private").id, uid, plain(), now=fair.hub.now())
    seen_to(fair)

    assert ("duplicates", "private", uid) in checks(fair)


def test_what_is_older_than_the_cutoff(fair: Town) -> None:
    uid = copy_of(fair, "e1", "public")
    fair.clock.advance(days=100)
    assert ("cutoff", "public", uid) in checks(fair)

    fair.settle()
    assert findings(fair) == []


def test_blocks_that_should_have_been_merged(town: Town) -> None:
    town.rule("mirror", "work", "private", merge=True)
    town.put("work", "e1")
    town.put("work", "e2", start="2026-11-23T15:00:00", end="2026-11-23T16:00:00")
    town.settle()
    assert findings(town) == []
    uids = sorted(town.copies("private"), key=lambda uid: str(town.copies("private")[uid]["start"]))

    forge(town, "private", uids[0], lambda content: content | {"end": "2026-11-23T15:30:00"})

    assert {("duplicates", "private", uids[1]), ("times", "private", None)} <= checks(town)


def test_what_the_next_sync_will_do(fair: Town) -> None:
    with fair.hub.transaction() as conn:
        work = accounts.calendar(conn, "work").id
        events.put_event(
            conn, work, "e9", plain(start="2026-11-29T12:00:00", end="2026-11-29T13:00:00"), now=fair.hub.now()
        )

    found = checks(fair)

    assert {(check, calendar) for check, calendar, _ in found if check == "up to date"} == {
        ("up to date", "private"), ("up to date", "public"),
    }  # fmt: skip


def test_full_derives_everything_anew(fair: Town) -> None:
    """A change the rule has passed over: only a look at all of it shows that."""
    with fair.hub.transaction() as conn:
        work = accounts.calendar(conn, "work").id
        events.put_event(
            conn, work, "e9", plain(start="2026-11-29T12:00:00", end="2026-11-29T13:00:00"), now=fair.hub.now()
        )
    seen_to(fair)

    assert "up to date" not in {check for check, _, _ in checks(fair)}
    assert "up to date" in {check for check, _, _ in checks(fair, full=True)}


# Replicas


def test_a_copy_that_a_remote_does_not_have_yet(fair: Town) -> None:
    fair.services["private"].fail("create", "refused")
    fair.put("work", "e9", start="2026-11-29T12:00:00", end="2026-11-29T13:00:00")
    fair.sync()

    assert ("count", "private", copy_of(fair, "e9", "private")) in checks(fair)


def test_a_remote_that_says_something_else(fair: Town) -> None:
    """Changed there, and nobody has synced since."""
    uid = copy_of(fair, "e1", "public")
    fair.edit("public", uid, title="Concert, with Ann")

    (found,) = findings(fair)

    assert (found["check"], found["calendar"], found["uid"]) == ("content", "public", uid)
    assert found["message"] == "public (public): Hub and remote differ in title."


def test_an_item_that_is_gone_from_a_remote(fair: Town) -> None:
    uid = copy_of(fair, "e1", "public")
    fair.delete("public", uid)

    assert checks(fair) == {("count", "public", uid)}


def test_all_items_or_a_sample(town: Town) -> None:
    """A sample of a large calendar is read one by one, `full` reads all of it."""
    for number in range(100):
        town.put("work", f"e{number:02}")
    town.settle()
    for number in range(100):
        town.edit("work", f"e{number:02}", title="Changed since")

    assert len(checks(town)) == 20
    assert len(checks(town, full=True)) == 100


def test_a_service_that_rewrites_what_it_is_given(town: Town) -> None:
    """What both sides agreed on is no difference; what changes afterwards is one."""
    town.services["public"].quirks = Quirks(rewrites_text=True, drops_fields=frozenset({"categories"}))
    town.rule("publish", "work", "public", fields="title,description,categories")
    town.put("work", "e1", description="Come all", categories=["open"])
    town.settle()
    uid = copy_of(town, "e1", "public")
    assert town.shown("public")[uid] != town.in_hub("public")[uid]

    assert findings(town, full=True) == []

    town.edit("public", uid, description="Go away")
    assert [each["check"] for each in findings(town)] == ["content"]


def test_two_items_of_one_copy(fair: Town) -> None:
    """The service has doubled it; the second one is quarantined."""
    uid = copy_of(fair, "e1", "private")
    content = fair.shown("private")[uid]
    service = fair.services["private"]
    service.user_put(fair.remote_ids["private"], uid, content, remote_id="second")
    fair.sync()

    assert ("duplicates", "private", uid) in checks(fair)


def test_a_copy_the_hub_has_lost(fair: Town) -> None:
    service = fair.services["private"]
    lost = copy_uid("0" * 12, "x")
    service.user_put(fair.remote_ids["private"], lost, plain(title="Busy"))

    assert checks(fair) == set()
    assert checks(fair, full=True) == {("duplicates", "private", lost)}


def test_a_remote_that_cannot_be_read(fair: Town) -> None:
    fair.services["public"].fail("get", "5xx", times=100)

    assert checks(fair) == {("remote", "public", None)}


def test_one_calendar_alone(fair: Town) -> None:
    fair.delete("public", copy_of(fair, "e1", "public"))
    fair.put("family", "x")
    fair.sync(calendar="family")
    fair.delete("family", "x")

    assert {calendar for _, calendar, _ in checks(fair)} == {"public", "family"}
    assert {calendar for _, calendar, _ in checks(fair, calendar="family")} == {"family"}


def test_nothing_is_changed(fair: Town) -> None:
    before, writes = fair.in_hub("private"), fair.writes
    fair.delete("public", copy_of(fair, "e1", "public"))

    validate(fair.hub, fair.connect, full=True)

    assert (fair.in_hub("private"), fair.writes) == (before, writes)
