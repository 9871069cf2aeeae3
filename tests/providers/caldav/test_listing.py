"""Listing: tokens, truncation, tags and servers that leave things out."""

from __future__ import annotations

import json

import pytest

from calhub.providers.base import Page, Provider, ProviderError, Trait
from calhub.testing.contract import Versions, vevent
from calhub.testing.davserver import CALENDAR, DavServer, Reply, Request


def pull(provider: Provider, cursor: str | None = None, known: Versions | None = None) -> list[Page]:
    return list(provider.changes(CALENDAR, cursor, known if known is not None else Versions()))


def names(pages: list[Page]) -> list[str]:
    return [item.remote_id.removeprefix(CALENDAR) for page in pages for item in page.items]


def removed(pages: list[Page]) -> list[str]:
    return [name.removeprefix(CALENDAR) for page in pages for name in page.removed]


def versions(pages: list[Page]) -> Versions:
    return Versions({item.remote_id: item.version for page in pages for item in page.items})


def fill(server: DavServer, count: int) -> None:
    for number in range(count):
        server.store(f"{number}.ics", vevent(f"uid-{number}"))


def test_first_pull_is_one_report(server: DavServer, provider: Provider) -> None:
    """A server that gives bodies with sync-collection is asked for everything at once."""
    fill(server, 600)

    pages = pull(provider)

    assert len(set(names(pages))) == 600
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
    assert [page.cursor is None for page in pages] == [True] * (len(pages) - 1) + [False]
    assert len(server.seen("REPORT")) == 1


def test_bodies_come_by_multiget_where_sync_has_none(server: DavServer, provider: Provider) -> None:
    """Without bodies in sync-collection they are fetched in chunks, all of them, once."""
    server.sync_bodies = False
    fill(server, 600)

    pages = pull(provider)

    assert sorted(names(pages)) == sorted(f"{number}.ics" for number in range(600))
    assert sum(b"multiget" in request.body for request in server.seen("REPORT")) == 3


def test_truncated_answers_are_continued(server: DavServer, provider: Provider) -> None:
    """A 507 on the collection leads to further rounds, and each round's cursor stands for what came before."""
    server.sync_page = 4
    fill(server, 10)

    pages = pull(provider)

    assert len(names(pages)) == 10
    assert [page.complete for page in pages if page.cursor] == [False, False, True]
    first_cursor = next(page.cursor for page in pages if page.cursor)
    assert sorted(names(pull(provider, first_cursor, versions(pages[:1])))) == [
        f"{number}.ics" for number in range(4, 10)
    ]


def test_truncation_without_progress_ends_in_a_listing(server: DavServer, provider: Provider) -> None:
    """A server that cuts and repeats its token is not asked for ever; the items are listed instead."""
    fill(server, 3)
    row = f"<response><href>{CALENDAR}</href><status>HTTP/1.1 507 X</status></response>"
    server.answer("REPORT", 207, f'<multistatus xmlns="DAV:">{row}<sync-token>t</sync-token></multistatus>', times=2)

    pages = pull(provider)

    assert sorted(names(pages)) == ["0.ics", "1.ics", "2.ics"]
    assert pages[-1].complete


def test_tombstones_of_a_first_answer_mean_nothing(server: DavServer, provider: Provider) -> None:
    """Some servers report in the first answer what was deleted long ago."""
    fill(server, 2)
    server.drop("0.ics")

    pages = pull(provider)

    assert names(pages) == ["1.ics"]
    assert removed(pages) == []


def test_changes_since_a_token(server: DavServer, provider: Provider) -> None:
    """An incremental pull brings what changed and what went, in one request."""
    fill(server, 5)
    first = pull(provider)
    server.store("1.ics", vevent("uid-1", "SUMMARY:New"))
    server.drop("2.ics")
    before = len(server.requests)

    pages = pull(provider, first[-1].cursor, versions(first))

    assert names(pages) == ["1.ics"]
    assert removed(pages) == ["2.ics"]
    assert not any(page.complete for page in pages)
    assert len(server.requests) == before + 1


def refuse_token(server: DavServer, status: int, body: str) -> None:
    """Refuse every sync-collection that has a token."""

    def answer(request: Request) -> Reply | None:
        if b"sync-collection" in request.body and b"<d:sync-token></d:sync-token>" not in request.body:
            return Reply(status, body.encode()) if request.method == "REPORT" else None
        return None

    server.answerers.append(answer)


INVALID_TOKEN = '<error xmlns="DAV:"><valid-sync-token/></error>'


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, INVALID_TOKEN), (409, INVALID_TOKEN), (412, INVALID_TOKEN), (412, ""), (400, "bad"), (507, "")],
)
def test_invalid_token_leads_to_a_diffed_listing(server: DavServer, provider: Provider, status: int, body: str) -> None:
    """Only what differs is fetched, the rest is present, what is missing is gone by the complete listing."""
    fill(server, 5)
    first = pull(provider)
    server.store("1.ics", vevent("uid-1", "SUMMARY:New"))
    server.drop("2.ics")
    refuse_token(server, status, body)

    pages = pull(provider, first[-1].cursor, versions(first))

    assert names(pages) == ["1.ics"]
    assert sorted(name for page in pages for name in page.present) == [CALENDAR + f"{n}.ics" for n in (0, 3, 4)]
    assert pages[-1].complete
    assert json.loads(pages[-1].cursor or "") == {"token": "http://example.org/sync/7"}


