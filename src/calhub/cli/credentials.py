"""What signs an account in: read from options, a JSON file, standard input or a prompt; kept sealed, never shown."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from calhub.cli.failures import CommandError, usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from calhub.cli.context import Session
    from calhub.providers.base import Provider, RemoteCalendar
    from calhub.providers.vault import Vault

#: Keys of a credentials file that are kept sealed; all others are settings.
SECRETS: Final = frozenset({"password", "token", "client_secret", "refresh_token", "access_token"})


@dataclass(frozen=True)
class Credentials:
    """Settings and secrets of an account, apart, since only the first may be stored in clear."""

    settings: dict[str, str]
    secrets: dict[str, str] = field(repr=False)


def collect(
    provider: str,
    *,
    url: str | None = None,
    username: str | None = None,
    password_stdin: bool = False,
    file: str | None = None,
    known: Mapping[str, str] | None = None,
) -> Credentials:
    """Put together what the options say; ``known`` are the settings of an account that signs in anew.

    Raises usage errors for a file that is no JSON object of texts, and where something is missing.
    """
    if password_stdin and file == "-":
        raise usage("Standard input cannot be both the password and the credentials.", "Put one into a file.")
    given = _read(file) if file is not None else {}
    settings = dict(known or {}) | {name: value for name, value in given.items() if name not in SECRETS}
    secrets = {name: value for name, value in given.items() if name in SECRETS}
    if url is not None:
        settings["url"] = url
    if username is not None:
        settings["username"] = username
    if password_stdin:
        secrets["password"] = _from_stdin()
    if provider == "folder":
        _settle_folder(settings)
    elif provider == "caldav":
        _split_url(settings, secrets)
        _ask_caldav(settings, secrets)
    elif provider == "feed" and not settings.get("url"):
        raise usage("A feed needs its address.", "Give it with --url.")
    return Credentials(settings, secrets)


def _read(file: str) -> dict[str, str]:
    where = "Standard input" if file == "-" else file
    try:
        data = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise usage(f"{where} is not UTF-8 text.", "Save the credentials as a JSON object.") from None
    except OSError as error:
        raise usage(f"{where} cannot be read: {error.strerror}.", "Check the path given to --credentials.") from None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        # without the parser's own words: they may quote a part of the secret
        raise usage(
            f"{where} is not JSON.", 'Write an object such as {"url": ..., "username": ..., "password": ...}.'
        ) from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise usage(f"{where} is not a JSON object of texts.", "Write each key with a text in quotes.")
    return found


def _from_stdin() -> str:
    password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not password:
        raise usage("Standard input holds no password.", 'Pipe it in: printf %s "$PASSWORD" | calhub account add ...')
    return password


def _settle_folder(settings: dict[str, str]) -> None:
    url = settings.get("url")
    if not url:
        raise usage("A folder account needs its folder.", "Give it with --url PATH.")
    if not url.startswith("file:"):
        # a relative path would mean another folder for the next command
        settings["url"] = str(Path(url).expanduser().absolute())


def _split_url(settings: dict[str, str], secrets: dict[str, str]) -> None:
    """Take ``user:password@`` out of an address: settings are stored in clear."""
    url = settings.get("url", "")
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        raise usage("The address is not a URL.", "Write it like https://cal.example.org/.") from None
    if user is None and password is None:
        return
    settings["url"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if user:
        settings.setdefault("username", unquote(user))
    if password:
        secrets.setdefault("password", unquote(password))


def _ask_caldav(settings: dict[str, str], secrets: dict[str, str]) -> None:
    if not settings.get("url"):
        raise usage("A CalDAV account needs the address of its server.", "Give it with --url.")
    if "token" in secrets:
        return
    if not settings.get("username"):
        raise usage("A CalDAV account needs a user name.", "Give it with --username, or in --credentials FILE.")
    if "password" not in secrets:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise usage("The password is missing.", "Pipe it in with --password-stdin, or use --credentials FILE.")
        secrets["password"] = getpass.getpass(f"Password of {settings['username']}: ", stream=sys.stderr)


def sign_in(provider: str, settings: Mapping[str, str], vault: Vault) -> tuple[Provider, list[RemoteCalendar]]:
    """Connect and discover. The caller closes the provider, and keeps what is in the vault then: the service may have
    replaced a token. Raises `CommandError` when signing in fails.
    """
    from calhub.providers import registry
    from calhub.providers.base import ProviderError, Trait

    if provider not in registry.KINDS:
        raise usage(f"There is no provider {provider!r}.", f"Use one of: {', '.join(registry.KINDS)}.")
    try:
        connection = registry.connect(provider, settings, vault)
    except ProviderError as error:
        raise CommandError(error.message, error.hint) from error
    try:
        return connection, connection.discover()
    except BaseException as error:
        connection.close()
        if isinstance(error, ProviderError):
            hint = error.hint or (
                "Check user name and password." if error.trait is Trait.LOGIN else "Check the address."
            )
            raise CommandError(error.message, hint) from error
        raise


def seal_all(here: Session, name: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets sealed for the account of this name, to be stored with it. `forget_all` takes them back."""
    from calhub.ops.secrets import seal

    return {key: seal(here.home, name, key, value) for key, value in secrets.items()}


def forget_all(here: Session, name: str, sealed: Mapping[str, str]) -> None:
    """Take sealed secrets out of the system's keychain, which no transaction of ours undoes."""
    from calhub.ops.secrets import forget

    for key, text in sealed.items():
        forget(here.home, name, key, text)


def store(conn: Connection, account_id: int, sealed: Mapping[str, str]) -> None:
    """Keep sealed secrets with the account, in the caller's transaction."""
    from calhub.hub.accounts import set_secret

    for key, text in sealed.items():
        set_secret(conn, account_id, key, text)
