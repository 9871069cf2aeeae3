"""The engine over Microsoft accounts: edits arrive on both sides, once, whatever breaks on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.providers.microsoft.kit import Clock, meeting, signed_in, weekly
from tests.providers.tied import TiedWorld

from calhub.calendar.event import Content
from calhub.calendar.fields import project
from calhub.hub import events, runs
from calhub.testing.contract_kit import EXAMPLES, Remote, event, listing
from calhub.testing.services.graph import Graph

SERIES: Content = event(
    rrule="FREQ=DAILY;COUNT=6",
    exdates=["2026-11-24T10:00:00+01:00"],
    overrides={"2026-11-26T10:00:00+01:00": {"title": "Special", "location": "Cellar"}},
)


class GraphWorld(TiedWorld):
    """A hub whose one calendar is tied to calendars at Microsoft 365."""

    def tie(self, graph: Graph, remote: Remote, **settings: Any) -> Remote:
        return self.attach(remote, lambda: signed_in(graph, Clock(self.clock())), **settings)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GraphWorld]:
    made = GraphWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def tied(graph: Graph, world: GraphWorld, remote: Remote) -> Remote:
    """The calendar of ``remote``, tied to the world's."""
    return world.tie(graph, remote)


def shown(remote: Remote) -> dict[str | None, Content | None]:
    """What is at Microsoft 365, by UID."""
    return {item.uid: item.content for item in listing(remote).items.values()}


def writes(graph: Graph) -> list[str]:
    """Everything that could have changed something there."""
    names = [request.name for request in [*graph.log, *graph.parts] if request.method != "GET"]
    return [name for name in names if "$batch" not in name]


