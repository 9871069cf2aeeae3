"""Errors of the hub, each one sentence for the user and a hint of what to do.

HubError
  NotFound         nothing of that name or id
  Ambiguous        several of that name; carries the candidates
  InvalidValue     the request contradicts itself or what is stored (usage: exit code 2)
  Outdated         the event is not any more as the edit took it to be
  Busy             another pass or another writer holds the lock (exit code 3)
  DiskFull         there is no room for what was to be stored
  NewerDatabase    the database was written by a later version of calhub
  CorruptDatabase  the file is damaged, or no database of ours
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final


class HubError(Exception):
    """Something is wrong with the hub. ``message`` is one sentence, ``hint`` says what to do; neither holds secrets."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(HubError):
    """Nothing goes by the name given."""


class Ambiguous(HubError):
    """Several things go by the name given. ``candidates`` are spellings that name one each."""

    def __init__(self, message: str, candidates: Sequence[str], hint: str = "") -> None:
        self.candidates = tuple(candidates)
        super().__init__(message, hint or f"Name one of: {', '.join(self.candidates)}.")


class InvalidValue(HubError):
    """What was asked for is not possible with what is stored; nothing was changed."""


class Outdated(HubError):
    """The event was changed since the revision that the edit is based on; nothing was written."""


class Busy(HubError):
    """Another process holds the lock; trying again later helps."""


class DiskFull(HubError):
    """There is no room; nothing was changed, and it works again once there is."""


class NewerDatabase(HubError):
    """The database was written by a later version of calhub; it was not touched."""


class CorruptDatabase(HubError):
    """The file is damaged or not a calhub database; it was not touched. The usual hint names both ways back."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint or _WAYS_BACK)


_WAYS_BACK: Final = (
    "Put back the newest file of the backups folder with `calhub db restore FILE`; without one, move the file away, "
    "add the accounts again and let `calhub sync` read everything from the remotes."
)
