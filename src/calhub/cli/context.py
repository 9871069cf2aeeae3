"""What surrounds a command: the home, its settings, the open hub, connections to accounts.

Only light modules are imported here, the rest where it is used: a cold ``calhub agenda`` pays for none of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from calhub.cli.failures import usage

if TYPE_CHECKING:
    from datetime import tzinfo

    from calhub.hub.accounts import Account
    from calhub.hub.database import Hub
    from calhub.providers.base import Provider


@dataclass(frozen=True)
class Setting:
    """One line of ``config.toml``; the environment variable ``CALHUB_<NAME>`` overrides it."""

    name: str
    default: str
    help: str


SETTINGS: Final = (
    Setting("time_zone", "", "IANA name of your time zone; default: the computer's."),
    Setting(
        "keep_runs", "100", "How many of its last runs `cleanup` keeps of each replica, however old; default: 100."
    ),
    Setting("keep_days", "30", "For how many days `cleanup` keeps runs and changes, however many; default: 30."),
    Setting("sync_timeout", "", "Seconds after which a sync stops at the next safe point; default: none."),
    Setting("sync_workers", "4", "How many accounts a sync works on at the same time."),
    Setting("api_rate", "6000", "Requests a minute that a token, or an address, may make."),
    Setting("cors_origins", "", "Web pages that may use the API, such as https://a.example,https://b.example."),
    Setting("alert_urls", "", "Where to tell what needs a person: addresses of Apprise, with spaces between."),
    Setting("alert_slow_seconds", "60", "Passes that take longer on average, in an hour, are told."),
    Setting("log_format", "json", "json or pretty: how `calhub serve` writes its log."),
    Setting("log_level", "info", "debug, info, warning or error: what `calhub serve` writes to its log."),
    Setting("development", "", "true: the API also shows events as they are stored, to tokens of the scope admin."),
    Setting("target_propagation", "1", "Seconds a change may take to the hub, or from there; see /api/v1/criteria."),
    Setting("target_query", "0.01", "Seconds an answer of the API to a question to the hub may take."),
    Setting("target_writes", "0.999", "The share of writes to remotes that are to be done."),
    Setting("target_consistency", "0.99", "The share of events that are to say the same in the hub and at remotes."),
    Setting("target_detection", "0.1", "Seconds until a change at a remote is to be noticed."),
    Setting(
        "allow_private_networks", "", "true: accounts and webhooks added through the API may be in private networks."
    ),
    Setting("public_url", "", "Where services reach `calhub serve`, to tell of changes; default: nowhere."),
    Setting("serve_passes", "50", "How many accounts `calhub serve` works on at the same time, 1 to 200; default: 50."),
)


class Session:
    """One command's surroundings. ``home`` is set by the ``--home`` option before any command runs."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home

    @property
    def home(self) -> Path:
        if self._home is None:
            self._home = default_home()
        return self._home

    @home.setter
    def home(self, home: Path) -> None:
        if home.exists() and not home.is_dir():
            raise usage(f"The home {home} is not a folder.", "Give a folder with --home.")
        self._home = home.absolute()

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """What ``config.toml`` says; empty without one. Raises a usage error for one that cannot be read."""
        path = self.home / "config.toml"
        if not path.exists():
            return {}
        import tomllib

        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise usage(f"{path} cannot be read: {error}.", "Correct the file or move it away.") from None

    def setting(self, name: str) -> str:
        """A setting from the environment, ``config.toml`` or its default."""
        known = {each.name: each for each in SETTINGS}[name]
        return os.environ.get(f"CALHUB_{name.upper()}") or str(self.config.get(name, known.default))

    def number(self, name: str) -> int:
        """A setting that counts something. Raises a usage error for anything else."""
        text = self.setting(name)
        if not (text.isascii() and text.isdecimal()):
            raise usage(f"The setting {name} is not a whole number: {text!r}.", "Give it like 30.")
        return int(text)

    @cached_property
    def zone_name(self) -> str:
        """The reader's time zone by IANA name. Raises a usage error for a setting that names none."""
        from calhub.cli.times import system_zone_name, zone_named

        asked = self.setting("time_zone")
        if asked and zone_named(asked) is None:
            raise usage(f"The setting time_zone names no time zone: {asked!r}.", "Write it like Europe/Paris.")
        return asked or system_zone_name()

    @cached_property
    def zone(self) -> tzinfo:
        from datetime import UTC

        from calhub.cli.times import zone_named

        return zone_named(self.zone_name) or UTC

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """The open hub, made where there is none yet."""
        from calhub.hub import audit
        from calhub.hub.database import Hub

        audit.actor.set("command line")
        with Hub.open(self.home) as hub:
            yield hub

    def connector(self, hub: Hub) -> Callable[[Account], Provider]:
        """How to connect to an account of this hub; raises `ProviderError`."""
        from calhub.sync.connect import connector

        return connector(hub)


def default_home() -> Path:
    """``CALHUB_HOME``, else the platform's folder for application data."""
    asked = os.environ.get("CALHUB_HOME")
    if asked:
        return Path(asked).absolute()
    from platformdirs import user_data_path

    return user_data_path("calhub", appauthor=False)


def session(context: typer.Context) -> Session:
    """The session of the running command."""
    found = context.find_object(Session)
    assert found is not None  # `main.run` puts it there
    return found


def confirm(question: str, yes: bool, hint: str) -> None:
    """Go on only with ``--yes`` or a yes typed at a terminal. Raises a usage error without a terminal to ask at."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise usage(f"{question} This needs --yes.", hint)
    typer.confirm(question, abort=True, err=True)
