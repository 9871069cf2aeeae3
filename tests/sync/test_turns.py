"""Several accounts in one sync: their order, side by side or left out, and each locked for one sync at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from calhub.hub import accounts, backup, inbox
from calhub.hub.accounts import Account, Schedule
from calhub.providers.base import Known, Outcome, Page, Provider
from calhub.providers.layers import Layer
from calhub.sync import engine, turns
from calhub.sync.undo import undo
from calhub.testing.world import Remote, World, plain


class Watched(Layer):
    """Calls ``seen(account, what)`` before each listing and each write, in the thread that does it.

    ``pages`` are listed before those there are.
    """

    def __init__(
        self, inner: Provider, account: str, seen: Callable[[str, str], None], pages: Iterable[Page] = ()
    ) -> None:
        super().__init__(inner)
        self._account = account
        self._seen = seen
        self._pages = pages

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        self._seen(self._account, "list")
        yield from self._pages
        yield from self.inner.changes(calendar, cursor, known)

    def _write(self, call: Callable[[], Outcome]) -> Outcome:
        self._seen(self._account, "write")
        return call()


class Crowd(World):
    """A world that tells what is done to which account."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen: Callable[[str, str], None] = lambda _account, _what: None
        self.pages: dict[str, Iterable[Page]] = {}

    def connect(self, account: Account) -> Provider:
        pages = self.pages.get(account.name, ())
        return Watched(super().connect(account), account.name, self.seen, pages)

    def schedule(self, remote: Remote, **schedule: int) -> None:
        with self.hub.transaction() as conn:
            account = accounts.account(conn, remote.replica.account_id)
            accounts.set_schedule(conn, account, Schedule(**schedule))

    def second_calendar(self, remote: Remote) -> None:
        """Another calendar of the same account, with a replica in a calendar of its own."""
        remote_id = remote.service.add_calendar("Second")
        with self.hub.transaction() as conn:
            calendar = accounts.add_calendar(conn, "Second", self.hub.now())
            accounts.add_replica(conn, calendar.id, remote.replica.account_id, remote_id, "Second", self.hub.now())

    def order(self) -> list[str]:
        """The accounts as a sync takes them, each once."""
        return list(dict.fromkeys(report.account for report in self.sync()))

    def resting(self) -> list[str]:
        return [each.account.name for each in turns.resting(self.hub)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Crowd]:
    made = Crowd(tmp_path / "home")
    yield made
    made.close()


# The order


def test_higher_priority_first(world: Crowd) -> None:
    """Accounts go by priority; replicas of one stay together."""
    first, second, third = (world.add_remote() for _ in range(3))
    world.second_calendar(first)
    world.schedule(second, priority=5)
    world.schedule(third, priority=-1)

    assert [report.account for report in world.sync()] == ["account-2", "account-1", "account-1", "account-3"]


def test_least_recently_synced_first(world: Crowd) -> None:
    """Among equals the account goes first whose success is longest ago, those never synced before all."""
    world.add_remote()
    world.sync()
    world.clock.advance(minutes=1)
    second = world.add_remote()
    world.sync(replica_ids=[second.replica.id])
    world.clock.advance(minutes=1)
    world.add_remote()

    assert world.order() == ["account-3", "account-1", "account-2"]


def test_those_in_trouble_last(world: Crowd) -> None:
    """An account that failed last time goes after its equals: its time-outs cost nobody else a turn."""
    broken = world.add_remote()
    world.add_remote()
    broken.service.fail("changes", "5xx")
    world.sync()

    assert world.order() == ["account-2", "account-1"]


# Side by side


def test_accounts_side_by_side_up_to_the_limit(world: Crowd) -> None:
    """With two workers two accounts are listed at the same time, never three."""
    for _ in range(8):
        world.add_remote()
    meeting, threads = threading.Barrier(2, timeout=60), set[int]()

    def meet(_account: str, _what: str) -> None:
        threads.add(threading.get_ident())
        meeting.wait()  # a sync that does one after the other breaks it

    world.seen = meet
    assert [report.status for report in world.sync(workers=2)] == ["ok"] * 8
    assert len(threads) == 2


def test_one_account_is_one_thread(world: Crowd) -> None:
    """The calendars of an account are listed one after the other, in one thread."""
    world.second_calendar(world.add_remote())
    world.add_remote()
    threads: list[tuple[str, int]] = []
    meeting = threading.Barrier(2, timeout=60)

    def note(account: str, _what: str) -> None:
        first = account not in [name for name, _ in threads]
        threads.append((account, threading.get_ident()))
        if first:
            meeting.wait()

    world.seen = note
    world.sync(workers=4)

    assert sorted(account for account, _ in threads) == ["account-1", "account-1", "account-2"]
    assert len(set(threads)) == 2


