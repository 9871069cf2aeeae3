"""Makes up scenarios: from a seed, remotes with habits and then steps that fit what is there."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from calhub.testing.memory import MemoryService
from calhub.testing.simulation.emulators import HABITS
from calhub.testing.simulation.play import FIRST_DAY, HUB, Simulation
from calhub.testing.simulation.steps import RemoteSpec, Step, step

_NAMES: Final = ("work", "phone", "club")
#: What a service is like for good.
_HABITS: Final = (
    "rewrites_text", "rewrites_uid", "drops_description", "keeps_less", "no_conditional_writes", "no_deletion_feed",
    "no_chosen_ids", "batch_writes=3", "page_size=2", "exceptions_apart",
)  # fmt: skip
#: What comes and goes.
_MOODS: Final = (
    "idle_etag_moves", "lists_late", "page_duplicates", "page_drops_row", "expired_token", "read_only", "page_size=2",
)  # fmt: skip
_TEXTS: Final = ("title", "title", "location", "description", "categories", "attendees", "extra")
_DAYS: Final = tuple(f"{FIRST_DAY[:-2]}{day}" for day in range(23, 29))

#: How often each kind of step comes, in relation to the others.
_WEIGHTS: Final = {
    "create": 8, "series": 4, "edit": 22, "clear": 3, "move": 5, "instance": 8, "cancel": 3, "delete": 8, "spoil": 1,
    "wait": 3, "sync": 16, "full": 2, "kill": 6, "meanwhile": 6, "fail": 8, "begin": 3, "end": 2, "backup": 1,
    "restore": 1, "forget": 1, "release": 1, "discard": 1, "resolve": 1,
}  # fmt: skip


#: Steps that only happen to services in memory.
_IN_MEMORY: Final = ("spoil", "begin", "end", "backup", "restore", "forget")


def invent_remotes(random: Random, services: Sequence[str] = ()) -> tuple[RemoteSpec, ...]:
    """One to three remotes, most of them ordinary in most ways.

    With ``services`` one at each of these, emulated, and now and then one in memory besides.
    """
    if services:
        others = _NAMES[: random.choice((0, 0, 1))]
        return (*(_at(random, kind) for kind in services), *(_remote(random, name) for name in others))
    return tuple(_remote(random, name) for name in _NAMES[: random.choice((1, 2, 2, 2, 3))])


def _at(random: Random, kind: str) -> RemoteSpec:
    habits = tuple(habit for habit in HABITS[kind] if random.random() < 0.3)
    return RemoteSpec(kind, "both", random.choices(("merge", "ask"), (4, 1))[0], kind, quirks=habits)


def _remote(random: Random, name: str) -> RemoteSpec:
    direction = random.choices(("both", "pull", "push"), (10, 1, 1))[0]
    conflicts = random.choices(("merge", "newest", "hub", "remote", "ask"), (6, 1, 1, 1, 2))[0]
    guard = random.choices(("10", "1"), (8, 1))[0]
    habits = random.sample(_HABITS, random.choices((0, 1, 2, 3), (4, 4, 2, 1))[0])
    if {"rewrites_uid", "no_chosen_ids"} <= set(habits):
        habits.remove("rewrites_uid")  # then a created item could not be told from a stranger's
    return RemoteSpec(name, direction, conflicts, guard=guard, quirks=tuple(habits))


class Inventor:
    """Draws one step after another; each new token and UID is fresh."""

    def __init__(self, sim: Simulation, random: Random) -> None:
        self._sim = sim
        self._random = random
        self._tokens = 0
        self._uids = 0
        self._moves = 0
        self._in_memory = [name for name, place in sim.names.items() if isinstance(place.service, MemoryService)]
        left_out = () if self._in_memory else _IN_MEMORY
        self._weights = {kind: weight for kind, weight in _WEIGHTS.items() if kind not in left_out}

    def step(self) -> Step:
        return self._step(self._random.choices(list(self._weights), list(self._weights.values()))[0])

    def _step(self, kind: str) -> Step:
        random = self._random
        match kind:
            case "wait":
                return step(kind, minutes=random.choice((1, 5, 60, 600)))
            case "kill":
                return step(kind, moment=self._moment())
            case "meanwhile":
                inner = random.choices(("edit", "edit", "delete", "create", "instance", "move"))[0]
                return step(kind, moment=self._moment(), step=self._step(inner))
            case "resolve":
                return step(kind, side=random.choice(("hub", "remote")))
            case "sync" | "full" | "release" | "discard":
                return step(kind)
            case "fail" | "begin" | "end" | "backup" | "restore" | "forget":
                return self._trouble(kind)
        return self._user(kind)

    def _moment(self) -> int:
        """Early moments more often than late ones."""
        return int(self._random.expovariate(1 / 12)) + 1

    def _trouble(self, kind: str) -> Step:
        random = self._random
        who = random.choice(self._in_memory if kind in _IN_MEMORY else list(self._sim.names))
        if kind in ("begin", "end"):
            return step(kind, who=who, quirk=random.choice(_MOODS))
        if kind != "fail":
            return step(kind, who=who)
        service = self._sim.names[who].service
        how = random.choice(service.faults)
        if how == "late" and service.quirks.no_conditional_writes:
            how = "lost-after"  # an unconditional write that arrives late overwrites whatever came after it
        return step(kind, who=who, call=random.choice(service.calls), how=how, times=random.choice((1, 1, 2, 5)),
                    skip=random.choice((0, 0, 1, 3)))  # fmt: skip

    def _user(self, kind: str) -> Step:
        random = self._random
        who = random.choice((HUB, *self._sim.names))
        there = sorted(self._sim.contents(who))
        if kind in ("create", "series") or not there:
            self._uids += 1
            # Now and then a UID that somebody else uses too.
            uid = f"e{self._uids if random.random() < 0.9 else random.randint(1, self._uids)}"
            return step("series" if kind == "series" else "create", who=who, uid=uid, value=self._token())
        uid = random.choice(there)
        if kind == "move":
            self._moves += 1
            at = self._moves * 7 % 1380
            return step(kind, who=who, uid=uid, value=f"{at // 60:02}:{at % 60:02}:07")
        if kind == "clear":
            return step(kind, who=who, uid=uid, field=random.choice(("location", "description")), value=self._token())
        if kind == "delete":
            return step(kind, who=who, uid=uid)
        if kind == "spoil":
            return step(kind, who=random.choice(self._in_memory), uid=uid)
        if kind in ("instance", "cancel"):
            field = {"field": random.choice(("title", "location", "description"))} if kind == "instance" else {}
            return step(kind, who=who, uid=uid, day=random.choice(_DAYS), value=self._token(), **field)
        return step("edit", who=who, uid=uid, field=random.choice(self._texts(who)), value=self._token())

    def _texts(self, who: str) -> list[str]:
        """Fields to type into, some more often than others."""
        return [name for name in _TEXTS if who == HUB or name in self._sim.names[who].service.typed]

    def _token(self) -> str:
        self._tokens += 1
        return f"t{self._tokens:04}"
