"""What signs an account in: read from options, a JSON file, standard input or a prompt; kept sealed, never shown."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calhub.cli.failures import usage
from calhub.cli.output import note

if TYPE_CHECKING:
    pass


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
    known: Credentials | None = None,
) -> Credentials:
    """Put together what the options say; ``known`` is what stays of an account that signs in anew.

    Raises usage errors for a file that is no JSON object of texts, and where something is missing.
    """
    from calhub.providers.oauth_services import SERVICES
    from calhub.sync.accounts import SECRETS, settle

    known = known or Credentials({}, {})
    if password_stdin and file == "-":
        raise usage("Standard input cannot be both the password and the credentials.", "Put one into a file.")
    given = _read(file) if file is not None else {}
    settings = known.settings | {name: value for name, value in given.items() if name not in SECRETS}
    secrets = known.secrets | {name: value for name, value in given.items() if name in SECRETS}
    if url is not None:
        settings["url"] = url
    if username is not None:
        settings["username"] = username
    if password_stdin:
        secrets["password"] = _from_stdin()
    settle(provider, settings, secrets)
    if provider == "caldav":
        _ask_caldav(settings, secrets)
    elif provider in SERVICES:
        _settle_oauth(provider, settings, secrets)
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
    if isinstance(found, dict) and len(found) == 1:
        found = _of_google(found)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise usage(f"{where} is not a JSON object of texts.", "Write each key with a text in quotes.")
    return found


def _of_google(found: dict[str, Any]) -> dict[str, Any]:
    """The file that Google's console offers for download has the client one level down, among other things."""
    client = found.get("installed") or found.get("web")
    if not isinstance(client, dict):
        return found
    return {name: client[name] for name in ("client_id", "client_secret", "auth_uri", "token_uri") if name in client}


def _from_stdin() -> str:
    password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not password:
        raise usage("Standard input holds no password.", 'Pipe it in: printf %s "$PASSWORD" | calhub account add ...')
    return password


def _ask_caldav(settings: dict[str, str], secrets: dict[str, str]) -> None:
    if "token" in secrets:
        return
    if not settings.get("username"):
        raise usage("A CalDAV account needs a user name.", "Give it with --username, or in --credentials FILE.")
    if "password" not in secrets:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise usage("The password is missing.", "Pipe it in with --password-stdin, or use --credentials FILE.")
        secrets["password"] = getpass.getpass(f"Password of {settings['username']}: ", stream=sys.stderr)


def _settle_oauth(provider: str, settings: Mapping[str, str], secrets: dict[str, str]) -> None:
    """Either the account's own OAuth client is known, or, at Notion, there is a token that needs none."""
    if settings.get("client_id") or (provider == "notion" and "token" in secrets):
        return
    if provider != "notion":
        raise usage(
            f"A {provider} account needs an OAuth client of your own: its client_id is missing.",
            "Give it with --credentials FILE; docs/signing-in.md says how to get one.",
        )
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise usage("The integration token is missing.", 'Write {"token": ...} into a file, and use --credentials.')
    secrets["token"] = getpass.getpass("Notion integration token: ", stream=sys.stderr)


def is_signed_in(provider: str, secrets: Mapping[str, str]) -> bool:
    """Whether the secrets are all it takes; otherwise the user has to sign in at the service (`authorise`)."""
    from calhub.providers.oauth_services import SERVICES

    return provider not in SERVICES or bool({"refresh_token", "token"} & secrets.keys())


def authorise(provider: str, credentials: Credentials, *, device_code: bool, browser: bool) -> dict[str, str]:
    """Have the user sign in at the service, in the browser or on another device. Returns the secrets to keep."""
    from calhub.providers import signin
    from calhub.providers.oauth_services import SERVICES

    service = SERVICES[provider](credentials.settings, credentials.secrets)
    if device_code:
        gained = signin.by_device_code(service, note)
    else:
        gained = signin.in_browser(service, note, _open_browser if browser else None)
    return credentials.secrets | gained


def _open_browser(url: str) -> None:
    """With standard output led to standard error: what a browser in the terminal says is not our answer."""
    import webbrowser

    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        webbrowser.open(url)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
