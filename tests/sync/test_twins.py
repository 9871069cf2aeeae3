"""Two items of a calendar with one UID: a copied file, say, or what another sync tool leaves after a conflict."""

from __future__ import annotations

from calhub.testing.memory import Quirks
from calhub.testing.world import Remote, World, plain


def put_twin(remote: Remote, uid: str, name: str, title: str) -> None:
    remote.service.user_put(remote.calendar, uid, plain(title=title), remote_id=name)


def remote_titles(remote: Remote) -> dict[str, str]:
    """By name of the item."""
    return {name: row.content["title"] for name, row in remote.service.calendars[remote.calendar].rows.items()}


def test_second_item_with_one_uid_is_quarantined(world: World) -> None:
    """The first is the event, the second is reported and left alone."""
    one = world.add_remote()
    put_twin(one, "a", "i1", "first")
    put_twin(one, "a", "i2", "second")

    [report] = world.sync()

    assert report.counts["quarantined"] == 1
    assert world.contents["a"]["title"] == "first"
    assert remote_titles(one) == {"i1": "first", "i2": "second"}


def test_the_second_is_quarantined_too_where_the_hub_has_the_event(world: World) -> None:
    """One item is merged with the event; the other is not passed over in silence."""
    one = world.add_remote()
    world.put("a", title="first")
    put_twin(one, "a", "i1", "first")
    put_twin(one, "a", "i2", "second")

    [report] = world.sync()

    assert report.counts["quarantined"] == 1
    assert remote_titles(one) == {"i1": "first", "i2": "second"}


def test_the_one_that_is_kept_takes_the_place_of_the_other(world: World) -> None:
    """A person keeps the second of two, as the hub has asked: its event is deleted nowhere, and shows what it says."""
    one, two = world.add_remote(), world.add_remote()
    put_twin(one, "a", "i1", "first")
    world.sync()
    put_twin(one, "a", "i2", "second")
    put_twin(one, "a", "i3", "third")
    world.sync()

    one.delete("a")
    [report, _] = world.sync()

    assert remote_titles(one) == {"i2": "second", "i3": "third"}
    assert report.counts["quarantined"] == 1
    assert world.contents["a"]["title"] == two.contents["a"]["title"] == "second"


def test_what_we_made_is_told_from_a_stranger_with_its_uid(world: World) -> None:
    """The service renames UIDs, its answer was lost, and then its user makes another event with the UID we had sent."""
    one = world.add_remote(quirks=Quirks(rewrites_uid=True))
    world.put("a", title="ours")
    one.service.fail("create", "lost-after")
    one.service.fail("read", "5xx", skip=1)
    world.sync()
    put_twin(one, "a", "stranger", "theirs")

    [report] = world.sync()

    assert report.counts["quarantined"] == 1
    assert world.contents["a"]["title"] == "ours"
    assert sorted(remote_titles(one).values()) == ["ours", "theirs"]
