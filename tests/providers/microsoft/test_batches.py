"""Twenty writes in one request: results one by one, and a fifth of the requests or less."""

from __future__ import annotations

from typing import Any

import pytest
from tests.providers.microsoft.kit import weekly

from calhub.providers.base import Done, NotSent, Outcome, Refused, Stale, Unknown, WriteRequest
from calhub.providers.layers import Retry
from calhub.testing.contract_kit import Remote, event, listing
from calhub.testing.services.graph import Graph
from calhub.testing.services.graph.service import BATCH


def creates(remote: Remote, count: int) -> list[WriteRequest]:
    return [
        WriteRequest(op="create", remote_id=remote.provider.reserve(remote.calendar, uid), uid=uid, content=event())
        for uid in (f"e{number}" for number in range(count))
    ]


def filled(remote: Remote, count: int = BATCH) -> list[WriteRequest]:
    """Updates of so many events that were just created."""
    made = remote.provider.write_batch(remote.calendar, creates(remote, count))
    echoes = [outcome.echo for outcome in made if isinstance(outcome, Done) and outcome.echo is not None]
    assert len(echoes) == count
    return [
        WriteRequest(
            op="update", remote_id=echo.remote_id, uid=echo.uid or "", content=event(title="New"), expected=echo.version
        )
        for echo in echoes
    ]


def kinds(outcomes: list[Outcome]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def test_a_full_batch_takes_three_requests(graph: Graph, remote: Remote) -> None:
    """Look, write, read back: three for twenty updates, where one by one takes sixty."""
    requests = filled(remote)
    before = len(graph.log)
    outcomes = remote.provider.write_batch(remote.calendar, requests)

    assert kinds(outcomes) == [Done] * BATCH
    assert len(graph.log) - before == 3
    titles = {(item.content or {})["title"] for item in listing(remote).items.values()}
    assert titles == {"New"}


def test_each_write_has_its_own_outcome(graph: Graph, remote: Remote) -> None:
    """A stale, a refused, a throttled, a failed and a gone one do not concern their neighbours."""
    requests = filled(remote, 6)
    graph.user_patch(requests[0].remote_id, subject="Theirs")
    graph.fail(f"PATCH */{requests[1].remote_id}".replace("=", "%3D"), "status", status=400, part=True)
    graph.fail(f"PATCH */{requests[2].remote_id}".replace("=", "%3D"), "status", status=429, retry_after=3, part=True)
    graph.fail(f"PATCH */{requests[3].remote_id}".replace("=", "%3D"), "status-after", status=500, part=True)
    graph.user_delete(requests[4].remote_id)
    outcomes = remote.provider.write_batch(remote.calendar, requests)

    assert kinds(outcomes) == [Stale, Refused, NotSent, Unknown, Stale, Done]
    assert outcomes[2] == NotSent("Microsoft 365 is busy (HTTP 429).", 3)


def test_creates_updates_deletes_and_series_go_together(remote: Remote) -> None:
    """Scripts of different length share the requests."""
    update, victim = filled(remote, 2)
    series = event(rrule="FREQ=WEEKLY;COUNT=4;BYDAY=MO", exdates=["2026-11-30T10:00:00+01:00"])
    outcomes = remote.provider.write_batch(
        remote.calendar,
        [
            update,
            WriteRequest(op="delete", remote_id=victim.remote_id, uid=victim.uid, expected=victim.expected),
            WriteRequest(op="create", remote_id="t-1", uid="series", content=series),
            WriteRequest(op="create", remote_id="t-2", uid="bad", content=event(rrule="FREQ=HOURLY")),
        ],
    )

    assert kinds(outcomes) == [Done, Done, Done, Refused]
    made = remote.provider.find(remote.calendar, "series")
    assert made is not None
    assert made.content == series


@pytest.mark.parametrize(("how", "kind"), [("cut-after", Unknown), ("truncated", Unknown)])
def test_a_lost_batch_leaves_every_write_in_doubt(how: Any, kind: type, graph: Graph, remote: Remote) -> None:
    """What was sent and not answered may have been applied."""
    requests = filled(remote, 3)
    graph.fail("POST */$batch", how, skip=1)

    assert kinds(remote.provider.write_batch(remote.calendar, requests)) == [kind] * 3


def test_a_batch_lost_on_the_look_wrote_nothing(graph: Graph, remote: Remote) -> None:
    """The first round only reads."""
    requests = filled(remote, 3)
    graph.fail("POST */$batch", "cut-after")

    assert kinds(remote.provider.write_batch(remote.calendar, requests)) == [NotSent] * 3


def test_a_throttled_batch_is_sent_again(graph: Graph, remote: Remote) -> None:
    """The layer above repeats only what certainly was not applied."""
    requests = filled(remote, 4)
    graph.fail("PATCH *", "status", status=429, retry_after=1, times=2, part=True)
    retried = Retry(remote.provider, sleep=lambda _: None)

    assert kinds(retried.write_batch(remote.calendar, requests)) == [Done] * 4
    assert len(graph.requests("PATCH *")) == 6


def test_many_series_are_read_in_batches(graph: Graph, remote: Remote) -> None:
    """Masters are fetched twenty at once."""
    for _ in range(45):
        graph.user_event(remote.calendar, **weekly())
    graph.log.clear()

    assert len(listing(remote).items) == 45
    assert len(graph.requests("POST */$batch")) == 3
