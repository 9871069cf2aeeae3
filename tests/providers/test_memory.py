"""The service in memory: the contract under every quirk that lets it hold, and each fault for itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from calhub.calendar.event import FIELDS
from calhub.providers.base import Done, NotSent, Outcome, ProviderError, Refused, Stale, Trait, Unknown
from calhub.testing.contract import ProviderContract, Remote, Versions, event, listing
from calhub.testing.memory import How, MemoryProvider, MemoryService, Quirks

#: Quirks that a provider can make good, or that its capabilities declare.
HARMLESS = {
    "none": Quirks(),
    "small pages": Quirks(page_size=1),
    "rows twice": Quirks(page_size=1, page_duplicates=True),
    "expired": Quirks(page_size=2, no_chosen_ids=True),
    "unconditional": Quirks(no_conditional_writes=True),
    "no tombstones": Quirks(no_deletion_feed=True),
    "few fields": Quirks(
        keeps=frozenset({"title", "start", "end", "all_day", "time_zone", "end_time_zone", "location"})
    ),
}


class TestContract(ProviderContract):
    @pytest.fixture(params=HARMLESS.values(), ids=list(HARMLESS))
    def remote(self, request: pytest.FixtureRequest) -> Remote:
        service = MemoryService(quirks=request.param)
        return Remote(MemoryProvider(service), service.add_calendar("Contract"), mails=lambda: len(service.outbox))


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def remote(service: MemoryService) -> Remote:
    return Remote(MemoryProvider(service), service.add_calendar("Work"))


def put(remote: Remote, uid: str = "a", title: str = "Meeting") -> Outcome:
    """Create an event under a fresh id."""
    name = remote.provider.reserve(remote.calendar, uid)
    return remote.provider.create(remote.calendar, name, uid, event(title=title))


@pytest.mark.parametrize(
    ("how", "answer", "applied"),
    [
        ("lost-before", Unknown, False),
        ("lost-after", Unknown, True),
        ("5xx-after-apply", Unknown, True),
        ("twice", Stale, True),
        ("late", Unknown, False),
        ("not-sent", NotSent, False),
        ("5xx", NotSent, False),
        ("429", NotSent, False),
        ("refused", Refused, False),
        ("stale", Stale, False),
    ],
)
def test_write_faults(service: MemoryService, remote: Remote, how: How, answer: type[Outcome], applied: bool) -> None:
    """Each fault answers and applies as it says, once; the next call is served."""
    service.fail("create", how, retry_after=7)
    outcome = put(remote)
    there = "a" in service.contents(remote.calendar)

    assert isinstance(outcome, answer)
    assert applied == there
    assert isinstance(put(remote, "b"), Done)


def test_late_write_arrives_after_the_next_answer(service: MemoryService, remote: Remote) -> None:
    """A delayed request is not seen by the probe that follows it, and is there right after."""
    service.fail("create", "late")
    put(remote)

    assert remote.provider.find(remote.calendar, "a") is None
    assert remote.provider.find(remote.calendar, "a") is not None


def test_throttling_says_how_long(service: MemoryService, remote: Remote) -> None:
    """A throttled write carries the delay asked for, a throttled read as well."""
    service.fail("write", "429", retry_after=7)
    service.fail("read", "429", retry_after=8)

    assert put(remote) == NotSent("The service is busy.", 7)
    with pytest.raises(ProviderError) as caught:
        remote.provider.discover()
    assert caught.value.trait is Trait.RETRY
    assert caught.value.retry_after == 8


@pytest.mark.parametrize(("how", "trait"), [("login", Trait.LOGIN), ("gone", Trait.GONE), ("5xx", Trait.RETRY)])
def test_read_faults(service: MemoryService, remote: Remote, how: How, trait: Trait) -> None:
    """Reads fail with the trait planned, after the good calls that were to be skipped."""
    service.fail("get", how, skip=1)
    remote.provider.get(remote.calendar, "x")

    with pytest.raises(ProviderError) as caught:
        remote.provider.get(remote.calendar, "x")
    assert caught.value.trait is trait


def test_fault_between_pages(service: MemoryService, remote: Remote) -> None:
    """One call of a listing is one page: it can break off in the middle, without a cursor to save."""
    service.quirks.page_size = 1
    for uid in "abc":
        put(remote, uid)
    service.fail("changes", "5xx", skip=1)
    pages = remote.provider.changes(remote.calendar, None, Versions())
    first = next(pages)

    assert len(first.items) == 1
    assert first.cursor is None
    with pytest.raises(ProviderError):
        next(pages)


def test_incremental_pages_can_be_taken_up(service: MemoryService, remote: Remote) -> None:
    """The cursor of every incremental page leads to exactly the rows after it."""
    service.quirks.page_size = 1
    start = listing(remote).cursor
    for uid in "abc":
        put(remote, uid)
    first = next(iter(remote.provider.changes(remote.calendar, start, Versions())))
    rest = listing(remote, first.cursor)

    assert [item.uid for item in first.items] == ["a"]
    assert [item.uid for item in rest.items.values()] == ["b", "c"]


def test_hidden_fields_survive(service: MemoryService, remote: Remote) -> None:
    """What the provider cannot see is neither shown nor lost when it writes."""
    service.quirks.keeps = FIELDS - {"description"}
    name = service.user_put(remote.calendar, "a", event(description="Secret"))
    item = remote.provider.get(remote.calendar, name)
    assert item is not None
    assert item.content == event()
    remote.provider.update(remote.calendar, name, "a", event(title="New"), expected=item.version, raw=None)

    assert service.contents(remote.calendar) == {"a": event(title="New", description="Secret")}


def test_dropped_fields_vanish(service: MemoryService, remote: Remote) -> None:
    """A service that drops a field says so only in the echo."""
    service.quirks.drops_fields = frozenset({"location"})
    outcome = remote.provider.create(remote.calendar, "x", "a", event(location="Here"))

    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert outcome.echo.content == event()


def test_rewritten_text_is_stable(service: MemoryService, remote: Remote) -> None:
    """The service rewrites texts once; writing back what it shows changes nothing more."""
    service.quirks.rewrites_text = True
    outcome = remote.provider.create(remote.calendar, "x", "a", event(title=" Big  day ", description="Bring it"))
    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert outcome.echo.content == event(title="Big day", description="<p>Bring it</p>")
    again = remote.provider.update(remote.calendar, "x", "a", outcome.echo.content, expected=None, raw=None)

    assert isinstance(again, Done)
    assert again.echo is not None
    assert outcome.echo.content == again.echo.content


def test_rewritten_uid_and_own_ids(service: MemoryService, remote: Remote) -> None:
    """A service may name items and give UIDs itself; the echo tells."""
    service.quirks.rewrites_uid = service.quirks.no_chosen_ids = True
    outcome = remote.provider.create(remote.calendar, "x", "a", event())

    assert isinstance(outcome, Done)
    assert outcome.echo is not None
    assert outcome.echo.remote_id != "x"
    assert outcome.echo.uid != "a"
    assert remote.provider.capabilities.chosen_ids is False


def test_idle_versions_move(service: MemoryService, remote: Remote) -> None:
    """Every listing brings every item at a new version, with the content it had."""
    service.user_put(remote.calendar, "a", event())
    service.quirks.idle_etag_moves = True
    first = listing(remote)
    second = listing(remote, first.cursor, first.versions())
    (before,), (after,) = first.items.values(), second.items.values()

    assert before.version != after.version
    assert before.content == after.content


def test_late_listing_loses_nothing(service: MemoryService, remote: Remote) -> None:
    """A change appears one listing late, and then for certain."""
    service.quirks.lists_late = True
    first = listing(remote, listing(remote).cursor)
    service.user_put(remote.calendar, "a", event())
    second = listing(remote, first.cursor)
    third = listing(remote, second.cursor)

    assert not second.items
    assert [item.uid for item in third.items.values()] == ["a"]


def test_dropped_row_is_a_lie(service: MemoryService, remote: Remote) -> None:
    """A shifted listing says it is complete although one item is missing, which `get` still has."""
    service.quirks.page_size, service.quirks.page_drops_row = 1, True
    names = {service.user_put(remote.calendar, uid, event()) for uid in "abc"}
    result = listing(remote)
    (missing,) = names - set(result.items)

    assert result.complete
    assert remote.provider.get(remote.calendar, missing) is not None


def test_expired_cursors(service: MemoryService, remote: Remote) -> None:
    """An expired cursor, by event or by nature, brings a full listing."""
    cursor = listing(remote).cursor
    assert not listing(remote, cursor).complete
    service.expire_cursors()
    fresh = listing(remote, cursor)
    assert fresh.complete
    service.quirks.expired_token = True

    assert listing(remote, fresh.cursor).complete


def test_restored_from_backup(service: MemoryService, remote: Remote) -> None:
    """After a restore old content is back at its old version, and newer versions are never given twice."""
    name = service.user_put(remote.calendar, "a", event(title="Old"))
    backup = service.snapshot()
    old = remote.provider.get(remote.calendar, name)
    service.user_edit(remote.calendar, "a", title="New")
    new = remote.provider.get(remote.calendar, name)
    first = listing(remote)
    service.restore(backup)
    second = listing(remote, first.cursor, first.versions())

    assert second.complete
    assert second.items == {name: old}
    service.user_edit(remote.calendar, "a", title="Newest")
    newest = remote.provider.get(remote.calendar, name)
    assert new is not None
    assert newest is not None
    assert newest.version not in (None, new.version)


def test_read_only(service: MemoryService, remote: Remote) -> None:
    """A calendar that became read-only refuses writes and says so in the list."""
    name = service.user_put(remote.calendar, "a", event())
    service.quirks.read_only = True

    assert isinstance(put(remote, "b"), Refused)
    assert isinstance(remote.provider.delete(remote.calendar, name, expected=None), Refused)
    assert [entry.access for entry in remote.provider.discover()] == ["reader"]
    assert set(service.contents(remote.calendar)) == {"a"}


def test_look_before_unconditional_write(service: MemoryService, remote: Remote) -> None:
    """Without conditional writes the provider looks first, and the look is in the log."""
    service.quirks.no_conditional_writes = True
    name = service.user_put(remote.calendar, "a", event())
    item = remote.provider.get(remote.calendar, name)
    assert item is not None
    service.user_edit(remote.calendar, "a", title="Newer")

    assert remote.provider.delete(remote.calendar, name, expected=item.version) == Stale()
    assert [request.method for request in service.log] == ["get", "get"]


def test_log_and_outbox(service: MemoryService, remote: Remote) -> None:
    """The log has every request in order with what it carried; writing mails nobody unless the service is told to."""
    content = event(attendees={"b@example.org": {}})
    remote.provider.create(remote.calendar, "x", "a", content)
    remote.provider.delete(remote.calendar, "x", expected="v1")
    assert not service.outbox
    service.apply_create(remote.calendar, "y", "c", content, notify=True)

    assert [(request.order, request.method, request.expected) for request in service.log] == [
        (1, "create", None),
        (2, "delete", "v1"),
    ]
    assert service.writes() == service.log
    assert service.log[0].content == content
    assert [(mail.uid, mail.to) for mail in service.outbox] == [("c", "b@example.org")]


def test_hook_sees_both_sides_of_a_call(service: MemoryService, remote: Remote) -> None:
    """A crash before the call leaves nothing; a crash after it leaves the item, and nobody who knows."""

    class Crash(Exception):
        pass

    def crash_at(point: str) -> None:
        def hook(now: str) -> None:
            if now == point:
                raise Crash

        service.hook = hook

    crash_at("create:before")
    with pytest.raises(Crash):
        put(remote)
    assert not service.contents(remote.calendar)
    crash_at("create:after")
    with pytest.raises(Crash):
        put(remote)

    assert set(service.contents(remote.calendar)) == {"a"}


def test_deterministic() -> None:
    """The same calls give the same log, ids, versions and times."""

    def story() -> tuple[object, ...]:
        service = MemoryService(clock=lambda: datetime(2026, 5, 1, tzinfo=UTC))
        remote = Remote(MemoryProvider(service), service.add_calendar("Work"))
        service.fail("create", "lost-after")
        put(remote)
        put(remote, "b")
        service.user_delete(remote.calendar, "a")
        return service.log, listing(remote)

    assert story() == story()


def test_content_is_never_shared(service: MemoryService, remote: Remote) -> None:
    """Changing what went in or came out does not change the service."""
    content = event(categories=["one"])
    name = service.user_put(remote.calendar, "a", content)
    content["categories"].append("two")
    item = remote.provider.get(remote.calendar, name)
    assert item is not None
    assert item.content is not None
    item.content["categories"].append("three")

    assert service.contents(remote.calendar) == {"a": event(categories=["one"])}


def test_broken_item(service: MemoryService, remote: Remote) -> None:
    """An item can become unreadable and be repaired by its user."""
    name = service.user_put(remote.calendar, "a", event())
    service.user_break(remote.calendar, "a", "It has no start.")
    broken = remote.provider.get(remote.calendar, name)
    assert broken is not None
    assert (broken.content, broken.problem) == (None, "It has no start.")
    service.user_edit(remote.calendar, "a", title="Fixed")
    item = remote.provider.get(remote.calendar, name)

    assert item is not None
    assert item.content == event(title="Fixed")
