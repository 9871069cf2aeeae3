"""Accounts added, tried and removed: what the command line and the API do alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from calhub.hub import accounts, runs
from calhub.hub.accounts import Account, Replica
from calhub.hub.breaker import Breaker
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue
from calhub.hub.secrets import forget, seal
from calhub.hub.sql import Connection
from calhub.providers import registry
from calhub.providers.base import Provider, ProviderError, RemoteCalendar, Trait
from calhub.providers.vault import MemoryVault
from calhub.sync.channels import Channels
from calhub.sync.connect import HubVault, connector, note_failure

Connect = Callable[[Account], Provider]

#: Keys of an account's credentials that are kept sealed; all others are settings.
SECRETS: Final = frozenset({"password", "token", "client_secret", "refresh_token", "access_token"})


def check_new_name(conn: Connection, name: str) -> None:
    """Raise `InvalidValue` unless an account may be called so."""
    if not name.strip():
        raise InvalidValue("The name of the account is empty.", "Give it a name.")
    if any(each.name == name for each in accounts.accounts(conn)):
        raise InvalidValue(
            f'There is an account "{name}" already.',
            f"Choose another name, or give it new credentials: calhub account login {name}",
        )


#: What an account of a kind cannot do without, as its user calls it.
_ADDRESSES: Final = {
    "folder": "A folder account needs its folder.",
    "caldav": "A CalDAV account needs the address of its server.",
    "feed": "A feed needs its address.",
}


def settle(provider: str, settings: dict[str, str], secrets: dict[str, str]) -> None:
    """Bring what a user gave into the form that is kept. Raises `InvalidValue` where the address is missing or is none.

    A folder's path becomes absolute: a relative one would mean another folder for the next command. Settings are stored
    in clear, so ``user:password@`` goes out of a CalDAV address.
    """
    url = settings.get("url", "")
    if provider in _ADDRESSES and not url:
        raise InvalidValue(_ADDRESSES[provider], "Give it with --url.")
    if provider == "folder" and not url.startswith("file:"):
        settings["url"] = str(Path(url).expanduser().absolute())
    elif provider == "caldav":
        _split_url(settings, secrets)


def _split_url(settings: dict[str, str], secrets: dict[str, str]) -> None:
    try:
        parts = urlsplit(settings["url"])
        user, password = parts.username, parts.password
    except ValueError:
        raise InvalidValue("The address is not a URL.", "Write it like https://cal.example.org/.") from None
    if user is None and password is None:
        return
    settings["url"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if user:
        settings.setdefault("username", unquote(user))
    if password:
        secrets.setdefault("password", unquote(password))


def add(
    hub: Hub,
    provider: str,
    name: str,
    settings: Mapping[str, str],
    vault: MemoryVault,
    calendars: str | Sequence[str] = "all",
) -> dict[str, Any]:
    """Sign in, store the account and attach its calendars (``all``, ``none`` or those named). Returns ``{"account",
    "replicas"}``. Raises `ProviderError` and `InvalidValue`; nothing is kept then.
    """
    with hub.read() as conn:
        check_new_name(conn, name)
    connection, remotes = sign_in(provider, settings, vault)
    with closing(connection):
        writable = connection.capabilities.writable
        chosen = choose(remotes, calendars)
        sealed = seal_all(hub.home, name, vault.load())
        try:
            with hub.transaction() as conn:
                account = accounts.add_account(conn, name, provider, settings, hub.now())
                accounts.replace_secrets(conn, account.id, sealed)
                replicas = [_attach(conn, hub.now(), account, remote, writable) for remote in chosen]
                return {
                    "account": runs.account_shape(conn, account),
                    "replicas": [runs.replica_shape(conn, each) for each in replicas],
                }
        except BaseException:
            forget_all(hub.home, name, sealed)
            raise


def sign_in(provider: str, settings: Mapping[str, str], vault: MemoryVault) -> tuple[Provider, list[RemoteCalendar]]:
    """Connect and discover. The caller closes the provider, and keeps what is in the vault then: the service may have
    replaced a token. Raises `InvalidValue` for an unknown kind, `ProviderError` when signing in fails.
    """
    if provider not in registry.KINDS:
        raise InvalidValue(f"There is no provider {provider!r}.", f"Use one of: {', '.join(registry.KINDS)}.")
    connection = registry.connect(provider, settings, vault)
    try:
        return connection, connection.discover()
    except BaseException as error:
        connection.close()
        if isinstance(error, ProviderError) and not error.hint:
            error.hint = _sign_in_hint(provider) if error.trait is Trait.LOGIN else "Check the address."
        raise


def kept(hub: Hub, account: Account) -> tuple[dict[str, str], dict[str, str]]:
    """What stays when an account signs in anew: its settings, and of its secrets that of its OAuth client."""
    try:
        secrets = HubVault(hub, account).load()
    except ProviderError:  # sealed with a key that is gone: signing in anew is the way out
        secrets = {}
    return dict(account.settings), {name: secrets[name] for name in ("client_secret",) if name in secrets}


def sign_in_again(hub: Hub, account: Account, settings: Mapping[str, str], vault: MemoryVault) -> dict[str, Any]:
    """Sign in with these in place of what the account has, and end a pause of its. Returns the account's shape.

    Raises `ProviderError` when that fails; everything stays as it was then.
    """
    connection, _ = sign_in(account.provider, settings, vault)
    connection.close()
    with HubVault(hub, account).lock():  # a pass that renews the old token now must not save it after ours
        sealed = seal_all(hub.home, account.name, vault.load())
        with hub.transaction() as conn:
            old = accounts.sealed_secrets(conn, account.id)
            accounts.set_account_settings(conn, account.id, settings)
            accounts.replace_secrets(conn, account.id, sealed)
            accounts.set_account_state(conn, account.id, "ok", None)
            accounts.set_breaker(conn, account.id, Breaker())
            shape = runs.account_shape(conn, accounts.account(conn, account.id))
        forget_all(hub.home, account.name, {key: text for key, text in old.items() if key not in sealed})
    return shape


def _sign_in_hint(provider: str) -> str:
    from calhub.providers.oauth_services import SERVICES

    if provider not in SERVICES:
        return "Check user name and password."
    if provider == "notion":
        return "Check the token in the credentials."
    return "Leave refresh_token out of the credentials, to sign in in the browser."


def choose(remotes: Sequence[RemoteCalendar], asked: str | Sequence[str]) -> list[RemoteCalendar]:
    """The remote calendars that ``all``, ``none`` or names and ids mean, as a list or as one text with commas between.

    Raises `InvalidValue` otherwise.
    """
    if asked == "all":
        return list(remotes)
    if asked == "none":
        return []
    if isinstance(asked, str):
        # a name may hold commas itself
        asked = [asked] if any(asked in (each.id, each.name) for each in remotes) else asked.split(",")
    chosen = [find_remote(remotes, word.strip()) for word in asked if word.strip()]
    return list({each.id: each for each in chosen}.values())


def find_remote(remotes: Sequence[RemoteCalendar], name: str) -> RemoteCalendar:
    """The remote calendar with this id, or the only one of this name. Raises `InvalidValue` with the candidates."""
    found = [each for each in remotes if each.id == name] or [each for each in remotes if each.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidValue(
            f'Several remote calendars are called "{name}".',
            f"Name one by its id: {', '.join(each.id for each in found)}.",
        )
    there = ", ".join(each.name for each in remotes) or "none"
    raise InvalidValue(f'The account has no remote calendar "{name}".', f"There is: {there}.")


def can_write(remote: RemoteCalendar, writable: bool) -> bool:
    """Whether the service and the rights in this calendar let us write."""
    return writable and remote.access in ("owner", "writer")


def _attach(conn: Connection, now: str, account: Account, remote: RemoteCalendar, writable: bool) -> Replica:
    name = accounts.free_calendar_name(conn, remote.name, account.name)
    calendar = accounts.add_calendar(conn, name, now, color=remote.color, time_zone=remote.time_zone)
    return accounts.add_replica(
        conn, calendar.id, account.id, remote.id, remote.name, now,
        access=remote.access, direction="both" if can_write(remote, writable) else "pull",
    )  # fmt: skip


def remotes(hub: Hub, connect: Connect, name: str) -> list[dict[str, Any]]:
    """The account's remote calendars as the service lists them now, in the design's shape. Raises `ProviderError`."""
    with hub.read() as conn:
        account = accounts.account(conn, name)
        attached = {each.remote_id: each.calendar for each in accounts.replicas(conn, account_id=account.id)}
    with closing(connect(account)) as connection:
        there = connection.discover()
    return [
        {
            "id": each.id, "name": each.name, "access": each.access, "color": each.color, "time_zone": each.time_zone,
            "calendar": attached.get(each.id),
        }
        for each in there
    ]  # fmt: skip


def probe(hub: Hub, connect: Connect, account: Account) -> ProviderError | None:
    """Try to sign in and store how the account fares. Returns what went wrong."""
    failure: ProviderError | None = None
    try:
        with closing(connect(account)) as connection:
            connection.discover()
    except ProviderError as error:
        failure = error
    with hub.transaction() as conn:
        if failure is None:
            accounts.set_account_state(conn, account.id, "ok", None)
        else:
            note_failure(conn, account, failure)
    return failure


def remove(hub: Hub, name: str, *, keep_events: bool) -> dict[str, Any]:
    """Forget the account; nothing is deleted at the service.

    Calendars that no other account holds leave the hub, but with ``keep_events``, and except those with changes that
    have not reached the service: they would be lost. Returns ``{"removed", "calendars", "kept"}``, names all.
    """
    with hub.read() as conn:
        account = accounts.account(conn, name)
    Channels(hub, connector(hub), poke=lambda _: None).stop(account.id)  # as long as there is a way to
    with hub.transaction() as conn:
        sealed = accounts.sealed_secrets(conn, account.id)
        mine = accounts.replicas(conn, account_id=account.id)
        kept = {each.calendar_id for each in mine if keep_events or runs.pending(conn, each)}
        accounts.remove_account(conn, account.id)
        gone = {each.calendar_id: each.calendar for each in mine if each.calendar_id not in kept}
        gone = {key: title for key, title in gone.items() if not accounts.replicas(conn, calendar_id=key)}
        for key in gone:
            accounts.remove_calendar(conn, key)
    forget_all(hub.home, account.name, sealed)
    left = sorted({each.calendar for each in mine} - set(gone.values()))
    return {"removed": account.name, "calendars": list(gone.values()), "kept": left}


def seal_all(home: Path, name: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets sealed for the account of this name, to be stored with it. `forget_all` takes them back."""
    return {key: seal(home, name, key, value) for key, value in secrets.items()}


def forget_all(home: Path, name: str, sealed: Mapping[str, str]) -> None:
    """Take sealed secrets out of the system's keychain, which no transaction of ours undoes."""
    for key, text in sealed.items():
        forget(home, name, key, text)