def test_every_kind_of_event_goes_there_and_comes_back_unchanged(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """What Graph holds is equal there; what it does not stays in the hub; a second pass writes nothing."""
    for name, content in {**EXAMPLES, "rich": SERIES}.items():
        world.put(name, **{"title": None, "end": None, "time_zone": None, **content})
    before = world.contents
    assert world.run().status == "ok"
    keeps = tied.provider.capabilities.keeps
    assert shown(tied) == {uid: project(content, keeps) for uid, content in before.items()}
    done = len(writes(graph))
    world.run()

    assert (len(writes(graph)), world.contents) == (done, before)


def test_edits_of_both_sides_meet(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """An instance renamed and a place given in Outlook, a title given here: all of it is everywhere."""
    world.put("series", **SERIES)
    world.run()
    (master,) = listing(tied).items
    graph.user_patch(graph.user_instance(master, "2026-11-27"), subject="Theirs")
    graph.user_patch(master, location={"displayName": "Room 4"})
    world.edit("series", title="Ours")
    world.run()
    wanted = {
        **SERIES,
        "title": "Ours",
        "location": "Room 4",
        "overrides": {**SERIES["overrides"], "2026-11-27T10:00:00+01:00": {"title": "Theirs"}},
    }

    assert world.contents["series"] == wanted
    assert shown(tied)["series"] == wanted


def test_what_outlook_has_and_we_do_not_know_stays(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """Sensitivity, a way of being away, HTML and importance survive an edit of something else."""
    html = {"contentType": "html", "content": "<p>Rich <b>text</b></p>"}
    name = graph.user_event(tied.calendar, **meeting(sensitivity="personal", showAs="oof", body=html))
    world.run()
    (uid,) = world.contents
    world.edit(uid, title="Ours")
    world.run()
    stored = graph.event(name).props

    assert stored["subject"] == "Ours"
    assert (stored["sensitivity"], stored["showAs"]) == ("personal", "oof")
    assert "<b>text</b>" in stored["body"]["content"]


def test_a_series_that_graph_cannot_hold_stays_in_the_hub(world: GraphWorld, tied: Remote) -> None:
    """It is reported with a sentence and not flattened; the others go on. It stays to be seen as long as it is so."""
    world.put("odd", **event(rrule="FREQ=MONTHLY;BYMONTHDAY=1,23"))
    world.put("dated", **event(rdates=["2026-12-01T10:00:00+01:00"]))
    world.put("plain", title="Plain")
    report = world.run()

    assert {failure["message"] for failure in report.errors} == {
        "Microsoft 365 cannot hold a rule for several days of a month.",
        "Microsoft 365 cannot hold a series with added dates.",
    }
    assert set(shown(tied)) == {"plain"}
    assert world.contents["odd"]["rrule"] == "FREQ=MONTHLY;BYMONTHDAY=1,23"

    assert world.run().errors == []
    with world.hub.read() as conn:
        status = runs.status(conn)
        (told,) = runs.why(conn, events.find_event(conn, "odd"))["replicas"]
    assert (status["dead_letters"], status["pending"]) == (2, 2)
    assert {failure["uid"] for failure in status["failures"]} == {"odd", "dated"}
    assert told["error"] == "Microsoft 365 cannot hold a rule for several days of a month."
    world.edit("odd", rrule="FREQ=MONTHLY;BYMONTHDAY=23")
    world.run()
    assert set(shown(tied)) == {"plain", "odd"}


def test_two_calendars_of_one_event_at_microsoft(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """A series goes from one mailbox calendar to the other, and each edit after it, without doubling."""
    other = world.tie(graph, Remote(tied.provider, graph.user_calendar("Other")))
    master = graph.user_event(tied.calendar, **weekly())
    graph.user_patch(graph.user_instance(master, "2026-11-30"), subject="Special")
    for _ in range(2):
        world.run()
    assert shown(other) == shown(tied)
    (copied,) = listing(other).items
    graph.user_patch(graph.user_instance(copied, "2026-12-07"), subject="From the other side")
    graph.user_delete(graph.user_instance(copied, "2026-12-14"))
    for _ in range(2):
        world.run()
    assert shown(other) == shown(tied)
    assert list(graph.event(master).exceptions.values())[1].changed["subject"] == "From the other side"
    graph.user_delete(master)
    for _ in range(2):
        world.run()

    assert shown(other) == {}


def test_an_instance_edited_here_and_deleted_there_stays(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """Edit beats delete: the deleted instance comes back at Microsoft 365."""
    world.put("series", **SERIES)
    world.run()
    (master,) = listing(tied).items
    graph.user_delete(graph.user_instance(master, "2026-11-26"))
    patched = {**SERIES["overrides"]["2026-11-26T10:00:00+01:00"], "title": "Still on"}
    world.edit("series", overrides={"2026-11-26T10:00:00+01:00": patched})
    for _ in range(2):
        world.run()

    assert world.contents["series"] == {**SERIES, "overrides": {"2026-11-26T10:00:00+01:00": patched}}
    assert shown(tied)["series"] == world.contents["series"]


def test_two_hundred_edits_take_few_requests(graph: Graph, world: GraphWorld, remote: Remote) -> None:
    """Three requests for twenty, where one by one takes sixty."""
    tied = world.tie(graph, remote, guard_share=1.0)
    for number in range(200):
        world.put(f"{number}", title=f"Event {number}")
    world.run()
    world.run()
    graph.log.clear()
    for number in range(200):
        world.edit(f"{number}", title=f"Edited {number}")
    world.run()

    assert len(graph.log) <= 60
    assert {event.props["subject"] for event in graph.mailbox.listed(tied.calendar)} == {
        f"Edited {number}" for number in range(200)
    }


def test_a_calendar_that_is_gone_deletes_nothing_here(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """404 on the calendar is a failure of the pass, never an empty calendar."""
    graph.user_event(tied.calendar, **meeting())
    world.run()
    graph.user_delete_calendar(tied.calendar)

    assert world.run().status == "failed"
    assert len(world.contents) == 1


def test_two_providers_write_the_same_event(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """Two processes: the later one is stale, looks again, and both edits are kept."""
    world.put("a", title="A")
    world.run()
    (name,) = listing(tied).items

    def meanwhile(request: Any) -> None:
        if (request.method == "POST" and request.path.endswith("$batch")) or request.method == "PATCH":
            graph.hook = None
            graph.user_patch(name, location={"displayName": "Theirs"})

    graph.hook = meanwhile
    world.edit("a", title="Ours")
    world.run()

    assert world.contents["a"]["title"] == "Ours"
    assert world.contents["a"]["location"] == "Theirs"
    assert shown(tied)["a"] == world.contents["a"]


def test_attendees_come_from_outlook_and_ours_stay_here(graph: Graph, world: GraphWorld, tied: Remote) -> None:
    """Nobody is mailed, nothing is written twice, and a deletion in Outlook still counts."""
    people = [{"emailAddress": {"address": "bob@example.org", "name": "Bob"}, "type": "required"}]
    graph.user_event(tied.calendar, **meeting(attendees=people))
    world.put("ours", attendees={"cho@example.org": {}})
    world.run()
    (theirs,) = world.contents.keys() - {"ours"}
    assert world.contents[theirs]["attendees"] == {"bob@example.org": {"name": "Bob"}}
    world.edit("ours", attendees={"cho@example.org": {}, "dee@example.org": {}})
    world.run()
    done = len(writes(graph))
    world.run()
    assert len(writes(graph)) == done
    (name,) = (item.remote_id for item in listing(tied).items.values() if item.uid == "ours")
    graph.user_delete(name)
    world.run()

    assert set(world.contents) == {theirs}
    assert graph.outbox.mails == []
