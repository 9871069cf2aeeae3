"""Push channels: opened where a service tells of changes, renewed ahead of their end, made anew when lost, stopped
when their replica is gone. The hub knows of each one before the service does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from calhub.hub import accounts, channels, news
from calhub.hub.accounts import Account
from calhub.hub.channels import Channel
from calhub.hub.database import Hub, instant
from calhub.hub.errors import HubError
from calhub.hub.news import Standing
from calhub.hub.secrets import forget, seal, unseal
from calhub.hub.sql import Connection
from calhub.ops import log
from calhub.providers.base import ProviderError, Trait
from calhub.providers.push import Push, push_of

if TYPE_CHECKING:
    from calhub.sync.engine import Connect

#: The kinds whose channels are made here. Notion's are made by hand (`calhub.daemon.webhooks`).
KINDS: Final = ("google", "microsoft")
#: Who refused to push to an address is asked again after so long.
_ASK_AGAIN: Final = timedelta(days=1)

#: Called with replicas whose remote calendar may have changed unheard.
Poke = Callable[[Iterable[int]], None]


def address(public_url: str, kind: str, replica_id: int) -> str:
    """Where messages about a replica arrive."""
    return f"{public_url.rstrip('/')}/webhooks/{kind}/{replica_id}"


def is_told(row: Channel, now: str) -> bool:
    """Whether changes are told by this channel just now."""
    return row.state == "open" and (row.expires is None or row.expires > now)


class Channels:
    """All channels of a hub. Without ``public_url`` none are wanted, and those there are get stopped."""

    def __init__(self, hub: Hub, connect: Connect, poke: Poke) -> None:
        self.public_url = ""
        self._hub = hub
        self._connect = connect
        self._poke = poke

    def told(self) -> set[int]:
        """The replicas whose changes are told."""
        with self._hub.read() as conn:
            return {row.replica_id for row in channels.channels(conn) if is_told(row, self._hub.now())}

    def tend(self) -> None:
        """Bring the channels to what they should be. An account that cannot be asked is left for the next time."""
        with self._hub.read() as conn:
            rows = channels.channels(conn)
            standing = [each for each in news.standing(conn) if self._is_wanted(each)]
            concerned = {row.account_id for row in rows} | {each.account_id for each in standing}
            of_all = [accounts.account(conn, account_id) for account_id in sorted(concerned)]
        for account in of_all:
            if account.provider not in KINDS or account.state == "needs_login":
                continue
            wanted = [each for each in standing if each.account_id == account.id]
            mine = [row for row in rows if row.account_id == account.id]
            try:
                self._tend_account(account, wanted, mine)
            except ProviderError as error:
                log.get("daemon").warning("channels", account=account.name, reason=error.message)

    def stop(self, account_id: int) -> None:
        """Stop all channels of an account that is about to be removed, as far as its service can be asked."""
        with self._hub.read() as conn:
            account = accounts.account(conn, account_id)
            mine = [row for row in channels.channels(conn) if row.account_id == account_id]
        if mine and account.provider in KINDS:
            try:
                self._tend_account(account, [], mine)
            except ProviderError as error:  # they end by themselves; what they were known by is forgotten now
                log.get("daemon").warning("channels", account=account.name, reason=error.message)
                for row in mine:
                    forget(self._hub.home, account.name, secret_name(row.id), row.sealed)

    def _is_wanted(self, of: Standing) -> bool:
        return bool(self.public_url) and of.provider in KINDS and of.direction != "push"

    def _tend_account(self, account: Account, wanted: Sequence[Standing], rows: Sequence[Channel]) -> None:
        now = self._hub.now()
        by_replica = {key: list(some) for key, some in groupby(sorted(rows, key=_replica), key=_replica)}
        wishes = {each.replica_id: Wish(each.replica_id, each.remote_id, self._address(each)) for each in wanted}
        work = {
            replica: by_replica.get(replica, [])
            for replica in sorted(by_replica.keys() | wishes.keys())
            if not _is_settled(wishes.get(replica), by_replica.get(replica, []), now)
        }
        if not work:
            return
        with closing(self._connect(account)) as provider:
            push = push_of(provider, self._hub.clock)
            assert push is not None  # one of `KINDS`
            tender = _Tender(self._hub, account, push)
            for replica, mine in work.items():
                if tender.tend(wishes.get(replica), mine):
                    self._poke([replica])  # what happened before the channel stood, it does not tell

    def _address(self, of: Standing) -> str:
        return address(self.public_url, of.provider, of.replica_id)


@dataclass(frozen=True)
class Wish:
    """A replica that wants to be told, of which calendar, and where."""

    replica_id: int
    remote_id: str
    address: str

    def is_met_by(self, row: Channel) -> bool:
        return (row.address, row.remote_id) == (self.address, self.remote_id)


def _is_settled(wish: Wish | None, rows: Sequence[Channel], now: str) -> bool:
    """Whether nobody needs to be asked about a replica; so it is nearly always."""
    if wish is None:
        return not rows
    return len(rows) == 1 and wish.is_met_by(rows[0]) and rows[0].due > now


@dataclass(frozen=True)
class _Tender:
    """Sees to the channels of one account."""

    hub: Hub
    account: Account
    push: Push

    def tend(self, wish: Wish | None, rows: Sequence[Channel]) -> bool:
        """Have the one open channel that is wished for, and stop all others. True if it is a new one."""
        if wish is None:
            self._stop(rows)
            return False
        standing = [row for row in rows if row.state == "open" and wish.is_met_by(row)]
        keep = self._renewed(standing[-1]) if standing else None
        kept = self._open(wish) if keep is None else keep
        self._stop([row for row in rows if row.id != kept])
        return keep is None

    def _renewed(self, row: Channel) -> int | None:
        """The id of the row if its channel stands, renewed where it was due; None where a new one is needed."""
        if row.due > self.hub.now():
            return row.id
        state = self.push.renew(unsealed(self.hub, self.account.name, row))
        if state is None:
            return None
        self._store(row.id, state)
        return row.id

    def _open(self, wish: Wish) -> int:
        planned = self.push.plan(wish.remote_id)
        with self.hub.transaction() as conn:
            row_id = channels.plan(
                conn, account_id=self.account.id, replica_id=wish.replica_id, remote_id=wish.remote_id,
                address=wish.address, now=self.hub.now(), kept=lambda row_id: self._seal(row_id, planned),
            )  # fmt: skip
        try:
            self._store(row_id, self.push.open(planned, wish.address))
        except ProviderError as error:
            with self.hub.transaction() as conn:
                if error.trait in (Trait.FATAL, Trait.GONE):
                    again = instant(self.hub.clock() + _ASK_AGAIN)
                    channels.refused(conn, row_id, error.message, due=again)
                    return row_id
                channels.drop(conn, row_id)
            raise
        return row_id

    def _stop(self, rows: Iterable[Channel]) -> None:
        for row in rows:
            if row.state == "open":
                self.push.stop(unsealed(self.hub, self.account.name, row))
            with self.hub.transaction() as conn:
                channels.drop(conn, row.id)
            forget(self.hub.home, self.account.name, secret_name(row.id), row.sealed)

    def _store(self, row_id: int, state: str) -> None:
        expires, due = instant(self.push.expires(state)), instant(self.push.due(state))
        with self.hub.transaction() as conn:
            channels.opened(conn, row_id, self._seal(row_id, state), expires=expires, due=due)

    def _seal(self, row_id: int, state: str) -> str:
        return seal(self.hub.home, self.account.name, secret_name(row_id), state)


def secret_name(row_id: int) -> str:
    """Under which name the state of a channel is sealed."""
    return f"channel {row_id}"


def unsealed(hub: Hub, account_name: str, row: Channel) -> str:
    """The state of a channel. Raises `HubError` where the key is not there any more."""
    return unseal(hub.home, account_name, secret_name(row.id), row.sealed)


def to_be_verified(hub: Hub, conn: Connection) -> dict[int, str]:
    """For the channels, by id, that wait for a person to type in a token at Notion: that token, which is a secret."""
    found: dict[int, str] = {}
    for row in channels.channels(conn):
        account = accounts.account(conn, row.account_id)
        if row.state == "planned" and account.provider not in KINDS:
            try:
                found[row.id] = unsealed(hub, account.name, row)
            except HubError:  # sealed with a key that is gone: Notion can be asked for another token
                continue
    return found


def _replica(row: Channel) -> int:
    return row.replica_id
