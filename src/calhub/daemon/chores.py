"""What is done now and then besides passes: channels, the horizon, backups, tidying up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from calhub.daemon.settings import Settings
from calhub.daemon.work import Work, log_failure
from calhub.hub import horizon, messages
from calhub.hub.backup import backup
from calhub.hub.database import Hub
from calhub.hub.news import Standing
from calhub.sync.channels import Channels

_CHANNEL_SECONDS: Final = 60.0
_HOUSE_SECONDS: Final = 3600.0
#: Daily backups that are kept.
KEPT: Final = 7
_PREFIX: Final = "daily-"


@dataclass
class Chore:
    """Something to be done every so many seconds, and not twice at once."""

    name: str
    every: float
    work: Callable[[], None]
    due: float = 0.0
    under_way: bool = False


class Chores:
    """What is due, and doing it. `due` and `told` belong to one thread; `run` may be called by any."""

    def __init__(self, hub: Hub, work: Work, settings: Settings, poke: Callable[[Iterable[int]], None]) -> None:
        self._hub = hub
        self._work = work
        self._channels = Channels(hub, work.connect, poke)
        self._tend = Chore("channels", _CHANNEL_SECONDS, self._channels.tend)
        self._all = [self._tend, Chore("house", _HOUSE_SECONDS, self._keep_house)]
        self._turn = threading.Lock()
        self.go_by(settings)

    def go_by(self, settings: Settings) -> None:
        """These are the settings from now on."""
        self._settings = settings
        self._channels.public_url = settings.public_url
        self.tend_soon()

    def due(self, now: float) -> list[Chore]:
        """The chores to be done now; each is taken to be under way until `run` has come to its end."""
        with self._turn:
            found = [each for each in self._all if each.due <= now and not each.under_way]
            for each in found:
                each.due, each.under_way = now + each.every, True
        return found

    def run(self, chore: Chore) -> None:
        """Do it. Never raises."""
        try:
            chore.work()
        except Exception as error:  # noqa: BLE001 - a chore that fails is tried again in its turn
            log_failure(chore.name, error)
        with self._turn:
            chore.under_way = False

    def tend_soon(self) -> None:
        """Have the channels looked at."""
        self._tend.due = 0.0

    def told(self, standing: Sequence[Standing]) -> set[int]:
        """Those of the replicas whose changes are told by a channel."""
        return self._channels.told() & {each.replica_id for each in standing}

    def _keep_house(self) -> None:
        """Move the horizon on with the days, and forget messages that arrived. Once a day: a backup, and then forget
        what is no longer needed.
        """
        hub = self._hub
        with hub.transaction() as conn:
            horizon.advance(conn, hub.now())
            messages.drop_delivered(conn, hub.clock())
        folder = hub.home / "backups"
        today = folder / f"{_PREFIX}{hub.clock():%Y-%m-%d}.db"
        if today.exists():
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        backup(hub, today)
        for old in sorted(folder.glob(f"{_PREFIX}*.db"))[:-KEPT]:
            old.unlink()
        self._work.tidy(self._settings)
