"""``account``: sign in at services, and what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from calhub.cli import times
from calhub.cli.context import session
from calhub.cli.failures import CommandError, usage
from calhub.cli.output import Json, emit, note, table

if TYPE_CHECKING:
    from calhub.cli.credentials import Credentials
    from calhub.providers.vault import MemoryVault

app = typer.Typer(help="Accounts: sign in at services, and see what is there.")

Name = Annotated[str, typer.Argument(help="The account's name.")]
Url = Annotated[str | None, typer.Option("--url", help="Address of the server or feed, or path of the folder.")]
Username = Annotated[str | None, typer.Option("--username", help="The user name at the service.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
CredentialsFile = Annotated[
    str | None, typer.Option("--credentials", metavar="FILE|-", help="JSON with address, user name and secrets.")
]
DeviceCode = Annotated[bool, typer.Option("--device-code", help="For OAuth: sign in on another device.")]
Browser = Annotated[
    bool,
    typer.Option("--browser/--no-browser", help="For OAuth: open the sign-in page, or just show it."),
]


@app.command("add")
def add(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(help="The kind of service: caldav, google, ...")],
    name: Annotated[str, typer.Argument(help="What to call the account.")],
    url: Url = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    credentials: CredentialsFile = None,
    calendars: Annotated[
        str, typer.Option("--calendars", metavar="all|none|NAME,...", help="Which remote calendars to attach.")
    ] = "all",
    device_code: DeviceCode = False,
    browser: Browser = True,
    json: Json = False,
) -> None:
    """Sign in, and attach the account's calendars. Keeps nothing when that fails."""
    from calhub.cli.credentials import collect
    from calhub.sync import accounts

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        accounts.check_new_name(conn, name)  # before anybody is asked for a password
    _check_device(provider, device_code)
    given = collect(provider, url=url, username=username, password_stdin=password_stdin, file=credentials)
    vault = _unlock(provider, given, device_code=device_code, browser=browser)
    with here.hub() as hub:
        document = accounts.add(hub, provider, name, given.settings, vault, calendars)

    def render() -> None:
        rows = [(each["id"], each["calendar"], each["remote_name"], each["direction"]) for each in document["replicas"]]
        note(f"Signed in. Next: calhub sync --account {name}")
        table(("Replica", "Calendar", "Remote", "Direction"), rows, empty="No calendar attached.")

    emit(document, json, render)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All accounts and how they fare."""
    from calhub.hub import accounts, runs

    with session(context).hub() as hub, hub.read() as conn:
        found = [runs.account_shape(conn, each) for each in accounts.accounts(conn)]
    rows = [(each["name"], each["provider"], each["state"], each["calendars"], each["error"]) for each in found]
    columns = ("Name", "Provider", "State", "Calendars", "Error")
    emit(found, json, lambda: table(columns, rows, empty="No account yet: calhub account add PROVIDER NAME"))


@app.command("remotes")
def remotes(context: typer.Context, name: Name, json: Json = False) -> None:
    """The account's remote calendars, attached or not."""
    from calhub.sync import accounts

    here = session(context)
    with here.hub() as hub:
        found = accounts.remotes(hub, here.connector(hub), name)
    rows = [(each["name"], each["access"], each["calendar"], each["id"]) for each in found]
    emit(found, json, lambda: table(("Name", "Access", "Calendar", "Id"), rows, empty="The account has no calendars."))


@app.command("test")
def check(context: typer.Context, name: Name, json: Json = False) -> None:
    """Sign in and list the calendars, without changing anything; keeps the account's state up to date."""
    from calhub.hub import accounts, runs
    from calhub.sync.accounts import probe

    here = session(context)
    with here.hub() as hub:
        with hub.read() as conn:
            account = accounts.account(conn, name)
        error = probe(hub, here.connector(hub), account)
        with hub.read() as conn:
            shape = runs.account_shape(conn, accounts.account(conn, account.id))
    if error is not None:
        raise CommandError(error.message, error.hint or f"Sign in again with: calhub account login {name}") from error
    row = (shape["name"], shape["provider"], shape["state"], shape["calendars"])
    emit(shape, json, lambda: table(("Name", "Provider", "State", "Calendars"), [row], empty=""))


@app.command("login")
def login(
    context: typer.Context,
    name: Name,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    credentials: CredentialsFile = None,
    device_code: DeviceCode = False,
    browser: Browser = True,
    json: Json = False,
) -> None:
    """Sign in anew: in the browser, or with a new password or token. The old one is kept when that fails."""
    from calhub.cli.credentials import Credentials, collect
    from calhub.hub import accounts
    from calhub.sync.accounts import kept, sign_in_again

    here = session(context)
    with here.hub() as hub:
        with hub.read() as conn:
            account = accounts.account(conn, name)
        _check_device(account.provider, device_code)
        given = collect(
            account.provider, username=username, password_stdin=password_stdin, file=credentials,
            known=Credentials(*kept(hub, account)),
        )  # fmt: skip
        vault = _unlock(account.provider, given, device_code=device_code, browser=browser)
        shape = sign_in_again(hub, account, given.settings, vault)
    emit(shape, json, lambda: note(f"Signed in at {shape['name']}."))


def _check_device(provider: str, device_code: bool) -> None:
    """Before anybody is asked for a password."""
    from calhub.providers.oauth_services import SERVICES

    if device_code and provider not in SERVICES:
        raise usage(f"A {provider} account has no device sign-in.", "Use --password-stdin or --credentials.")


def _unlock(provider: str, given: Credentials, *, device_code: bool, browser: bool) -> MemoryVault:
    """A vault with all that signing in takes, also what only the user at the service can give."""
    from calhub.cli.credentials import authorise, is_signed_in
    from calhub.providers.vault import MemoryVault

    if is_signed_in(provider, given.secrets):
        return MemoryVault(given.secrets)
    return MemoryVault(authorise(provider, given, device_code=device_code, browser=browser))


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Its turn in a sync: the higher first; default: 0.")
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            "--interval", metavar="5m|2h", help="How long after its last pass a sync of all leaves it out; 0: never."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say when an account has its turn; what is not named stays."""
    from dataclasses import replace

    from calhub.hub import accounts, runs

    if priority is None and interval is None:
        raise usage("Nothing to set.", "Name at least one option; see calhub account set --help")
    seconds = None if interval is None else times.seconds(interval)
    changed = {key: value for key, value in (("priority", priority), ("interval", seconds)) if value is not None}
    with session(context).hub() as hub, hub.transaction() as conn:
        account = accounts.account(conn, name)
        accounts.set_schedule(conn, account, replace(account.schedule, **changed))
        shape = runs.account_shape(conn, accounts.account(conn, account.id))
    row = (shape["name"], shape["priority"], f"{shape['interval']} s" if shape["interval"] else "")
    emit(shape, json, lambda: table(("Name", "Priority", "Interval"), [row], empty=""))


@app.command("remove")
def remove(
    context: typer.Context,
    name: Name,
    keep_events: Annotated[
        bool, typer.Option("--keep-events", help="Keep its calendars and their events in the hub.")
    ] = False,
    json: Json = False,
) -> None:
    """Forget the account. Nothing is deleted at the service.

    Calendars that no other account holds leave the hub, except those with changes that have not reached the service:
    they would be lost.
    """
    from calhub.sync import accounts

    with session(context).hub() as hub:
        document = accounts.remove(hub, name, keep_events=keep_events)

    def render() -> None:
        note(f"Removed {document['removed']}; at the service everything is as it was.")
        if document["kept"]:
            note(f"Still in the hub: {', '.join(document['kept'])}.")

    emit(document, json, render)
