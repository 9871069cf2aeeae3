"""The circuit breaker at work: passes over accounts whose service is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.hub.breaker import Breaker
from calhub.providers.base import (
    Done,
    NotSent,
    Outcome,
    Provider,
    ProviderError,
    Refused,
    RemoteCalendar,
    Stale,
    Trait,
    Unknown,
    WriteRequest,
)
from calhub.sync.report import RunReport
from calhub.sync.watch import Paused, Watch, admit
from calhub.testing.contract import ProviderContract, Versions
from calhub.testing.contract import Remote as ContractRemote
from calhub.testing.memory import MemoryProvider
from calhub.testing.world import Remote, World


class Watched(World):
    """A world whose accounts are watched, as `calhub.sync.connect` does it."""

    def connect(self, account: Account) -> Provider:
        return Watch(super().connect(account), self.hub, account)

    def breaker(self, remote: Remote) -> Breaker:
        with self.hub.read() as conn:
            return accounts.breaker(conn, remote.replica.account_id)

    def account(self, remote: Remote) -> Account:
        with self.hub.read() as conn:
            return accounts.account(conn, remote.replica.account_id)

    def watch(self, remote: Remote) -> Watch:
        account = self.account(remote)
        return Watch(MemoryProvider(remote.service), self.hub, account)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def remote(world: Watched) -> Remote:
    return world.add_remote()


def away(remote: Remote, times: int = 1000) -> None:
    """The service answers to nothing for so many calls."""
    remote.service.fail("changes", "5xx", times=times)


def statuses(reports: list[RunReport]) -> list[str]:
    return [report.status for report in reports]


class TestContractThroughWatch(ProviderContract):
    """A watched provider is a provider like any other."""

    @pytest.fixture
    def remote(self, world: Watched, remote: Remote) -> ContractRemote:
        return ContractRemote(world.watch(remote), remote.calendar)


def test_five_failing_passes_pause_the_account(world: Watched, remote: Remote) -> None:
    """Five passes in a row fail; the sixth asks nothing, and is skipped with one sentence."""
    away(remote)
    for _ in range(5):
        assert statuses(world.sync()) == ["failed"]
    asked = len(remote.service.log)

    (report,) = world.sync()
    assert (report.status, report.paused) == ("skipped", True)
    assert report.errors == [
        {"uid": None, "message": 'The account "account-1" kept failing and is left alone until 08:05:00 UTC.'}
    ]
    assert len(remote.service.log) == asked
    assert world.account(remote).state == "failing"


def test_other_accounts_go_on(world: Watched, remote: Remote) -> None:
    """An account that is left alone holds up nobody."""
    other = world.add_remote()
    away(remote)
    for _ in range(5):
        world.sync()
    other.put("a", title="A")

    assert statuses(world.sync()) == ["ok", "skipped"]  # in trouble, so its turn came last
    assert statuses(world.sync()) == ["ok", "skipped"]  # in trouble, so its turn came last


def test_a_probe_that_succeeds_closes(world: Watched, remote: Remote) -> None:
    """After the pause one pass tries; when it goes well, everything is as before."""
    away(remote, times=5)
    for _ in range(5):
        world.sync()
    remote.put("a", title="A")
    world.clock.advance(minutes=5)

    assert statuses(world.sync()) == ["ok"]
    assert world.breaker(remote) == Breaker()
    assert world.account(remote).state == "ok"


def test_a_probe_that_fails_opens_again(world: Watched, remote: Remote) -> None:
    away(remote)
    for _ in range(5):
        world.sync()
    world.clock.advance(minutes=5)

    assert statuses(world.sync()) == ["failed"]
    assert statuses(world.sync()) == ["skipped"]
    assert world.breaker(remote) == Breaker("open", 6, world.breaker(remote).until)


def test_a_success_in_between_starts_anew(world: Watched, remote: Remote) -> None:
    """Only failures in a row count."""
    for _ in range(3):
        away(remote, times=4)
        for _ in range(4):
            assert statuses(world.sync()) == ["failed"]
        assert statuses(world.sync()) == ["ok"]
        assert world.breaker(remote) == Breaker()


def test_failures_count_over_processes(world: Watched, remote: Remote) -> None:
    """Each pass here is a process of its own, with connections of its own."""
    away(remote)
    for number in range(1, 6):
        with pytest.raises(ProviderError):
            list(world.watch(remote).changes(remote.calendar, None, Versions()))
        assert world.breaker(remote).failures == number

    with pytest.raises(Paused):
        admit(world.hub, world.account(remote))


def test_failing_writes_open_it(world: Watched, remote: Remote) -> None:
    """A service that takes no write is left alone in the middle of a pass; what was not tried stays pending."""
    world.sync()
    remote.service.fail("create", "5xx", times=5)
    for number in range(20):
        world.put(f"e{number}", title=str(number))

    (report,) = world.sync()
    assert report.status == "failed"
    assert remote.writes == 5
    assert world.breaker(remote).state == "open"
    assert world.account(remote).state == "failing"

    world.clock.advance(minutes=5)
    world.settle()
    assert len(remote.contents) == 20


def test_calls_that_fail_side_by_side_count_as_one(world: Watched, remote: Remote) -> None:
    """A connection that breaks for a moment takes all calls along that are under way; that is no service gone."""
    together = threading.Barrier(4)

    class Breaking(MemoryProvider):
        def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:  # noqa: ARG002 - whatever
            together.wait()
            return Unknown("The connection broke.")

    watch = Watch(Breaking(remote.service), world.hub, world.account(remote))
    for number in (1, 2):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: watch.delete(remote.calendar, "e", expected=None), range(4)))
        assert world.breaker(remote).failures == number


@pytest.mark.parametrize(
    "outcome", [Refused("No."), Stale(), NotSent("Not now.", of_item=True), Unknown("Who knows?", of_item=True)]
)
def test_what_is_wrong_with_an_item_does_not_count(world: Watched, remote: Remote, outcome: Outcome) -> None:
    """The service answers: bad events do not take the good ones of the account with them."""

    class Picky(MemoryProvider):
        def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:  # noqa: ARG002 - whatever
            return outcome

    watch = Watch(Picky(remote.service), world.hub, world.account(remote))
    away(remote, times=4)
    for _ in range(4):
        with pytest.raises(ProviderError):
            list(watch.changes(remote.calendar, None, Versions()))

    for _ in range(7):
        assert watch.delete(remote.calendar, "a", expected=None) == outcome
    assert world.breaker(remote) == Breaker()


@pytest.mark.parametrize("trait", [Trait.LOGIN, Trait.FATAL, Trait.GONE])
def test_what_only_the_user_can_mend_does_not_count(world: Watched, remote: Remote, trait: Trait) -> None:
    """A breaker is for services that are away."""

    class Refusing(MemoryProvider):
        def discover(self) -> list[RemoteCalendar]:
            raise ProviderError("No.", trait=trait)

    for _ in range(7):
        with pytest.raises(ProviderError):
            Watch(Refusing(remote.service), world.hub, world.account(remote)).discover()
    assert world.breaker(remote) == Breaker()


def test_a_try_by_hand_is_never_kept_away(world: Watched, remote: Remote) -> None:
    """`account test` asks the service whatever the breaker says, and closes it when all is well."""
    away(remote, times=5)
    for _ in range(5):
        world.sync()

    assert len(world.watch(remote).discover()) == 1
    assert world.breaker(remote) == Breaker()
    assert statuses(world.sync()) == ["ok"]


def test_a_dry_run_is_kept_away_too(world: Watched, remote: Remote) -> None:
    away(remote)
    for _ in range(5):
        world.sync()

    assert statuses(world.sync(dry_run=True)) == ["skipped"]


def test_a_batch_fails_when_all_of_it_does(world: Watched, remote: Remote) -> None:
    """One write that got through shows that the service is there."""
    remote.service.quirks.batch_writes = 20
    watch = world.watch(remote)
    deletes = [WriteRequest(op="delete", remote_id=name, uid=name) for name in ("a", "b")]
    remote.service.fail("delete", "not-sent", times=3)

    assert [type(each) for each in watch.write_batch(remote.calendar, deletes)] == [NotSent, NotSent]
    assert world.breaker(remote).failures == 1
    assert [type(each) for each in watch.write_batch(remote.calendar, deletes)] == [NotSent, Done]
    assert world.breaker(remote) == Breaker()
