"""Writes: only what changed, only from the state we know, once each whatever becomes of the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.providers.notion.conftest import FULL, USUAL, Connect, text

from calhub.calendar.event import Content
from calhub.providers.base import (
    Done,
    Item,
    NotSent,
    Outcome,
    ProviderError,
    Refused,
    Stale,
    Trait,
    Unknown,
)
from calhub.providers.notion.provider import NotionProvider
from calhub.providers.notion.schema import STATUSES
from calhub.testing.contract_kit import Remote, event, listing
from calhub.testing.services.base import Request
from calhub.testing.services.notion import NEW, OLD, RENAMED, NotionService
from calhub.testing.services.notion.model import DataSource


@pytest.fixture
def source(service: NotionService) -> DataSource:
    return service.add_database("Team", FULL | {"Notes": {"rich_text": {}}})


@pytest.fixture
def provider(connect: Connect, source: DataSource) -> NotionProvider:
    return connect(table=source)


def create(provider: NotionProvider, source: DataSource, content: Content, uid: str = "a@example.org") -> Outcome:
    return provider.create(source.id, provider.reserve(source.id, uid), uid, content)


def made(provider: NotionProvider, source: DataSource, content: Content, uid: str = "a@example.org") -> Item:
    outcome = create(provider, source, content, uid)
    assert isinstance(outcome, Done), outcome
    assert outcome.echo is not None
    return outcome.echo


def update(provider: NotionProvider, source: DataSource, item: Item, content: Content) -> Outcome:
    assert item.uid is not None
    return provider.update(source.id, item.remote_id, item.uid, content, expected=item.version, raw=None)


def sent(service: NotionService, match: str) -> list[dict[str, Any]]:
    """Bodies of the requests, the newest last."""
    return [json.loads(request.body) for request in service.requests(match)]


# What is written


def test_row_as_people_see_it(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    content = event(
        description="Bring the slides.",
        status="tentative",
        categories=["work"],
        attendees={"bob@example.org": {"name": "Bob", "status": "accepted"}, "cho@example.org": {}},
    )
    made(provider, source, content)
    shown = service.shown(service.rows(source)[0])

    assert service.text(service.rows(source)[0], "UID") == "a@example.org"
    assert shown["Date"]["start"] == "2026-11-23T10:00:00.000+01:00"
    assert shown["Status"]["name"] == "Tentative"
    assert [option["name"] for option in shown["Categories"]] == ["work"]
    assert service.text(service.rows(source)[0], "Attendees") == "Bob <bob@example.org> (accepted)\ncho@example.org"


def test_last_day_is_inclusive(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    made(provider, source, event(start="2026-11-23", end="2026-11-24", all_day=True, time_zone=None), "one")
    made(provider, source, event(start="2026-11-23", end="2026-11-26", all_day=True, time_zone=None), "three")
    one, three = (service.shown(page)["Date"] for page in service.rows(source))

    assert (one["start"], one["end"]) == ("2026-11-23", None)
    assert (three["start"], three["end"]) == ("2026-11-23", "2026-11-25")


def test_only_changed_properties_are_sent(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    item = made(provider, source, event(description="Old", location="Here"))
    update(provider, source, item, event(description="New", location="Here"))
    description = next(prop.id for prop in source.properties.values() if prop.name == "Description")

    assert list(sent(service, "PATCH */pages/*")[-1]["properties"]) == [description]


def test_formatting_and_other_properties_stay(
    service: NotionService, provider: NotionProvider, source: DataSource
) -> None:
    """A text that did not change is not sent: that would destroy its formatting and mentions."""
    item = made(provider, source, event(description="See notes"))
    (page,) = service.rows(source)
    bold = [{"text": {"content": "See "}, "annotations": {"bold": True}}, *text("notes")]
    service.user_edit(page, {"Description": bold, "Notes": text("Mine")})
    again = provider.get(source.id, item.remote_id)
    assert again is not None
    assert again.version == item.version, "formatting is no change of the event"
    update(provider, source, item, event(title="Other", description="See notes"))
    pieces = service.shown(page)["Description"]

    assert [piece["annotations"]["bold"] for piece in pieces] == [True, False]
    assert service.text(page, "Notes") == "Mine"
    assert service.text(page, "Title") == "Other"


def test_nothing_to_change_sends_nothing(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    item = made(provider, source, event())
    assert isinstance(update(provider, source, item, event()), Done)

    assert service.requests("PATCH *") == []


@pytest.mark.parametrize("version", [NEW, RENAMED])
def test_delete_moves_to_the_trash(service: NotionService, connect: Connect, source: DataSource, version: str) -> None:
    provider = connect(version, source)
    item = made(provider, source, event())
    provider.delete(source.id, item.remote_id, expected=item.version)

    assert sent(service, "PATCH *")[-1] == {"archived" if version == NEW else "in_trash": True}
    assert service.rows(source) == []


def test_old_model(service: NotionService, connect: Connect, source: DataSource) -> None:
    provider = connect(OLD, source)
    outcome = provider.create(source.database, "new", "a@example.org", event())
    assert isinstance(outcome, Done)

    assert sent(service, "POST */pages")[-1]["parent"] == {"type": "database_id", "database_id": source.database}


def test_people_are_never_written(service: NotionService, connect: Connect) -> None:
    """Writing a people property would notify them: such a property does not hold attendees."""
    source = service.add_database("Team", {**USUAL, "Attendees": {"people": {}}})
    provider = connect(table=source)
    assert "attendees" not in provider.prepare(source.id, {}).keeps
    made(provider, source, event(attendees={"ann@example.org": {}}))

    assert service.shown(service.rows(source)[0])["Attendees"] == []


# Limits of Notion


def test_long_text_goes_in_pieces(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    long = "Wörter 😀 " * 9000
    item = made(provider, source, event(description=long))

    assert item.content is not None
    assert item.content["description"] == long
    assert len(service.shown(service.rows(source)[0])["Description"]) > 25


def test_what_does_not_fit_stays_in_the_hub(provider: NotionProvider, source: DataSource) -> None:
    """The rest of the event is written."""
    content = event(description="x" * 200_001, url="https://example.org/" + "x" * 2000, categories=["a,b", "c"])
    item = made(provider, source, content)

    assert item.content == {**event(), "categories": ["c"]}


def test_too_large_a_row_is_refused(provider: NotionProvider, source: DataSource) -> None:
    outcome = create(provider, source, event(description="日" * 190_000))

    assert isinstance(outcome, Refused)
    assert "500 KB" in outcome.reason


def test_zone_that_notion_does_not_know(
    service: NotionService, provider: NotionProvider, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times are told by their offsets, then."""
    from calhub.testing.services.notion import values

    monkeypatch.setattr(values, "available_timezones", lambda: {"UTC"})
    item = made(provider, source, event())
    assert item.content == event()

    assert service.shown(service.rows(source)[0])["Date"]["start"] == "2026-11-23T10:00:00.000+01:00"


