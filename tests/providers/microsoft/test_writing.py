"""Writing: what is sent and what is not, lost answers, series step by step, and nobody mailed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.providers.microsoft.kit import meeting, weekly

from calhub.calendar.edit import split_following
from calhub.calendar.event import Content
from calhub.providers.base import Done, Item, NotSent, Outcome, ProviderError, Refused, Stale, Trait, Unknown
from calhub.testing.contract_kit import Remote, event, listing
from calhub.testing.services.graph import Graph


def create(remote: Remote, content: Content, uid: str = "a@example.org") -> Item:
    return done(remote.provider.create(remote.calendar, remote.provider.reserve(remote.calendar, uid), uid, content))


def done(outcome: Outcome) -> Item:
    assert isinstance(outcome, Done), outcome
    assert outcome.echo is not None
    return outcome.echo


def update(remote: Remote, item: Item, content: Content) -> Outcome:
    return remote.provider.update(
        remote.calendar, item.remote_id, item.uid or "", content, expected=item.version, raw=item.raw
    )


def get(remote: Remote, name: str) -> Item:
    item = remote.provider.get(remote.calendar, name)
    assert item is not None
    assert item.content is not None, item.problem
    return item


def edit(remote: Remote, name: str, **fields: Any) -> Item:
    """Read the item and write it with these fields changed; None removes."""
    item = get(remote, name)
    content = {**(item.content or {}), **fields}
    return done(update(remote, item, {field: value for field, value in content.items() if value is not None}))


def sent(graph: Graph, method: str) -> list[Any]:
    return [request.json() for request in graph.requests(f"{method} *")]


# Single events


def test_only_changed_properties_are_sent(graph: Graph, remote: Remote) -> None:
    """A new title is all that a PATCH holds; what calhub does not know stays."""
    props = meeting(body={"contentType": "html", "content": "<p>Rich <b>text</b></p>"}, hideAttendees=True)
    name = graph.user_event(remote.calendar, **props, showAs="oof", location={"displayName": "Here", "address": {}})
    edit(remote, name, title="New")

    assert sent(graph, "PATCH") == [{"subject": "New"}]
    stored = graph.event(name).props
    assert "<b>text</b>" in stored["body"]["content"]
    assert (stored["showAs"], stored["hideAttendees"]) == ("oof", True)


def test_an_edited_text_replaces_the_body(graph: Graph, remote: Remote) -> None:
    """Only an edit of the text touches the HTML."""
    name = graph.user_event(remote.calendar, **meeting(body={"contentType": "html", "content": "<p>Rich</p>"}))
    echo = edit(remote, name, description="Plain\nnow")

    assert echo.content is not None
    assert echo.content["description"] == "Plain\nnow"


def test_an_online_meeting_stays_online(graph: Graph, remote: Remote) -> None:
    """A new text is written around the join block."""
    name = graph.user_event(remote.calendar, **meeting(isOnlineMeeting=True))
    text = (get(remote, name).content or {})["description"]
    echo = edit(remote, name, description=f"Agenda\n{text}")

    assert graph.event(name).props["isOnlineMeeting"] is True
    assert echo.content is not None
    assert echo.content["description"].startswith("Agenda\n")
    assert echo.content["description"].count("Join the meeting now") == 1


def test_a_write_carries_its_condition(graph: Graph, remote: Remote) -> None:
    """PATCH and DELETE are conditional on the etag that was read."""
    item = create(remote, event())
    echo = done(update(remote, item, event(title="New")))
    remote.provider.delete(remote.calendar, echo.remote_id, expected=echo.version)

    assert [request.header("if-match") for request in graph.requests("PATCH *")] == [item.version]
    assert [request.header("if-match") for request in graph.requests("DELETE *")] == [echo.version]


def test_an_edit_between_look_and_write_is_stale(graph: Graph, remote: Remote) -> None:
    """The server refuses, and nothing is overwritten."""
    item = create(remote, event())
    graph.hook = lambda request: (
        graph.user_patch(item.remote_id, subject="Theirs") if request.method == "PATCH" else None
    )
    outcome = update(remote, item, event(title="Ours"))
    graph.hook = None

    assert outcome == Stale()
    assert (get(remote, item.remote_id).content or {})["title"] == "Theirs"


def test_the_version_of_a_series_covers_its_exceptions(graph: Graph, remote: Remote) -> None:
    """An edit of one instance in Outlook makes an older version stale, though the master's etag did not move."""
    name = graph.user_event(remote.calendar, **weekly())
    item = get(remote, name)
    graph.user_patch(graph.user_instance(name, "2026-11-30"), subject="Theirs")

    assert update(remote, item, event(title="Ours")) == Stale()
    assert remote.provider.delete(remote.calendar, name, expected=item.version) == Stale()


