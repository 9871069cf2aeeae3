"""From an account in the hub to its provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

from calhub.hub import accounts, modes
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.hub.errors import HubError
from calhub.hub.locks import secrets_lock
from calhub.hub.secrets import seal, unseal
from calhub.hub.sql import Connection, IntegrityError
from calhub.providers import registry
from calhub.providers.base import Provider, ProviderError, Trait
from calhub.providers.layers import DryRun
from calhub.sync.watch import Watch


def connector(hub: Hub) -> Callable[[Account], Provider]:
    """How to connect to an account of this hub, watched by its circuit breaker; raises `ProviderError`."""

    def connect(account: Account) -> Provider:
        provider = registry.connect(account.provider, account.settings, HubVault(hub, account))
        return Watch(DryRun(provider, partial(_dry_run, hub)), hub, account)

    return connect


def _dry_run(hub: Hub) -> bool:
    """Whether writes are stopped: asked before each, since a pass may be under way when somebody stops them."""
    with hub.read() as conn:
        return modes.dry_run_since(conn) is not None


def note_failure(conn: Connection, account: Account, error: ProviderError) -> None:
    """Store how the account fares after a call that failed as a whole, in one sentence that says what to do."""
    if error.trait is Trait.LOGIN:
        message = f'{error.message.rstrip(".")}; sign in again with: calhub account login "{account.name}"'
        accounts.set_account_state(conn, account.id, "needs_login", message)
    else:
        accounts.set_account_state(conn, account.id, "failing", error.message)


class HubVault:
    """`calhub.providers.vault.Vault` for a stored account: sealed in the hub, locked by a file."""

    def __init__(self, hub: Hub, account: Account) -> None:
        self._hub = hub
        self._account = account

    def load(self) -> dict[str, str]:
        with self._hub.read() as conn:
            sealed = accounts.sealed_secrets(conn, self._account.id)
        try:
            return {name: unseal(self._hub.home, self._account.name, name, text) for name, text in sealed.items()}
        except HubError as error:
            # one account's trouble, which must not stop a sync of the others
            raise ProviderError(error.message, error.hint, Trait.LOGIN) from error

    def save(self, secrets: Mapping[str, str]) -> None:
        home, account = self._hub.home, self._account
        sealed = {name: seal(home, account.name, name, value) for name, value in secrets.items()}
        try:
            with self._hub.transaction() as conn:
                for name, text in sealed.items():
                    accounts.set_secret(conn, account.id, name, text)
        except IntegrityError as error:
            raise ProviderError("The account was removed meanwhile.", "", Trait.FATAL) from error

    def lock(self) -> AbstractContextManager[None]:
        return secrets_lock(self._hub.home, self._account.id)
