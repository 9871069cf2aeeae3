"""Carries out a scenario on a real hub with services in memory or emulated, and has everything checked on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from calhub.calendar.event import FIELDS, Content
from calhub.calendar.fields import Patch, apply, diff, project
from calhub.calendar.frame import frame_of
from calhub.hub import events, inbox, links
from calhub.hub.errors import HubError
from calhub.sync.report import RunReport
from calhub.sync.resolve import resolve
from calhub.testing.memory import MemoryService, Quirks
from calhub.testing.simulation import checks
from calhub.testing.simulation.emulated import Emulated
from calhub.testing.simulation.far import Place
from calhub.testing.simulation.ledger import Ledger, tokens
from calhub.testing.simulation.steps import RemoteSpec, Scenario, Step, read_step, set_quirk
from calhub.testing.world import World, plain

HUB: Final = "hub"
#: Series run daily from here; their instances are named by day.
FIRST_DAY: Final = "2026-11-23"


class Killed(BaseException):
    """The process is gone. A BaseException, so that nothing on the way can take it for an ordinary failure."""


class Simulation:
    """A world under way. ``told`` is its log: the same scenario gives the same log (Q13)."""

    def __init__(self, world: World, remotes: tuple[RemoteSpec, ...]) -> None:
        self.world = world
        self.ledger = Ledger()
        self.watch = checks.Watch()
        self.reached: Counter[str] = Counter()
        self.told: list[str] = []
        self.names: dict[str, Place] = {}
        self.edits = 0
        self._told_requests: dict[str, int] = {}
        self._snapshots: dict[str, Any] = {}
        self._restored: dict[tuple[str, str], Patch] = {}  # what a restored backup last changed: remote, item
        self._resolved: dict[int, int] = {}  # event: the revision that a person's decision made
        self._used: dict[str, list[Content]] = {}
        self._moments = 0
        self._at_moment: tuple[int, Callable[[], None]] | None = None
        self._calls_only = False
        for spec in remotes:
            self._add(spec)
        self._arm()

    def _add(self, spec: RemoteSpec) -> None:
        place = self._in_memory(spec) if spec.service == "memory" else self._emulated(spec)
        self.names[spec.name] = place
        place.service.hook = partial(self._moment, place)

    def _in_memory(self, spec: RemoteSpec) -> Place:
        quirks = Quirks()
        for word in spec.quirks:
            set_quirk(quirks, word, on=True)
        remote = self.world.add_remote(
            quirks=quirks, direction=spec.direction, conflicts=spec.conflicts, guard_number=int(spec.guard)
        )
        return Place(remote.service, remote.calendar, remote.replica)

    def _emulated(self, spec: RemoteSpec) -> Place:
        far = Emulated(spec.service, spec.quirks, self.world.clock)
        options = {"direction": spec.direction, "conflicts": spec.conflicts, "settings": far.emulator.settings}
        return Place(far, far.calendar, self.world.add_replica(far.calendar, far.provider, **options))

    @property
    def has_liars(self) -> bool:
        """Whether listings may have been untrue."""
        return any(isinstance(place.service, MemoryService) for place in self.names.values())

    def memory(self, name: str) -> MemoryService:
        """The service of a remote that is in memory. Raises ValueError."""
        service = self.names[name].service
        if not isinstance(service, MemoryService):
            raise ValueError(f"{name} is not in memory, so that cannot happen to it")
        return service

    def play(self, scenario: Scenario) -> None:
        """All steps, each followed by the checks. Raises `checks.Broken`."""
        for each in scenario.steps:
            self.carry_out(each)

    def carry_out(self, step: Step) -> None:
        self.told.append(str(step))
        self.reached[step.kind] += 1
        getattr(self, f"_{step.kind}")(step)
        self._tell_requests()
        checks.after_step(self)

    def _tell_requests(self) -> None:
        for name, remote in self.names.items():
            told = self._told_requests.get(name, 0)
            for each in remote.service.log[told:]:
                self.told.append(f"  {name} {each.method} {each.remote_id} {each.uid} {each.expected}")
            self._told_requests[name] = len(remote.service.log)

    # --- moments: commits and remote calls ---------------------------------------------------------------------------

    def _arm(self) -> None:
        self.world.hub.on_commit = partial(self._moment, None, "commit")

    def _moment(self, remote: Place | None, label: str) -> None:
        if remote is not None:
            checks.at_request(self, remote, label)
        if self._at_moment is None or (self._calls_only and (remote is None or _between_look_and_write(remote, label))):
            return
        self._moments += 1
        at, act = self._at_moment
        if self._moments >= at:
            act()

    @contextmanager
    def at_moment(self, moment: int, act: Callable[[], None], *, calls_only: bool = False) -> Iterator[None]:
        """Have ``act`` called at the moment, and at each later one. ``calls_only``: commits do not count."""
        self._moments, self._at_moment, self._calls_only = 0, (moment, act), calls_only
        try:
            yield
        finally:
            self._at_moment = None

    # --- syncing -----------------------------------------------------------------------------------------------------

    def sync(self, *, full: bool = False) -> list[RunReport]:
        linked = checks.linked_counts(self)
        reports = self.world.sync(full=full)
        for report in reports:
            checks.after_pass(report, linked, checks.linked_counts(self))
            self.reached[f"pass {report.status}"] += 1
            self.told.append(f"  {report.account} {report.status} {report.requests} {sorted(report.counts.items())}")
        return reports

    def _sync(self, _: Step) -> None:
        self.sync()

    def _full(self, _: Step) -> None:
        self.sync(full=True)

    def _kill(self, step: Step) -> None:
        self.killed_at(int(step["moment"]))

    def killed_at(self, moment: int, *, full: bool = False) -> bool:
        """A sync in a process that dies at the moment; True if it came to that. Then a new process."""
        died = False

        def die() -> None:
            raise Killed

        with self.at_moment(moment, die):
            try:
                self.sync(full=full)
            except Killed:
                died = True
        if died:
            self.reached["killed"] += 1
            self.world.reopen()
            self._arm()
        return died

    def count_moments(self, *, full: bool = False) -> int:
        """A sync; returns how many moments it had."""
        with self.at_moment(1, lambda: None):
            self.sync(full=full)
        return self._moments

    def _meanwhile(self, step: Step) -> None:
        inner = read_step(step["step"])
        waiting = [inner]

        def act() -> None:
            if waiting:
                self.reached["meanwhile"] += 1
                getattr(self, f"_{waiting.pop().kind}")(inner)

        with self.at_moment(int(step["moment"]), act, calls_only=True):
            self.sync()

    # --- users -------------------------------------------------------------------------------------------------------

    def contents(self, who: str) -> dict[str, Content]:
        """The events at the hub or a remote, by UID there."""
        return self.world.contents if who == HUB else self.names[who].contents

    def _note(self, who: str, before: Content | None, after: Content) -> None:
        """A field that the provider cannot see, or a replica that only pushes, promises nothing."""
        self.edits += 1
        promised = tokens(project(after, self._keeps(who))) if self._is_read(who) else set()
        self.ledger.wrote(before, after, promised=promised)

    def _keeps(self, who: str) -> frozenset[str]:
        return FIELDS if who == HUB else self.names[who].service.quirks.keeps

    def _is_read(self, who: str) -> bool:
        return who == HUB or self.names[who].replica.direction != "push"

    def _create(self, step: Step) -> None:
        self._put(step, plain(title=step["value"]))

    def _series(self, step: Step) -> None:
        self._put(step, plain(title=step["value"], rrule="FREQ=DAILY;COUNT=6"))

    def _put(self, step: Step, content: Content) -> None:
        who, uid = step["who"], step["uid"]
        if uid in self.contents(who):
            return
        self._note(who, None, content)
        if who == HUB or not self.names[who].service.quirks.rewrites_uid:
            self._used[uid] = [*self._used.get(uid, []), content]
            self.ledger.joined(self._used[uid])  # whoever takes a UID again means the same event
        if who == HUB:
            self.world.put(uid, **content)
        else:
            self.names[who].service.user_put(self.names[who].calendar, uid, content)

    def _change(self, step: Step, change: Callable[[Content], Content]) -> None:
        who, uid = step["who"], step["uid"]
        before = self.contents(who).get(uid)
        if before is None:
            return
        after = change(deepcopy(before))
        if who == HUB:
            self.world.change(uid, lambda _: after)
        else:
            try:
                self.names[who].service.user_put(self.names[who].calendar, uid, after)
            except KeyError:
                return  # the service's app cannot do that
        self._note(who, before, after)

    def _edit(self, step: Step) -> None:
        self._change(step, lambda content: _with(content, step["field"], step["value"]))

    def _clear(self, step: Step) -> None:
        def cleared(content: Content) -> Content:
            return {key: value for key, value in content.items() if key != step["field"]} | {"title": step["value"]}

        self._change(step, cleared)

    def _move(self, step: Step) -> None:
        """To a time of the day; a series only while it has no exceptions, whose names would change with it."""

        def moved(content: Content) -> Content:
            if content.get("overrides") or content.get("exdates"):
                return content
            start = datetime.fromisoformat(f"{content['start'][:10]}T{step['value']}")
            return content | {"start": start.isoformat(), "end": (start + timedelta(hours=1, seconds=1)).isoformat()}

        self._change(step, moved)

    def _instance(self, step: Step) -> None:
        def changed(content: Content) -> Content:
            key = _instance_key(content, step["day"])
            if key is None:
                return content
            overrides = content.get("overrides", {})
            entry = _with(overrides.get(key, {}), step["field"], step["value"])
            return content | {"overrides": {**overrides, key: entry}}

        self._change(step, changed)

    def _cancel(self, step: Step) -> None:
        def cancelled(content: Content) -> Content:
            key = _instance_key(content, step["day"])
            if key is None:
                return content
            overrides = {name: entry for name, entry in content.get("overrides", {}).items() if name != key}
            after = content | {"exdates": sorted([*content.get("exdates", []), key]), "title": step["value"]}
            return (
                after | {"overrides": overrides} if overrides else {k: v for k, v in after.items() if k != "overrides"}
            )

        self._change(step, cancelled)

    def _delete(self, step: Step) -> None:
        who, uid = step["who"], step["uid"]
        before = self.contents(who).get(uid)
        if before is None:
            return
        self.edits += 1
        if self._is_read(who):
            self.ledger.deleted(before)
            self._forgive_unseen(who, before)
            self.ledger.forgiven(self._put_back(who, before) | self._reworded_elsewhere(who, before))
            if who != HUB:
                self.ledger.forgiven(self._unheard(who, uid, before))
        if who == HUB:
            self.world.delete(uid)
        else:
            self.names[who].service.user_delete(self.names[who].calendar, uid)

    def _unheard(self, who: str, uid: str, deleted: Content) -> set[str]:
        """What the hub sent to an item and was never told to have arrived there, or has in other words by now.

        Whether the one who deleted the item had seen it, the engine cannot know; so the hub's edit survives. Nor can it
        know who chose the other words: a service that rewrites texts, whose answer was lost, or somebody there. After a
        decision that the remote has not been told of, the whole event survives: to decide is to edit.
        """
        remote = self.names[who]
        remote_id = remote.service.remote_id(remote.calendar, uid) or ""
        with self.world.hub.read() as conn:
            link = links.links_by_remote(conn, remote.replica.id, [remote_id]).get(remote_id)
            if link is None or self._resolved.get(link.event_id, 0) > link.hub_rev:
                return tokens(deleted)
            stored = events.event_by_id(conn, link.event_id)
        hub = stored.content if stored else {}
        return ((tokens(deleted) & tokens(hub)) - tokens(link.base_remote)) | _reworded(link.base_hub, hub)

    def _put_back(self, who: str, deleted: Content) -> set[str]:
        """What a restored service shows of the event, while its deleter has not heard of the restore.

        What an old backup put back looks like an edit of somebody at the service, which the deleter has not seen.
        """
        found = set()
        for (name, remote_id), change in self._restored.items():
            row = self.names[name].rows.get(remote_id)
            if row is None or self.ledger.family(row.content) != self.ledger.family(deleted):
                continue
            shown = {path: values for path, values in change.items() if path[0] in self._keeps(who)}
            if apply(row.content, change) == row.content and apply(deleted, shown) != deleted:
                found |= tokens(row.content)
        return found

    def _reworded_elsewhere(self, who: str, deleted: Content) -> set[str]:
        """What other services show in other words, and the hub has not been told: to any engine it is an edit."""
        found: set[str] = set()
        for name, place in self.names.items():
            with self.world.hub.read() as conn:
                known = links.links_by_remote(conn, place.replica.id, list(place.rows))
            for remote_id, row in place.rows.items():
                if name != who and self.ledger.family(row.content) == self.ledger.family(deleted):
                    base = known[remote_id].base_remote if remote_id in known else deleted
                    found |= _reworded(base, row.content)
        return found

    def _forgive_unseen(self, who: str, deleted: Content) -> None:
        """What the service cannot show goes with the event its user deleted, unless typed since: both are right."""
        if who == HUB:
            return
        family = self.ledger.family(deleted)
        for content in self.world.contents.values():
            if family is not None and self.ledger.family(content) == family:
                self.ledger.forgiven(tokens(content) - tokens(self.names[who].service.shown(content)))
                if self.names[who].replica.direction == "pull":
                    self.ledger.unseen(tokens(content) - tokens(deleted))

    # --- what happens to services ------------------------------------------------------------------------------------

    def _spoil(self, step: Step) -> None:
        with suppress(KeyError):
            self.memory(step["who"]).user_break(self.names[step["who"]].calendar, step["uid"], "It makes no sense.")

    def _wait(self, step: Step) -> None:
        self.world.clock.advance(minutes=int(step["minutes"]))

    def _fail(self, step: Step) -> None:
        service = self.names[step["who"]].service
        service.fail(step["call"], step["how"], times=int(step["times"]), skip=int(step["skip"]))

    def _begin(self, step: Step) -> None:
        set_quirk(self.memory(step["who"]).quirks, step["quirk"], on=True)
        self.watch.doubted.add(step["who"])

    def _end(self, step: Step) -> None:
        set_quirk(self.memory(step["who"]).quirks, step["quirk"], on=False)

    def _backup(self, step: Step) -> None:
        self._snapshots[step["who"]] = self.memory(step["who"]).snapshot()

    def _restore(self, step: Step) -> None:
        """Whatever differs counts as changed by nobody; the hub may not tell it from an edit."""
        place, service = self.names[step["who"]], self.memory(step["who"])
        if step["who"] not in self._snapshots:
            return
        before = _copies(place)
        service.restore(self._snapshots[step["who"]])
        after = _copies(place)
        for remote_id in before.keys() | after.keys():
            if before.get(remote_id) != after.get(remote_id):
                self.edits += 1
                self._forgive_unseen(step["who"], before.get(remote_id, {}))
                self.ledger.rolled_back(before.get(remote_id), after.get(remote_id))
                self._restored[step["who"], remote_id] = diff(before.get(remote_id, {}), after.get(remote_id, {}))

    def _forget(self, step: Step) -> None:
        self.memory(step["who"]).expire_cursors()

    # --- a person's decisions ----------------------------------------------------------------------------------------

    def _release(self, _: Step) -> None:
        self.decide_holds(inbox.release_hold)

    def _discard(self, _: Step) -> None:
        self.decide_holds(inbox.discard_hold)

    def decide_holds(self, decide: Callable[..., object]) -> int:
        """Decide every waiting hold; what was held may now be overwritten or come back. Returns how many there were."""
        hub = self.world.hub
        waiting = self.world.holds
        for hold in waiting:
            with hub.transaction() as conn:
                uids = {uid for _, uid, _ in inbox.get_hold(conn, hold["id"])["plan"]}
                decide(conn, hold["id"], now=hub.now())
            self.reached["hold"] += 1
            self._decided_about(uids)
        return len(waiting)

    def _decided_about(self, uids: set[str]) -> None:
        """A decision about whole events: every token of them may stay or go."""
        self.edits += len(uids)
        places = [self.world.contents, *(remote.contents for remote in self.names.values())]
        with self.world.hub.read() as conn:  # tombstones too: a service may know the event by another UID
            stored = [events.event(conn, self.world.calendar.id, uid, deleted=True) for uid in uids]
        decided = [each.content for each in stored if each is not None]
        decided += [content for place in places for uid, content in place.items() if uid in uids]
        families = {self.ledger.family(content) for content in decided}
        found = [tokens(each) for place in places for each in place.values() if self.ledger.family(each) in families]
        self.ledger.decided(set().union(*found))

    def _resolve(self, step: Step) -> None:
        self.resolve_conflicts(step["side"], all_states=True)

    def resolve_conflicts(self, side: str, *, all_states: bool = False) -> int:
        hub = self.world.hub
        waiting = [each for each in self.world.conflicts if all_states or each["state"] == "open"]
        for clash in waiting:
            with suppress(HubError), hub.transaction() as conn:
                before = events.event(conn, self.world.calendar.id, clash["uid"], deleted=True)
                resolve(conn, clash["id"], side, {}, now=hub.now())  # type: ignore[arg-type]
                after = events.event(conn, self.world.calendar.id, clash["uid"], deleted=True)
                if after is not None:
                    self._resolved[after.id] = after.rev
                self.edits += 1
                self.reached[f"conflict {clash['state']}"] += 1
                self.ledger.decided(tokens(clash["fields"]) | tokens(before.content if before else {}))
        return len(waiting)


def _reworded(base: Content, now: Content) -> set[str]:
    """The tokens that are where they were, in a text that is another one; no user's edit is like that."""
    texts = [pair for pair in diff(base, now).values() if all(isinstance(each, str) for each in pair)]
    return set().union(*(tokens(new) for old, new in texts if tokens(old) == tokens(new)))


def _with(content: Content, name: str, value: str) -> Content:
    """The content after somebody typed the value into a field; lists and maps are added to."""
    match name:
        case "categories":
            return content | {"categories": sorted([*content.get("categories", []), value])}
        case "attendees":
            return content | {"attendees": {**content.get("attendees", {}), f"{value}@example.org": {}}}
        case "extra":
            return content | {"extra": {**content.get("extra", {}), "X-NOTE": [f"X-NOTE:{value}"]}}
        case _:
            return content | {name: value}


def _instance_key(content: Content, day: str) -> str | None:
    if "rrule" not in content:
        return None
    frame = frame_of(content)
    key = frame.spell(frame.read(f"{day}T{content['start'][11:]}"))
    return None if key in content.get("exdates", []) else key


#: "within": between the requests of one write.
_EXPOSED: Final = ("get:after", "update:before", "delete:before", "within:before", "within:after")


def _between_look_and_write(remote: Place, label: str) -> bool:
    """Where a service has no conditional writes, an edit right here is lost whatever a client does."""
    return remote.service.quirks.no_conditional_writes and label in _EXPOSED


def _copies(place: Place) -> dict[str, Content]:
    return {name: deepcopy(row.content) for name, row in place.rows.items()}
