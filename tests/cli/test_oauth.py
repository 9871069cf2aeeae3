"""Accounts with OAuth on the command line, against emulated services over real connections."""

from __future__ import annotations

import json
import os
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import Calhub, Folder

from calhub.cli import credentials
from calhub.providers import signin
from calhub.testing.services.google import GoogleService
from calhub.testing.services.graph import Graph

Give = Callable[..., str]


@pytest.fixture
def google() -> Iterator[GoogleService]:
    with GoogleService() as service:
        service.user_add_calendar("Work")
        yield service


@pytest.fixture
def graph() -> Iterator[Graph]:
    with Graph() as service:
        yield service


@pytest.fixture
def give(tmp_path: Path) -> Give:
    """Write a credentials file; its path."""

    def write(document: object) -> str:
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps(document))
        return str(path)

    return write


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened. The user signs in at each, in a browser that is noisy on the terminal."""
    opened: list[str] = []

    def visit(url: str) -> bool:
        opened.append(url)
        os.write(1, b"Opening in existing browser session.\n")
        httpx.get(url, follow_redirects=True, trust_env=False)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    return opened


def client_of(google: GoogleService) -> dict[str, str]:
    """Google credentials before any sign-in."""
    return {name: value for name, value in google.credentials().items() if name != "refresh_token"}


def of_graph(graph: Graph) -> dict[str, str]:
    return {"client_id": graph.oauth.client_id, "authority": graph.url, "api_root": graph.root}


def state_of(calhub: Calhub, name: str) -> tuple[str, str]:
    found = {each["name"]: each for each in calhub("account", "list", "--json").json}
    return found[name]["state"], found[name]["error"]


# Adding.


def test_refresh_token_needs_no_browser(calhub: Calhub, google: GoogleService, give: Give, browser: list[str]) -> None:
    """Credentials with a refresh token sign in by themselves; the commands after that share its access token."""
    added = calhub("account", "add", "google", "g", "--credentials", give(google.credentials()), "--json")
    assert added.code == 0
    assert [each["remote_name"] for each in added.json["replicas"]] == ["Work"]

    assert calhub("sync", "--json").code == 0
    assert calhub("account", "test", "g", "--json").json["state"] == "ok"
    assert browser == []
    assert len(google.requests("POST /token")) == 1


def test_browser_signs_in(calhub: Calhub, google: GoogleService, give: Give, browser: list[str]) -> None:
    """Without a refresh token the browser is opened; standard output has the one document all the same."""
    added = calhub("account", "add", "google", "g", "--credentials", give(client_of(google)), "--json")

    assert added.code == 0
    assert added.json["account"]["state"] == "ok"
    assert len(browser) == 1
    assert browser[0] in added.err
    assert calhub("sync", "--json").code == 0


def test_file_of_the_console(calhub: Calhub, google: GoogleService, give: Give, browser: list[str]) -> None:
    """The file that Google's console offers for download is taken as it is."""
    client = {name: value for name, value in client_of(google).items() if name != "api_root"}
    file = give({"installed": {**client, "project_id": "p", "redirect_uris": ["http://localhost"]}})
    google.oauth.user.denies = True  # as far as it goes: the API itself is not Google's own here

    added = calhub("account", "add", "google", "g", "--credentials", file, "--json")
    assert (added.code, len(browser)) == (1, 1)
    assert "declined" in added.error["message"]
    assert browser[0].startswith(google.url)


@pytest.mark.usefixtures("browser")
def test_declined_sign_in_keeps_nothing(calhub: Calhub, google: GoogleService, give: Give) -> None:
    google.oauth.user.denies = True

    added = calhub("account", "add", "google", "g", "--credentials", give(client_of(google)), "--json")
    assert added.code == 1
    assert calhub("account", "list", "--json").json == []


def test_client_is_needed(calhub: Calhub) -> None:
    """Without a client of one's own there is no sign-in, and the hint says where to read on."""
    added = calhub("account", "add", "google", "g", "--json")

    assert added.code == 2
    assert "docs/signing-in.md" in added.error["hint"]


def test_integration_token_is_needed(calhub: Calhub) -> None:
    added = calhub("account", "add", "notion", "n", "--json")

    assert added.code == 2
    assert "token" in added.error["message"]


def test_rotated_token_is_the_one_kept(calhub: Calhub, graph: Graph, give: Give) -> None:
    """Discovery may use up the refresh token in the credentials; what came instead is sealed."""
    given = {**of_graph(graph), "refresh_token": graph.oauth.issue()}
    assert calhub("account", "add", "microsoft", "m", "--credentials", give(given)).code == 0
    graph.oauth.expire()

    assert calhub("account", "test", "m").code == 0
    assert len(graph.requests("POST *token")) == 2