def test_all_pulls_before_any_push(world: Crowd) -> None:
    """Also side by side nothing is written before everything is read."""
    one, two, three = (world.add_remote() for _ in range(3))
    one.put("a", title="From one")
    two.put("b", title="From two")
    steps: list[str] = []
    world.seen = lambda _account, what: steps.append(what)

    world.sync(workers=3)

    assert steps == ["list"] * 3 + ["write"] * 4
    assert one.contents == two.contents == three.contents


def test_one_account_fails_alone(world: Crowd) -> None:
    """A service that is away fails its own run; what the others have is exchanged."""
    one, broken, two = (world.add_remote() for _ in range(3))
    broken.service.fail("changes", "5xx")
    one.put("a", title="From one")

    reports = world.sync(workers=3)

    assert {report.account: report.status for report in reports} == {
        "account-1": "ok", "account-2": "failed", "account-3": "ok",
    }  # fmt: skip
    assert two.contents.keys() == {"a"}


def test_many_edits_side_by_side_converge(world: Crowd) -> None:
    """Four accounts hold one calendar, all edited at once: nothing is lost, nothing is there twice."""
    remotes = [world.add_remote(guard_number=100) for _ in range(4)]
    for number in range(40):
        remotes[number % 4].put(f"e{number}", title=f"Event {number}")
    world.sync(workers=4)
    for number in range(40):
        remotes[(number + 1) % 4].edit(f"e{number}", title=f"Renamed {number}")
        remotes[(number + 2) % 4].edit(f"e{number}", location=f"Room {number}")

    for _ in range(3):
        assert {report.status for report in world.sync(workers=4)} == {"ok"}
    writes = [remote.writes for remote in remotes]
    world.sync(workers=4)

    assert [remote.writes for remote in remotes] == writes
    expected = {f"e{n}": plain(title=f"Renamed {n}", location=f"Room {n}") for n in range(40)}
    assert [remote.contents for remote in remotes] == [expected] * 4
    assert world.contents == expected


def test_interruption_stops_all(world: Crowd) -> None:
    """Ctrl-C ends the sync at the next safe point of each account; the next sync goes on from there."""
    one, two = world.add_remote(), world.add_remote()
    one.put("a")
    endless = iter(range(5000))
    listing = threading.Event()

    def seen(account: str, _what: str) -> None:
        if account == "account-1":
            listing.wait(timeout=60)
            raise KeyboardInterrupt
        listing.set()

    world.seen, world.pages = seen, {"account-2": (Page() for _ in endless)}
    with pytest.raises(KeyboardInterrupt):
        world.sync(workers=2)
    assert next(endless, None) is not None
    world.seen, world.pages = (lambda _account, _what: None), {}
    world.sync()

    assert two.contents.keys() == {"a"}


def test_out_of_time_asks_nobody_new(world: Crowd) -> None:
    """An account whose turn comes after the time is over is not asked, and goes first the next time."""
    asked: list[str] = []
    for _ in range(2):
        world.add_remote()
    world.seen = lambda account, _what: asked.append(account)

    reports = world.sync(deadline=0.0)

    assert asked == []
    assert [report.status for report in reports] == ["failed", "failed"]
    assert [report.status for report in world.sync()] == ["ok", "ok"]


# One sync at a time


def test_another_sync_of_the_account_is_skipped(world: Crowd) -> None:
    """While a sync is at one calendar of an account, another leaves its other calendars alone."""
    world.second_calendar(world.add_remote())
    world.add_remote()
    found: list[list[tuple[str, str]]] = []

    def again(account: str, _what: str) -> None:
        if account == "account-1" and not found:
            found.append([])
            reports = engine.sync(world.hub, world.connect, replica_ids=[2, 3])
            found[0] = [(report.account, report.status) for report in reports]
            messages = [error["message"] for report in reports for error in report.errors]
            assert messages == ['Another sync is working on the account "account-1".']

    world.seen = again
    reports = world.sync(replica_ids=[1])

    assert [report.status for report in reports] == ["ok"]
    assert sorted(found[0]) == [("account-1", "skipped"), ("account-2", "ok")]
    assert [report.status for report in world.sync()] == ["ok"] * 3


