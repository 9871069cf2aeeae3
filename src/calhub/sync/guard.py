"""The mass-change guard: refuses a plan that looks like an accident (Q9). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from calhub.hub.inbox import Side
from calhub.hub.jsontext import dumps
from calhub.sync.plan import Write


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hold when one kind of change hits more than ``number`` events and more than ``share`` of those linked."""

    number: int = 10
    share: float = 0.3


#: What a person decides about: op, UID, and a mark that tells what is written from anything else (None for a delete).
Key = tuple[str, str, str | None]

#: A scope that had this many linked events and is now empty is held whatever the limits say.
EMPTY_SCOPE = 3


@dataclass(frozen=True)
class Step:
    """One planned write, as far as the guard cares. ``asked``: a person gave the command for it.

    ``copy``: the event was made by a rule. What it was made from had a guard of its own, and nothing is lost with it.
    """

    write: Write
    uid: str
    asked: bool = False
    copy: bool = False

    @property
    def op(self) -> str:
        return self.write.op

    @property
    def key(self) -> Key:
        content = self.write.content
        mark = None if content is None else sha256(dumps(content).encode()).hexdigest()[:16]
        return self.op, self.uid, mark


def counts(steps: Iterable[Step]) -> dict[str, int]:
    found = Counter(step.op for step in steps)
    return {op: found[op] for op in ("create", "update", "delete")}


def check(
    steps: list[Step], *, side: Side, linked: int, limits: Limits, first_pass: bool, emptied: bool = False
) -> str | None:
    """Why the plan must wait for a person, as one sentence; None = go ahead.

    ``emptied``: no linked item is there any more, though the plan may spare some of their events.

    Creates are free on a replica's first pass, when a person's own command asked for them, and while nothing is
    linked yet (there is nothing to multiply).
    """
    counted = counts(step for step in steps if not (step.copy or (step.op == "create" and (first_pass or step.asked))))
    where = "in the hub" if side == "hub" else "at the remote"
    if linked >= EMPTY_SCOPE and counted["delete"] >= linked:
        return f"All {linked} linked events would be deleted {where}."
    if linked >= EMPTY_SCOPE and counted["delete"] and emptied:
        return (
            f"None of {linked} linked events is left on the other side; {counted['delete']} would be deleted {where}."
        )
    for op, count in counted.items():
        if op == "create" and linked == 0:
            continue
        if count > limits.number and count > limits.share * linked:
            done = {"create": "created", "update": "changed", "delete": "deleted"}[op]
            return f"{count} events would be {done} {where}, with {linked} linked."
    return None
