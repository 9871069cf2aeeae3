"""``rule``, and what rules mean for other commands: what users see in their calendars and on their terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from tests.cli.conftest import Calhub, Folder

from calhub.testing.corpus import samples
from calhub.testing.remotes import DavCalendar
from calhub.testing.servers import radicale, xandikos

TODAY: Final = datetime.now(UTC).date()
NAMES: Final = ("ann", "bob", "club")
#: What an unadorned block may have at a remote, beside the lines of its time zone.
BLOCK: Final = {
    "UID", "DTSTAMP", "DTSTART", "DTEND", "DURATION", "SUMMARY", "SEQUENCE", "X-CALHUB-COPY", "CREATED",
    "LAST-MODIFIED", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID",
}  # fmt: skip


@pytest.fixture
def team(calhub: Calhub, folder: Folder) -> Folder:
    """Three calendars in a folder, attached, with an event in each of the first two, synced."""
    for name in NAMES:
        folder.calendar(name)
    assert calhub("account", "add", "folder", "disk", "--url", str(folder.path), "--json").code == 0
    folder.put("ann", "a", "Secret of Ann", "20261123T090000Z")
    folder.put("bob", "b", "Secret of Bob", "20261124T140000Z")
    assert calhub("sync").code == 0
    return folder


def copies(team: Folder, calendar: str) -> list[str]:
    """The texts of the copies that a calendar shows."""
    return [team.text(calendar, name) for name in team.names(calendar) if name.startswith("calhub-copy-")]


def written(result: Any) -> int:
    return sum(sum(run[way].values()) for run in result.json["runs"] for way in ("pulled", "pushed"))


def event_lines(text: str) -> set[str]:
    """The names of the properties of its events."""
    events = re.findall(r"BEGIN:VEVENT\r?\n(.*?)END:VEVENT", text, re.DOTALL)
    return {re.split("[;:]", line)[0] for event in events for line in re.sub(r"\r?\n ", "", event).splitlines()}


# Busy blocks


def test_mirror_shows_when_and_nothing_else(calhub: Calhub, team: Folder) -> None:
    """The rule is printed in its shape; after a sync the other calendar shows a block of the same time."""
    given = ("--location", "Secret place", "--description", "Secret words", "--attendee", "secret@example.org")
    calhub("event", "edit", "a", *given)

    made = calhub("rule", "add", "mirror", "ann", "bob", "--json")
    assert calhub("sync").code == 0

    assert made.json == {"id": 1, "kind": "mirror", "source": "ann", "target": "bob", "options": {}, "copies": 0}
    assert calhub("rule", "list", "--json").json == [made.json | {"copies": 1}]
    (block,) = copies(team, "bob")
    assert "SUMMARY:Busy" in block
    assert "DTSTART:20261123T090000Z" in block
    assert event_lines(block) <= BLOCK
    assert "secret" not in block.lower()


def test_both_ways(calhub: Calhub, team: Folder) -> None:
    """--both prints two rules; a copy is never copied back, and the next sync writes nothing."""
    made = calhub("rule", "add", "mirror", "ann", "bob", "--both", "--json")
    calhub("sync")
    again = calhub("sync", "--json")

    assert [(each["source"], each["target"]) for each in made.json] == [("ann", "bob"), ("bob", "ann")]
    assert [len(copies(team, name)) for name in NAMES] == [1, 1, 0]
    assert written(again) == 0


def test_mesh(calhub: Calhub, team: Folder) -> None:
    """--mesh prints a rule for each pair; every calendar shows the others' events once, and there it ends."""
    made = calhub("rule", "add", "mirror", "--mesh", *NAMES, "--json")
    calhub("sync")
    again = calhub("sync", "--json")

    pairs = {(each["source"], each["target"]) for each in made.json}
    assert pairs == {(one, other) for one in NAMES for other in NAMES if one != other}
    assert [len(copies(team, name)) for name in NAMES] == [1, 1, 2]
    assert written(again) == 0