# Left out


def test_rests_until_the_interval_is_over(world: Crowd) -> None:
    """An account with an interval rests after a pass, from its start; a tenth of the interval early is in time."""
    remote = world.add_remote()
    world.add_remote()
    world.schedule(remote, interval=300)
    assert world.resting() == []
    world.sync()
    assert world.resting() == ["account-1"]
    (resting,) = turns.resting(world.hub)
    assert (resting.until - world.clock()).total_seconds() == 300
    world.clock.advance(seconds=269)
    assert world.resting() == ["account-1"]
    world.clock.advance(seconds=1)
    assert world.resting() == []


def test_an_interval_taken_away(world: Crowd) -> None:
    """Interval 0 is none."""
    remote = world.add_remote()
    world.schedule(remote, interval=300)
    world.sync()
    world.schedule(remote, interval=0)

    assert world.resting() == []


def test_a_local_change_ends_the_rest(world: Crowd) -> None:
    """Something to be written makes an account due, also when it came from another account; not where it only pulls."""
    both, pull, other = world.add_remote(), world.add_remote(direction="pull"), world.add_remote()
    world.schedule(both, interval=300)
    world.schedule(pull, interval=300)
    world.sync()
    assert world.resting() == ["account-1", "account-2"]
    other.put("a")
    world.sync(replica_ids=[other.replica.id])
    assert world.resting() == ["account-2"]
    world.sync()
    assert world.resting() == ["account-1", "account-2"]


def test_a_retry_ends_the_rest_at_its_time(world: Crowd) -> None:
    """A failed pass gives no rest; a write that waits for its next try is due at that time."""
    remote = world.add_remote()
    world.schedule(remote, interval=3600)
    world.put("a")
    remote.service.fail("create", "not-sent")
    world.sync()
    assert world.resting() == []  # the run failed
    world.sync()  # too early for the retry
    assert world.resting() == ["account-1"]
    world.clock.advance(minutes=2)
    assert world.resting() == []
    world.sync()
    assert remote.contents.keys() == {"a"}


def test_a_failure_of_one_calendar_is_one_of_the_account(world: Crowd) -> None:
    """All replicas of an account have to have gone through."""
    remote = world.add_remote()
    world.schedule(remote, interval=300)
    world.second_calendar(remote)
    world.sync(replica_ids=[1])
    assert world.resting() == []
    world.sync()
    assert world.resting() == ["account-1"]
    remote.service.fail("changes", "gone")
    world.sync()
    assert world.resting() == []


def test_a_decided_hold_ends_the_rest(world: Crowd) -> None:
    """A released hold takes effect at the next sync, whatever the interval."""
    remote = world.add_remote()
    world.schedule(remote, interval=300)
    for number in range(20):
        remote.put(f"e{number}")
    world.sync()
    for number in range(15):
        remote.delete(f"e{number}")
    world.sync()
    assert world.resting() == ["account-1"]
    with world.hub.transaction() as conn:
        inbox.release_hold(conn, world.holds[0]["id"], now=world.hub.now())
    assert world.resting() == []
    world.sync()
    assert len(world.contents) == 5


def test_a_write_in_doubt_ends_the_rest(world: Crowd) -> None:
    """An undo killed in the middle of a write is cleared up by the next sync."""
    remote = world.add_remote()
    world.schedule(remote, interval=300)
    world.put("a")
    (report,) = world.sync()
    assert report.run_id is not None

    def die(_account: str, _what: str) -> None:
        raise KeyboardInterrupt

    world.seen = die
    with pytest.raises(KeyboardInterrupt):
        undo(world.hub, world.connect, report.run_id)
    world.reopen()

    assert world.resting() == []


def test_a_restore_ends_the_rest(world: Crowd, tmp_path: Path) -> None:
    """After a restore the remotes are read at once, though the old hub remembers a recent pass."""
    remote = world.add_remote()
    world.schedule(remote, interval=300)
    world.sync()
    backup.backup(world.hub, tmp_path / "copy.db")
    world.close()
    backup.restore(world.home, tmp_path / "copy.db")
    world.reopen()

    assert world.resting() == []


def test_a_clock_put_back_gives_no_long_rest(world: Crowd) -> None:
    """A pass that seems to have begun in the future says nothing."""
    remote = world.add_remote()
    world.schedule(remote, interval=300)
    world.sync()
    world.clock.advance(days=-1)

    assert world.resting() == []
