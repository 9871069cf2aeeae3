"""``account``: signing in keeps everything or nothing, and secrets show nowhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder

from calhub.testing.servers import CalDAVServer, radicale


def stored_texts(home: Path) -> str:
    """All that is kept of accounts."""
    with closing(sqlite3.connect(home / "hub.db")) as db:
        rows = [*db.execute("SELECT settings FROM account"), *db.execute("SELECT sealed FROM secret")]
    assert rows
    return "\n".join(text for (text,) in rows)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CalDAVServer]:
    with radicale(tmp_path / "radicale") as server:
        yield server


def test_add_attaches_every_remote_calendar(calhub: Calhub, folder: Folder) -> None:
    """`account add` signs in and makes one calendar and replica for each remote calendar."""
    folder.calendar("home")
    folder.calendar("work")

    result = calhub("account", "add", "folder", "disk", "--url", str(folder.path), "--json")

    assert result.code == 0
    assert result.json["account"] == {
        "name": "disk", "provider": "folder", "state": "ok", "error": None, "calendars": 2,
        "priority": 0, "interval": 0, "breaker": {"state": "closed", "failures": 0, "until": None},
    }  # fmt: skip
    assert [(each["calendar"], each["direction"]) for each in result.json["replicas"]] == [
        ("home", "both"),
        ("work", "both"),
    ]


@pytest.mark.usefixtures("work")
def test_taken_calendar_name_gets_the_account(calhub: Calhub, tmp_path: Path) -> None:
    """Where the remote's name is taken, the calendar is called "NAME (ACCOUNT)"."""
    other = Folder(tmp_path / "other")
    other.calendar("work")

    result = calhub("account", "add", "folder", "usb", "--url", str(other.path), "--json")

    assert result.json["replicas"][0]["calendar"] == "work (usb)"


@pytest.mark.parametrize(("asked", "attached"), [("none", []), ("work", ["work"]), ("work,home", ["work", "home"])])
def test_add_attaches_those_named(calhub: Calhub, folder: Folder, asked: str, attached: list[str]) -> None:
    """--calendars none or NAMES attaches just those."""
    folder.calendar("home")
    folder.calendar("work")

    result = calhub("account", "add", "folder", "disk", "--url", str(folder.path), "--calendars", asked, "--json")

    assert [each["calendar"] for each in result.json["replicas"]] == attached


def test_add_with_unknown_calendar_keeps_nothing(calhub: Calhub, folder: Folder) -> None:
    """A name that is not there is a usage error with the candidates, and no account is kept."""
    folder.calendar("work")

    result = calhub("account", "add", "folder", "disk", "--url", str(folder.path), "--calendars", "wrok", "--json")

    assert result.code == 2
    assert "work" in result.error["hint"]
    assert calhub("account", "list", "--json").json == []


def test_add_that_cannot_sign_in_keeps_nothing(calhub: Calhub, tmp_path: Path) -> None:
    """`account add` that cannot sign in exits 1 and leaves neither account nor calendar."""
    result = calhub("account", "add", "folder", "disk", "--url", str(tmp_path / "missing"), "--json")

    assert result.code == 1
    assert result.error["hint"]
    assert calhub("account", "list", "--json").json == []
    assert calhub("calendar", "list", "--json").json == []


def test_caldav_password_from_stdin(calhub: Calhub, server: CalDAVServer, home: Path) -> None:
    """A password piped in signs in, is stored sealed, and is printed nowhere."""
    argv = ("account", "add", "caldav", "dav", "--url", server.url, "--username", server.username)
    result = calhub(*argv, "--password-stdin", "--json", stdin=f"{server.password}\n".encode())

    assert result.code == 0, result
    assert server.password not in result.out + result.err
    assert server.password not in stored_texts(home)
    assert calhub("account", "test", "dav", "--json").json["state"] == "ok"


def test_caldav_wrong_password(calhub: Calhub, server: CalDAVServer) -> None:
    """A wrong password exits 1, is not echoed, and nothing is kept."""
    argv = ("account", "add", "caldav", "dav", "--url", server.url, "--username", server.username)
    result = calhub(*argv, "--password-stdin", "--json", stdin=b"wrong-secret")

    assert result.code == 1
    assert "wrong-secret" not in result.out + result.err
    assert calhub("account", "list", "--json").json == []


def test_credentials_file(calhub: Calhub, server: CalDAVServer, tmp_path: Path) -> None:
    """--credentials reads address, user name and password from a JSON file."""
    file = tmp_path / "dav.json"
    file.write_text(json.dumps({"url": server.url, "username": server.username, "password": server.password}))

    result = calhub("account", "add", "caldav", "dav", "--credentials", str(file), "--json")

    assert result.code == 0, result


