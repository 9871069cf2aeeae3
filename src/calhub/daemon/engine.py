"""The engine process: it runs all passes, so that nobody who asks the hub something waits for the work of one.

    python -m calhub.daemon.engine HOME FD

FD is its end of the socket pair to the front (`calhub.daemon.link`). One thread, the *loop*, has the schedule to
itself: everything that happens elsewhere is put into its inbox as something to be called. Passes run in worker threads.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from calhub.daemon.chores import Chores
from calhub.daemon.delivery import Delivery
from calhub.daemon.link import Link, Message
from calhub.daemon.orders import Order, Orders
from calhub.daemon.schedule import Job, Schedule, Subject, Timing
from calhub.daemon.settings import MOST_AT_ONCE, Settings
from calhub.daemon.triggers import Commits, Folders
from calhub.daemon.work import Found, Work
from calhub.hub import audit, news
from calhub.hub.changes import last_seq
from calhub.hub.database import Hub
from calhub.hub.errors import HubError
from calhub.hub.locks import engine_lock
from calhub.hub.news import Standing
from calhub.ops import log
from calhub.providers import registry
from calhub.providers.base import ProviderError
from calhub.sync.engine import choose
from calhub.sync.report import RunReport

#: How often the front is told that all is well.
BEAT_SECONDS: Final = 1.0
#: A pass that does not come to a safe point in this time, for a server that does not answer, is cut off.
STOP_SECONDS: Final = 9.0
#: Who wants passes waits so long at most, unless they say otherwise.
_ORDER_SECONDS: Final = 3600.0
#: Folders that were not there are looked for again, and the rest is checked, so often.
_ARRANGE_SECONDS: Final = 30.0
#: A clock that goes back by more than this between two beats was put back by somebody.
_PUT_BACK_SECONDS: Final = 5.0
_CUT_OFF: Final = 75  # the exit status for that
_NICE: Final = 10


class Engine:
    """Keeps the replicas of a hub in step until `stop`. ``tell`` takes messages for the front, from any thread."""

    def __init__(
        self,
        hub: Hub,
        tell: Callable[[Message], None],
        *,
        settings: Settings,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._tell = tell
        self._clock = clock
        self._schedule = Schedule(at_once=settings.at_once, timing=timing, seed=os.getpid())
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.stopping = threading.Event()
        # A place more than there are passes, for chores.
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE + 1, thread_name_prefix="calhub-pass")
        self._work = Work(hub, stop=self.stopping.is_set)
        self._chores = Chores(hub, self._work, settings, self._pass_on)
        self._commits = Commits(hub.path, partial(self.post, self._look))
        self._folders = Folders(lambda replicas: self.post(partial(self._poke, replicas)))
        self._delivery = Delivery(hub)
        self._orders = Orders()
        self._passes = 0
        self._standing: list[Standing] = []
        self._seq = 0
        self._entry = 0  # of the audit log: what people decided after it is news
        self._beat_at = clock(), hub.clock()
        self._derive = False  # rules have something to do that no pass is about to do

    def post(self, action: Callable[[], None]) -> None:
        """Have something called by the loop; may be called by any thread."""
        self._inbox.put(action)

    def stop(self) -> None:
        """End: passes under way come to their next safe point. May be called by any thread, more than once."""
        self.stopping.set()
        self.post(lambda: None)

    def run(self) -> None:
        """Work until `stop`, then wait for the passes under way. Whatever they committed stays."""
        with self._hub.read() as conn:
            self._seq, self._entry = last_seq(conn), audit.last(conn)
        self._arrange()
        self._commits.start()
        self._delivery.start()
        self._tell({"ready": os.getpid()})
        beat = arrange = self._clock()
        while not self.stopping.is_set():
            now = self._clock()
            if now >= beat:
                beat = now + BEAT_SECONDS
                self._beat(now)
            if now >= arrange:
                arrange = now + _ARRANGE_SECONDS
                self._arrange()
            self._begin(now)
            for order in self._orders.answered(now):
                self._tell({"answer": order.number, "runs": order.shapes()})
            self._turn(beat)
        self._commits.stop()
        self._folders.stop()
        self._delivery.stop()
        self._pool.shutdown(cancel_futures=True)

    # The loop

    def _turn(self, beat: float) -> None:
        """Wait for something to happen, and see to all of it."""
        due = self._schedule.next_due()
        wait = min(beat, beat if due is None else due) - self._clock()
        try:
            self._inbox.get(timeout=max(wait, 0.001))()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            pass

    def _begin(self, now: float) -> None:
        for job in self._schedule.take(now):
            self._orders.began(job)
            self._pool.submit(self._pass, job)
        if self._derive and not self._schedule.running:  # a pass would derive by itself
            self._derive = False
            self._pool.submit(self._work.derive)
        for chore in self._chores.due(now):
            self._pool.submit(self._chores.run, chore)

    def _beat(self, now: float) -> None:
        """Tell the front that all is well, and see whether the clock is."""
        waiting = self._schedule.waiting(now)
        self._tell({"beat": {"running": self._schedule.running, "waiting": waiting, "passes": self._passes}})
        time_of_day = self._hub.clock()
        put_back = now - self._beat_at[0] - (time_of_day - self._beat_at[1]).total_seconds()
        self._beat_at = now, time_of_day
        if put_back > _PUT_BACK_SECONDS:
            self._pool.submit(self._work.bring_forward, put_back)

    def _arrange(self) -> None:
        """Look which replicas there are, and which of them need not be asked."""
        with self._hub.read() as conn:
            self._standing = news.standing(conn)
        watched = self._folders.watch(_places(self._standing))
        told = watched | self._chores.told(self._standing)
        self._schedule.arrange([subject_of(each, told) for each in self._standing], self._clock())

    def _poke(self, replicas: Iterable[int], full: bool = False, wanted: bool = False) -> None:
        now = self._clock()
        for replica in replicas:
            self._schedule.poke(replica, now, full=full, wanted=wanted)

    def _look(self) -> None:
        """Somebody committed: see what of it is news to an endpoint or a replica."""
        self._delivery.wake()
        with self._hub.read() as conn:
            standing = news.standing(conn)
            touched = news.touched_since(conn, self._seq)
            self._seq = last_seq(conn)
            decided, self._entry = news.decided_since(conn, self._entry), audit.last(conn)
            self._derive = self._derive or news.rules_wait(conn, touched)
        if standing != self._standing:
            self._arrange()
        self._poke(news.to_be_told(touched, standing))
        self._poke(decided)

    def _done(self, job: Job, reports: Sequence[RunReport], found: Iterable[Found]) -> None:
        now = self._clock()
        self._passes += len(reports)
        self._orders.ended(job, reports)
        for replica, outcome, again in found:
            self._schedule.done(replica, outcome, now, again=again)
        self._schedule.end(job, now)

    # In worker threads

    def _pass(self, job: Job) -> None:
        reports, found = self._work.run(job)
        self.post(partial(self._done, job, reports, found))

    def _pass_on(self, replicas: Iterable[int], full: bool = False) -> None:
        """What a chore wants looked at."""
        self.post(partial(self._poke, list(replicas), full))
        self.post(self._arrange)

    # What the front says

    def hear(self, message: Message) -> None:
        """Do as the front says; may be called by any thread."""
        match message:
            case {"poke": list(replicas)}:
                self.post(partial(self._poke, replicas, bool(message.get("full"))))
            case {"order": int(number)}:
                self.post(partial(self._order, number, message))
            case {"tend": True}:
                self.post(self._chores.tend_soon)
            case {"settings": dict(settings)}:
                self.post(partial(self._set, Settings(**settings)))
            case {"stop": True}:
                self.stop()

    def _order(self, number: int, wish: Message) -> None:
        """A person wants passes now, and waits for what becomes of them."""
        if wish["dry_run"]:
            self._pool.submit(self._rehearse, number, wish)
            return
        try:
            chosen = [each.id for each in choose(self._hub, account=wish["account"], calendar=wish["calendar"])]
        except HubError as error:  # removed since it was asked for
            self._tell({"answer": number, "error": error.message})
            return
        self._orders.add(Order(number, chosen, self._clock() + (wish["timeout"] or _ORDER_SECONDS)))
        self._arrange()
        self._poke(chosen, wish["full"], wanted=True)

    def _rehearse(self, number: int, wish: Message) -> None:
        try:
            runs = self._work.rehearse(wish["account"], wish["calendar"], full=wish["full"])
            self._tell({"answer": number, "runs": runs})
        except HubError as error:
            self._tell({"answer": number, "error": error.message})

    def _set(self, settings: Settings) -> None:
        self._schedule.at_once = settings.at_once
        self._chores.go_by(settings)


def _places(standing: Iterable[Standing]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for each in standing:
        try:
            place = registry.place(each.provider, each.account_settings, each.remote_id)
        except ProviderError:
            continue  # its passes say what is wrong
        if place is not None:
            found[each.replica_id] = place
    return found


def subject_of(of: Standing, told: set[int]) -> Subject:
    """A replica, as the schedule sees it; ``told`` are those whose changes are told."""
    return Subject(
        replica=of.replica_id,
        account=of.account_id,
        priority=of.schedule.priority,
        interval=of.schedule.interval,
        told=of.replica_id in told,
        rests=of.account_state == "needs_login",
        failing=of.account_state == "failing",
    )


def main(home: Path, sock: socket.socket) -> int:
    """Run the engine until the front says so or is gone. Returns the exit status."""
    give_way()
    link = Link(sock)
    messages = link.messages()
    first = next(messages, {}).get("settings")  # the first line, before anything else
    if first is None:
        return 0  # the front is gone already
    settings = Settings(**first)
    log.configure(home, level=settings.log_level, pretty=settings.log_format == "pretty")
    with engine_lock(home), Hub.open(home, create=False) as hub:
        engine = Engine(hub, link.send, settings=settings)

        def listen() -> None:
            for message in messages:
                engine.hear(message)
            engine.stop()

        def stop(*_: object) -> None:
            engine.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the front
        threading.Thread(target=listen, name="calhub-link", daemon=True).start()
        threading.Thread(target=_cut_off, args=(engine,), name="calhub-stop", daemon=True).start()
        engine.run()
    return 0


def give_way() -> None:
    """Where processors are scarce, whoever asks the front something goes first; unless the system forbids to say so."""
    with suppress(OSError):
        os.nice(_NICE)


def _cut_off(engine: Engine) -> None:
    """Leave hard when a pass cannot end in time: whatever it was doing, the next one finds out (`sync.recover`)."""
    engine.stopping.wait()
    time.sleep(STOP_SECONDS)
    os._exit(_CUT_OFF)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))))
