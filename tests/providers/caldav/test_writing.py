"""Writing: conditions, outcomes for every kind of answer, and what is read back."""

from __future__ import annotations

from typing import Any

import pytest

from calhub.providers.base import Done, NotSent, Outcome, Provider, ProviderError, Refused, Stale, Trait, Unknown
from calhub.providers.caldav import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract import event, vevent
from calhub.testing.davserver import CALENDAR, DavServer, Reply, Request

ITEM = CALENDAR + "item.ics"


def create(provider: Provider, uid: str = "uid-1", **fields: Any) -> Outcome:
    return provider.create(CALENDAR, ITEM, uid, event(**fields))


def update(provider: Provider, expected: str | None, raw: str | None = None) -> Outcome:
    return provider.update(CALENDAR, ITEM, "uid-1", event(title="New"), expected=expected, raw=raw)


def error(condition: str) -> str:
    return f'<error xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">{condition}</error>'


def test_create_is_conditional_and_read_back(server: DavServer, provider: Provider) -> None:
    """A create never overwrites, and its echo is what the server has, with its version."""
    outcome = create(provider)

    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert outcome.echo.version == server.items["item.ics"][0]
    assert server.seen("PUT")[0].headers["if-none-match"] == "*"
    assert isinstance(create(provider), Stale)


def test_echo_is_what_the_server_made_of_it(server: DavServer, provider: Provider) -> None:
    """A server that stores something else than it was sent, under the ETag it answers with, is believed."""

    def rewrite(request: Request) -> None:
        if request.method == "GET":
            server.items["item.ics"] = (server.items["item.ics"][0], vevent("uid-1", "SUMMARY:Rewritten"))

    server.answerers.append(rewrite)

    outcome = create(provider)

    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert (outcome.echo.content or {})["title"] == "Rewritten"


def test_edit_between_writing_and_reading_back_is_not_taken_for_ours(server: DavServer, provider: Provider) -> None:
    """Somebody writes right after us: the outcome is unknown, so that their edit is looked at and merged."""

    def meddle(request: Request) -> None:
        if request.method == "GET":
            server.store("item.ics", vevent("uid-1", "SUMMARY:Theirs"))

    server.answerers.append(meddle)

    assert isinstance(create(provider), Unknown)


def test_update_keeps_what_is_not_modelled(server: DavServer, provider: Provider) -> None:
    """Without the text at hand it is fetched and patched; the condition is the version the edit is based on."""
    text = vevent("uid-1", "SUMMARY:Old").replace("VERSION:2.0", "VERSION:2.0\r\nX-ODD:kept")
    etag = server.store("item.ics", text)

    outcome = update(provider, etag)

    assert isinstance(outcome, Done)
    assert "X-ODD:kept" in server.items["item.ics"][1]
    assert "SUMMARY:New" in server.items["item.ics"][1]
    assert server.seen("PUT")[0].headers["if-match"] == etag


def test_update_of_another_version_is_stale(server: DavServer, provider: Provider) -> None:
    """An edit based on an older version is not written, with and without the text at hand."""
    old = server.store("item.ics", vevent("uid-1"))
    raw = server.items["item.ics"][1]
    server.store("item.ics", vevent("uid-1", "SUMMARY:Theirs"))

    assert isinstance(update(provider, old), Stale)
    assert server.seen("PUT") == []
    assert isinstance(update(provider, old, raw), Stale)
    assert "Theirs" in server.items["item.ics"][1]


def test_update_of_a_missing_item_is_stale(server: DavServer, provider: Provider) -> None:
    """An item deleted meanwhile is not made again, also by a server that says 404."""
    assert isinstance(update(provider, '"1"', vevent("uid-1")), Stale)
    server.answer("PUT", 404)
    assert isinstance(update(provider, '"1"', vevent("uid-1")), Stale)


def test_delete_looks_first(server: DavServer, provider: Provider) -> None:
    """A server that ignores If-Match on DELETE cannot make us delete another version."""
    old = server.store("item.ics", vevent("uid-1"))
    server.store("item.ics", vevent("uid-1", "SUMMARY:Theirs"))

    assert isinstance(provider.delete(CALENDAR, ITEM, expected=old), Stale)
    assert server.seen("DELETE") == []


