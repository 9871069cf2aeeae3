"""One calendar held by all of them, while answers are lost, tokens end, access is taken away and calendars vanish."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.providers.mixed.world import NAMES, MixedWorld, Services, at, day

from calhub.hub import accounts
from calhub.providers.google import listing as google_listing
from calhub.testing.davserver import Reply
from calhub.testing.world import VirtualClock

EMULATORS = ("google", "microsoft", "notion")
#: Requests of each service by which events are read and written.
REQUESTS = {
    "google": ["POST */events", "PATCH *", "DELETE *", "GET */events", "POST /batch/*"],
    "microsoft": ["POST */events", "PATCH *", "DELETE *", "GET */delta*", "POST */$batch"],
    "notion": ["POST */pages", "PATCH */pages/*", "POST */query", "GET */pages/*"],
}


def fill(world: MixedWorld) -> None:
    """An event from each service, and a series."""
    for number, name in enumerate(NAMES):
        world.services.people[name].add(title=f"From {name}", **at(9 + number))
    world.services.people["caldav"].add(title="Series", weeks=6, **at(16))


def play(world: MixedWorld) -> None:
    """Edits that have each service written to: updates, an instance, a deletion, a new event."""
    people = world.services.people
    for name, other in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True):
        people[name].edit(f"From {other}", location=f"Typed in {name}")
    people["folder"].edit_instance("Series", day(2), title="Special", **at(18, day(2)))
    people["microsoft"].cancel_instance("Series", day(3))
    people["caldav"].delete("From folder")
    people["notion"].add(title="New", **at(20))


def check(world: MixedWorld) -> None:
    """What `fill` and `play` have made is everywhere, once."""
    entries = world.converge(4)
    assert {each.title: each.location for each in entries} == {
        "From google": "Typed in folder", "From microsoft": "Typed in google", "From notion": "Typed in microsoft",
        "From caldav": "Typed in notion", "Series": "", "Special": "", "New": "",
    }  # fmt: skip
    assert [each.start for each in entries if each.title == "Special"] == [f"{day(2)}T18:00:00"]
    assert [each.cancelled for each in entries if each.title == "Series"] == [(day(3),)]


@pytest.mark.parametrize("how", ["cut-after", "status-after"])
@pytest.mark.parametrize("name", EMULATORS)
def test_answers_get_lost(world: MixedWorld, name: str, how: Any) -> None:
    """Every kind of request is applied and then not answered, or with a 503: in the first pass, and after edits."""
    world.tie()
    fill(world)
    run_broken(world, name, how)
    world.run()
    world.run()
    play(world)
    run_broken(world, name, how)
    check(world)


def run_broken(world: MixedWorld, name: str, how: Any) -> None:
    """A pass in which the first request of each kind fails, by itself and in a batch; some of them there must be."""
    emulator, planned = world.services.emulators[name], 2 * len(REQUESTS[name])
    for match in REQUESTS[name]:
        emulator.fail(match, how)
        emulator.fail(match, how, part=True)
    world.run()
    assert emulator.heal() < planned - 1


def test_tokens_end_between_pages(world: MixedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Access tokens die in the middle of a listing of many pages, and in the middle of writing."""
    monkeypatch.setitem(google_listing.QUERY, "maxResults", 2)
    world.services.graph.rounds.largest_page = 2
    world.tie()
    fill(world)
    world.converge()
    for _ in range(2):  # the first request meets a token that has aged, and is repeated
        world.services.google.fail("GET */events", "expired", skip=2)
        world.services.graph.fail("GET */delta*", "expired", skip=2)
        assert {name: report.errors for name, report in world.run(full=True).items() if report.errors} == {}
        assert [world.services.google.heal(), world.services.graph.heal()] == [0, 0]
    play(world)
    world.services.google.fail("POST /batch/*", "expired")
    world.services.graph.fail("POST */$batch", "expired")
    world.run()
    assert [world.services.google.heal(), world.services.graph.heal()] == [0, 0]
    check(world)