# Properties


def test_without_uid_nothing_is_written(service: NotionService, connect: Connect) -> None:
    source = service.add_database("Team", {"Name": {"title": {}}, "Date": {"date": {}}})
    provider = connect()
    assert not provider.prepare(source.id, {}).writable
    outcome = create(provider, source, event())

    assert isinstance(outcome, Refused)
    assert "UID" in outcome.reason
    assert service.rows(source) == []


def test_missing_properties_are_made_with_the_first_write(service: NotionService, connect: Connect) -> None:
    """Not before: looking at a calendar changes nothing. What is there under another type is somebody else's."""
    source = service.add_database("Team", {"Name": {"title": {}}, "When": {"date": {}}, "URL": {"number": {}}})
    settings = {"create_properties": True, "properties": {"location": "Where", "privacy": "Secrecy"}}
    provider = connect()
    can = provider.prepare(source.id, settings)
    listing(Remote(provider, source.id))
    assert (can.writable, len(source.properties)) == (True, 3)
    assert "url" not in can.keeps
    made(provider, source, event(location="Room 4", privacy="private"))
    types = {prop.name: prop.type for prop in source.properties.values()}

    assert types == {
        "Name": "title", "When": "date", "URL": "number", "Where": "rich_text", "Secrecy": "select", "UID": "rich_text",
        "Description": "rich_text", "Status": "select", "Categories": "multi_select", "Attendees": "rich_text",
        "Recurrence": "rich_text", "Time zone": "rich_text",
    }  # fmt: skip
    assert [option["name"].lower() for option in source.find("Status").options] == list(STATUSES)
    assert service.text(service.rows(source)[0], "Where") == "Room 4"
    assert provider.prepare(source.id, settings) == can


def test_series_needs_a_property(service: NotionService, connect: Connect) -> None:
    """It is never flattened silently."""
    source = service.add_database("Team", {name: kind for name, kind in FULL.items() if name != "Recurrence"})
    outcome = create(connect(table=source), source, event(rrule="FREQ=DAILY"))

    assert isinstance(outcome, Refused)
    assert "recurrence" in outcome.reason


def test_renamed_property_is_known_by_its_id(
    service: NotionService, provider: NotionProvider, source: DataSource
) -> None:
    item = made(provider, source, event(location="Here"))
    with service.lock:
        source.find("Location").name = "Place"
    outcome = update(provider, source, item, event(location="There"))

    assert isinstance(outcome, Done)
    assert service.text(service.rows(source)[0], "Place") == "There"


