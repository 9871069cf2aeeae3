"""The engine in this process: what sets off passes, and what becomes of orders."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.rig import eventually, ics

from calhub.calendar.ical import read_object
from calhub.daemon.engine import Engine, give_way, subject_of
from calhub.daemon.link import Message
from calhub.daemon.schedule import Job, Timing
from calhub.daemon.settings import Settings
from calhub.daemon.work import outcomes
from calhub.hub import accounts, events, inbox, links, news, rules, runs
from calhub.hub.breaker import Breaker
from calhub.hub.database import Hub, instant, utc_now
from calhub.hub.locks import replica_lock
from calhub.providers.base import NotSent, Outcome
from calhub.providers.folder import FolderProvider
from calhub.sync.report import RunReport
from calhub.testing.world import VirtualClock

#: Nothing happens because of the clock: what does happen was set off by something.
SELDOM = Timing(active=10_000, idle=10_000, backoff=1)


class House:
    """A hub with an account of folders, and an engine that keeps it."""

    def __init__(self, root: Path) -> None:
        self.clock = VirtualClock(utc_now())
        self.hub = Hub.open(root / "home", clock=self.clock)
        self.beside = Hub.open(root / "home", clock=self.clock)  # what another process would be
        self.root = root / "service"
        self.said: list[Message] = []
        self.engine = Engine(self.hub, self.said.append, settings=Settings(), timing=SELDOM)

    def calendar(self, name: str, *, account: str | None = None, **settings: Any) -> int:
        """A calendar with a replica in a folder of its name, at an account of its name; returns the replica's id."""
        account = account or name
        (self.root / account / name).mkdir(parents=True)
        with self.beside.transaction() as conn:
            now = self.beside.now()
            added = accounts.add_calendar(conn, name, now)
            of = accounts.add_account(conn, account, "folder", {"url": str(self.root / account), **settings}, now)
            return accounts.add_replica(conn, added.id, of.id, name, name, now).id

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.engine.run)
        thread.start()
        try:
            eventually(lambda: any("ready" in message for message in self.said), "the engine")
            yield
        finally:
            self.engine.stop()
            thread.join()

    def add(self, calendar: str, uid: str, title: str) -> None:
        """As ``calhub event add`` beside the daemon."""
        with self.beside.transaction() as conn:
            content = read_object(ics(uid, title).encode()).content
            events.put_event(conn, accounts.calendar(conn, calendar).id, uid, content, now=self.beside.now())

    def files(self, calendar: str) -> list[str]:
        return sorted(path.stem for path in (self.root / calendar / calendar).glob("*.ics"))

    def order(self, number: int, **wish: Any) -> Message:
        nothing = {"account": None, "calendar": None, "full": False, "dry_run": False, "timeout": None}
        self.engine.hear({"order": number, **nothing, **wish})
        eventually(lambda: any(each.get("answer") == number for each in self.said), "an answer")
        return next(each for each in self.said if each.get("answer") == number)

    def settle(self) -> None:
        """Wait until nothing is left that was set off before, such as by the engine's own writes."""
        known = len(self.said)

        def quiet() -> bool:
            beats = [each["beat"] for each in self.said[known:] if "beat" in each][-2:]
            return len(beats) == 2 and beats[0] == beats[1] and not beats[0]["running"] + beats[0]["waiting"]

        eventually(quiet, "quiet")

    def passes(self) -> int:
        with self.beside.read() as conn:
            return len(runs.history(conn, 1000))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.hub.close()
    made.beside.close()


def test_a_local_edit_is_pushed_at_once(house: House) -> None:
    """Also to a calendar that was added after the engine began."""
    with house.running():
        house.calendar("work")
        house.settle()
        house.add("work", "e", "event")
        eventually(lambda: house.files("work") == ["e"], "the file")