def test_delete_is_conditional_and_silent(server: DavServer, provider: Provider) -> None:
    """DELETE carries the version and asks the server to send nothing; a second one is done, too."""
    etag = server.store("item.ics", vevent("uid-1"))

    assert provider.delete(CALENDAR, ITEM, expected=etag) == Done(None)
    assert server.seen("DELETE")[0].headers["if-match"] == etag
    assert server.seen("DELETE")[0].headers["schedule-reply"] == "F"
    assert provider.delete(CALENDAR, ITEM, expected=etag) == Done(None)
    assert provider.delete(CALENDAR, ITEM, expected=None) == Done(None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "", Refused),
        (403, "", Refused),
        (403, error("<c:valid-calendar-data/>"), Refused),
        (405, "", Refused),
        (412, "", Stale),
        (412, error("<c:max-resource-size/>"), Refused),
        (413, "", Refused),
        (415, "", Refused),
        (422, "", Refused),
        (507, "", Refused),
        (423, "", NotSent),
        (429, "", NotSent),
        (503, "", NotSent),
        (500, "", Unknown),
        (502, "", Unknown),
        (504, "", Unknown),
    ],
)
def test_answers_to_a_write(server: DavServer, provider: Provider, status: int, body: str, kind: type[Outcome]) -> None:
    """Each answer to a PUT has one meaning, the same for create and update."""
    server.answer("PUT", status, body, times=2)

    assert isinstance(create(provider), kind)
    assert isinstance(update(provider, '"1"', vevent("uid-1")), kind)


def test_precondition_becomes_a_sentence(server: DavServer, provider: Provider) -> None:
    """The user reads why, not the name of a precondition."""
    server.answer("PUT", 403, error("<c:max-attendees-per-instance/>"))

    assert create(provider) == Refused("The event has more attendees than the server allows.")


def test_wait_is_handed_on(server: DavServer, provider: Provider) -> None:
    """A throttled write tells when to come back."""
    server.answer("PUT", 429, headers={"Retry-After": "12"})
    outcome = create(provider)

    assert isinstance(outcome, NotSent)
    assert outcome.retry_after == 12.0


def test_duplicate_uid_can_be_found(server: DavServer, provider: Provider) -> None:
    """A create refused for its UID is stale, and the item at fault is found without a search."""
    server.store("other.ics", vevent("uid-1"))

    assert isinstance(create(provider), Stale)

    server.answer("REPORT", 500, times=9)
    found = provider.find(CALENDAR, "uid-1")
    assert found is not None
    assert found.remote_id == CALENDAR + "other.ics"


def test_duplicate_uid_by_message(server: DavServer, provider: Provider) -> None:
    """SabreDAV says it with 400 and a sentence."""
    body = "<s:message>Calendar object with uid already exists in this calendar collection.</s:message>"
    server.answer("PUT", 400, f'<error xmlns="DAV:" xmlns:s="http://sabredav.org/ns">{body}</error>')

    assert isinstance(create(provider), Stale)


def test_duplicate_in_another_calendar_is_refused(server: DavServer, provider: Provider) -> None:
    """A UID that the account has elsewhere cannot be adopted here."""
    server.answer("PUT", 409, error("<c:no-uid-conflict><href>/dav/user/else/x.ics</href></c:no-uid-conflict>"))

    assert create(provider) == Refused("Another calendar of this account has an event with the same UID.")


def test_find_compares_exactly(server: DavServer, provider: Provider) -> None:
    """A server matches substrings; only the very UID counts. Where it cannot search, nothing is found."""
    server.store("long.ics", vevent("uid-10"))
    assert provider.find(CALENDAR, "uid-1") is None

    server.store("item.ics", vevent("uid-1"))
    found = provider.find(CALENDAR, "uid-1")
    assert found is not None
    assert found.uid == "uid-1"

    server.answer("REPORT", 403)
    assert provider.find(CALENDAR, "uid-1") is None


def test_broken_connection_is_unknown(server: DavServer, provider: Provider) -> None:
    """A write without an answer may have been applied."""
    server.answer("PUT", 0, drop=True)
    assert isinstance(create(provider), Unknown)

    etag = server.store("item.ics", vevent("uid-1"))
    server.answer("DELETE", 0, drop=True)
    assert isinstance(provider.delete(CALENDAR, ITEM, expected=etag), Unknown)


