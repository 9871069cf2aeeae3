"""Webhook subscriptions, made by hand in the connection's settings (notion: "Push")."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from calhub.testing.services.notion.model import DataSource, Page, stamp

if TYPE_CHECKING:
    from calhub.testing.services.notion.service import NotionService


@dataclass
class Subscription:
    url: str
    token: str  # the verification token, which signs every message
    verified: bool = False


class Webhooks:
    """What the service tells whom. Messages leave with `Service.deliver`."""

    def __init__(self, service: NotionService) -> None:
        self._service = service
        self.subscriptions: list[Subscription] = []
        self._waiting: dict[tuple[str, str], Page | DataSource] = {}  # (type, entity id), in order

    def subscribe(self, url: str) -> Subscription:
        """Type in an address: it is sent the verification token once, unsigned."""
        made = Subscription(url, f"secret_{uuid4().hex}")
        self.subscriptions.append(made)
        self._send(made, {"verification_token": made.token}, signed=False)
        return made

    def verify(self, subscription: Subscription, token: str) -> None:
        """Paste the token that arrived. Raises ValueError for a wrong one."""
        if token != subscription.token:
            raise ValueError("the verification token is wrong")
        subscription.verified = True

    def tell(self, kind: str, page: Page) -> None:
        """Changes in a short window become one event; created and deleted leave none (notion: "Push", Aggregated)."""
        if kind == "page.deleted" and self._waiting.pop(("page.created", page.id), None) is not None:
            self._waiting.pop(("page.properties_updated", page.id), None)
            return
        if ("page.created", page.id) in self._waiting and kind == "page.properties_updated":
            return
        self._waiting[kind, page.id] = page

    def tell_schema(self, source: DataSource) -> None:
        self._waiting["data_source.schema_updated", source.id] = source

    def flush(self) -> None:
        """The short window is over: queue what came together in it."""
        waiting, self._waiting = self._waiting, {}
        for (kind, _), entity in waiting.items():
            for subscription in self.subscriptions:
                if subscription.verified:
                    self._send(subscription, self._event(kind, entity), signed=True)

    def _event(self, kind: str, entity: Page | DataSource) -> dict[str, Any]:
        now = stamp(self._service.clock())
        common = {
            "id": str(uuid4()),
            "timestamp": now,
            "workspace_id": "5afe0000-0000-4000-8000-000000000000",
            "subscription_id": "5ab50000-0000-4000-8000-000000000000",
            "type": kind,
            "attempt_number": 1,
            "api_version": "2025-09-03",
        }
        if isinstance(entity, DataSource):
            parent: dict[str, Any] = {"id": entity.database, "type": "database"}
            return common | {"entity": {"id": entity.id, "type": "data_source"}, "data": {"parent": parent}}
        assert entity.source is not None
        author = entity.last_edited_by["id"]
        parent = {"id": entity.source.database, "type": "database", "data_source_id": entity.source.id}
        return common | {
            "authors": [{"id": author, "type": "bot" if author.startswith("b07") else "person"}],
            "entity": {"id": entity.id, "type": "page"},
            "data": {"parent": parent},
        }

    def _send(self, to: Subscription, document: dict[str, Any], *, signed: bool) -> None:
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        if signed:
            digest = hmac.new(to.token.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Notion-Signature"] = f"sha256={digest}"
        self._service.notify(to.url, headers, body)