@pytest.mark.parametrize("name", EMULATORS)
def test_access_taken_away(world: MixedWorld, name: str) -> None:
    """One account stops, the others go on; after signing in again what was typed there meanwhile is everywhere, too."""
    world.tie()
    fill(world)
    world.converge()
    revoke(world.services, name)
    play(world)
    reports = world.run()
    assert {other for other, report in reports.items() if report.status != "ok"} == {name}
    assert states(world)[name] == "needs_login"
    world.run()
    folder = world.services.people["folder"].entries()
    assert ("New" in {each.title for each in folder}) == (name != "notion")

    sign_in(world.services, name)
    world.run()
    check(world)
    assert set(states(world).values()) == {"ok"}


@pytest.mark.parametrize("name", ["google", "microsoft"])
def test_a_fresh_token_that_is_refused(world: MixedWorld, name: str) -> None:
    """The account says that its user has to sign in; should the service come to its senses, it goes on by itself."""
    world.tie()
    fill(world)
    world.converge()
    play(world)
    world.services.emulators[name].fail("GET *", "status", status=401, times=2)
    reports = world.run()

    assert [other for other, report in reports.items() if report.status != "ok"] == [name]
    with world.hub.read() as conn:
        account = accounts.account(conn, name)
    assert account.state == "needs_login"
    assert str(account.error).endswith(
        f'does not accept the sign-in any more; sign in again with: calhub account login "{name}"'
    )
    check(world)
    assert set(states(world).values()) == {"ok"}


@pytest.mark.parametrize("name", NAMES)
def test_calendar_deleted_remotely(world: MixedWorld, name: str) -> None:
    """Nothing is deleted anywhere else, and the others go on."""
    world.tie()
    fill(world)
    before = world.converge()
    remove_calendar(world.services, name)
    for full in (False, True, False):
        reports = world.run(full=full)
        assert [other for other, report in reports.items() if report.status != "ok"] == [name]
    rest = [other for other in NAMES if other != name]
    people = world.services.people
    assert len(world.contents) == 6
    for other in rest:
        assert [each.title for each in people[other].entries()] == [each.title for each in before]

    people[rest[0]].edit("Series", title="Series, still in step")
    world.run()
    world.run()
    for other in rest:
        assert "Series, still in step" in {each.title for each in people[other].entries()}


@pytest.mark.parametrize("skew", [timedelta(hours=1), timedelta(hours=-1)])
def test_clocks_an_hour_apart(tmp_path: Path, skew: timedelta) -> None:
    """The services' clocks are an hour ahead of the hub's, or behind it."""
    for world in skewed(tmp_path, skew):
        world.tie()
        fill(world)
        world.converge()
        for _ in range(3):  # edits right before and right after a pass, which an hour's difference could hide
            world.sync()
            world.clock.advance(minutes=1)
        play(world)
        world.sync()
        world.clock.advance(minutes=1)
        check(world)


def skewed(path: Path, skew: timedelta) -> Iterator[MixedWorld]:
    clock = VirtualClock()
    (path / "folders").mkdir()
    with Services(path / "folders", lambda: clock() + skew) as services:
        world = MixedWorld(path / "home", clock=clock)
        world.services = services
        yield world
        world.close()


def states(world: MixedWorld) -> dict[str, str]:
    with world.hub.read() as conn:
        return {each.name: each.state for each in accounts.accounts(conn)}


def revoke(services: Services, name: str) -> None:
    """The user takes the consent back at the service."""
    if name == "notion":
        services.notion.token = "another"
        return
    emulator = services.google if name == "google" else services.graph
    emulator.oauth.revoke_all()
    emulator.oauth.expire()


def sign_in(services: Services, name: str) -> None:
    """As `calhub account login` does it."""
    if name == "notion":
        services.notion.token = services.notion_token
        return
    emulator = services.google if name == "google" else services.graph
    services.vaults[name].save({"refresh_token": emulator.credentials()["refresh_token"]})


def remove_calendar(services: Services, name: str) -> None:
    calendar = services.calendars[name]
    match name:
        case "google":
            services.google.user_remove_calendar(calendar)
        case "microsoft":
            services.graph.user_delete_calendar(calendar)
        case "notion":
            source = services.notion.store.sources[calendar]
            services.notion.database_of(source).in_trash = True
        case "caldav":
            services.dav.answerers.append(lambda _: Reply(404))
        case "folder":
            services.vdir.path.rename(services.path.parent / "elsewhere")