# Lost answers


@pytest.mark.parametrize("how", ["cut-after", "truncated"])
def test_a_create_whose_answer_is_lost_can_be_repeated(how: Any, graph: Graph, remote: Remote) -> None:
    """The outcome is unknown; looked up by UID it is there, and sent again it makes no second one."""
    graph.fail("POST */events", how)
    name = remote.provider.reserve(remote.calendar, "a")
    assert isinstance(remote.provider.create(remote.calendar, name, "a", event()), Unknown)
    assert remote.provider.get(remote.calendar, name) is None
    found = remote.provider.find(remote.calendar, "a")
    assert found is not None

    assert remote.provider.create(remote.calendar, name, "a", event()) == Stale()
    assert list(listing(remote).items) == [found.remote_id]


@pytest.mark.parametrize("status", [409, 400])
def test_a_transaction_counts_once(status: int, graph: Graph, remote: Remote) -> None:
    """Should the lookup by UID not show it yet, Graph itself refuses the second create."""
    name = remote.provider.reserve(remote.calendar, "a")
    done(remote.provider.create(remote.calendar, name, "a", event()))
    graph.duplicate_status = status

    assert remote.provider.create(remote.calendar, name, "b", event()) == Stale()
    assert len(listing(remote).items) == 1


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("status", 429, NotSent),
        ("status", 503, Unknown),
        ("status-after", 500, Unknown),
        ("status", 400, Refused),
        ("status", 403, Refused),
        ("status", 412, Stale),
    ],
)
def test_what_an_answer_means(how: Any, status: int, kind: type, graph: Graph, remote: Remote) -> None:
    """Only what certainly was not applied is sent again."""
    item = create(remote, event())
    graph.fail("PATCH *", how, status=status)

    assert isinstance(update(remote, item, event(title="New")), kind)


def test_a_busy_mailbox_names_a_time(graph: Graph, remote: Remote) -> None:
    """A 503 with Retry-After was refused at the door; the time may be a fraction."""
    item = create(remote, event())
    graph.fail("PATCH *", "status", status=503, retry_after=2.128)

    assert update(remote, item, event(title="New")) == NotSent("Microsoft 365 is busy (HTTP 503).", 2.128)


def test_a_read_back_that_fails_leaves_doubt(graph: Graph, remote: Remote) -> None:
    """Written, but not seen: the engine looks again."""
    item = create(remote, event())
    graph.fail("GET */events/*", "status", status=500, skip=1)
    outcome = update(remote, item, event(title="New"))

    assert isinstance(outcome, Unknown)
    assert graph.event(item.remote_id).props["subject"] == "New"


def test_a_dead_sign_in_is_raised(graph: Graph, remote: Remote) -> None:
    """A 401 concerns the account, not the event."""
    item = create(remote, event())
    graph.expire_tokens()
    with pytest.raises(ProviderError) as caught:
        update(remote, item, event(title="New"))

    assert caught.value.trait is Trait.LOGIN


# Series

SERIES = event(
    rrule="FREQ=WEEKLY;COUNT=6;BYDAY=MO",
    exdates=["2026-12-14T10:00:00+01:00"],
    overrides={"2026-11-30T10:00:00+01:00": {"title": "Other"}},
)


def test_a_change_of_the_rule_keeps_the_exceptions(remote: Remote) -> None:
    """Exchange drops them with the old rule; they are put back."""
    item = create(remote, SERIES)
    content = {**SERIES, "rrule": "FREQ=WEEKLY;COUNT=9;BYDAY=MO"}

    assert done(update(remote, item, content)).content == content
    assert get(remote, item.remote_id).content == content


