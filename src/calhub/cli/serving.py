"""``serve``: the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from calhub.cli.context import SETTINGS, Session, session
from calhub.cli.failures import CommandError, usage
from calhub.cli.output import note

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from calhub.daemon.front import Front
    from calhub.daemon.settings import Settings
    from calhub.hub.database import Hub


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="The port to listen on; 0: any that is free.")] = 8470,
    public_url: Annotated[
        str | None,
        typer.Option(
            "--public-url", metavar="URL", help="Where services reach this server, so that they can tell of changes."
        ),
    ] = None,
) -> None:
    """Keep everything in step, until stopped with Ctrl-C or SIGTERM. SIGHUP reads the settings again."""
    import asyncio

    from calhub.daemon.front import Front
    from calhub.hub import audit
    from calhub.hub.locks import daemon_lock
    from calhub.ops import log

    here = session(context)
    live = Live(here.home, public_url)  # wrong settings are complained of before anything begins
    log.configure(here.home, level=live.daemon.log_level, pretty=live.daemon.log_format == "pretty")
    with here.hub() as hub, daemon_lock(here.home), _listen(host, port) as sock:
        url = _url(sock)

        async def run() -> None:
            def reload() -> dict[str, list[str]]:
                found = live.read_again()
                front.go_by(live.daemon)
                with hub.transaction() as conn:
                    audit.note(conn, "settings read again", changed=found["changed"])
                log.get("daemon").info("settings read again", changed=found["changed"])
                return found

            front = Front(
                hub, sock, settings=live.daemon, reload=reload, say=note,
                make_app=lambda front: _app(live, front, reload, loopback=_is_loopback(sock)),
            )  # fmt: skip
            await front.run(lambda: _greet(hub, url))

        asyncio.run(run())
        log.get("daemon").info("stopped")
    note("Stopped.")


class Live:
    """The settings of a daemon, as they were last read. Raises usage errors where they make no sense.

    ``daemon`` are those of the engine. What is asked of `setting` comes from the same reading.
    """

    def __init__(self, home: Path, public_url: str | None) -> None:
        self._home = home
        self._public_url = public_url
        self._session, self.daemon = self._read()

    def setting(self, name: str) -> str:
        return self._session.setting(name)

    def read_again(self) -> dict[str, list[str]]:
        """``{"changed", "restart"}``: which are not what they were, and which of them wait for the next start.

        Raises `InvalidValue` where they cannot be read; all stay as they were then.
        """
        from calhub.hub.errors import InvalidValue

        try:
            fresh, daemon = self._read()
        except CommandError as error:
            raise InvalidValue(error.message, error.hint) from error
        changed = [each for each in SETTINGS if self.setting(each.name) != fresh.setting(each.name)]
        self._session, self.daemon = fresh, daemon
        return {
            "changed": [each.name for each in changed],
            "restart": [each.name for each in changed if each.restart],
        }

    def _read(self) -> tuple[Session, Settings]:
        from calhub.api.surroundings import check

        fresh = Session(self._home)
        daemon = _of_daemon(fresh, self._public_url)
        check(fresh.setting)
        _ = fresh.zone_name  # likewise
        return fresh, daemon


def _of_daemon(here: Session, public_url: str | None) -> Settings:
    from urllib.parse import urlsplit

    from calhub.daemon.settings import MOST_AT_ONCE, Settings
    from calhub.ops.log import LEVELS

    url = here.setting("public_url") if public_url is None else public_url
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise usage(f"The public URL is no web address: {url!r}.", "Write it like https://calendar.example.org")
    at_once = here.number("serve_passes")
    if not 1 <= at_once <= MOST_AT_ONCE:
        raise usage(f"The setting serve_passes is not between 1 and {MOST_AT_ONCE}.", "The default is 50.")
    for name, allowed in (("log_level", LEVELS), ("log_format", ("json", "pretty"))):
        if here.setting(name) not in allowed:
            raise usage(f"The setting {name} is not one of {', '.join(allowed)}.", "Leave it out: the default will do.")
    return Settings(
        public_url=url, at_once=at_once, keep_runs=here.number("keep_runs"), keep_days=here.number("keep_days"),
        log_level=here.setting("log_level"), log_format=here.setting("log_format"),
    )  # fmt: skip


def _app(live: Live, front: Front, reload: Callable[[], dict[str, list[str]]], *, loopback: bool) -> ASGIApp:
    from dataclasses import asdict

    from calhub.api.app import make_app
    from calhub.api.surroundings import Surroundings
    from calhub.cli.times import system_zone_name

    return make_app(
        Surroundings(
            hub=front.hub, setting=live.setting, home_zone=system_zone_name(), loopback=loopback,
            sync=lambda order: front.order(asdict(order)), stopping=front.stopping, load=lambda: front.load,
            webhooks=front.webhooks, reload=reload,
        )
    )  # fmt: skip


def _listen(host: str, port: int) -> socket.socket:
    from calhub.daemon.front import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise CommandError(
            f"calhub cannot listen on {host}, port {port}: {error.strerror or error}.",
            "Choose another --port.",
        ) from error


def _is_loopback(sock: socket.socket) -> bool:
    from ipaddress import ip_address

    return ip_address(sock.getsockname()[0]).is_loopback


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _greet(hub: Hub, url: str) -> None:
    """Where the server is, and what to do next if nothing is."""
    from calhub.hub import accounts
    from calhub.ops import log

    note(f"calhub serves {hub.home} at {url}")
    log.get("daemon").info("started", url=url)
    with hub.read() as conn:
        there = accounts.accounts(conn)
    if not there:
        note("There is no account yet. In another terminal:")
        note("    calhub account add caldav home --url https://cloud.example.com/ --username you --password-stdin")
        note("    calhub account add --help            # Google, Microsoft 365, Notion, folders and feeds too")
        note("Its calendars are synced as soon as it is there; nothing needs to be restarted.")
