"""A secret word in everything an event has: it reaches no copy, no log, no message, no search result of the target."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calhub.calendar.mark import PROPERTY, is_copy
from calhub.cli import main
from calhub.hub import accounts, rules
from calhub.hub.database import Hub
from calhub.ops import log
from calhub.rules import blocks
from calhub.testing.remotes import DavCalendar, OtherProgram, VdirCalendar
from calhub.testing.servers import radicale, xandikos

SECRET = "kanarienvogel"
START = (datetime.now(UTC) + timedelta(days=7)).replace(hour=10, minute=0, second=0, microsecond=0)
ZONE = f"""BEGIN:VTIMEZONE
TZID:{SECRET}-zone
X-LIC-LOCATION:{SECRET}-lic
COMMENT:{SECRET}-zone-comment
TZURL:https://{SECRET}.example/zone
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0037
TZOFFSETTO:+0037
TZNAME:{SECRET}-tzname
COMMENT:{SECRET}-standard
END:STANDARD
END:VTIMEZONE
"""
#: Of a master or of an override; TAG tells them apart.
SAID = f"""SUMMARY;LANGUAGE=x-{SECRET}:{SECRET}-title-TAG
DESCRIPTION;ALTREP="https://{SECRET}.example/alt":{SECRET}-description-TAG
LOCATION;X-PARAM={SECRET}:{SECRET}-location-TAG
URL:https://{SECRET}-url-TAG.example/
COLOR:{SECRET}-color-TAG
CATEGORIES:{SECRET}-category-TAG,open
COMMENT:{SECRET}-comment-TAG
CONTACT:{SECRET}-contact-TAG
RESOURCES:{SECRET}-resource-TAG
RELATED-TO:{SECRET}-related-TAG
GEO:12.345678;98.765432
ATTENDEE;CN={SECRET}-cn-TAG;PARTSTAT=TENTATIVE:mailto:{SECRET}-attendee-TAG@example.org
ORGANIZER;CN={SECRET}-boss-TAG:mailto:{SECRET}-organizer-TAG@example.org
ATTACH;FMTTYPE=text/plain:https://{SECRET}-attach-TAG.example/file
CONFERENCE;VALUE=URI;LABEL={SECRET}-label-TAG:https://{SECRET}-conference-TAG.example/
IMAGE;VALUE=URI:https://{SECRET}-image-TAG.example/
STRUCTURED-DATA;VALUE=TEXT:{SECRET}-data-TAG
X-{SECRET.upper()}-TAG:{SECRET}-x-TAG
BEGIN:VALARM
ACTION:EMAIL
TRIGGER:-PT15M
SUMMARY:{SECRET}-alarm-TAG
DESCRIPTION:{SECRET}-alarm-text-TAG
ATTENDEE:mailto:{SECRET}-alarmed-TAG@example.org
X-ALARM:{SECRET}-alarm-x-TAG
END:VALARM
BEGIN:X-{SECRET.upper()}
X-INSIDE:{SECRET}-component-TAG
END:X-{SECRET.upper()}
"""


def event(name: str, *, privacy: str = "", recurring: bool = False) -> str:
    """A calendar object with the word wherever there is room for one; a series has three overrides."""

    def part(number: int, tag: str, *lines: str) -> str:
        begin = START + timedelta(weeks=number, hours=number)
        start, end = (f"{at:%Y%m%dT%H%M%S}" for at in (begin, begin + timedelta(hours=1)))
        own = [
            "BEGIN:VEVENT", f"UID:{SECRET}-uid-{name}@{SECRET}.example", "DTSTAMP:20261101T000000Z",
            f"DTSTART;TZID={SECRET}-zone:{start}", f"DTEND;TZID={SECRET}-zone:{end}", *lines,
        ]  # fmt: skip
        own += [f"CLASS:{privacy}"] if privacy else []
        return "\n".join(own) + "\n" + SAID.replace("TAG", tag) + "END:VEVENT\n"

    def instance(number: int, parameter: str = "") -> str:
        return f"RECURRENCE-ID;TZID={SECRET}-zone{parameter}:{START + timedelta(weeks=number):%Y%m%dT%H%M%S}"

    text = part(0, "master", *(["RRULE:FREQ=WEEKLY;COUNT=6"] if recurring else []))
    if recurring:
        text += part(1, "moved", instance(1))
        text += part(2, "cancelled", instance(2), "STATUS:CANCELLED")
        text += part(4, "following", instance(4, ";RANGE=THISANDFUTURE"))
    head = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//{SECRET}//EN\nX-WR-CALNAME:{SECRET}-name\n"
    return (head + ZONE + text + "END:VCALENDAR\n").replace("\n", "\r\n")


@dataclass
class Place:
    """A home with the calendars ``work``, a folder, and ``target``, wherever that is."""

    home: Path
    work: Path
    target: OtherProgram
    names: Callable[[], list[str]]
    capture: pytest.CaptureFixture[str]
    said: list[str] = field(default_factory=list)

    def calhub(self, *argv: str) -> str:
        """Run a command, which must go well; all it says is kept."""
        code = main.run(["--home", str(self.home), *argv])
        out, err = self.capture.readouterr()
        self.said += [out, err]
        assert code == 0, out + err
        return out

    def put(self, name: str, text: str) -> None:
        (self.work / f"{SECRET}-{name}.ics").write_bytes(text.encode())

    def rule(self, kind: Any, **options: Any) -> None:
        with Hub.open(self.home) as hub, hub.transaction() as conn:
            rules.add_rule(conn, kind, "work", "target", options, hub.now())

    def everything_said(self) -> str:
        """What the target's owner could read anywhere: its items and their names, all output, the log, its rows."""
        logged = [path.read_text() for path in (self.home / "log").glob("*")]
        with Hub.open(self.home) as hub, hub.read() as conn:
            calendar_id = accounts.calendar(conn, "target").id
            rows = [
                *conn.execute("SELECT uid, content FROM event WHERE calendar_id = ?", (calendar_id,)),
                *conn.execute("SELECT fields, before FROM change WHERE calendar_id = ?", (calendar_id,)),
                *conn.execute(
                    "SELECT before, content, intent.error FROM intent JOIN replica ON replica.id = replica_id "
                    "WHERE calendar_id = ?", (calendar_id,),
                ),
                *conn.execute(
                    "SELECT recurrence_id, title, location FROM occurrence WHERE calendar_id = ?", (calendar_id,)
                ),
                *conn.execute("SELECT counts, errors FROM run"),
                *conn.execute("SELECT key, face FROM rule JOIN copy ON rule_id = rule.id"),
            ]  # fmt: skip
            assert rows
        items = [text for pair in self.target.read().items() for text in pair]
        return "\n".join([*items, *self.names(), *self.said, *logged, *(str(tuple(row)) for row in rows)]).lower()