def test_moving_a_series_moves_its_exceptions(remote: Remote) -> None:
    """A new time of day, with the recurrence ids that go with it."""
    item = create(remote, SERIES)
    content = {
        **SERIES,
        "start": "2026-11-23T09:30:00",
        "end": "2026-11-23T10:30:00",
        "exdates": ["2026-12-14T09:30:00+01:00"],
        "overrides": {"2026-11-30T09:30:00+01:00": {"title": "Other"}},
    }

    assert done(update(remote, item, content)).content == content


def test_an_override_is_taken_back(remote: Remote) -> None:
    """The instance says what the series says, and the content has no override any more."""
    moved = {"start": "2026-12-01T15:00:00", "end": "2026-12-01T16:00:00", "location": "Cellar", "title": "Other"}
    item = create(remote, {**SERIES, "overrides": {"2026-11-30T10:00:00+01:00": moved}})
    content = {name: value for name, value in SERIES.items() if name != "overrides"}

    assert done(update(remote, item, content)).content == content


def test_a_deleted_instance_comes_back(graph: Graph, remote: Remote) -> None:
    """Graph has no call for it; the other exceptions survive the way around."""
    item = create(remote, SERIES)
    content = {name: value for name, value in SERIES.items() if name != "exdates"}

    assert done(update(remote, item, content)).content == content
    assert graph.event(item.remote_id).cancelled == {}


def test_an_instance_cancelled_by_its_status_is_deleted(remote: Remote) -> None:
    """Graph knows one way to cancel an instance."""
    content = {**SERIES, "overrides": {"2026-11-30T10:00:00+01:00": {"status": "cancelled"}}}
    echo = create(remote, content)

    assert echo.content is not None
    assert echo.content["exdates"] == ["2026-11-30T10:00:00+01:00", "2026-12-14T10:00:00+01:00"]
    assert "overrides" not in echo.content


def test_this_and_following_is_two_series(remote: Remote) -> None:
    """The old series ends by date, the new one has its share."""
    item = create(remote, event(rrule="FREQ=WEEKLY;COUNT=6;BYDAY=MO"))
    old, new = split_following(item.content or {}, "2026-12-14T10:00:00+01:00")

    assert done(update(remote, item, old)).content == old
    assert create(remote, new, "b@example.org").content == new


def test_a_series_in_another_zone_and_a_floating_one(remote: Remote) -> None:
    """Recurrence ids are told in the hub's zone, whatever name Graph has for it."""
    oslo = {**SERIES, "time_zone": "Europe/Oslo"}
    floating = event(
        time_zone=None,
        rrule="FREQ=WEEKLY;COUNT=6;BYDAY=MO",
        exdates=["2026-12-14T10:00:00"],
        overrides={"2026-11-30T10:00:00": {"start": "2026-11-30T12:00:00", "end": "2026-11-30T13:00:00"}},
    )

    assert create(remote, oslo, "oslo").content == oslo
    assert create(remote, floating, "floating").content == floating


def test_a_rule_graph_cannot_hold_is_refused(graph: Graph, remote: Remote) -> None:
    """Nothing is written: the series stays whole in the hub."""
    content = event(rrule="FREQ=MONTHLY;BYMONTHDAY=1,23")
    outcome = remote.provider.create(remote.calendar, "t", "a", content)
    item = create(remote, event(), "b")

    assert outcome == Refused("Microsoft 365 cannot hold a rule for several days of a month.")
    assert isinstance(update(remote, item, content), Refused)
    assert sent(graph, "PATCH") == []
    assert len(listing(remote).items) == 1


def test_a_create_that_fails_halfway_leaves_nothing(graph: Graph, remote: Remote) -> None:
    """The master is taken back when an exception of it is refused."""
    graph.fail("PATCH *", "status", status=400)
    outcome = remote.provider.create(remote.calendar, "t", "a", SERIES)

    assert isinstance(outcome, Refused)
    assert listing(remote).items == {}


