"""The engine: passes over replicas. Observe and pull all of them, then push all of them.

One dead account or one bad item never stops the others; each failure is kept with its reason. A pass may be stopped
anywhere: everything it commits is a state from which the next pass goes on. Accounts are worked on side by side, the
replicas of one account one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import groupby

from calhub.hub import accounts, horizon, inbox, links, measures, modes, restored, runs
from calhub.hub.accounts import Account, Replica
from calhub.hub.database import Hub
from calhub.hub.errors import Busy, CorruptDatabase, HubError
from calhub.hub.locks import account_lock, replica_lock
from calhub.ops import samples, trace
from calhub.providers.base import Provider, ProviderError, Trait
from calhub.sync import turns
from calhub.sync.connect import note_failure
from calhub.sync.context import OutOfTime, Pass
from calhub.sync.observe import observe
from calhub.sync.pull import pull, take_new
from calhub.sync.push import push
from calhub.sync.recover import recover_open
from calhub.sync.report import Progress, RunReport, no_progress
from calhub.sync.watch import Paused, admit

Connect = Callable[[Account], Provider]

#: What is to happen in the hub between pulling and pushing: rules derive their copies.
Derive = Callable[[Hub], None]

#: Asked between commits: whether the work is to end there.
Stop = Callable[[], bool]

#: A stale write makes push pull; what it brought then goes to the other replicas in the same sync, so many times.
_PUSH_ROUNDS = 3


def never() -> bool:
    """Go on to the end."""
    return False


def sync(
    hub: Hub,
    connect: Connect,
    *,
    replica_ids: Sequence[int] | None = None,
    account: str | None = None,
    calendar: str | None = None,
    full: bool = False,
    dry_run: bool = False,
    deadline: float | None = None,
    workers: int = 1,
    progress: Progress = no_progress,
    derive: Derive | None = None,
    stop: Stop = never,
) -> list[RunReport]:
    """Bring the chosen replicas (default: all that are not paused) and the hub in step.

    ``derive`` is called once what the remotes brought is in the hub, before anything is pushed. At most ``workers``
    accounts are worked on at the same time, in threads; with one, all is done in the caller's own thread and in the
    order of `turns.in_turn`. An account that another sync is working on is skipped. ``progress`` is called by one
    thread at a time. ``deadline`` is an instant of `time.monotonic`; when it passes, or once ``stop`` answers True, the
    work under way is committed and the rest is left to the next pass. With ``dry_run`` nothing changes anywhere: the
    engine runs on a copy of the hub, with providers that only pretend to write, and each report holds its plan.
    """
    if dry_run:
        from calhub.sync.dryrun import rehearse

        return rehearse(hub, connect, replica_ids, account, calendar, full=full, progress=progress, derive=derive)
    chosen = choose(hub, replica_ids=replica_ids, account=account, calendar=calendar)
    return Session(
        hub, connect, full=full, deadline=deadline, workers=workers, stop=stop, progress=progress, derive=derive
    ).run(chosen)


def choose(
    hub: Hub, *, replica_ids: Sequence[int] | None = None, account: str | None = None, calendar: str | None = None
) -> list[Replica]:
    """The replicas a sync is about, in turn. Raises NotFound for an unknown account or calendar."""
    with hub.read() as conn:
        account_id = accounts.account(conn, account).id if account is not None else None
        calendar_id = accounts.calendar(conn, calendar).id if calendar is not None else None
        found = accounts.replicas(conn, calendar_id=calendar_id, account_id=account_id)
        awake = [each for each in found if each.state != "paused" and (replica_ids is None or each.id in replica_ids)]
        return turns.in_turn(conn, awake)


class Session:
    """One `sync`: the passes of several replicas, with one provider per account."""

    def __init__(
        self,
        hub: Hub,
        connect: Connect,
        *,
        full: bool = False,
        deadline: float | None = None,
        stop: Stop = never,
        workers: int = 1,
        progress: Progress = no_progress,
        dry_run: bool = False,
        derive: Derive | None = None,
    ) -> None:
        self._hub = hub
        self._connect = connect
        self._full = full
        self._deadline = deadline
        self._stop = stop
        self._workers = workers
        self._interrupted = threading.Event()
        self._progress = _one_by_one(progress)
        self._dry_run = dry_run
        self._derive = derive
        self._providers: dict[int, Provider] = {}
        self._dead: dict[int, ProviderError] = {}
        self._held: set[int] = set()
        self._admitted: set[int] = set()

    def run(self, replicas: Sequence[Replica]) -> list[RunReport]:
        reports: list[RunReport] = []
        passes: list[Pass] = []
        with ExitStack() as stack:
            stack.callback(self._close)
            for replica in replicas:
                report = RunReport(
                    account=replica.account, calendar=replica.calendar, remote=replica.remote_name,
                    replica_id=replica.id, dry_run=self._dry_run,
                )  # fmt: skip
                reports.append(report)
                try:
                    self._hold(replica, stack)
                    self._admit(replica)
                except (Busy, Paused) as refusal:
                    report.skip(refusal.message, paused=isinstance(refusal, Paused))
                    continue
                started = self._start(replica, report)
                if started is not None:
                    passes.append(started)
            self._passes(passes)
        return reports

    def _hold(self, replica: Replica, stack: ExitStack) -> None:
        """Lock the account, once in this session, and the replica. Raises `Busy`."""
        if replica.account_id not in self._held:
            stack.enter_context(account_lock(self._hub.home, replica.account_id, replica.account))
            self._held.add(replica.account_id)
        stack.enter_context(replica_lock(self._hub.home, replica.id))

    def _admit(self, replica: Replica) -> None:
        """Ask the account's breaker, once in this session. Raises `Paused`."""
        if replica.account_id not in self._admitted:
            with self._hub.read() as conn:
                account = accounts.account(conn, replica.account_id)
            admit(self._hub, account)
            self._admitted.add(account.id)

    def _close(self) -> None:
        for provider in self._providers.values():
            provider.close()

    def _passes(self, passes: list[Pass]) -> None:
        ready = self._each(passes, _pull_step)
        for _ in range(_PUSH_ROUNDS):
            if self._derive is not None:
                self._derive(self._hub)
            if self._writes_are_stopped():
                break
            moved = self._each(ready, push)
            ready = [each for each in ready if each.report.status == "ok"]
            if not moved:
                break
        for each in passes:
            self._finish(each)

    def _writes_are_stopped(self) -> bool:
        """By the mode of the installation; a rehearsal writes nothing anyway, and is to show what there is to do."""
        with self._hub.read() as conn:
            return not self._dry_run and modes.dry_run_since(conn) is not None

    def _each(self, passes: Sequence[Pass], step: Callable[[Pass], bool]) -> list[Pass]:
        """Run a step of each pass, several accounts at once. Returns the passes for which it returned True."""

        def run(mine: list[Pass]) -> list[Pass]:
            return [each for each in mine if self._step(each, step)]

        by_account = [list(mine) for _, mine in groupby(passes, key=lambda each: each.replica.account_id)]
        if self._workers == 1 or len(by_account) < 2:
            return [each for mine in by_account for each in run(mine)]
        with ThreadPoolExecutor(self._workers, thread_name_prefix="calhub-sync") as pool:
            try:
                return [each for done in pool.map(run, by_account) for each in done]
            except BaseException:  # an interruption, or damage that ends them all: the others stop at a safe point
                self._interrupted.set()
                raise

    def _start(self, replica: Replica, report: RunReport) -> Pass | None:
        hub = self._hub
        with hub.transaction() as conn:
            horizon.advance(conn, hub.now())
            # Read again under the lock: another pass may just have moved the cursor.
            replica = accounts.replica(conn, replica.id)
            account = accounts.account(conn, replica.account)
            restored_at = restored.since(conn, replica.id)
            report.run_id = runs.start_run(conn, replica, kind="sync", now=hub.now())
        try:
            if account.id not in self._providers:
                self._providers[account.id] = self._connect(account)
        except ProviderError as error:
            self._dead[account.id] = error
            self._fail(replica, report, error)
            return None
        return Pass(
            hub=hub,
            replica=replica,
            provider=self._providers[account.id],
            report=report,
            full=self._full or replica.cursor is None,
            restored=restored_at,
            progress=self._progress,
            out_of_time=self._out_of_time,
        )

    def _out_of_time(self) -> bool:
        over = self._deadline is not None and time.monotonic() >= self._deadline
        return over or self._interrupted.is_set() or self._stop()

    def _step(self, of: Pass, step: Callable[[Pass], bool]) -> bool:
        """Run one step of a pass; its failure is this pass's alone."""
        account_id = of.replica.account_id
        began, requests = time.monotonic(), of.provider.requests
        facts = {"run": of.report.run_id, "replica": of.replica.id, "account": of.replica.account}
        try:
            if account_id in self._dead:
                raise self._dead[account_id]
            with trace.span(step.__name__.strip("_"), **facts) as told:
                going_on = step(of)
                told["status"] = of.report.status
            return going_on
        except ProviderError as error:
            if error.trait in (Trait.LOGIN, Trait.RETRY, Trait.FATAL):
                self._dead[account_id] = error
            of.report.fail(None, error.message)
            self._mark(of.replica, error)
        except OutOfTime:
            of.report.fail(None, "The time for this sync was over; the rest goes on with the next one.")
        except CorruptDatabase:
            raise  # no pass can be trusted with it
        except HubError as error:
            of.report.fail(None, error.message)
        finally:
            of.report.requests += of.provider.requests - requests
            of.report.duration_ms += round((time.monotonic() - began) * 1000)
        return False

    def _fail(self, replica: Replica, report: RunReport, error: ProviderError) -> None:
        report.fail(None, error.message)
        self._mark(replica, error)
        self._record(report)

    def _mark(self, replica: Replica, error: ProviderError) -> None:
        with self._hub.transaction() as conn:
            accounts.update_replica(conn, replica.id, state="failing", error=error.message)
            if error.trait is not Trait.GONE:  # a missing calendar says nothing about its account
                note_failure(conn, accounts.account(conn, replica.account_id), error)

    def _finish(self, of: Pass) -> None:
        hub, report = self._hub, of.report
        with hub.transaction() as conn:
            report.counts["quarantined"] = inbox.quarantine_count(conn, of.replica.id)
            if report.status in ("ok", "held"):
                state = "held" if report.status == "held" else "ok"
                accounts.update_replica(conn, of.replica.id, state=state, error=None, last_success=hub.now())
                if of.replica.account_id not in self._dead:
                    accounts.set_account_state(conn, of.replica.account_id, "ok", None)
            if of.completed:
                accounts.update_replica(conn, of.replica.id, phase="steady")
                restored.over(conn, of.replica.id)
            if report.run_id is not None and not of.first_pass:
                measures.note_delays(conn, report.run_id, of.written)
        self._record(report)

    def _record(self, report: RunReport) -> None:
        assert report.run_id is not None
        with self._hub.transaction() as conn:
            runs.finish_run(
                conn, report.run_id, status=report.status, counts=report.counts, errors=report.errors,
                requests=report.requests, duration_ms=report.duration_ms, now=self._hub.now(),
            )  # fmt: skip
            if not self._dry_run:  # else this is a copy of the hub
                measures.note_run(conn, report.run_id)
                measures.store(conn, samples.here.drain())
        if not self._dry_run:
            trace.tell("pass", **report.facts())


def _one_by_one(progress: Progress) -> Progress:
    """The same for several threads: it is called by one of them at a time."""
    turn = threading.Lock()

    def tell(what: str, done: int, total: int | None) -> None:
        with turn:
            progress(what, done, total)

    return tell


def _pull_step(of: Pass) -> bool:
    """Settle doubt, observe, carry into the hub. True when the pass may go on to push."""
    of.check_time()  # of many accounts some may not get their turn in the time given
    recover_open(of)
    first = of.first_pass and of.policy.direction != "push"
    observe(of, take=take_new if first else None)
    with of.hub.read() as conn:
        pending = links.pending_ids(conn, of.replica.id)
    return pull(of, pending)