@pytest.fixture(params=["folder", "radicale", "xandikos"])
def place(request: pytest.FixtureRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Place]:
    work = VdirCalendar(tmp_path / "disk" / "work")
    work.make("work")
    with ExitStack() as stack:
        if request.param == "folder":
            folder = VdirCalendar(tmp_path / "there" / "target")
            folder.make("target")
            target: OtherProgram = folder
            given = ["folder", "there", "--url", str(tmp_path / "there")]
            names = lambda: [path.name for path in folder.path.iterdir()]  # noqa: E731 - as short as the other one
        else:
            start = {"radicale": radicale, "xandikos": xandikos}[request.param]
            server = stack.enter_context(start(tmp_path / "server"))
            dav = DavCalendar(server.home_url + "target/", server.username, server.password)
            stack.callback(dav.close)
            dav.make("target")
            target = dav
            with Hub.open(tmp_path / "home"):
                pass
            given = ["caldav", "there", "--url", server.url, "--username", server.username]
            names = lambda: [str(path) for path in (tmp_path / "server").rglob("*")]  # noqa: E731 - likewise
        place = Place(tmp_path / "home", work.path, target, names, capfd)
        place.calhub("account", "add", "folder", "disk", "--url", str(work.path.parent))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", _Password())
            password = [] if request.param == "folder" else ["--password-stdin"]
            place.calhub("account", "add", *given, *password, "--calendars", "target")
        yield place


class _Password:
    """Standard input with the servers' password on it."""

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return "secret\n"

    def read(self) -> str:
        return "secret\n"

    @property
    def buffer(self) -> _Password:
        return self