def test_secrets_are_nowhere_in_clear(
    calhub: Calhub, home: Path, google: GoogleService, graph: Graph, give: Give, browser: list[str]
) -> None:
    """No file of the home and no output holds a token or the client's secret."""
    outputs = [
        calhub("account", "add", "google", "g", "--credentials", give(client_of(google))),
        calhub("account", "add", "microsoft", "m", "--credentials", give(of_graph(graph)), "--json"),
        calhub("sync", "--verbose"),
        calhub("account", "list", "--json"),
    ]
    google.oauth.revoke_all()
    google.expire_tokens()
    outputs += [calhub("sync", "--verbose"), calhub("doctor", "--json")]

    assert len(browser) == 2
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file() and path.name != "key"]
    kept = b"".join([*files, *((each.out + each.err).encode() for each in outputs)])
    assert not [word for word in (b"refresh-", b"access-", b"client-secret", b"code-1") if word in kept]


# Signing in again.


def test_withdrawn_access(
    calhub: Calhub, google: GoogleService, folder: Folder, give: Give, browser: list[str]
) -> None:
    """The account needs a login and says so in a sentence; the others go on; signing in mends it."""
    folder.calendar("home")
    calhub("account", "add", "google", "my google", "--credentials", give(client_of(google)))
    calhub("account", "add", "folder", "disk", "--url", str(folder.path))
    google.oauth.revoke_all()

    synced = calhub("sync", "--json")
    assert synced.code == 1
    assert {run["account"]: run["status"] for run in synced.json["runs"]} == {"my google": "failed", "disk": "ok"}
    state, error = state_of(calhub, "my google")
    assert state == "needs_login"
    assert error.endswith('sign in again with: calhub account login "my google"')

    login = calhub("account", "login", "my google", "--json")
    assert (login.code, login.json["state"]) == (0, "ok")
    assert len(browser) == 2
    assert calhub("sync", "--json").code == 0


def test_login_that_fails_keeps_the_old_one(
    calhub: Calhub, google: GoogleService, give: Give, browser: list[str]
) -> None:
    calhub("account", "add", "google", "g", "--credentials", give(client_of(google)))
    google.oauth.user.denies = True

    assert calhub("account", "login", "g").code == 1
    assert len(browser) == 2
    assert calhub("account", "test", "g").code == 0


def test_login_forgets_the_old_token(calhub: Calhub, google: GoogleService, give: Give) -> None:
    """After signing in as somebody else, the access token of before is not used any more."""
    calhub("account", "add", "google", "g", "--credentials", give(google.credentials()))
    assert calhub("account", "login", "g", "--credentials", give(google.credentials())).code == 0
    before = len(google.log)

    assert calhub("account", "test", "g").code == 0
    used = {request.header("authorization") for request in google.log[before:]}
    assert used == {"Bearer access-2"}


def test_no_browser(calhub: Calhub, google: GoogleService, give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-browser shows the address and waits for the user to open it."""

    def read(text: str) -> None:
        httpx.get(text.split()[-1], follow_redirects=True, trust_env=False)

    monkeypatch.setattr(credentials, "note", read)
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("a browser was opened"))

    added = calhub("account", "add", "google", "g", "--credentials", give(client_of(google)), "--no-browser", "--json")
    assert added.code == 0


def test_device_code(calhub: Calhub, graph: Graph, give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    """Microsoft's sign-in with a code on another device, for adding and for signing in again."""

    def enter_the_code(_: float) -> None:
        graph.oauth.approve_device(f"USER-{len(graph.requests('POST *devicecode'))}")

    defaults = signin.by_device_code.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "sleep", enter_the_code)

    added = calhub(
        "account", "add", "microsoft", "m", "--credentials", give(of_graph(graph)), "--device-code", "--json"
    )
    assert added.code == 0
    assert "enter the code USER-1" in added.err
    assert calhub("account", "login", "m", "--device-code").code == 0
    assert calhub("account", "test", "m").code == 0


def test_google_has_no_device_code(calhub: Calhub, google: GoogleService, give: Give) -> None:
    """Google offers device codes for other rights than calendars only."""
    calhub("account", "add", "google", "g", "--credentials", give(google.credentials()))

    login = calhub("account", "login", "g", "--device-code", "--json")
    assert login.code == 1
    assert "--device-code" in login.error["hint"]


# The circuit breaker.


def test_service_that_is_away_is_left_alone(
    calhub: Calhub, google: GoogleService, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five failures in a row a sync asks nothing and says why; trying by hand ends the pause."""
    monkeypatch.setattr("calhub.providers.layers.LONGEST", 0.0)  # no waiting between attempts
    calhub("account", "add", "google", "g", "--credentials", give(google.credentials()))
    google.fail("GET *", "status", status=503, times=5 * 4)
    for _ in range(5):
        assert calhub("sync").code == 1
    asked = len(google.log)

    skipped = calhub("sync", "--json")
    assert skipped.code == 1
    (run,) = skipped.json["runs"]
    assert run["status"] == "skipped"
    assert "left alone until" in run["errors"][0]["message"]
    assert len(google.log) == asked
    (account,) = calhub("status", "--json").json["accounts"]
    assert (account["state"], account["breaker"]["state"], account["breaker"]["failures"]) == ("failing", "open", 5)
    assert account["breaker"]["until"] in account["error"]

    assert calhub("account", "test", "g").code == 0
    assert calhub("sync").code == 0
