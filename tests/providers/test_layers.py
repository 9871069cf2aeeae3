"""Layers and the registry: each wrapper alone, over the service in memory."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from calhub.providers.base import Done, NotSent, ProviderError, Refused, Stale, Trait, Unknown, WriteRequest
from calhub.providers.layers import LONGEST, Call, DryRun, Layer, Recording, Retry
from calhub.providers.registry import KINDS, connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract import ProviderContract, Remote, Versions, event, listing
from calhub.testing.memory import How, MemoryProvider, MemoryService


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def calendar(service: MemoryService) -> str:
    return service.add_calendar("Work")


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def retry(service: MemoryService, pauses: list[float]) -> Retry:
    return Retry(MemoryProvider(service), attempts=4, sleep=pauses.append, rng=random.Random(1))


class TestContractThroughLayers(ProviderContract):
    """Every layer that lets writes through is a provider like any other."""

    @pytest.fixture
    def remote(self, service: MemoryService, calendar: str) -> Remote:
        return Remote(Retry(Recording(Layer(MemoryProvider(service)), lambda call: call)), calendar)


# Retry.


def test_reads_are_retried(service: MemoryService, calendar: str, retry: Retry, pauses: list[float]) -> None:
    """Every kind of read survives passing failures."""
    service.user_put(calendar, "a", event(), remote_id="x")
    for method in ("discover", "get", "find", "changes"):
        service.fail(method, "5xx", times=2)

    assert len(retry.discover()) == 1
    assert retry.get(calendar, "x") is not None
    assert retry.find(calendar, "a") is not None
    assert set(listing(Remote(retry, calendar)).items) == {"x"}
    assert len(pauses) == 8


def test_pauses_grow_and_are_spread(service: MemoryService, retry: Retry, pauses: list[float]) -> None:
    """The n-th pause is drawn from the whole interval up to twice the one before; the last failure is raised."""
    service.fail("discover", "5xx", times=800)
    for _ in range(200):
        with pytest.raises(ProviderError):
            retry.discover()

    for number, longest in enumerate((0.5, 1.0, 2.0)):
        drawn = pauses[number::3]
        assert len(drawn) == 200
        assert all(0 <= pause <= longest for pause in drawn)
        assert min(drawn) < longest * 0.1
        assert max(drawn) > longest * 0.9


def test_asked_delay_is_kept(service: MemoryService, retry: Retry, pauses: list[float]) -> None:
    """Where the service says how long to wait, no attempt comes earlier."""
    service.fail("discover", "429", retry_after=20)
    retry.discover()

    assert len(pauses) == 1
    assert 20 <= pauses[0] <= 20.5


def test_long_delay_goes_to_the_caller(
    service: MemoryService, calendar: str, retry: Retry, pauses: list[float]
) -> None:
    """A delay longer than this layer waits is handed on at once, for reads and writes."""
    service.fail("any", "429", times=2, retry_after=LONGEST + 1)

    with pytest.raises(ProviderError) as caught:
        retry.discover()
    assert caught.value.retry_after == LONGEST + 1
    assert retry.create(calendar, "x", "a", event()) == NotSent("The service is busy.", LONGEST + 1)
    assert not pauses


@pytest.mark.parametrize("how", ["login", "gone"])
def test_lasting_failures_are_not_retried(service: MemoryService, retry: Retry, pauses: list[float], how: How) -> None:
    """What only a person can mend is raised at the first time."""
    service.fail("discover", how)
    with pytest.raises(ProviderError):
        retry.discover()

    assert not pauses
    assert len(service.log) == 1


@pytest.mark.parametrize("method", ["create", "update", "delete"])
def test_writes_certainly_not_applied_are_retried(
    service: MemoryService, calendar: str, retry: Retry, pauses: list[float], method: str
) -> None:
    """A write that was not sent is sent again, and given up with its reason after the last attempt."""
    service.user_put(calendar, "a", event(), remote_id="x")

    def write() -> object:
        if method == "create":
            return retry.create(calendar, "y", "b", event())
        if method == "update":
            return retry.update(calendar, "x", "a", event(title="New"), expected=None, raw=None)
        return retry.delete(calendar, "x", expected=None)

    service.fail(method, "not-sent", times=4)
    assert isinstance(write(), NotSent)
    assert len(pauses) == 3
    service.fail(method, "not-sent", times=3)

    assert isinstance(write(), Done)
    assert len(service.writes()) == 8


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("lost-before", Unknown),
        ("lost-after", Unknown),
        ("5xx-after-apply", Unknown),
        ("stale", Stale),
        ("refused", Refused),
    ],
)
def test_other_outcomes_are_never_retried(
    service: MemoryService, calendar: str, retry: Retry, pauses: list[float], how: How, outcome: type[object]
) -> None:
    """What may have been applied, or was decided, is sent once."""
    service.fail("create", how)

    assert isinstance(retry.create(calendar, "x", "a", event()), outcome)
    assert len(service.writes()) == 1
    assert not pauses


def test_write_that_raises_is_not_retried(service: MemoryService, calendar: str, pauses: list[float]) -> None:
    """A write that ends in an error, even a passing one, may have been applied: it is sent once."""

    class Broken(MemoryProvider):
        def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Done:
            super().delete(calendar, remote_id, expected=expected)
            raise ProviderError("The connection broke.")

    service.user_put(calendar, "a", event(), remote_id="x")
    retry = Retry(Broken(service), sleep=pauses.append)
    with pytest.raises(ProviderError):
        retry.delete(calendar, "x", expected=None)

    assert len(service.writes()) == 1
    assert not pauses


def test_only_the_unsent_part_of_a_batch_is_repeated(
    service: MemoryService, calendar: str, retry: Retry, pauses: list[float]
) -> None:
    """Of three writes in a batch the one that was not sent goes out again; the lost one and the good one do not."""
    service.fail("create", "lost-after")
    service.fail("create", "not-sent")
    batch = [WriteRequest(op="create", remote_id=name, uid=name, content=event()) for name in ("a", "b", "c")]

    outcomes = retry.write_batch(calendar, batch)

    assert [type(each) for each in outcomes] == [Unknown, Done, Done]
    assert [request.remote_id for request in service.writes()] == ["a", "b", "c", "b"]
    assert len(pauses) == 1


def test_batch_that_breaks_off_is_certain_only_of_what_was_not_begun(service: MemoryService, calendar: str) -> None:
    """The write at which the account was refused is in doubt, later ones were not sent; refused at once, it raises."""
    provider = MemoryProvider(service)
    batch = [WriteRequest(op="create", remote_id=name, uid=name, content=event()) for name in ("a", "b", "c")]
    service.fail("create", "login", skip=1)

    outcomes = provider.write_batch(calendar, batch)

    assert [type(each) for each in outcomes] == [Done, Unknown, NotSent]
    service.fail("create", "login")
    with pytest.raises(ProviderError):
        provider.write_batch(calendar, batch[1:])


def test_incremental_listing_is_taken_up(service: MemoryService, calendar: str, retry: Retry) -> None:
    """A listing that breaks off goes on after the last page with a cursor; no row comes twice, none is lost."""
    service.quirks.page_size = 1
    start = listing(Remote(retry, calendar)).cursor
    for uid in "abcd":
        service.user_put(calendar, uid, event())
    for skip in (1, 3):
        service.fail("changes", "5xx", skip=skip)
    rows = [item.uid for page in retry.changes(calendar, start, Versions()) for item in page.items]

    assert rows == ["a", "b", "c", "d"]


def test_failures_far_apart_do_not_add_up(service: MemoryService, calendar: str, retry: Retry) -> None:
    """Attempts are counted from the last page that came."""
    service.quirks.page_size = 1
    start = listing(Remote(retry, calendar)).cursor
    for number in range(10):
        service.user_put(calendar, f"e{number}", event())
        service.fail("changes", "5xx", skip=1)

    assert len(listing(Remote(retry, calendar), start).items) == 10


def test_begun_full_listing_is_not_repeated(
    service: MemoryService, calendar: str, retry: Retry, pauses: list[float]
) -> None:
    """A full listing that breaks off after a page is raised: two halves would hide what was deleted in between."""
    service.quirks.page_size = 1
    for uid in "ab":
        service.user_put(calendar, uid, event())
    service.fail("changes", "5xx", skip=1)
    pages = retry.changes(calendar, None, Versions())
    next(pages)

    with pytest.raises(ProviderError):
        next(pages)
    assert not pauses


# Dry run, recording.


def test_dry_run_reads_and_never_writes(service: MemoryService, calendar: str) -> None:
    """Reads work; each write raises before anything is sent."""
    service.user_put(calendar, "a", event(), remote_id="x")
    dry = DryRun(MemoryProvider(service))
    assert set(listing(Remote(dry, calendar)).items) == {"x"}
    writes: list[Callable[[], object]] = [
        lambda: dry.create(calendar, "y", "b", event()),
        lambda: dry.update(calendar, "x", "a", event(), expected=None, raw=None),
        lambda: dry.delete(calendar, "x", expected=None),
        lambda: dry.create_calendar("New", color="#112233"),
        lambda: dry.delete_calendar(calendar),
    ]
    before = len(service.log)
    for write in writes:
        with pytest.raises(ProviderError) as caught:
            write()
        assert caught.value.trait is Trait.FATAL

    assert len(service.log) == before
    assert set(service.contents(calendar)) == {"a"}
    assert set(service.calendars) == {calendar}


def test_recording_tells_names_and_outcomes(service: MemoryService, calendar: str) -> None:
    """Every call is told with its result, failures too, and nothing of an event's content."""
    told: list[Call] = []
    recording = Recording(MemoryProvider(service), told.append)
    recording.create(calendar, "x", "a", event(title="Secret"))
    recording.update(calendar, "x", "a", event(), expected="old", raw=None)
    recording.get(calendar, "none")
    recording.find(calendar, "a")
    listing(Remote(recording, calendar))
    service.fail("discover", "login")
    with pytest.raises(ProviderError):
        recording.discover()
    recording.delete(calendar, "x", expected=None)

    assert [(call.method, call.result) for call in told] == [
        ("create", "Done"),
        ("update", "Stale"),
        ("get", "None"),
        ("find", "Item"),
        ("changes", "1"),
        ("changes", "end"),
        ("discover", "login"),
        ("delete", "Done"),
    ]
    assert told[1] == Call(method="update", calendar=calendar, remote_id="x", uid="a", expected="old", result="Stale")
    assert "Secret" not in repr(told)


def test_recording_tells_of_crashes(service: MemoryService, calendar: str) -> None:
    """A call that ends in anything else than an answer is told as failed."""
    told: list[Call] = []

    def crash(point: str) -> None:
        raise KeyboardInterrupt(point)

    service.hook = crash
    with pytest.raises(KeyboardInterrupt):
        Recording(MemoryProvider(service), told.append).get(calendar, "x")

    assert [call.result for call in told] == ["failed"]


# Registry.


def test_kinds() -> None:
    """The kinds are those documented, in order."""
    assert KINDS == ("google", "microsoft", "notion", "caldav", "folder", "feed")


def test_connect_retries(tmp_path: object) -> None:
    """A provider comes wrapped, so that passing failures are retried."""
    provider = connect("folder", {"url": str(tmp_path)}, MemoryVault())

    assert isinstance(provider, Retry)
    assert [entry.id for entry in provider.discover()] == ["."]


def test_unknown_kind() -> None:
    """An unknown kind is an error that names the known ones."""
    with pytest.raises(ProviderError) as caught:
        connect("carrier pigeon", {}, MemoryVault())

    assert caught.value.trait is Trait.FATAL
    assert "folder" in caught.value.hint