def look_around(place: Place) -> None:
    """Every command that speaks of the target's events, but `why`, which is there to lead back to the source."""
    assert json.loads(place.calhub("validate", "--full", "--json"))["ok"]
    assert json.loads(place.calhub("search", SECRET, "--calendar", "target", "--json")) == []
    place.calhub("sync", "-v")
    place.calhub("sync", "--full", "--dry-run", "--json")
    place.calhub("agenda", f"{START:%Y-%m-%d}", f"{START + timedelta(weeks=8):%Y-%m-%d}", "--calendar", "target")
    place.calhub("export", "--calendar", "target")
    place.calhub("history", "--json")
    place.calhub("status", "--json")
    place.calhub("doctor", "--json")
    place.calhub("reset", "target", "--dry-run", "--json")
    place.calhub("cleanup", "--remote", "--json")
    for uid in place.target.read():
        place.calhub("event", "show", uid, "--json")


def test_the_word_is_in_the_source(place: Place) -> None:
    """Else the other tests prove nothing: the hub has it, in some forty places."""
    place.put("series", event("series", recurring=True))
    place.calhub("sync")

    assert len(json.loads(place.calhub("search", SECRET, "--calendar", "work", "--json"))) == 1
    assert place.calhub("export", "--calendar", "work").count(SECRET) > 40


def test_a_busy_block_has_nothing_of_it(place: Place) -> None:
    check_blocks(place)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [{"buffer": "15m"}, {"merge": True}, {"hours": "00:00-12:00"}, {"title": "Busy ({calendar})", "private": True}],
    ids=lambda options: next(iter(options)),
)
def test_nor_has_any_other_block(place: Place, options: dict[str, Any]) -> None:
    check_blocks(place, **options)


def check_blocks(place: Place, **options: Any) -> None:
    place.rule("mirror", **options)
    place.put("single", event("single"))
    place.put("series", event("series", recurring=True))
    place.put("private", event("private", privacy="PRIVATE", recurring=True))

    place.calhub("sync", "-v")
    look_around(place)

    assert place.target.read()
    assert SECRET not in place.everything_said()
    assert "12.345678" not in place.everything_said()


def test_a_private_event_is_not_published(place: Place) -> None:
    """Nor is one that turns private later, nor a change that is on its way."""
    place.rule("publish", fields="title,description,location,url,categories,color,geo")
    place.put("private", event("private", privacy="PRIVATE", recurring=True))
    place.put("confidential", event("confidential", privacy="CONFIDENTIAL"))

    place.calhub("sync", "-v")
    look_around(place)

    assert place.target.read() == {}
    assert SECRET not in place.everything_said()


def test_a_public_event_shows_the_chosen_fields(place: Place) -> None:
    place.rule("publish", fields="title,location")
    place.put("single", event("single"))
    place.put("series", event("series", recurring=True))

    place.calhub("sync", "-v")

    assert len(place.target.read()) == 2
    found = set(re.findall(rf"{SECRET}[-a-z]*", place.everything_said()))
    tags = ("master", "moved", "following")
    assert found == {f"{SECRET}-{name}-{tag}" for name in ("title", "location") for tag in tags}


def test_what_a_copy_is_known_by_are_digests(place: Place) -> None:
    """UID and mark are of hexadecimal digits; they say the same."""
    place.rule("mirror")
    place.put("single", event("single"))
    place.calhub("sync")

    ((uid, text),) = place.target.read().items()

    assert is_copy(uid)
    assert f"{PROPERTY}:{uid}" in text.replace("\r\n ", "")


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_fault_of_ours_does_not_tell(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody foresaw that quotes the event: neither the message nor the log does."""
    place.rule("mirror")
    place.put("single", event("single"))

    def fail(content: dict[str, Any], _view: object) -> dict[str, Any]:
        raise RuntimeError(f"cannot derive {content}")

    monkeypatch.setattr(blocks, "copies", fail)
    code = main.run(["--home", str(place.home), "sync", "-v"])
    log.close()
    out, err = place.capture.readouterr()

    assert code == 1
    assert SECRET not in (out + err).lower()
    assert (place.home / "log" / "calhub.log").exists()
    assert SECRET not in place.everything_said()
