"""What can happen in a simulation, as sentences. A scenario is a text: remotes first, then one step a line.

# Lines that start with # say what the scenario is about.
remote work: lists_late, page_size=2
remote phone: direction=push

hub creates e1: title t0001
sync
work edits e1: location t0002
sync, killed at moment 7
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Final

from calhub.calendar.event import FIELDS
from calhub.testing.memory import Quirks

#: kind of a step: its sentence. ``who`` is ``hub`` or the name of a remote; ``moment`` counts from 1.
SENTENCES: Final = {
    "create": "{who} creates {uid}: title {value}",
    "series": "{who} creates the series {uid}: title {value}",
    "edit": "{who} edits {uid}: {field} {value}",
    "clear": "{who} clears {uid}: {field}, title {value}",
    "move": "{who} moves {uid} to {value}",
    "instance": "{who} edits {uid} on {day}: {field} {value}",
    "cancel": "{who} cancels {uid} on {day}, title {value}",
    "delete": "{who} deletes {uid}",
    "spoil": "{who} makes {uid} unreadable",
    "wait": "{minutes} minutes pass",
    "sync": "sync",
    "full": "full sync",
    "kill": "sync, killed at moment {moment}",
    "meanwhile": "sync, and at moment {moment} {step}",
    "fail": "{who} fails: {call} {how}, {times} times after {skip} good",
    "begin": "{who} begins: {quirk}",
    "end": "{who} ends: {quirk}",
    "backup": "{who} is backed up",
    "restore": "{who} is restored from its backup",
    "forget": "{who} forgets its cursors",
    "release": "a person releases every hold",
    "discard": "a person discards every hold",
    "resolve": "a person takes {side} in every conflict",
}


def _pattern(sentence: str) -> re.Pattern[str]:
    gap = r"\\{(\w+)\\}"
    return re.compile(re.sub(gap, lambda m: f"(?P<{m[1]}>{'.+' if m[1] == 'step' else '[^ ,]+'})", re.escape(sentence)))


_PATTERNS: Final = {kind: _pattern(sentence) for kind, sentence in SENTENCES.items()}

#: Fields a remote with the quirk ``keeps_less`` cannot hold.
KEPT_NOT: Final = frozenset({"location", "extra"})


@dataclass(frozen=True)
class Step:
    """One sentence: its kind and what stands in its gaps."""

    kind: str
    gaps: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return SENTENCES[self.kind].format(**self.gaps)

    def __getitem__(self, gap: str) -> str:
        return self.gaps[gap]


def step(kind: str, **gaps: object) -> Step:
    return Step(kind, {name: str(value) for name, value in gaps.items()})


def read_step(line: str) -> Step:
    """The step a line says. Raises ValueError for one that says none."""
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(line)
        if found is not None:
            return Step(kind, found.groupdict())
    raise ValueError(f"Not a step: {line!r}")


@dataclass(frozen=True)
class RemoteSpec:
    """A remote at the start: its name, the settings of its replica, the quirks of its service.

    ``service``: ``memory``, or the kind of a provider whose service is emulated.
    """

    name: str
    direction: str = "both"
    conflicts: str = "merge"
    service: str = "memory"
    guard: str = "10"  # so many changes of one kind at once make a pass ask a person
    quirks: tuple[str, ...] = ()

    def __str__(self) -> str:
        settings = [
            f"{each.name}={value}"
            for each in fields(self)[1:5]
            if (value := getattr(self, each.name)) != each.default
        ]  # fmt: skip
        return f"remote {self.name}: {', '.join([*settings, *self.quirks]) or 'ordinary'}"


@dataclass(frozen=True)
class Scenario:
    """Remotes and steps. ``about`` is what the comment lines say."""

    remotes: tuple[RemoteSpec, ...]
    steps: tuple[Step, ...]
    about: str = ""

    def __str__(self) -> str:
        about = [f"# {line}" for line in self.about.splitlines()]
        return "\n".join([*about, *map(str, self.remotes), "", *map(str, self.steps), ""])


def read_scenario(text: str) -> Scenario:
    """A scenario from its text. Raises ValueError for a line that is neither remote nor step."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    about = "\n".join(line[1:].strip() for line in lines if line.startswith("#"))
    said = [line for line in lines if not line.startswith("#")]
    remotes = tuple(_read_remote(line) for line in said if line.startswith("remote "))
    return Scenario(remotes, tuple(read_step(line) for line in said if not line.startswith("remote ")), about)


_SETTINGS: Final = ("direction", "conflicts", "service", "guard")


def _read_remote(line: str) -> RemoteSpec:
    head, _, tail = line.partition(":")
    words = [word.strip() for word in tail.split(",") if word.strip() not in ("", "ordinary")]
    settings = dict(word.split("=") for word in words if word.partition("=")[0] in _SETTINGS)
    quirks = tuple(word for word in words if word.partition("=")[0] not in settings)
    return RemoteSpec(head.removeprefix("remote ").strip(), quirks=quirks, **settings)


def set_quirk(quirks: Quirks, word: str, *, on: bool) -> None:
    """Switch the quirk a word names: a name, or ``name=number``. Raises ValueError for an unknown one."""
    name, _, number = word.partition("=")
    value: Any = on
    if name == "keeps_less":
        name, value = "keeps", FIELDS - KEPT_NOT if on else FIELDS
    elif name == "drops_description":
        name, value = "drops_fields", frozenset({"description"} if on else ())
    elif number:
        value = int(number) if on else getattr(Quirks(), name)
    if not hasattr(quirks, name):
        raise ValueError(f"Not a quirk: {word!r}")
    setattr(quirks, name, value)
