"""A Google account on the command line, from signing in to the second pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub

from calhub.testing.services.google import GoogleService

TIMES = {
    "start": {"dateTime": "2026-11-23T10:00:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-11-23T11:00:00", "timeZone": "Europe/Berlin"},
}


@pytest.fixture
def google() -> Iterator[GoogleService]:
    with GoogleService() as service:
        yield service


@pytest.fixture
def credentials(google: GoogleService, tmp_path: Path) -> str:
    path = tmp_path / "google.json"
    path.write_text(json.dumps(google.credentials()))
    return str(path)


def test_an_account_is_added_and_synced(google: GoogleService, calhub: Calhub, credentials: str) -> None:
    work, shared = google.user_add_calendar("Work"), google.user_add_calendar("Shared", role="reader")
    made = google.user_insert(work, summary="Review", **TIMES)["id"]
    google.user_insert(shared, summary="Holiday", **TIMES)

    added = calhub("account", "add", "google", "me", "--credentials", credentials, "--calendars", "all", "--json").json

    assert (added["account"]["state"], added["account"]["calendars"]) == ("ok", 2)
    assert [replica["direction"] for replica in added["replicas"]] == ["both", "pull"]
    runs = calhub("sync", "--json").json["runs"]
    assert [run["pulled"]["created"] for run in runs] == [1, 1]
    (found,) = calhub("search", "review", "--json").json
    assert calhub("event", "edit", found["uid"], "--title", "Review of it all").code == 0
    assert calhub("event", "add", "--calendar", "Work", "--title", "Ours", "--start", "2026-11-24T10:00").code == 0
    runs = calhub("sync", "--json").json["runs"]
    assert runs[0]["pushed"] == {"created": 1, "updated": 1, "deleted": 0}
    assert {body["summary"] for body in google.live(work).values()} == {"Review of it all", "Ours"}
    assert google.live(work)[made]["summary"] == "Review of it all"
    google.log.clear()
    assert calhub("sync").code == 0
    assert [request.method for request in google.log] == ["GET", "GET"]


def test_an_account_that_cannot_sign_in_is_not_kept(google: GoogleService, calhub: Calhub, credentials: str) -> None:
    google.oauth.revoke_all()
    failed = calhub("account", "add", "google", "me", "--credentials", credentials, "--json")
    assert failed.code == 1
    assert failed.error["message"]
    assert calhub("account", "list", "--json").json == []


def test_a_withdrawn_consent_leaves_the_others_alone(
    google: GoogleService, calhub: Calhub, credentials: str, tmp_path: Path
) -> None:
    google.user_add_calendar("Work")
    folder = tmp_path / "folder"
    folder.mkdir()
    calhub("account", "add", "google", "me", "--credentials", credentials, "--calendars", "all")
    calhub("account", "add", "folder", "files", "--url", str(folder), "--calendars", "all")
    google.oauth.revoke_all()
    google.oauth.expire()
    result = calhub("sync", "--json")
    assert result.code == 1
    assert sorted(run["status"] for run in result.json["runs"]) == ["failed", "ok"]
    states = {entry["name"]: entry["state"] for entry in calhub("account", "list", "--json").json}
    assert states == {"me": "needs_login", "files": "ok"}