def test_written_but_not_read_back_is_unknown(server: DavServer, provider: Provider) -> None:
    """Without an echo nobody knows what is stored."""
    server.answer("GET", 500)

    assert isinstance(create(provider), Unknown)
    assert "item.ics" in server.items


def test_dead_server_is_not_sent() -> None:
    """A write that never left is certainly not applied."""
    with DavServer() as server:
        url = server.url
    provider = connect({"url": url, "username": "user"}, MemoryVault({"password": "secret"}))

    assert isinstance(create(provider), NotSent)
    assert isinstance(update(provider, '"1"'), NotSent)
    assert isinstance(provider.delete(CALENDAR, ITEM, expected='"1"'), NotSent)
    provider.close()


def test_wrong_password_is_raised(server: DavServer) -> None:
    """A 401 is a matter of the account, not of the event."""
    provider = connect({"url": server.url, "username": "user"}, MemoryVault({"password": "wrong"}))

    with pytest.raises(ProviderError) as caught:
        create(provider)

    assert caught.value.trait is Trait.LOGIN
    assert server.items == {}
    provider.close()


def test_create_in_a_calendar_that_went_away_is_gone(server: DavServer, provider: Provider) -> None:
    """A 404 to a create is about the calendar."""
    server.answer("PUT", 404)

    with pytest.raises(ProviderError) as caught:
        create(provider)

    assert caught.value.trait is Trait.GONE


def test_calendar_itself_is_never_written(server: DavServer, provider: Provider) -> None:
    """There are servers that replace a whole calendar by what is PUT at its address."""
    for remote_id in (CALENDAR, CALENDAR.rstrip("/")):
        with pytest.raises(ProviderError):
            provider.create(CALENDAR, remote_id, "uid-1", event())
        with pytest.raises(ProviderError):
            provider.delete(CALENDAR, remote_id, expected=None)

    assert server.requests == []


def test_server_that_invites_is_kept_silent(server: DavServer, provider: Provider) -> None:
    """At a server with scheduling a new event tells it to leave messages alone; an update never adds that."""
    server.dav = "1, 3, calendar-access, calendar-auto-schedule"
    people = {"ann@example.org": {"name": "Ann"}}
    organizer = {"email": "bob@example.org"}

    outcome = create(provider, attendees=people, organizer=organizer)

    unfolded = server.items["item.ics"][1].replace("\r\n ", "")
    assert unfolded.count("SCHEDULE-AGENT=CLIENT") == 2
    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert list((outcome.echo.content or {})["attendees"]) == ["ann@example.org"]

    etag = server.store(
        "item.ics", vevent("uid-1", "ORGANIZER:mailto:bob@example.org", "ATTENDEE:mailto:a@example.org")
    )
    update(provider, etag)
    assert "SCHEDULE-AGENT" not in server.items["item.ics"][1]


def test_plain_server_gets_plain_participants(server: DavServer, provider: Provider) -> None:
    """Where nobody is mailed, nothing is added."""
    create(provider, attendees={"ann@example.org": {}})

    assert "SCHEDULE-AGENT" not in server.items["item.ics"][1]


def test_login_page_instead_of_an_item_is_an_error(server: DavServer, provider: Provider) -> None:
    """A portal's page is no broken event."""
    server.answer("GET", 200, "<html>Sign in</html>", headers={"Content-Type": "text/html"})

    with pytest.raises(ProviderError):
        provider.get(CALENDAR, ITEM)


def test_get_without_version_asks_for_it(server: DavServer, provider: Provider) -> None:
    """A server that leaves the ETag out of GET has it as a property."""
    etag = server.store("item.ics", vevent("uid-1"))
    server.answer("GET", 200, vevent("uid-1"), headers={"Content-Type": "text/calendar"})

    item = provider.get(CALENDAR, ITEM)

    assert item is not None
    assert item.version == etag


def test_other_name_chosen_by_the_server_is_followed(server: DavServer, provider: Provider) -> None:
    """A server may store a new item under a name of its own and tell it by Location."""

    def rename(request: Request) -> Reply | None:
        if request.method != "PUT":
            return None
        server.store("own.ics", request.body.decode())
        return Reply(201, headers={"Location": "/dav/user/cal/own.ics"})

    server.answerers.append(rename)

    outcome = create(provider)

    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert outcome.echo.remote_id == CALENDAR + "own.ics"