def test_options_are_kept_as_given(calhub: Calhub, team: Folder) -> None:
    """Only what was given is stored, and listed as it would be typed."""
    options = ("--keep", "location", "--keep", "url", "--title", "At {calendar}", "--skip", "all-day,tentative")
    more = ("--hours", "09:00-18:00", "--days", "mon-fri", "--time-zone", "Europe/Paris", "--past", "7d")
    rest = ("--title-match", "Sec", "--title-not", "x", "--buffer", "15m", "--merge", "--private", "--future", "4w")
    last = ("--alarms", "--prefix", "* ", "--color", "red", "--category", "work", "--owner", "bob@example.org")

    made = calhub("rule", "add", "mirror", "ann", "bob", *options, *more, *rest, *last, "--on-edit", "keep", "--json")
    shown = calhub("rule", "list").out

    assert made.json["options"] == {
        "keep": "location,url", "title": "At {calendar}", "prefix": "* ", "color": "red", "private": True,
        "alarms": True, "skip": "all-day,tentative", "title_match": "Sec", "title_not": "x", "category": "work",
        "hours": "09:00-18:00", "days": "mon-fri", "time_zone": "Europe/Paris", "past": "7d", "future": "4w",
        "buffer": "15m", "merge": True, "on_edit": "keep", "owner": "bob@example.org",
    }  # fmt: skip
    assert "--keep location,url --merge --on-edit keep" in shown
    assert "--title 'At {calendar}'" in shown
    assert team.names("bob") == ["b"]


def test_tightening_rewrites_what_was_copied(calhub: Calhub, team: Folder) -> None:
    """A second `add` for the pair says that it replaces the options; the copies made before follow at the next sync."""
    first = calhub("rule", "add", "mirror", "ann", "bob", "--keep", "title", "--json")
    calhub("sync")
    (open_block,) = copies(team, "bob")

    second = calhub("rule", "add", "mirror", "ann", "bob", "--private", "--json")
    calhub("sync")

    assert "SUMMARY:Secret of Ann" in open_block
    assert second.json == first.json | {"options": {"private": True}, "copies": 1}
    assert "was there already" in second.err
    assert "was there already" not in first.err
    (block,) = copies(team, "bob")
    assert "Secret" not in block
    assert "CLASS:PRIVATE" in block


def test_add_says_what_comes(calhub: Calhub, team: Folder) -> None:
    """The line on standard error has the numbers of the next sync."""
    made = calhub("rule", "add", "mirror", "--mesh", *NAMES)
    calhub("sync")
    same = calhub("rule", "add", "mirror", "ann", "bob")
    tighter = calhub("rule", "add", "mirror", "ann", "bob", "--title-not", "Secret")

    assert "The next calhub sync creates 4 copies." in made.err
    assert "The next calhub sync changes no copy." in same.err
    assert "The next calhub sync deletes 1 copy." in tighter.err
    assert len(copies(team, "bob")) == 1


def test_a_split_series_keeps_its_copies(calhub: Calhub, team: Folder) -> None:
    """Where instances are copied one by one, "this and all that follow" writes none: the times are the same."""
    series = ("--start", "2026-11-30T10:00", "--duration", "1h", "--time-zone", "Europe/Paris", "--rrule")
    calhub("event", "add", "--calendar", "ann", "--uid", "s", "--title", "Series", *series, "FREQ=DAILY;COUNT=10")
    for day in ("2026-12-01", "2026-12-07"):
        late = ("--start", f"{day}T20:00", "--duration", "1h")
        assert calhub("event", "edit", "s", "--occurrence", f"{day}T10:00:00+01:00", *late).code == 0
    given = ("--hours", "09:00-18:00", "--time-zone", "Europe/Paris", "--past", "9999d", "--future", "9999d")
    calhub("rule", "add", "mirror", "ann", "bob", *given)
    calhub("sync")
    before = sorted(copies(team, "bob"))

    calhub("event", "edit", "s", "--following", "2026-12-05T10:00:00+01:00", "--title", "Later")
    runs = calhub("sync", "--json").json["runs"]

    (bob,) = [run for run in runs if run["calendar"] == "bob"]
    assert bob["pushed"] == {"created": 0, "updated": 0, "deleted": 0}
    assert sorted(copies(team, "bob")) == before
    assert calhub("rule", "list", "--json").json[0]["copies"] == len(before) == 9


# A public calendar