def test_an_update_that_fails_halfway_is_looked_at_again(graph: Graph, remote: Remote) -> None:
    """The outcome does not claim that nothing was written."""
    item = create(remote, event(rrule="FREQ=WEEKLY;COUNT=6;BYDAY=MO"))
    graph.fail("DELETE *", "status", status=400)

    assert isinstance(update(remote, item, {**SERIES, "title": "New"}), Unknown)


# Attendees

PEOPLE = [{"emailAddress": {"address": "Bob@example.org", "name": "Bob"}, "type": "required"}]
GUEST = {"name": "Bob"}


def test_a_meeting_of_ours_is_not_touched_without_invitations(graph: Graph, remote: Remote) -> None:
    """Graph would mail the attendees, so the write is refused with the way out; nobody hears of it."""
    name = graph.user_event(remote.calendar, **meeting(attendees=PEOPLE))
    item = get(remote, name)
    outcome = update(remote, item, {**(item.content or {}), "title": "New"})

    assert isinstance(outcome, Refused)
    assert "invitations" in outcome.reason
    assert isinstance(remote.provider.delete(remote.calendar, name, expected=item.version), Refused)
    assert graph.outbox.mails == []


def test_what_is_private_about_a_meeting_can_be_written(graph: Graph, remote: Remote) -> None:
    """Categories, reminder and free or busy are the owner's own."""
    name = graph.user_event(remote.calendar, **meeting(attendees=PEOPLE))
    echo = edit(remote, name, categories=["Blue"], busy=False, alarms=[{"trigger": "-PT10M"}])

    assert (echo.content or {})["categories"] == ["Blue"]
    assert graph.outbox.mails == []


def test_somebody_elses_meeting_is_left_in_silence(graph: Graph, remote: Remote) -> None:
    """Our copy goes, its organiser is not told."""
    name = graph.user_event(remote.calendar, organizer=False, **meeting(attendees=PEOPLE))
    edit(remote, name, title="My name for it")
    item = get(remote, name)

    assert remote.provider.delete(remote.calendar, name, expected=item.version) == Done(None)
    assert remote.provider.get(remote.calendar, name) is None
    assert graph.outbox.mails == []


def test_with_invitations_on_attendees_are_written(graph: Graph, remote: Remote) -> None:
    """The list is sent whole, and who is there already stays as Graph has them."""
    remote.provider.prepare(remote.calendar, {"invitations": True})
    name = graph.user_event(remote.calendar, **meeting(attendees=PEOPLE))
    item = get(remote, name)
    assert (item.content or {})["attendees"] == {"bob@example.org": GUEST}
    edit(remote, name, attendees={"bob@example.org": GUEST, "cho@example.org": {"role": "optional"}})

    written = sent(graph, "PATCH")[-1]["attendees"]
    assert written[0]["emailAddress"] == PEOPLE[0]["emailAddress"]
    assert written[1] == {"emailAddress": {"address": "cho@example.org", "name": "cho@example.org"}, "type": "optional"}
    assert [(mail.kind, mail.to) for mail in graph.outbox.mails] == [("invitation", "cho@example.org")]


def test_without_invitations_attendees_are_read_and_never_written(graph: Graph, remote: Remote) -> None:
    """Who is invited in Outlook is seen here; who is invited here is not written, so no list is ever shortened."""
    name = graph.user_event(remote.calendar, organizer=False, **meeting(attendees=PEOPLE))
    item = get(remote, name)
    assert (item.content or {})["attendees"] == {"bob@example.org": GUEST}
    content = {**(item.content or {}), "title": "New", "attendees": {"cho@example.org": {}}}
    echo = done(update(remote, item, content))

    assert (echo.content or {})["attendees"] == {"bob@example.org": GUEST}
    assert sent(graph, "PATCH") == [{"subject": "New"}]
    made = create(remote, event(attendees={"cho@example.org": {}}))
    assert "attendees" not in (made.content or {})
    assert graph.outbox.mails == []


def test_a_read_only_calendar_refuses(graph: Graph, remote: Remote) -> None:
    """A sentence says why."""
    name = graph.user_event(remote.calendar, **meeting())
    graph.mailbox.calendars[remote.calendar].can_edit = False
    item = get(remote, name)

    assert update(remote, item, event(title="New")) == Refused("The account may not write to this calendar.")