def test_no_cursor_before_a_full_listing_is_whole(server: DavServer, provider: Provider) -> None:
    """A listing that finds what is gone must not be resumed in the middle."""
    fill(server, 3)
    known = Versions({CALENDAR + "gone.ics": '"0"'})

    pages = pull(provider, None, known)

    assert [page.cursor is not None for page in pages] == [False] * (len(pages) - 1) + [True]


def test_missing_token_falls_back_to_listing(server: DavServer, provider: Provider) -> None:
    """An answer without a new token cannot be built upon."""
    fill(server, 2)
    first = pull(provider)
    server.answer("REPORT", 207, '<multistatus xmlns="DAV:"/>')
    server.drop("1.ics")

    pages = pull(provider, first[-1].cursor, versions(first))

    assert pages[-1].complete
    assert [name for page in pages for name in page.present] == [CALENDAR + "0.ics"]


def test_limit_on_bodies_is_got_round(server: DavServer, provider: Provider) -> None:
    """A server that refuses a large answer with bodies is asked again without them."""
    fill(server, 3)
    server.answer("REPORT", 400)

    pages = pull(provider)

    assert len(names(pages)) == 3
    assert pages[-1].complete
    assert not any(b"calendar-data" in r.body for r in server.seen("REPORT")[1:] if b"sync-collection" in r.body)


def test_ctag_unchanged_lists_nothing(server: DavServer, provider: Provider) -> None:
    """Without sync-collection an unchanged tag ends the pull after one request; a changed one lists."""
    server.sync = False
    fill(server, 3)
    first = pull(provider)
    before = len(server.requests)

    assert [page for page in pull(provider, first[-1].cursor, versions(first)) if page.items or page.complete] == []
    assert len(server.requests) == before + 1

    server.store("1.ics", vevent("uid-1", "SUMMARY:New"))
    pages = pull(provider, first[-1].cursor, versions(first))
    assert names(pages) == ["1.ics"]
    assert pages[-1].complete


def test_neither_token_nor_tag(server: DavServer, provider: Provider) -> None:
    """A server with nothing is listed each time, by ETag."""
    server.sync = server.ctag = False
    fill(server, 3)
    first = pull(provider)
    server.drop("0.ics")

    pages = pull(provider, first[-1].cursor, versions(first))

    assert names(pages) == []
    assert pages[-1].complete
    assert sorted(name for page in pages for name in page.present) == [CALENDAR + "1.ics", CALENDAR + "2.ics"]


def test_what_multiget_leaves_out_is_fetched_singly(server: DavServer, provider: Provider) -> None:
    """An href missing in the answer is not taken for deleted."""
    server.sync_bodies = False
    fill(server, 4)
    server.multiget_drops = {"1.ics", "3.ics"}

    assert sorted(names(pull(provider))) == ["0.ics", "1.ics", "2.ics", "3.ics"]
    assert sorted(request.path for request in server.seen("GET")) == [CALENDAR + "1.ics", CALENDAR + "3.ics"]


def test_row_without_its_body_is_fetched_singly(server: DavServer, provider: Provider) -> None:
    """A multiget row that has no calendar-data is not taken for deleted."""
    server.sync_bodies = False
    fill(server, 1)

    def bare(request: Request) -> Reply | None:
        row = f"<response><href>{CALENDAR}0.ics</href><propstat><prop><getetag>x</getetag></prop></propstat></response>"
        answer = Reply(207, f'<multistatus xmlns="DAV:">{row}</multistatus>'.encode())
        return answer if b"multiget" in request.body else None

    server.answerers.append(bare)

    assert names(pull(provider)) == ["0.ics"]


def test_item_gone_before_its_body_is_removed(server: DavServer, provider: Provider) -> None:
    """What is listed and gone a moment later is reported as removed."""
    server.sync = False
    fill(server, 2)
    first = pull(provider)
    server.store("1.ics", vevent("uid-1", "SUMMARY:New"))

    def vanish(request: Request) -> None:
        if b"multiget" in request.body and "1.ics" in server.items:
            server.drop("1.ics")

    server.answerers.append(vanish)

    pages = pull(provider, None, versions(first))

    assert names(pages) == []
    assert removed(pages) == ["1.ics"]


def test_item_that_breaks_the_server_is_a_problem_of_its_own(server: DavServer, provider: Provider) -> None:
    """A multiget that fails is halved until only the item at fault is left."""
    server.sync_bodies = False
    fill(server, 9)
    server.multiget_fails_on = {"4.ics"}

    def fail(request: Request) -> Reply | None:
        return Reply(500) if request.method == "GET" else None

    server.answerers.append(fail)

    items = {item.remote_id: item for page in pull(provider) for item in page.items}

    assert [name for name, item in items.items() if item.problem] == [CALENDAR + "4.ics"]
    assert len(items) == 9