def test_a_pass_leaves_a_locked_replica_alone_and_comes_again(house: House) -> None:
    """A sync beside the daemon is not disturbed."""
    replica = house.calendar("work")
    house.add("work", "e", "event")
    with ExitStack() as stack:
        with replica_lock(house.hub.home, replica):
            stack.enter_context(house.running())
            eventually(lambda: any(each.get("beat", {}).get("passes") for each in house.said), "a pass in vain")
            assert house.files("work") == []
        eventually(lambda: house.files("work") == ["e"], "the file")


def test_rules_carry_on_what_no_pass_brings(house: House) -> None:
    """From a calendar that is nowhere but in the hub, and as soon as the rule is made."""
    house.calendar("busy")
    with house.beside.transaction() as conn:
        accounts.add_calendar(conn, "private", house.beside.now())
    house.add("private", "old", "before the rule")
    with house.running():
        with house.beside.transaction() as conn:
            rules.add_rule(conn, "mirror", "private", "busy", {}, house.beside.now())
        eventually(lambda: len(house.files("busy")) == 1, "the first block")
        house.settle()
        house.add("private", "new", "after it")
        eventually(lambda: len(house.files("busy")) == 2, "the second block")


def test_a_decision_takes_effect_at_once(house: House) -> None:
    """A hold that was released by a person is carried out without waiting for the next look."""
    house.calendar("work")
    for number in range(12):
        house.add("work", f"e{number}", "event")
    with house.running():
        eventually(lambda: len(house.files("work")) == 12, "the files")
        with house.beside.transaction() as conn:
            for stored in list(events.events(conn, accounts.calendar(conn, "work").id)):
                events.delete_event(conn, stored.id, now=house.beside.now())
        eventually(lambda: len(_holds(house)) == 1, "a hold")
        house.clock.advance(hours=-1)  # it is put right, which must hide nothing
        house.settle()
        with house.beside.transaction() as conn:
            inbox.release_hold(conn, _holds(house)[0]["id"], now=house.beside.now())
        eventually(lambda: house.files("work") == [], "the files go")


def _holds(house: House) -> list[dict[str, Any]]:
    with house.beside.read() as conn:
        return inbox.holds(conn)


def test_a_clock_that_jumps_stops_nothing(house: House) -> None:
    """An hour forward, two hours back: edits go on being pushed."""
    house.calendar("work")
    with house.running():
        for uid, hours in (("a", 0), ("b", 1), ("c", -2)):
            house.clock.advance(hours=hours)
            house.settle()
            house.add("work", uid, "event")
            eventually(lambda uid=uid: uid in house.files("work"), f"the file of {uid}")  # type: ignore[misc]