def test_publish(calhub: Calhub, team: Folder) -> None:
    """Public are the events of the category, never private ones, without people; shown as free, with the footer."""
    lines = "CATEGORIES:open\r\nATTENDEE:mailto:guest@example.org\r\nORGANIZER:mailto:ann@example.org\r\n"
    for uid, more in (("open", lines), ("private", lines + "CLASS:PRIVATE\r\n"), ("other", "CATEGORIES:team\r\n")):
        team.put("ann", uid, f"Title {uid}")
        path = team.path / "ann" / f"{uid}.ics"
        path.write_text(team.text("ann", uid).replace("\n\n", "\n").replace("END:VEVENT", more + "END:VEVENT"))

    made = calhub("rule", "add", "publish", "ann", "club", "--category", "open", "--footer", "All welcome", "--json")
    calhub("sync")

    assert made.json["options"] == {"category": "open", "footer": "All welcome"}
    (shown,) = copies(team, "club")
    assert {"SUMMARY:Title open", "DESCRIPTION:All welcome", "TRANSP:TRANSPARENT"} <= set(shown.splitlines())
    assert not {"ATTENDEE", "ORGANIZER", "CLASS", "CATEGORIES"} & event_lines(shown)


def test_publish_drops_what_is_long_over(calhub: Calhub, team: Folder) -> None:
    """--cutoff leaves old events out, and shortening it takes away what was shown."""
    for uid, days in (("new", 1), ("recent", -10), ("old", -100)):
        team.put("club", uid, f"Title {uid}", f"{TODAY + timedelta(days=days):%Y%m%d}T090000Z")
    calhub("calendar", "add", "public")

    calhub("rule", "add", "publish", "club", "public", "--cutoff", "90d")
    calhub("sync")
    shown = calhub("export", "--calendar", "public").out
    calhub("rule", "add", "publish", "club", "public", "--cutoff", "5d")
    calhub("sync")
    shorter = calhub("export", "--calendar", "public").out

    assert re.findall("Title ([a-z]+)", shown) == ["new", "recent"]
    assert re.findall("Title ([a-z]+)", shorter) == ["new"]


# What is refused


@pytest.mark.parametrize(
    "argv",
    [
        ("mirror", "ann"),
        ("mirror", "ann", "ann"),
        ("mirror", "ann", "bob", "club"),
        ("mirror", "--mesh", "ann", "bob", "ann"),
        ("mirror", "ann", "bob", "--both", "--mesh"),
        ("mirror", "ann", "bob", "--keep", "x-secret"),
        ("mirror", "ann", "bob", "--skip", "boring"),
        ("mirror", "ann", "bob", "--title", "{description}"),
        ("mirror", "ann", "bob", "--title", "{"),
        ("mirror", "ann", "bob", "--title-match", "("),
        ("mirror", "ann", "bob", "--hours", "18:00-09:00"),
        ("mirror", "ann", "bob", "--days", "someday"),
        ("mirror", "ann", "bob", "--time-zone", "Mars/Base"),
        ("mirror", "ann", "bob", "--buffer", "long"),
        ("mirror", "ann", "bob", "--on-edit", "cry"),
        ("mirror", "ann", "bob", "--cutoff", "90d"),
        ("publish", "ann"),
        ("publish", "ann", "ann"),
        ("publish", "ann", "bob", "--fields", "attendees"),
        ("publish", "ann", "bob", "--show-as", "maybe"),
        ("publish", "ann", "bob", "--cutoff", "soon"),
        ("publish", "ann", "bob", "--merge"),
        (),
    ],
)
def test_add_refuses(calhub: Calhub, team: Folder, argv: tuple[str, ...]) -> None:
    """What makes no sense is a usage error with a sentence and a hint; no rule is stored."""
    result = calhub("rule", "add", *argv, "--json")

    assert result.code == 2
    assert result.error["hint"]
    assert calhub("rule", "list", "--json").json == []
    assert team.names("bob") == ["b"]


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize(
    "argv",
    [
        ("add", "mirror", "ann", "nobody"),
        ("add", "mirror", "--mesh", "ann", "bob", "nobody"),
        ("add", "publish", "nobody", "ann"),
        ("remove", "7"),
        ("preview", "7"),
    ],
)
def test_unknown_names(calhub: Calhub, argv: tuple[str, ...]) -> None:
    """A calendar or rule that is not there fails as elsewhere, and of a mesh nothing is made."""
    result = calhub("rule", *argv, "--json")

    assert result.code == 1
    assert result.error["hint"]
    assert calhub("rule", "list", "--json").json == []


# Preview


