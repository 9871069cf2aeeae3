"""The circuit breaker as a value, on a clock that moves only when told to; and as stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from calhub.hub import accounts, runs
from calhub.hub.breaker import FAILURES, PAUSE, Breaker
from calhub.hub.database import Hub

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def failed(times: int, now: datetime = NOW) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker = breaker.failed(now)
    return breaker


def test_closed_admits_everybody() -> None:
    """Four failures in a row keep nobody away."""
    breaker = failed(FAILURES - 1)

    assert breaker == Breaker("closed", FAILURES - 1)
    assert breaker.admit(NOW) == breaker


def test_five_failures_open() -> None:
    """The fifth one opens the breaker for five minutes, in which nobody is admitted."""
    breaker = failed(FAILURES)

    assert (5, timedelta(minutes=5)) == (FAILURES, PAUSE)
    assert breaker == Breaker("open", FAILURES, NOW + PAUSE)
    assert breaker.admit(NOW) is None
    assert breaker.admit(NOW + PAUSE - SECOND) is None


def test_one_probe() -> None:
    """After the pause one is admitted, and nobody else until it says how it went."""
    probing = failed(FAILURES).admit(NOW + PAUSE)

    assert probing == Breaker("half_open", FAILURES, NOW + 2 * PAUSE)
    assert probing.admit(NOW + PAUSE) is None
    assert probing.admit(NOW + 2 * PAUSE - SECOND) is None


def test_a_silent_probe_ends() -> None:
    """A probe that died is followed by another one."""
    probing = failed(FAILURES).admit(NOW + PAUSE)
    assert probing is not None

    assert probing.admit(NOW + 2 * PAUSE) == Breaker("half_open", FAILURES, NOW + 3 * PAUSE)


def test_failed_probe_opens_again() -> None:
    """One failure is enough then."""
    probing = failed(FAILURES).admit(NOW + PAUSE)
    assert probing is not None

    assert probing.failed(NOW + PAUSE) == Breaker("open", FAILURES + 1, NOW + 2 * PAUSE)


def test_late_failures_do_not_prolong_the_pause() -> None:
    """Calls that were under way when the breaker opened fail too; the next pause is no longer for that."""
    assert failed(FAILURES).failed(NOW + SECOND) == failed(FAILURES)


def test_a_try_by_hand_after_the_pause_prolongs_it() -> None:
    assert failed(FAILURES).failed(NOW + 2 * PAUSE) == Breaker("open", FAILURES + 1, NOW + 3 * PAUSE)


def test_a_clock_put_back_ends_the_pause() -> None:
    """It is not waited for until the clock is where it was; after one put back by a second it goes on."""
    breaker = failed(FAILURES)
    for hours in (1, 24):
        earlier = NOW - timedelta(hours=hours)
        assert breaker.wait(earlier) == timedelta(0)
        assert breaker.admit(earlier) == Breaker("half_open", FAILURES, earlier + PAUSE)
        assert breaker.failed(earlier) == Breaker("open", FAILURES + 1, earlier + PAUSE)
    assert breaker.wait(NOW + SECOND) == PAUSE - SECOND
    assert breaker.wait(NOW - SECOND) == PAUSE + SECOND


def test_kept_with_the_account(hub: Hub) -> None:
    """It survives in the database, shows in the account's shape, and goes with the account."""
    with hub.transaction() as conn:
        account = accounts.add_account(conn, "dav", "caldav", {}, hub.now())
        other = accounts.add_account(conn, "other", "caldav", {}, hub.now())
        for breaker in (failed(2), failed(FAILURES)):
            accounts.set_breaker(conn, account.id, breaker)
            assert accounts.breaker(conn, account.id) == breaker
        accounts.set_account_state(conn, account.id, "failing", "It is away.")
    with hub.read() as conn:
        shape = runs.account_shape(conn, accounts.account(conn, account.id))
        assert accounts.breaker(conn, other.id) == Breaker()

    assert shape["breaker"] == {"state": "open", "failures": 5, "until": "2026-11-21T10:05:00.000Z"}
    assert (shape["state"], shape["error"]) == ("failing", "It is away. Left alone until 2026-11-21T10:05:00.000Z.")
    with hub.transaction() as conn:
        accounts.remove_account(conn, account.id)
        assert accounts.breaker(conn, account.id) == Breaker()


def test_closed_again(hub: Hub) -> None:
    with hub.transaction() as conn:
        account = accounts.add_account(conn, "dav", "caldav", {}, hub.now())
        accounts.set_breaker(conn, account.id, failed(FAILURES))
        accounts.set_breaker(conn, account.id, Breaker())

        assert accounts.breaker(conn, account.id) == Breaker()
        assert runs.account_shape(conn, account)["error"] is None