def test_a_clock_put_back_makes_no_write_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that was to be tried again in half a minute is, and not an hour later."""
    house.calendar("work")
    refusals = [NotSent("The file is locked.", retry_after=31, of_item=True)]
    create = FolderProvider.create

    def locked(self: FolderProvider, *arguments: Any) -> Outcome:
        return refusals.pop() if refusals else create(self, *arguments)

    monkeypatch.setattr(FolderProvider, "create", locked)
    with house.running():
        house.add("work", "a", "locked")
        eventually(lambda: not refusals, "the first try")
        house.settle()
        house.clock.advance(hours=-1)
        eventually(lambda: _waiting(house) <= house.clock() + timedelta(hours=0.5), "the wait is cut down")
        house.clock.advance(minutes=1)
        house.add("work", "b", "something that leads to a pass")
        eventually(lambda: house.files("work") == ["a", "b"], "both files")


def _waiting(house: House) -> datetime:
    """When the one write that failed is to be tried again."""
    with house.beside.read() as conn:
        return datetime.fromisoformat(str(links.next_retry(conn, 1)))


def test_who_waits_is_looked_at_in_time(house: House) -> None:
    """For the breaker of its account, or to try a write again."""
    replica = house.calendar("work")
    house.add("work", "e", "event")
    now, job = house.hub.now(), Job(1, (replica,))
    report = RunReport(account="work", calendar="work", remote="work", replica_id=replica)
    assert outcomes(house.hub, job, [report]) == [(replica, "quiet", None)]
    with house.hub.transaction() as conn:
        [event] = events.events(conn, 1)
        later = instant(house.clock() + timedelta(seconds=40))
        links.set_retry(conn, replica, event.id, attempts=1, error="Locked.", next_try=later)
        accounts.set_breaker(conn, 1, Breaker("open", 5, datetime.fromisoformat(now) + timedelta(seconds=20)))
    [(_, outcome, again)] = outcomes(house.hub, job, [report])
    assert outcome == "quiet"
    assert again == pytest.approx(40, abs=0.01)
    report.skip("The account is left alone.", paused=True)
    [(_, outcome, again)] = outcomes(house.hub, job, [report])
    assert outcome == "resting"
    assert again == pytest.approx(20, abs=0.01)


def test_an_order_is_answered_with_the_runs_made_for_it(house: House) -> None:
    house.calendar("work")
    house.calendar("home")
    with house.running():
        assert {run["calendar"] for run in house.order(1)["runs"]} == {"work", "home"}
        (house.root / "work" / "work" / "n.ics").write_text(ics("n", "new"), newline="")
        eventually(lambda: house.passes() > 0, "a pass")
        assert [run["calendar"] for run in house.order(2, account="work", full=True)["runs"]] == ["work"]
        [run] = house.order(3, calendar="home", dry_run=True)["runs"]
        assert (run["dry_run"], run["plan"]) == (True, [])
        assert "no account" in house.order(4, account="nobody")["error"]


def test_an_account_that_has_to_sign_in_is_left_alone_until_it_has(house: House) -> None:
    house.calendar("work")
    with house.beside.transaction() as conn:
        accounts.set_account_state(conn, accounts.account(conn, "work").id, "needs_login", "Sign in.")
    house.add("work", "e", "event")
    with house.running():
        known = len(house.said)
        eventually(lambda: any("beat" in each for each in house.said[known:]), "a second")
        assert house.passes() == 0
        with house.beside.transaction() as conn:
            accounts.set_account_state(conn, accounts.account(conn, "work").id, "ok", None)
        eventually(lambda: house.files("work") == ["e"], "the file")


def test_a_full_disk_is_waited_out(house: House) -> None:
    """Passes fail as long as nothing can be stored; then the edit gets where it should be, by itself."""
    house.calendar("work")
    full = threading.Event()

    def commit() -> None:
        if full.is_set():
            raise sqlite3.OperationalError("database or disk is full")

    house.hub.on_commit = commit
    with house.running():
        eventually(lambda: house.passes() > 0, "the first pass")
        full.set()
        house.add("work", "e", "event")
        known = len(house.said)
        eventually(lambda: len([each for each in house.said[known:] if "beat" in each]) == 2, "two seconds")
        assert house.files("work") == []
        full.clear()
        eventually(lambda: house.files("work") == ["e"], "the file")


def test_priority_and_interval_are_the_account_s(house: House) -> None:
    house.calendar("work")
    with house.beside.transaction() as conn:
        account = accounts.account(conn, "work")
        accounts.set_schedule(conn, account, accounts.Schedule(priority=3, interval=60))
    with house.beside.read() as conn:
        [standing] = news.standing(conn)
    subject = subject_of(standing, set())
    assert (subject.priority, subject.interval) == (3, 60)


def test_a_daily_backup_is_made_and_seven_are_kept(house: House) -> None:
    folder = house.hub.home / "backups"
    folder.mkdir(exist_ok=True)
    for days in range(1, 11):
        (folder / f"daily-{house.clock() - timedelta(days=days):%Y-%m-%d}.db").touch()
    with house.running():
        today = folder / f"daily-{house.clock():%Y-%m-%d}.db"
        eventually(today.exists, "today's backup")
    kept = sorted(folder.glob("daily-*.db"))
    assert len(kept) == 7
    assert kept[-1] == today


def test_a_system_that_forbids_to_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one with a filter of system calls may: the engine works all the same."""
    asked = []

    def forbidden(by: int) -> int:
        asked.append(by)
        raise PermissionError

    monkeypatch.setattr(os, "nice", forbidden)
    give_way()
    assert len(asked) == 1
