"""What users typed, and what has to be left of it: the oracle for lost updates, phantom deletes and duplicates.

Each edit writes a token that was never written before (``t0042``, or a minute of the hour for a moved event). A token
must be found at the end unless somebody who had seen it replaced it, deleted its event, or decided against it. Tokens
that were ever seen in one event belong to one family; so an event is recognised whatever a service calls it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from calhub.calendar.event import Content
from calhub.hub.jsontext import dumps

#: Moved events start at second 7, so that their times stand out. The hour may be that of another zone.
_TOKEN: Final = re.compile(r"t\d{4,}|(?<=:)\d\d:07")


class Fate(Enum):
    OWED = "must be found at the end"
    REPLACED = "somebody saw and replaced it"
    REVIVED = "may be found: a restored backup or a decision brought it back, or nobody promised to carry it"


def tokens(content: object) -> set[str]:
    return set(_TOKEN.findall(dumps(content)))


class Ledger:
    """Tokens with their fates, joined into families."""

    def __init__(self) -> None:
        self.fates: dict[str, Fate] = {}
        self._parents: dict[str, str] = {}
        self._deleted: set[str] = set()  # families (by any member) that a person deleted at some time

    def wrote(self, before: Content | None, after: Content, *, promised: set[str]) -> None:
        """Somebody turned ``before`` into ``after``. Tokens not ``promised`` are where nothing is carried from."""
        old, new = tokens(before or {}), tokens(after)
        for token in old - new:
            self.fates[token] = Fate.REPLACED
        for token in new - old:
            self.fates.setdefault(token, Fate.OWED if token in promised else Fate.REVIVED)
        self._join(old | new)

    def deleted(self, content: Content) -> None:
        """Somebody deleted the event while it looked like this."""
        self._deleted |= tokens(content)
        for token in tokens(content):
            self.fates[token] = Fate.REPLACED

    def rolled_back(self, before: Content | None, after: Content | None) -> None:
        """A service was restored: what it had is gone, what it has now is back, and neither is anybody's fault."""
        if before is not None:
            self._deleted |= tokens(before)
        for token in tokens(before or {}) | tokens(after or {}):
            self.fates[token] = Fate.REVIVED
        self._join(tokens(before or {}) | tokens(after or {}))

    def decided(self, found: set[str]) -> None:
        """A person was asked about these and chose; whatever becomes of them is right."""
        self._deleted |= found
        self.forgiven(found)

    def forgiven(self, found: set[str]) -> None:
        """These may stay or go."""
        for token in found:
            self.fates[token] = Fate.REVIVED

    def unseen(self, found: set[str]) -> None:
        """Whoever deleted the event last was never shown these; that somebody else was, no engine puts together."""
        for token in found:
            if self.fates.get(token) is Fate.REPLACED:
                self.fates[token] = Fate.REVIVED

    def owed(self) -> set[str]:
        return {token for token, fate in self.fates.items() if fate is Fate.OWED}

    def family(self, content: Content) -> str | None:
        """The family of an event; None for one without tokens."""
        found = tokens(content) & self._parents.keys()
        return self._root(min(found)) if found else None

    def joined(self, contents: object) -> None:
        """These are one event (two users chose the same UID)."""
        self._join(tokens(contents) & self._parents.keys())

    def was_deleted(self, family: str) -> bool:
        return any(self._root(token) == family for token in self._deleted if token in self._parents)

    def may_live(self, family: str) -> bool:
        """Whether something was typed into the event that its deleters had not seen."""
        return any(fate is not Fate.REPLACED for token, fate in self.fates.items() if self._root(token) == family)

    def _join(self, found: set[str]) -> None:
        for token in found:
            self._parents.setdefault(token, token)
        roots = {self._root(token) for token in found}
        if roots:
            first = min(roots)
            for root in roots:
                self._parents[root] = first

    def _root(self, token: str) -> str:
        while self._parents[token] != token:
            token = self._parents[token]
        return token
