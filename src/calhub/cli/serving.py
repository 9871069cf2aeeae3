"""``serve``: the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import CommandError, usage
from calhub.cli.output import note

if TYPE_CHECKING:
    import socket
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
    import os

    from calhub.daemon.front import Front
    from calhub.hub.locks import daemon_lock
    from calhub.ops import log

    here = session(context)
    settings(here.home, public_url)  # wrong ones are complained of before anything begins
    for name in ("LOG_FORMAT", "LOG_LEVEL"):  # the second process inherits them
        os.environ[f"CALHUB_{name}"] = here.setting(name.lower())
    log.configure(here.home)
    with here.hub() as hub, daemon_lock(here.home), _listen(host, port) as sock:
        url = _url(sock)

        async def run() -> None:
            front = Front(
                hub, sock, settings=lambda: settings(here.home, public_url), say=note,
                make_app=lambda front: _app(here, front, loopback=_is_loopback(sock)),
            )  # fmt: skip
            await front.run(lambda: _greet(hub, url))

        asyncio.run(run())
    note("Stopped.")


def settings(home: Path, public_url: str | None) -> Settings:
    """The daemon's settings as they are now. Raises usage errors."""
    from urllib.parse import urlsplit

    from calhub.daemon.settings import MOST_AT_ONCE, Settings

    here = Session(home)  # read afresh
    url = here.setting("public_url") if public_url is None else public_url
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise usage(f"The public URL is no web address: {url!r}.", "Write it like https://calendar.example.org")
    at_once = here.number("serve_passes")
    if not 1 <= at_once <= MOST_AT_ONCE:
        raise usage(f"The setting serve_passes is not between 1 and {MOST_AT_ONCE}.", "The default is 50.")
    return Settings(
        public_url=url, at_once=at_once, keep_runs=here.number("keep_runs"), keep_days=here.number("keep_days")
    )


def _app(here: Session, front: Front, *, loopback: bool) -> ASGIApp:
    from dataclasses import asdict

    from calhub.api.app import make_app
    from calhub.api.surroundings import Surroundings

    return make_app(
        Surroundings(
            hub=front.hub, setting=here.setting, zone_name=here.zone_name, loopback=loopback, webhooks=front.webhooks,
            sync=lambda order: front.order(asdict(order)), stopping=front.stopping, load=lambda: front.load,
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

    note(f"calhub serves {hub.home} at {url}")
    with hub.read() as conn:
        there = accounts.accounts(conn)
    if not there:
        note("There is no account yet. In another terminal:")
        note("    calhub account add caldav home --url https://cloud.example.com/ --username you --password-stdin")
        note("    calhub account add --help            # Google, Microsoft 365, Notion, folders and feeds too")
        note("Its calendars are synced as soon as it is there; nothing needs to be restarted.")
