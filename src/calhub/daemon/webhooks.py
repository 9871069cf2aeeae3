"""Webhooks that arrive: whose they are, and which replicas they poke. They never carry truth.

A message that is not verified does nothing. Of those that are, repetitions do nothing either, where the service gives
its messages numbers or ids (Google, Notion); Graph's have none, and a repeated one costs a look at what changed.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeVar

from calhub.hub import accounts, channels
from calhub.hub.accounts import Replica
from calhub.hub.channels import Channel
from calhub.hub.database import Hub
from calhub.hub.errors import NotFound
from calhub.hub.secrets import seal
from calhub.providers.google import channels as google
from calhub.providers.microsoft import subscriptions as graph
from calhub.providers.notion import webhooks as notion
from calhub.providers.notion.webhooks import Forged
from calhub.sync.channels import address, secret_name, unsealed

T = TypeVar("T")

#: Called with replicas, and whether only a full pass shows what changed.
Poke = Callable[[Sequence[int], bool], None]

#: What became of a message. ``ended``: of a channel of ours that is not there any more; services take a while to stop.
Outcome = Literal["accepted", "repeated", "ended", "refused"]

_REMEMBERED: Final = 10_000
#: A channel of Notion's never ends.
_NEVER: Final = "9999-12-31T00:00:00.000Z"


class Webhooks:
    """Reads messages; any thread may call it.

    ``tend`` is called when channels need care; ``say`` with what only a person can do next.
    """

    def __init__(self, hub: Hub, poke: Poke, tend: Callable[[], None], say: Callable[[str], None]) -> None:
        self._hub = hub
        self._poke = poke
        self._tend = tend
        self._say = say
        self._turn = threading.Lock()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._met: OrderedDict[str, google.Channel | graph.Subscription] = OrderedDict()  # verified once, by id
        self._states: dict[str, str] = {}  # what channels are known by, by how it is sealed: opening takes its time

    def google(self, replica_id: int, headers: Mapping[str, str]) -> Outcome:
        """A message of a push channel; ``headers`` by names in lower case.

        What is to be answered is the same in each case, or Google would repeat it.
        """
        for row in self._rows(replica_id):
            channel = google.load(self._state(row))
            notice = google.verify(channel, headers)
            if notice is None:
                continue
            with self._turn:
                if notice.number and notice.number <= self._numbers.get(channel.id, 0):
                    return "repeated"
                _remember(self._numbers, channel.id, notice.number)
                _remember(self._met, channel.id, channel)
            if notice.changed:
                self._poke([replica_id], False)
            return "accepted"
        met = self._met.get(headers.get("x-goog-channel-id", ""))
        ours = isinstance(met, google.Channel) and google.verify(met, headers) is not None
        return "ended" if ours else "refused"

    def handshake(self, replica_id: int, query: Mapping[str, str]) -> str | None:
        """The text to answer Graph's first call with; None for another call, or a replica that is not Microsoft's."""
        return graph.handshake(query) if self._replica(replica_id, "microsoft") else None

    def microsoft(self, replica_id: int, body: bytes) -> Outcome:
        """Notifications of Graph; refused if there was nothing of ours in them."""
        rows = {(found := graph.Subscription.load(self._state(row))).id: (found, row) for row in self._rows(replica_id)}
        actions = graph.actions(body, {name: found for name, (found, _) in rows.items() if name})
        for subscription, action in actions:
            with self._turn:
                _remember(self._met, subscription.id, subscription)
            row = rows[subscription.id][1]
            if action in ("renew", "recreate"):
                self._care(row, gone=action == "recreate")
            if action != "renew":
                self._poke([replica_id], action == "full")
        if actions:
            return "accepted"
        with self._turn:
            met = {name: each for name, each in self._met.items() if isinstance(each, graph.Subscription)}
        return "ended" if graph.actions(body, met) else "refused"

    def notion(self, replica_id: int, signature: str | None, body: bytes) -> Outcome:
        """A message of Notion's.

        Until a signed message came, the newest verification token counts: whoever knows the address could have sent
        one, and the user types in the right one at Notion.
        """
        replica = self._replica(replica_id, "notion")
        if replica is None:
            return "refused"
        mine = [row for row in self._rows(replica_id) if row.account_id == replica.account_id]
        row = mine[0] if mine else None
        token = None if row is None or (signature is None and row.state == "planned") else self._state(row)
        try:
            found = notion.receive(body, signature, token)
        except Forged:
            return "refused"
        if isinstance(found, notion.Verification):
            self._keep_token(replica, row, found.token)
            return "accepted"
        assert row is not None  # there was a token
        if row.state == "planned":
            with self._hub.transaction() as conn:
                channels.opened(conn, row.id, row.sealed, expires=None, due=_NEVER)
            self._tend()
        if not self._is_new(body):
            return "repeated"
        with self._hub.read() as conn:
            there = {each.remote_id: each.id for each in accounts.replicas(conn, account_id=replica.account_id)}
        if concerned := [there[calendar] for calendar in found.concerns(there)]:
            self._poke(concerned, found.full)
        return "accepted"

    # In detail

    def _rows(self, replica_id: int) -> list[Channel]:
        with self._hub.read() as conn:
            return channels.channels(conn, replica_id)

    def _replica(self, replica_id: int, kind: str) -> Replica | None:
        try:
            with self._hub.read() as conn:
                found = accounts.replica(conn, replica_id)
        except NotFound:
            return None
        return found if found.provider == kind else None

    def _state(self, row: Channel) -> str:
        known = self._states.get(row.sealed)
        if known is None or row.sealed.startswith("keyring:"):  # which is the same text for every value
            with self._hub.read() as conn:
                name = accounts.account(conn, row.account_id).name
            known = self._states[row.sealed] = unsealed(self._hub, name, row)
            if len(self._states) > _REMEMBERED:
                self._states.clear()
        return known

    def _care(self, row: Channel, *, gone: bool) -> None:
        with self._hub.transaction() as conn:
            if gone:
                channels.drop(conn, row.id)
            else:
                channels.make_due(conn, row.id, self._hub.now())
        self._tend()

    def _keep_token(self, replica: Replica, row: Channel | None, token: str) -> None:
        def kept(row_id: int) -> str:
            return seal(self._hub.home, replica.account, secret_name(row_id), token)

        with self._hub.transaction() as conn:
            if row is not None:
                channels.drop(conn, row.id)
            channels.plan(
                conn, account_id=replica.account_id, replica_id=replica.id, remote_id=replica.remote_id,
                address=address("", "notion", replica.id), now=self._hub.now(), kept=kept,
            )  # fmt: skip
        self._say(f"Notion wants to tell of changes in {replica.account}. Verify the subscription there with: {token}")

    def _is_new(self, body: bytes) -> bool:
        """Whether a signed message comes for the first time; Notion gives each an id, and keeps it in repetitions."""
        name = str(json.loads(body).get("id", ""))
        with self._turn:
            if name in self._seen:
                return False
            _remember(self._seen, name, None)
        return True


def _remember(known: OrderedDict[str, T], name: str, value: T) -> None:
    """Keep it; beyond `_REMEMBERED` what came first is forgotten."""
    known[name] = value
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
