"""A Microsoft account on the command line, from signing in to the second pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Calhub

from calhub.testing.services.graph import Graph

#: Near today, since events are read in a window around it.
FIRST = datetime.now(UTC).date() + timedelta(days=7)


def day(number: int) -> str:
    """The day of the n-th instance, from 0."""
    return (FIRST + timedelta(days=number)).isoformat()


def meeting(subject: str) -> dict[str, Any]:
    times = {"start": f"{FIRST}T10:00:00", "end": f"{FIRST}T11:00:00"}
    return {"subject": subject, **{name: {"dateTime": at, "timeZone": "UTC"} for name, at in times.items()}}


@pytest.fixture
def graph() -> Iterator[Graph]:
    with Graph() as service:
        yield service


@pytest.fixture
def credentials(graph: Graph, tmp_path: Path) -> str:
    path = tmp_path / "microsoft.json"
    path.write_text(json.dumps(graph.credentials()))
    return str(path)


def titles(graph: Graph, calendar: str) -> set[str]:
    return {event.props["subject"] for event in graph.mailbox.listed(calendar)}


def test_an_account_is_added_and_synced(graph: Graph, calhub: Calhub, credentials: str) -> None:
    """Discovery, first pull, edits in both directions, and a pass with nothing new: one request a calendar."""
    shared = graph.user_calendar("Shared", can_edit=False)
    graph.user_event(graph.default, **meeting("Review"))
    graph.user_event(shared, **meeting("Holiday"))

    added = calhub(
        "account", "add", "microsoft", "me", "--credentials", credentials, "--calendars", "all", "--json"
    ).json

    assert (added["account"]["state"], added["account"]["calendars"]) == ("ok", 2)
    assert [replica["direction"] for replica in added["replicas"]] == ["both", "pull"]
    runs = calhub("sync", "--json").json["runs"]
    assert [run["pulled"]["created"] for run in runs] == [1, 1]
    (found,) = calhub("search", "review", "--json").json
    assert calhub("event", "edit", found["uid"], "--title", "Review of it all").code == 0
    assert calhub("event", "add", "--calendar", "Calendar", "--title", "Ours", "--start", f"{day(1)}T10:00").code == 0
    runs = calhub("sync", "--json").json["runs"]
    assert runs[0]["pushed"] == {"created": 1, "updated": 1, "deleted": 0}
    assert titles(graph, graph.default) == {"Review of it all", "Ours"}
    assert calhub("sync").code == 0
    graph.log.clear()
    assert calhub("sync").code == 0
    assert [request.method for request in graph.log] == ["GET", "GET"]


def test_one_event_edited_and_deleted_by_instance(graph: Graph, calhub: Calhub, credentials: str) -> None:
    """A series made here: an instance renamed, one deleted, the rest split off; Outlook shows all of it."""
    calhub("account", "add", "microsoft", "me", "--credentials", credentials, "--calendars", "all")
    made = calhub(
        "event", "add", "--calendar", "Calendar", "--title", "Standup", "--start", f"{day(0)}T09:00",
        "--time-zone", "UTC", "--rrule", "FREQ=DAILY;COUNT=10", "--json",
    ).json  # fmt: skip
    assert calhub("sync").code == 0
    uid = made["uid"]
    assert calhub("event", "edit", uid, "--occurrence", f"{day(1)}T09:00:00Z", "--title", "Long one").code == 0
    assert calhub("event", "delete", uid, "--occurrence", f"{day(2)}T09:00:00Z").code == 0
    assert calhub("event", "edit", uid, "--following", f"{day(5)}T09:00:00Z", "--title", "New style").code == 0
    assert calhub("sync").code == 0
    events = {event.props["subject"]: event for event in graph.mailbox.listed(graph.default)}

    assert set(events) == {"Standup", "New style"}
    assert [str(each) for each in events["Standup"].cancelled] == [day(2)]
    assert [each.changed for each in events["Standup"].exceptions.values()] == [{"subject": "Long one"}]
    assert events["Standup"].props["recurrence"]["range"]["endDate"] == day(4)
    assert events["New style"].props["recurrence"]["range"]["numberOfOccurrences"] == 5


def test_a_rotated_refresh_token_is_kept(graph: Graph, calhub: Calhub, credentials: str) -> None:
    """Microsoft gives a new refresh token with each refresh, and here the old one is dead at once."""
    calhub("account", "add", "microsoft", "me", "--credentials", credentials, "--calendars", "all")
    for _ in range(3):
        graph.oauth.expire()
        assert calhub("sync").code == 0


def test_a_withdrawn_consent_needs_a_login(graph: Graph, calhub: Calhub, credentials: str) -> None:
    """The account says so, and nothing is deleted."""
    graph.user_event(graph.default, **meeting("Review"))
    calhub("account", "add", "microsoft", "me", "--credentials", credentials, "--calendars", "all")
    calhub("sync")
    graph.oauth.revoke_all()
    graph.oauth.expire()

    assert calhub("sync").code == 1
    assert [entry["state"] for entry in calhub("account", "list", "--json").json] == ["needs_login"]
    assert len(calhub("search", "review", "--json").json) == 1