def test_credentials_from_stdin_in_the_address(calhub: Calhub, server: CalDAVServer, home: Path) -> None:
    """--credentials - reads standard input; user and password in the address are not stored with it."""
    address = server.url.replace("://", f"://{server.username}:{server.password}@")

    result = calhub(
        "account", "add", "caldav", "dav", "--credentials", "-", "--json", stdin=json.dumps({"url": address}).encode()
    )

    assert result.code == 0, result
    assert server.password not in stored_texts(home)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"url": 1}', '{"password": "hunter2", ', "[" * 100_000, "\x00\x01"]
)
def test_credentials_that_are_no_json_object(calhub: Calhub, text: str) -> None:
    """Anything but a JSON object of texts is a usage error that quotes nothing of it."""
    result = calhub("account", "add", "caldav", "dav", "--credentials", "-", "--json", stdin=text.encode())

    assert result.code == 2
    assert "hunter2" not in result.out + result.err


@pytest.mark.parametrize(
    "argv",
    [
        ("caldav", "x"),
        ("caldav", "x", "--url", "https://cal.example.org/"),
        ("caldav", "x", "--url", "https://cal.example.org/", "--username", "ann"),
        ("caldav", "x", "--url", "https://cal.example.org/", "--username", "ann", "--password-stdin"),
        ("caldav", "x", "--credentials", "/nonexistent/file.json"),
        ("caldav", "x", "--credentials", "-", "--password-stdin"),
        ("folder", "x"),
        ("feed", "x"),
        ("outlook", "x", "--url", "https://cal.example.org/"),
        ("folder", "", "--url", "/"),
        ("folder",),
    ],
)
def test_add_with_missing_or_wrong_options(calhub: Calhub, argv: tuple[str, ...]) -> None:
    """What is missing or wrong in the options of `account add` is a usage error."""
    result = calhub("account", "add", *argv, "--json")

    assert result.code == 2
    assert result.error["hint"]


def test_add_with_a_taken_name(calhub: Calhub, work: Folder) -> None:
    """A second account of one name is a usage error, found before anything is asked."""
    result = calhub("account", "add", "folder", "disk", "--url", str(work.path), "--json")

    assert result.code == 2


def test_remotes_say_what_is_attached(calhub: Calhub, work: Folder) -> None:
    """`account remotes` lists attached and other remote calendars in the remote shape."""
    work.calendar("spare")

    remotes = calhub("account", "remotes", "disk", "--json").json

    assert [(each["id"], each["calendar"]) for each in remotes] == [("spare", None), ("work", "work")]
    assert list(remotes[0]) == ["id", "name", "access", "color", "time_zone", "calendar"]


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("command", ["remotes", "test", "login", "remove"])
def test_unknown_account(calhub: Calhub, command: str) -> None:
    """A name that no account has fails and says which there are."""
    result = calhub("account", command, "dsik", "--json")

    assert result.code == 1
    assert "disk" in result.error["hint"]


def test_test_tells_and_stores_a_failure(calhub: Calhub, work: Folder) -> None:
    """`account test` exits 1 when the service is not there, and the account's state says so."""
    work.path.rename(work.path.with_name("unplugged"))

    result = calhub("account", "test", "disk", "--json")

    assert result.code == 1
    assert result.error["message"]
    assert calhub("account", "list", "--json").json[0]["state"] == "failing"


def test_login_replaces_the_password(calhub: Calhub, server: CalDAVServer) -> None:
    """`account login` keeps the old password when the new one is wrong."""
    argv = ("account", "add", "caldav", "dav", "--url", server.url, "--username", server.username)
    calhub(*argv, "--password-stdin", stdin=server.password.encode())

    wrong = calhub("account", "login", "dav", "--password-stdin", "--json", stdin=b"wrong")
    right = calhub("account", "login", "dav", "--password-stdin", "--json", stdin=server.password.encode())

    assert (wrong.code, right.code) == (1, 0)
    assert right.json["state"] == "ok"
    assert calhub("account", "test", "dav").code == 0


def test_remove_takes_calendars_of_no_other_account(calhub: Calhub, work: Folder) -> None:
    """`account remove` takes its calendars out of the hub and leaves the service as it is."""
    work.put("work", "a", "Stays at the service")
    calhub("sync")

    result = calhub("account", "remove", "disk", "--json")

    assert result.code == 0
    assert result.json == {"removed": "disk", "calendars": ["work"], "kept": []}
    assert calhub("calendar", "list", "--json").json == []
    assert work.names("work") == ["a"]


def test_remove_keeping_events(calhub: Calhub, work: Folder) -> None:
    """--keep-events leaves the calendar and its events in the hub."""
    work.put("work", "a", "Stays in the hub")
    calhub("sync")

    calhub("account", "remove", "disk", "--keep-events")

    assert calhub("event", "show", "a", "--json").json["title"] == "Stays in the hub"


@pytest.mark.usefixtures("work")
def test_remove_loses_no_edit_that_was_not_synced(calhub: Calhub) -> None:
    """A calendar with changes that never reached the service stays in the hub when its account is removed."""
    calhub("event", "add", "--calendar", "work", "--uid", "a", "--title", "Only here", "--start", "2026-11-23")

    result = calhub("account", "remove", "disk", "--json")

    assert result.json == {"removed": "disk", "calendars": [], "kept": ["work"]}
    assert calhub("event", "show", "a", "--json").json["title"] == "Only here"