def test_preview_is_exact_and_changes_nothing(calhub: Calhub, team: Folder) -> None:
    """A preview has the counts and steps of the next derivation; events, rules and remotes stay as they are."""
    team.put("ann", "c", "Second")
    calhub("rule", "add", "mirror", "ann", "bob", "--keep", "title")
    calhub("sync")
    calhub("event", "delete", "a")
    calhub("event", "edit", "c", "--title", "Second, renamed")
    calhub("event", "add", "--calendar", "ann", "--title", "Third", "--start", "2026-11-26")

    def state() -> list[Any]:
        seen = calhub("agenda", "2026-11-01", "2026-12-31", "--json").json
        return [seen, calhub("rule", "list", "--json").json, copies(team, "bob")]

    before = state()
    found = calhub("rule", "preview", "1", "--json")
    told = calhub("rule", "preview", "1")
    after = state()
    calhub("sync")

    plan = found.json.pop("plan")
    assert found.json | {"plan": None} == {"rule": 1, "creates": 1, "updates": 1, "deletes": 1, "plan": None}
    steps = sorted((step["op"], step["title"]) for step in plan)
    assert steps == [("create", "Third"), ("delete", "Secret of Ann"), ("update", "Second, renamed")]
    assert [step["fields"] for step in plan if step["op"] == "update"] == [["title"]]
    assert "creates 1 copy, updates 1 copy, deletes 1 copy" in told.err
    assert after == before
    assert calhub("rule", "preview", "1", "--json").json["plan"] == []
    assert len(copies(team, "bob")) == 2


# Removal


def test_remove_takes_the_copies_along(calhub: Calhub, team: Folder) -> None:
    """The copies leave the hub at once and the remotes with the next sync; everything else stays."""
    calhub("rule", "add", "mirror", "--mesh", *NAMES)
    calhub("sync")

    removed = calhub("rule", "remove", "1", "--json")
    calhub("sync")

    assert (removed.code, removed.json) == (0, {"removed": 1, "deleted": 1})
    assert 1 not in [each["id"] for each in calhub("rule", "list", "--json").json]
    assert [len(copies(team, name)) for name in NAMES] == [1, 0, 2]
    assert "b" in team.names("bob")


def test_remove_keeping_the_copies(calhub: Calhub, team: Folder) -> None:
    """With --keep-copies they stay, are no source for another rule, and the same rule made anew takes them over."""
    calhub("rule", "add", "mirror", "ann", "bob")
    calhub("rule", "add", "mirror", "bob", "club")
    calhub("sync")
    before = team.names("bob")

    removed = calhub("rule", "remove", "1", "--keep-copies", "--json")
    calhub("sync")
    kept, further = team.names("bob"), copies(team, "club")
    calhub("rule", "add", "mirror", "ann", "bob")
    calhub("sync")

    assert removed.json == {"removed": 1, "deleted": 0}
    assert kept == before
    assert len(further) == 1
    assert team.names("bob") == before


def test_calendar_remove_takes_its_rules_along(calhub: Calhub, team: Folder) -> None:
    """The rules from and to the calendar go, and so do the copies of its events; the question names them."""
    calhub("rule", "add", "mirror", "--mesh", *NAMES)
    calhub("sync")

    asked = calhub("calendar", "remove", "ann")
    removed = calhub("calendar", "remove", "ann", "--yes", "--json")
    calhub("sync")

    assert asked.code == 2
    assert "2 copies of its events in bob, club" in asked.err
    assert removed.json == {"removed": "ann", "deleted_at_remotes": 2}
    assert "Removed rule 1 (mirror) from ann to bob." in removed.err
    left = [(each["source"], each["target"]) for each in calhub("rule", "list", "--json").json]
    assert left == [("bob", "club"), ("club", "bob")]
    assert [len(copies(team, name)) for name in ("bob", "club")] == [0, 1]


def test_calendar_remove_keeping_remotes(calhub: Calhub, team: Folder) -> None:
    """With --keep-remote no remote changes, also not by copies that were made of the calendar's events."""
    calhub("rule", "add", "mirror", "ann", "bob", "--both")
    calhub("sync")
    before = [team.names(name) for name in NAMES]

    removed = calhub("calendar", "remove", "ann", "--keep-remote", "--json")
    calhub("sync")

    assert removed.code == 0
    assert calhub("rule", "list", "--json").json == []
    assert [team.names(name) for name in NAMES] == before


# Copies in other commands