def test_multiget_may_be_missing(server: DavServer, provider: Provider) -> None:
    """Where multiget is not supported, items are fetched one by one."""
    server.sync_bodies = False
    fill(server, 3)

    def refuse(request: Request) -> Reply | None:
        return Reply(501) if b"multiget" in request.body else None

    server.answerers.append(refuse)

    assert len(names(pull(provider))) == 3


def test_tasks_are_skipped(server: DavServer, provider: Provider) -> None:
    """What is no event is neither an item nor a problem."""
    server.store("todo.ics", vevent("task").replace("VEVENT", "VTODO").replace("DTEND", "DUE"))
    server.store("event.ics", vevent("event"))

    assert names(pull(provider)) == ["event.ics"]


def test_other_spelling_of_a_known_href(server: DavServer, provider: Provider) -> None:
    """An item keeps the name it is known by, however the server spells its path today."""
    server.store("a@b.ics", vevent("spelled"))
    spelled = CALENDAR + "a%40b.ics"

    pages = pull(provider, None, Versions({spelled: '"old"'}))

    assert [item.remote_id for page in pages for item in page.items] == [spelled]


def test_weak_and_strong_tags_are_equal(server: DavServer, provider: Provider) -> None:
    """A tag weakened on the way does not make an item look changed."""
    etag = server.store("a.ics", vevent("weak"))

    pages = pull(provider, None, Versions({CALENDAR + "a.ics": f"W/{etag}"}))

    assert names(pages) == []


def test_cut_answer_is_an_error(server: DavServer, provider: Provider) -> None:
    """A listing that breaks off is never taken for the whole."""
    server.sync = False
    fill(server, 20)
    full = '<?xml version="1.0"?><multistatus xmlns="DAV:"><response><href>/x</href>'
    pull(provider)
    server.answer("PROPFIND", 207, full, times=2)

    with pytest.raises(ProviderError) as caught:
        pull(provider)

    assert caught.value.trait is Trait.RETRY


def test_broken_connection_in_a_listing_is_an_error(server: DavServer, provider: Provider) -> None:
    """A body shorter than announced raises; nothing is complete."""
    fill(server, 20)
    server.answer("REPORT", 207, "<multistatus xmlns='DAV:'>" + " " * 1000, cut=500)
    pages: list[Page] = []

    with pytest.raises(ProviderError) as caught:
        pages.extend(provider.changes(CALENDAR, None, Versions()))

    assert caught.value.trait is Trait.RETRY
    assert not any(page.complete for page in pages)


def test_empty_listing_without_the_calendar_itself_is_doubted(server: DavServer, provider: Provider) -> None:
    """A listing in which not even the collection appears may be cut."""
    server.sync = False
    fill(server, 3)
    first = pull(provider)
    server.store("3.ics", vevent("uid-3"))

    def empty(request: Request) -> Reply | None:
        listing = request.method == "PROPFIND" and request.headers.get("depth") == "1"
        return Reply(207, b'<multistatus xmlns="DAV:"/>') if listing else None

    server.answerers.append(empty)

    with pytest.raises(ProviderError):
        pull(provider, first[-1].cursor, versions(first))


@pytest.mark.parametrize(("status", "trait"), [(503, Trait.RETRY), (429, Trait.RETRY), (500, Trait.RETRY)])
def test_failing_server(server: DavServer, provider: Provider, status: int, trait: Trait) -> None:
    """A failing server is a passing error with the wait it asks for."""
    fill(server, 1)
    first = pull(provider)
    server.answer("REPORT", status, times=2, headers={"Retry-After": "7"})

    with pytest.raises(ProviderError) as caught:
        pull(provider, first[-1].cursor, versions(first))

    assert caught.value.trait is trait
    assert caught.value.retry_after == 7.0


def test_calendar_that_went_away_is_gone(provider: Provider) -> None:
    """A 404 on the calendar says that it is gone, not that its events are."""
    with pytest.raises(ProviderError) as caught:
        list(provider.changes("/dav/user/other/", '{"token": "http://example.org/sync/1"}', Versions()))

    assert caught.value.trait is Trait.GONE


def test_control_characters_are_survived(server: DavServer, provider: Provider) -> None:
    """Characters that XML forbids do not cost the other events."""
    fill(server, 1)
    server.store("odd.ics", vevent("odd", "SUMMARY:a\x0bb"))

    assert sorted(names(pull(provider))) == ["0.ics", "odd.ics"]


def test_abandoned_pull_leaves_no_thread(server: DavServer, provider: Provider) -> None:
    """Closing the iterator early ends it; the provider goes on working."""
    server.sync_bodies = False
    fill(server, 600)
    pages = provider.changes(CALENDAR, None, Versions())
    next(pages)

    pages.close()  # type: ignore[attr-defined]  # a generator in fact

    assert len(names(pull(provider))) == 600
