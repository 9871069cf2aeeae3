"""The provider contract as a test suite, for providers in this package and for those of others.

A provider's test file is a subclass with one fixture::

    class TestAcme(ProviderContract):
        @pytest.fixture
        def remote(self, acme: AcmeServer) -> Remote:
            provider = AcmeProvider(acme.url)
            return Remote(provider, provider.create_calendar("Contract").id, plant=acme.store_text)

Every test gets an empty calendar of its own that may be written to. What a provider cannot do, by its `Capabilities`,
is skipped; everything else must hold. Two events count as equal when they are equal in the fields the provider
`keeps`. The suite never sleeps and needs no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from uuid import uuid4

import pytest

from calhub.calendar.event import Content
from calhub.calendar.fields import project
from calhub.providers.base import Done, Item, ProviderError, RemoteCalendar, Stale, Trait
from calhub.testing.contract_kit import EXAMPLES, Remote, Versions, event, listing, vevent

__all__ = ["EXAMPLES", "ProviderContract", "Remote", "Versions", "event", "listing", "vevent"]


class ProviderContract:
    """Subclass it and give the fixture ``remote``; see the module's docstring."""

    @pytest.fixture
    def remote(self) -> Remote:
        raise NotImplementedError("a subclass of ProviderContract gives the fixture `remote`")

    # Helpers; each fails the test where the provider breaks the contract on the way.

    def create(self, remote: Remote, content: Content, uid: str | None = None) -> Item:
        """Create the event and return the echo."""
        uid = uid or str(uuid4())
        name = remote.provider.reserve(remote.calendar, uid)
        outcome = remote.provider.create(remote.calendar, name, uid, content)
        assert isinstance(outcome, Done), outcome
        assert outcome.echo is not None
        return outcome.echo

    def update(self, remote: Remote, item: Item, content: Content) -> Item:
        """Update the item from its version and return the echo."""
        outcome = self.try_update(remote, item, content)
        assert isinstance(outcome, Done), outcome
        assert outcome.echo is not None
        return outcome.echo

    def try_update(self, remote: Remote, item: Item, content: Content) -> object:
        assert item.uid is not None
        return remote.provider.update(
            remote.calendar, item.remote_id, item.uid, content, expected=item.version, raw=item.raw
        )

    def delete(self, remote: Remote, item: Item) -> None:
        assert remote.provider.delete(remote.calendar, item.remote_id, expected=item.version) == Done(None)

    def get(self, remote: Remote, remote_id: str) -> Item:
        item = remote.provider.get(remote.calendar, remote_id)
        assert item is not None
        return item

    def same(self, remote: Remote, expected: Content, item: Item) -> None:
        """Assert that the item shows the content, as far as the provider keeps it."""
        keeps = remote.provider.capabilities.keeps
        assert item.content is not None, item.problem
        assert project(expected, keeps) == project(item.content, keeps)

    def needs(self, remote: Remote, *fields: str) -> None:
        """Skip unless the provider keeps the fields."""
        if not remote.provider.capabilities.keeps.issuperset(fields):
            pytest.skip(f"the provider does not keep {', '.join(fields)}")

    def planting(self, remote: Remote) -> Callable[[str], object]:
        if remote.plant is None:
            pytest.skip("nothing can be put behind this provider's back")
        return remote.plant

    # The account.

    def test_discover_lists_the_calendar(self, remote: Remote) -> None:
        """The calendar is listed once, with a name, as one that can be written to."""
        found = [entry for entry in remote.provider.discover() if entry.id == remote.calendar]

        assert len(found) == 1
        assert found[0].name
        assert found[0].access in ("owner", "writer")

    def test_unknown_calendar_is_gone(self, remote: Remote) -> None:
        """Listing a calendar that does not exist raises GONE: it never looks like an empty one."""
        with pytest.raises(ProviderError) as caught:
            list(remote.provider.changes(remote.calendar + "-none", None, Versions()))

        assert caught.value.trait is Trait.GONE
        assert caught.value.message

    def test_requests_are_counted(self, remote: Remote) -> None:
        """The counter grows with calls that reach the service and never with `reserve`."""
        before = remote.provider.requests
        remote.provider.reserve(remote.calendar, "a")
        assert remote.provider.requests == before
        listing(remote)

        assert remote.provider.requests > before

    def test_reserved_names_differ(self, remote: Remote) -> None:
        """Every item to be created gets a name of its own, also for unusual UIDs."""
        uids = ["a", "b", "a b", "a/b", "../a", "ä", "a\\b", "x" * 400, "x" * 401, "https://example.org/1?a=b#c", ".a"]
        names = [remote.provider.reserve(remote.calendar, uid) for uid in uids]

        assert len(set(names)) == len(uids)

    def test_close_is_idempotent(self, remote: Remote) -> None:
        """Closing twice is fine."""
        remote.provider.close()
        remote.provider.close()

    def test_calendars_can_be_made_and_deleted(self, remote: Remote) -> None:
        """A calendar made is listed, empty, and writable; deleted, it is listed no more."""
        if not remote.provider.capabilities.create_calendars:
            pytest.skip("the provider cannot create calendars")
        made = remote.provider.create_calendar("Zürich & more")
        other = Remote(remote.provider, made.id)
        assert made.id in self.calendar_ids(remote)
        assert listing(other).items == {}
        item = self.create(other, event())
        assert item.remote_id not in listing(remote).items
        remote.provider.delete_calendar(made.id)

        assert made.id not in self.calendar_ids(remote)

    def calendar_ids(self, remote: Remote) -> list[str]:
        found: list[RemoteCalendar] = remote.provider.discover()
        return [entry.id for entry in found]

    # Reading.

    def test_empty_calendar_is_a_complete_listing(self, remote: Remote) -> None:
        """An empty calendar is listed as complete, with a cursor."""
        result = listing(remote)

        assert result.complete
        assert not result.items
        assert not result.present

    def test_unknown_item_is_none(self, remote: Remote) -> None:
        """`get` and `find` of what is not there are None."""
        name = remote.provider.reserve(remote.calendar, "nobody@example.org")

        assert remote.provider.get(remote.calendar, name) is None
        assert remote.provider.find(remote.calendar, "nobody@example.org") is None

    def test_item_is_found_by_name_and_uid(self, remote: Remote) -> None:
        """`get`, `find` and the listing show the item exactly as the echo did."""
        echo = self.create(remote, event())
        self.create(remote, event(title="Another"))
        assert echo.uid is not None
        listed = listing(remote).items

        assert len(listed) == 2
        for seen in (self.get(remote, echo.remote_id), remote.provider.find(remote.calendar, echo.uid)):
            assert seen is not None
            assert (echo.remote_id, echo.uid, echo.version) == (seen.remote_id, seen.uid, seen.version)
            assert echo.content == seen.content
        assert echo.content == listed[echo.remote_id].content
        assert echo.version == listed[echo.remote_id].version

    def test_known_versions_are_not_fetched(self, remote: Remote) -> None:
        """A full listing names items at a known version as present and brings only the others."""
        first, second = self.create(remote, event()), self.create(remote, event(title="Another"))
        known = Versions({first.remote_id: first.version, second.remote_id: "an older version"})
        result = listing(remote, None, known)

        assert result.complete
        assert set(result.items) == {second.remote_id}
        assert result.present == {first.remote_id}

    def test_absence_from_a_full_listing_means_gone(self, remote: Remote) -> None:
        """A full listing has every item that exists and none that was deleted."""
        kept, gone = self.create(remote, event()), self.create(remote, event(title="Another"))
        known = Versions({item.remote_id: item.version for item in (kept, gone)})
        self.delete(remote, gone)
        result = listing(remote, None, known)

        assert result.complete
        assert result.gone(known) == {gone.remote_id}

    def test_nothing_changed_brings_nothing(self, remote: Remote) -> None:
        """From a fresh cursor there is nothing to report, twice over."""
        self.create(remote, event())
        first = listing(remote)
        known = first.versions()
        second = listing(remote, first.cursor, known)
        third = listing(remote, second.cursor, known)

        for result in (second, third):
            assert not result.items
            assert not result.gone(known)

    def test_changes_are_exact(self, remote: Remote) -> None:
        """From a cursor exactly what was created, updated and deleted since is reported."""
        items = [self.create(remote, event(title=f"Event {number}")) for number in range(4)]
        first = listing(remote)
        known = first.versions()
        made = self.create(remote, event(title="New"))
        changed = self.update(remote, items[1], event(title="Changed"))
        self.delete(remote, items[2])
        second = listing(remote, first.cursor, known)
        gone = second.gone(known)
        if not remote.provider.capabilities.deletion_feed and not second.complete:
            gone = listing(remote, None, known).gone(known)

        assert set(second.items) == {made.remote_id, changed.remote_id}
        self.same(remote, event(title="New"), second.items[made.remote_id])
        self.same(remote, event(title="Changed"), second.items[changed.remote_id])
        assert gone == {items[2].remote_id}

    def test_created_and_deleted_between_listings_leaves_no_item(self, remote: Remote) -> None:
        """What came and went since the cursor does not appear as an item."""
        first = listing(remote)
        self.delete(remote, self.create(remote, event()))

        assert not listing(remote, first.cursor, first.versions()).items

    def test_own_writes_are_not_news(self, remote: Remote) -> None:
        """An item whose echo is already known is not brought again."""
        first = listing(remote)
        echo = self.create(remote, event())
        echo = self.update(remote, echo, event(title="Changed"))

        assert not listing(remote, first.cursor, Versions({echo.remote_id: echo.version})).items

    @pytest.mark.parametrize("cursor", ["", "garbage", "http://example.org/ns/sync/99999999", '{"a": 1}', "ü\n"])
    def test_strange_cursor_means_a_full_listing(self, remote: Remote, cursor: str) -> None:
        """A cursor the service does not (any more) understand leads to a full listing in which nothing is lost."""
        known_item, new_item = self.create(remote, event()), self.create(remote, event(title="Another"))
        known = Versions({known_item.remote_id: known_item.version, "deleted long ago": "1"})
        result = listing(remote, cursor, known)

        assert result.complete
        assert set(result.items) == {new_item.remote_id}
        assert result.present == {known_item.remote_id}
        assert result.gone(known) == {"deleted long ago"}

    def test_broken_item_is_a_problem_of_its_own(self, remote: Remote) -> None:
        """An unreadable item is reported with a reason; the others come as ever, and so does its repair."""
        plant = self.planting(remote)
        good = self.create(remote, event())
        plant(vevent("broken@example.org", "SUMMARY:Broken").replace("DTSTART:20261123T100000Z", "DTSTART:soon"))
        result = listing(remote)
        problems = [item for item in result.items.values() if item.problem is not None]

        assert len(result.items) == 2
        assert [item.content for item in problems] == [None]
        assert good.remote_id not in {item.remote_id for item in problems}
        self.same(remote, event(), result.items[good.remote_id])
        again = self.get(remote, problems[0].remote_id)
        assert again.problem

    # Writing.

    @pytest.mark.parametrize("content", EXAMPLES.values(), ids=list(EXAMPLES))
    def test_round_trip(self, remote: Remote, content: Content) -> None:
        """Every kind of event comes back as it was written."""
        if "rrule" in content:
            self.needs(remote, "rrule", "exdates", "overrides")
        before = deepcopy(content)
        echo = self.create(remote, content)

        self.same(remote, before, echo)
        self.same(remote, before, self.get(remote, echo.remote_id))
        assert before == content, "the caller's content was changed"

    @pytest.mark.parametrize("content", EXAMPLES.values(), ids=list(EXAMPLES))
    def test_any_event_can_become_any_other(self, remote: Remote, content: Content) -> None:
        """An update can turn a plain event into every kind and back, and leaves nothing behind."""
        if "rrule" in content:
            self.needs(remote, "rrule", "exdates", "overrides")
        item = self.create(remote, event())
        item = self.update(remote, item, content)
        self.same(remote, content, item)
        item = self.update(remote, item, event())

        self.same(remote, event(), item)
        self.same(remote, event(), self.get(remote, item.remote_id))

    def test_chosen_id_is_used(self, remote: Remote) -> None:
        """The item is created under the id that was reserved, and its UID is ours."""
        if not remote.provider.capabilities.chosen_ids:
            pytest.skip("the service names items itself")
        name = remote.provider.reserve(remote.calendar, "ours@example.org")
        outcome = remote.provider.create(remote.calendar, name, "ours@example.org", event())

        assert isinstance(outcome, Done)
        assert outcome.echo is not None
        assert outcome.echo.remote_id == name
        assert outcome.echo.uid == "ours@example.org"

    @pytest.mark.parametrize(
        "uid", ["a b@example.org", "../up", "a/b", "ünïcode", "x" * 250, ".hidden", "https://example.org/1?a=b#c"]
    )
    def test_unusual_uids(self, remote: Remote, uid: str) -> None:
        """UIDs are opaque text (RFC 5545 3.8.4.7): any of them can be created, read, updated and deleted."""
        item = self.create(remote, event(), uid)
        assert uid == self.get(remote, item.remote_id).uid
        item = self.update(remote, item, event(title="Changed"))
        assert uid == item.uid
        self.delete(remote, item)

        assert remote.provider.get(remote.calendar, item.remote_id) is None

    def test_repeated_create_makes_one_item(self, remote: Remote) -> None:
        """The same create sent again, after a lost answer, is refused or finds its own item; never a second one."""
        name = remote.provider.reserve(remote.calendar, "once@example.org")
        first = remote.provider.create(remote.calendar, name, "once@example.org", event())
        second = remote.provider.create(remote.calendar, name, "once@example.org", event())

        assert isinstance(first, Done)
        assert isinstance(second, Done | Stale)
        assert len(listing(remote).items) == 1

    def test_create_never_overwrites(self, remote: Remote) -> None:
        """A create under an id that is taken leaves the item there as it is."""
        if not remote.provider.capabilities.chosen_ids:
            pytest.skip("the service names items itself")
        item = self.create(remote, event())

        assert remote.provider.create(remote.calendar, item.remote_id, "b@example.org", event(title="No")) == Stale()
        self.same(remote, event(), self.get(remote, item.remote_id))

    def test_uid_is_unique_in_a_calendar(self, remote: Remote) -> None:
        """A create with a UID that exists is `Stale` (RFC 4791 5.3.2.1), and `find` then has the item."""
        item = self.create(remote, event(), "once@example.org")
        name = remote.provider.reserve(remote.calendar, "once@example.org")

        assert remote.provider.create(remote.calendar, name, "once@example.org", event(title="No")) == Stale()
        found = remote.provider.find(remote.calendar, "once@example.org")
        assert found is not None
        assert found.remote_id == item.remote_id
        assert set(listing(remote).items) == {item.remote_id}

    def test_update_changes_what_differs(self, remote: Remote) -> None:
        """A new title arrives; all other fields, the UID and the id stay; the version moves."""
        item = self.create(remote, EXAMPLES["full"])
        content = {**EXAMPLES["full"], "title": "Changed"}
        echo = self.update(remote, item, content)

        assert (item.remote_id, item.uid) == (echo.remote_id, echo.uid)
        assert item.version != echo.version
        self.same(remote, content, echo)
        seen = self.get(remote, item.remote_id)
        assert (echo.version, echo.content) == (seen.version, seen.content)

    def test_update_removes_fields(self, remote: Remote) -> None:
        """A field that the new content does not have is gone afterwards."""
        self.needs(remote, "description", "location")
        item = self.create(remote, event(description="Old", location="Here"))
        echo = self.update(remote, item, event(location="Here"))

        self.same(remote, event(location="Here"), echo)
        self.same(remote, event(location="Here"), self.get(remote, item.remote_id))

    def test_unknown_properties_survive(self, remote: Remote) -> None:
        """What the model does not know stays through a change of the title, in the content as in the raw text."""
        plant = self.planting(remote)
        plant(vevent("x@example.org", "SUMMARY:Old", "X-SHELF;X-SIDE=left:top", "COMMENT:first"))
        (item,) = listing(remote).items.values()
        assert item.content is not None
        self.update(remote, item, {**item.content, "title": "New"})
        seen = self.get(remote, item.remote_id)
        assert seen.content is not None

        assert seen.content == {**item.content, "title": "New"}
        assert seen.raw is not None
        assert "X-SHELF;X-SIDE=left:top\r\n" in seen.raw
        assert "COMMENT:first\r\n" in seen.raw

    def test_extra_survives_an_update(self, remote: Remote) -> None:
        """Properties in ``extra`` are written and stay through a change of the title."""
        self.needs(remote, "extra")
        content = event(extra={"X-SHELF": ["X-SHELF;X-SIDE=left:top"]})
        item = self.create(remote, content)
        self.update(remote, item, {**content, "title": "New"})

        self.same(remote, {**content, "title": "New"}, self.get(remote, item.remote_id))

    def test_outdated_update_is_stale(self, remote: Remote) -> None:
        """An update from an old version is refused, and the newer content stays."""
        if not remote.provider.capabilities.conditional_writes:
            pytest.skip("the service cannot refuse outdated writes")
        old = self.create(remote, event())
        new = self.update(remote, old, event(title="Newer"))

        assert self.try_update(remote, old, event(title="Outdated")) == Stale()
        seen = self.get(remote, old.remote_id)
        assert new.version == seen.version
        self.same(remote, event(title="Newer"), seen)

    def test_update_of_a_deleted_item_is_stale(self, remote: Remote) -> None:
        """An update never brings a deleted item back."""
        item = self.create(remote, event())
        self.delete(remote, item)

        assert self.try_update(remote, item, event(title="Back")) == Stale()
        assert remote.provider.get(remote.calendar, item.remote_id) is None

    def test_unconditional_update(self, remote: Remote) -> None:
        """Without an expected version the update is written whatever is there."""
        item = self.create(remote, event(), "a@example.org")
        self.update(remote, item, event(title="Newer"))
        outcome = remote.provider.update(
            remote.calendar, item.remote_id, "a@example.org", event(title="Forced"), expected=None, raw=None
        )

        assert isinstance(outcome, Done)
        self.same(remote, event(title="Forced"), self.get(remote, item.remote_id))

    def test_outdated_delete_is_stale(self, remote: Remote) -> None:
        """A delete from an old version is refused, and the item stays."""
        if not remote.provider.capabilities.conditional_writes:
            pytest.skip("the service cannot refuse outdated writes")
        old = self.create(remote, event())
        self.update(remote, old, event(title="Newer"))

        assert remote.provider.delete(remote.calendar, old.remote_id, expected=old.version) == Stale()
        self.same(remote, event(title="Newer"), self.get(remote, old.remote_id))

    def test_delete_twice_is_done(self, remote: Remote) -> None:
        """Deleting what is already gone is `Done`, with a version or without."""
        item = self.create(remote, event())
        self.delete(remote, item)
        self.delete(remote, item)

        assert remote.provider.delete(remote.calendar, item.remote_id, expected=None) == Done(None)

    def test_deleted_event_can_be_created_again(self, remote: Remote) -> None:
        """After a delete the UID is free: an edit that beats a delete can put the event back."""
        item = self.create(remote, event(), "again@example.org")
        self.delete(remote, item)
        echo = self.create(remote, event(title="Back"), "again@example.org")

        assert echo.uid == "again@example.org"
        assert [found.remote_id for found in listing(remote).items.values()] == [echo.remote_id]

    def test_nobody_is_mailed(self, remote: Remote) -> None:
        """Writing, changing and deleting an event with participants sends no mail."""
        if remote.mails is None:
            pytest.skip("the service's outbox cannot be seen")
        before = remote.mails()
        item = self.create(remote, EXAMPLES["attendees"])
        item = self.update(remote, item, {**EXAMPLES["attendees"], "start": "2026-11-23T09:00:00"})
        self.delete(remote, item)

        assert remote.mails() == before