def test_why_leads_both_ways(calhub: Calhub, team: Folder) -> None:
    """`why` names the copies of an event, and what a copy was made from."""
    calhub("rule", "add", "mirror", "ann", "bob")
    calhub("sync")
    (block,) = [name for name in team.names("bob") if name != "b"]

    source, copy = calhub("why", "a", "--json").json, calhub("why", block, "--json").json

    assert source["copies"] == [{"rule": 1, "uid": block, "calendar": "bob"}]
    assert source["copy_of"] is None
    assert copy["copies"] == []
    assert copy["copy_of"] == {"rule": 1, "uid": "a", "calendar": "ann"}
    assert re.search(r"copies +bob \(rule 1\)", calhub("why", "a").out)
    assert re.search(r"copy of +a in ann \(rule 1\)", calhub("why", block).out)


def test_why_of_a_merged_block(calhub: Calhub, team: Folder) -> None:
    """A block that stands for several events names none of them."""
    for uid in ("c", "d"):
        team.put("ann", uid, f"Title {uid}", f"{TODAY:%Y%m%d}T090000Z")
    calhub("rule", "add", "mirror", "ann", "club", "--merge", "--future", "1d", "--title-match", "Title")
    calhub("sync")
    (block,) = team.names("club")

    assert calhub("why", block, "--json").json["copy_of"] == {"rule": 1, "uid": None, "calendar": "ann"}
    assert calhub("why", "c", "--json").json["copies"] == []
    assert "several events in ann (rule 1)" in calhub("why", block).out


def test_an_edited_copy_is_put_back(calhub: Calhub, team: Folder) -> None:
    """A person may edit a copy, and is told that the rule puts it back."""
    calhub("rule", "add", "mirror", "ann", "bob")
    calhub("sync")
    (block,) = [name for name in team.names("bob") if name != "b"]

    edited = calhub("event", "edit", block, "--title", "Mine", "--json")
    calhub("sync")
    restored = team.text("bob", block)
    deleted = calhub("event", "delete", block)
    calhub("sync")

    assert edited.json["title"] == "Mine"
    assert "copy that rule 1 made from ann; it puts it back" in edited.err
    assert "SUMMARY:Busy" in restored
    assert "puts it back" in deleted.err
    assert "SUMMARY:Busy" in team.text("bob", block)


def test_an_edited_copy_is_kept_where_the_rule_says_so(calhub: Calhub, team: Folder) -> None:
    """With --on-edit keep the edit stays, as the note says; what is no copy brings no note."""
    calhub("rule", "add", "mirror", "ann", "bob", "--on-edit", "keep")
    calhub("sync")
    (block,) = [name for name in team.names("bob") if name != "b"]

    edited = calhub("event", "edit", block, "--title", "Mine")
    calhub("sync")
    moved = calhub("event", "move", block, "club")
    plain = calhub("event", "edit", "b", "--title", "Also mine")

    assert "leaves this edit alone" in edited.err
    assert "leaves this edit alone" in moved.err
    assert plain.err == ""
    assert "SUMMARY:Mine" in team.text("bob", block)


# Real servers


def test_mesh_on_real_servers(calhub: Calhub, tmp_path: Path) -> None:
    """Calendars full of all kinds of events at Radicale and Xandikos: every block says when, and nothing else."""
    with radicale(tmp_path / "one") as one, xandikos(tmp_path / "two") as two:
        remotes = {}
        for number, (name, server) in enumerate((("ann", one), ("bob", two))):
            remotes[name] = DavCalendar(f"{server.home_url}{name}/", server.username, server.password)
            remotes[name].make(name)
            remotes[name].fill(samples(30, first=100 * number, around=TODAY))
            sign_in = ("--url", server.url, "--username", server.username, "--password-stdin", "--calendars", name)
            assert calhub("account", "add", "caldav", name, *sign_in, stdin=server.password.encode()).code == 0

        calhub("rule", "add", "mirror", "ann", "bob", "--both")
        synced = calhub("sync", "--json")
        again = calhub("sync", "--json")
        texts = {name: remote.read() for name, remote in remotes.items()}
        for remote in remotes.values():
            remote.close()

    assert (synced.code, again.code, written(again)) == (0, 0, 0)
    rules = calhub("rule", "list", "--json").json
    for rule in rules:
        blocks = {uid: text for uid, text in texts[rule["target"]].items() if uid.startswith("calhub-copy-")}
        assert len(blocks) == rule["copies"] > 20
        assert set().union(*map(event_lines, blocks.values())) <= BLOCK
        assert set(re.findall(r"^SUMMARY:(.*?)\r?$", "".join(blocks.values()), re.MULTILINE)) == {"Busy"}
