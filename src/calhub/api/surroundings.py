"""What surrounds the API: the hub, the settings, and how to have a pass made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from calhub.daemon.webhooks import Webhooks
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue
from calhub.providers.base import Provider
from calhub.rules.derive import derive
from calhub.sync import engine
from calhub.sync.connect import connector


@dataclass(frozen=True)
class Order:
    """A sync that somebody asks for: the options of ``calhub sync``. ``timeout`` is in seconds."""

    account: str | None = None
    calendar: str | None = None
    full: bool = False
    dry_run: bool = False
    timeout: float | None = None


@dataclass
class Surroundings:
    """Everything the API needs. ``loopback``: bound to a loopback address only, so that no token is asked for.

    ``load`` tells how the engine fares (`Front.load`), None without a daemon.
    ``sync`` makes the passes of an order and returns their run shapes; by default in the calling thread.
    ``setting`` reads a setting by name (see `calhub.cli.context.SETTINGS`), as it is at that time. ``reload`` reads
    them all again and tells which have changed and which of these wait for a restart; raises `InvalidValue`, and then
    all stay as they were. ``home_zone`` counts where the settings name no time zone. ``clock`` is Unix time in seconds,
    ``steady`` counts seconds whatever becomes of the clock.
    ``webhooks`` reads messages of services, where there is a daemon. Setting ``stopping`` ends all streams: a server
    that shuts down waits for them.
    """

    hub: Hub
    setting: Callable[[str], str]
    home_zone: str = "UTC"
    loopback: bool = True
    load: Callable[[], Mapping[str, Any] | None] = lambda: None
    sync: Callable[[Order], list[dict[str, Any]]] | None = None
    connect: Callable[[Account], Provider] | None = None
    webhooks: Webhooks | None = None
    reload: Callable[[], dict[str, list[str]]] | None = None
    clock: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def zone_name(self) -> str:
        """The time zone of whoever reads, by its IANA name."""
        return self.setting("time_zone") or self.home_zone

    @property
    def origins(self) -> frozenset[str]:
        """The origins of other sites whose pages may use the API."""
        return frozenset(filter(None, (each.strip() for each in self.setting("cors_origins").split(","))))

    @property
    def zone(self) -> tzinfo:
        return UTC if self.zone_name == "UTC" else ZoneInfo(self.zone_name)

    @property
    def public_only(self) -> bool:
        """Whether addresses that come in through the API must not lead into private networks."""
        return not is_on(self.setting("allow_private_networks"))

    def number(self, name: str, least: int = 1) -> int:
        """A setting that is a whole number from ``least`` on. Raises `InvalidValue` for any other."""
        return _number(self.setting, name, least)

    def connector(self) -> Callable[[Account], Provider]:
        """How to connect to an account; raises `ProviderError`."""
        return self.connect or connector(self.hub)

    def run(self, order: Order) -> list[dict[str, Any]]:
        """Have the passes of an order made and wait for them. Raises `NotFound` for an unknown account or calendar."""
        engine.choose(self.hub, account=order.account, calendar=order.calendar)  # whoever carries it out
        if self.sync is not None:
            return self.sync(order)
        reports = engine.sync(
            self.hub, self.connector(), account=order.account, calendar=order.calendar, full=order.full,
            dry_run=order.dry_run, deadline=None if order.timeout is None else time.monotonic() + order.timeout,
            workers=self.number("sync_workers"), derive=derive,
        )  # fmt: skip
        return [report.shape() for report in reports]


def check(setting: Callable[[str], str]) -> None:
    """Raises `InvalidValue` for settings that the API could not work with."""
    for name in ("api_rate", "alert_slow_seconds"):
        _number(setting, name, 1)


def _number(setting: Callable[[str], str], name: str, least: int) -> int:
    text = setting(name)
    if not (text.isascii() and text.isdecimal() and least <= int(text) < 10**9):
        raise InvalidValue(f"The setting {name} is not a number: {text!r}.", "Correct it in config.toml.")
    return int(text)


def is_on(setting: str) -> bool:
    """Whether a setting that is a switch is on."""
    return setting.lower() in ("1", "true", "yes", "on")