def test_removed_property_is_no_deletion(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    """Within the pass that finds out, nothing is read or written; the next one cannot hold the field."""
    item = made(provider, source, event(location="Here"))
    with service.lock:
        del source.properties[source.find("Location").id]
    calls: list[Callable[[], Any]] = [
        lambda: provider.get(source.id, item.remote_id),
        lambda: provider.find(source.id, "a@example.org"),
        lambda: listing(Remote(provider, source.id)),
    ]
    for call in calls:
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.trait is Trait.GONE, "the account's other calendars go on"
    assert isinstance(update(provider, source, item, event(title="New", location="There")), NotSent)
    assert isinstance(create(provider, source, event(location="There"), "b@example.org"), NotSent)

    assert "location" not in provider.prepare(source.id, {}).keeps
    seen = provider.get(source.id, item.remote_id)
    assert seen is not None
    assert seen.content == event()


# Doubt


def test_outdated_update_and_delete_are_stale(
    service: NotionService, provider: NotionProvider, source: DataSource
) -> None:
    """Notion has no conditional writes: the row is read right before."""
    item = made(provider, source, event())
    (page,) = service.rows(source)
    service.user_edit(page, {"Location": text("Elsewhere")})

    assert update(provider, source, item, event(title="Mine")) == Stale()
    assert provider.delete(source.id, item.remote_id, expected=item.version) == Stale()
    assert (service.text(page, "Title"), page.in_trash) == ("Meeting", False)


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("cut-before", 0, Unknown),
        ("cut-after", 0, Unknown),
        ("truncated", 0, Unknown),
        ("status", 500, Unknown),
        ("status-after", 502, Unknown),
        ("status", 429, NotSent),
        ("status", 529, NotSent),
        ("status", 409, Stale),
        ("status", 403, Refused),
    ],
)
def test_outcomes_of_a_create(
    service: NotionService, provider: NotionProvider, source: DataSource, how: Any, status: int, kind: type
) -> None:
    """Whatever came of it: looked for, it is there at most once, and a second attempt makes no second row."""
    service.fail("POST */pages", how, status=status, retry_after=7)
    outcome = create(provider, source, event())
    assert isinstance(outcome, kind), outcome
    if isinstance(outcome, NotSent):
        assert outcome.retry_after == 7
    found = provider.find(source.id, "a@example.org")
    applied = how in ("cut-after", "truncated", "status-after")
    assert (found is not None) == applied
    assert isinstance(create(provider, source, event()), Stale if applied else Done)

    assert len(service.rows(source)) == 1


@pytest.mark.parametrize("tells", [True, False])
def test_a_503_may_mean_that_it_was_saved(
    service: NotionService, provider: NotionProvider, source: DataSource, tells: bool
) -> None:
    service.tells_committed = tells
    service.fail("POST */pages", "status-after", status=503)

    assert isinstance(create(provider, source, event()), Done if tells else Unknown)
    assert len(service.rows(source)) == 1


def test_create_is_not_looked_for_after_a_full_listing(provider: NotionProvider, source: DataSource) -> None:
    """What is there is known then; but once a create was tried, only a look tells."""
    listing(Remote(provider, source.id))
    before = provider.requests
    made(provider, source, event())
    assert provider.requests == before + 1
    assert create(provider, source, event()) == Stale()
    provider.prepare(source.id, {})

    made(provider, source, event(), "b@example.org")
    assert provider.requests == before + 4


@pytest.mark.parametrize("match", ["GET */pages/*", "PATCH */pages/*"])
def test_failed_update_can_be_repeated(
    service: NotionService, provider: NotionProvider, source: DataSource, match: str
) -> None:
    item = made(provider, source, event())
    service.fail(match, "status", status=429, retry_after=3)
    assert update(provider, source, item, event(title="New")) == NotSent("Notion: Something went wrong (429).", 3)

    assert isinstance(update(provider, source, item, event(title="New")), Done)


def test_blocked_connection_stops(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    """A 429 that says "blocked" is not to be retried."""

    def block(request: Request) -> Any:  # noqa: ARG001
        from calhub.testing.services.notion.errors import error_response

        more = {"rate_limit_reason": "public_api_request_blocked"}
        return error_response(429, "You are blocked.", more=more)

    setattr(service, "error", lambda status, request: block(request))  # noqa: B010, ARG005
    service.fail("POST */pages", "status", status=429)
    with pytest.raises(ProviderError) as caught:
        create(provider, source, event())

    assert caught.value.trait is Trait.FATAL


def test_rights_taken_away(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    item = made(provider, source, event())
    service.read_only = True

    assert isinstance(update(provider, source, item, event(title="New")), Refused)
    service.database_of(source).shared = False
    calls: list[Callable[[], Any]] = [
        lambda: update(provider, source, item, event(title="New")),
        lambda: provider.delete(source.id, item.remote_id, expected=item.version),
    ]
    for call in calls:
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.trait is Trait.GONE


def test_purged_row_is_gone(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    item = made(provider, source, event())
    service.user_purge(service.rows(source)[0])

    assert provider.get(source.id, item.remote_id) is None
    assert update(provider, source, item, event(title="New")) == Stale()
    assert provider.delete(source.id, item.remote_id, expected=item.version) == Done(None)
