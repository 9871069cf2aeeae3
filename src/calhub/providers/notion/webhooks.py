"""Webhooks: whether a message is Notion's, and which calendars it is about. No I/O.

A subscription is made by hand in the connection's settings at Notion; there is nothing to renew. Its first message
brings a verification token, unsigned; the user pastes it there, and it signs all others
(https://developers.notion.com/reference/webhooks). Messages say that something changed, never what: they are pokes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from calhub.providers.notion.client import normal_id

SIGNATURE: Final = "X-Notion-Signature"
#: What a listing of edited rows cannot show.
_NEEDS_FULL: Final = frozenset({"page.deleted", "page.undeleted", "page.moved"})


class Forged(Exception):
    """Not signed with the token, or not a message at all: answer 403 and do nothing."""


@dataclass(frozen=True)
class Verification:
    """The token to keep for the account and to show to the user."""

    token: str


@dataclass(frozen=True)
class Poke:
    """Something changed in one of these databases or data sources. ``full``: only a full listing shows it."""

    tables: frozenset[str]
    full: bool

    def concerns(self, calendars: Iterable[str]) -> list[str]:
        """Those of the calendars (ids of replicas' remotes) that are to be synced."""
        return [calendar for calendar in calendars if normal_id(calendar) in self.tables]


def receive(body: bytes, signature: str | None, token: str | None) -> Verification | Poke:
    """Read a message. ``body`` as it came, ``signature`` from the header `SIGNATURE`, ``token`` as it was kept.

    Raises `Forged`; also for a second verification token, since anybody could send one.
    """
    if token is None:
        found = _document(body).get("verification_token")
        if not isinstance(found, str) or not found:
            raise Forged
        return Verification(found)
    wanted = "sha256=" + hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
    if signature is None or not hmac.compare_digest(wanted.encode(), signature.encode()):
        raise Forged
    return _poke(_document(body))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise Forged from None
    if not isinstance(document, dict):
        raise Forged
    return document


def _poke(event: dict[str, Any]) -> Poke:
    entity, data = event.get("entity") or {}, event.get("data") or {}
    parent = data.get("parent") or {}
    named = (entity.get("id"), parent.get("id"), parent.get("data_source_id"), parent.get("database_id"))
    tables = frozenset(found for each in named if each and (found := normal_id(str(each))))
    return Poke(tables, event.get("type") in _NEEDS_FULL)
