"""The calls to the Notion API that calhub makes, for both of its models.

Until 2022-06-28 a *database* has schema and rows; from 2025-09-03 a *data source* does, and a database holds some
of those. Here both are a *table*; only its path and the name of a row's parent differ.
https://developers.notion.com/docs/upgrade-guide-2025-09-03, /reference/status-codes, /reference/request-limits
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

from calhub.providers.base import NotSent, Outcome, ProviderError, Refused, Stale, Trait, Unknown
from calhub.providers.http import NoAnswer, Unreached
from calhub.providers.rest import Reply, Rest, retry_after

Json: TypeAlias = dict[str, Any]

OLD_MODEL: Final = "2022-06-28"
#: `archived` is called `in_trash` from here on.
RENAMED: Final = "2026-03-11"
PAGE_SIZE: Final = 100
SMALLEST_PAGE: Final = 10
#: Elements of a long value that a page shows; the rest has to be asked for.
SHOWN: Final = 25
_LATER: Final = frozenset({429, 529})


class Rejected(ProviderError):
    """Notion answered with an error. ``status`` is that of HTTP."""

    status: int = 0


@dataclass(frozen=True)
class Failure:
    """A write that did not succeed, as an outcome; ``made`` is the id of a page that was created all the same."""

    outcome: Outcome
    made: str | None = None
    schema: bool = False  # Notion did not find the request valid: the schema may have changed


class Notion:
    """Safe to use from several threads."""

    def __init__(self, rest: Rest, version: str) -> None:
        self._rest = rest
        self._version = version
        old = version <= OLD_MODEL
        self._tables = "databases" if old else "data_sources"
        self._parent = "database_id" if old else "data_source_id"
        self._kind = "database" if old else "data_source"
        self._trash = "in_trash" if version >= RENAMED else "archived"

    @property
    def requests(self) -> int:
        return self._rest.requests

    def close(self) -> None:
        self._rest.close()

    # Reading. Each raises `ProviderError`.

    def tables(self) -> Iterator[Json]:
        """All databases or data sources the connection was given access to."""
        return self._paged(lambda more: self._read("POST", "search", {"filter": self._only_tables(), **more}))

    def table(self, table: str) -> Json:
        return self._read("GET", f"{self._tables}/{table}")

    def page(self, page: str) -> Json | None:
        """A row with its long values in full; None where there is none of this id, or none to be seen."""
        try:
            found = self._read("GET", f"pages/{page}")
        except Rejected as error:
            if error.status in (400, 404):  # 400: not the id of anything
                return None
            raise
        return self.in_full(found)

    def pages(
        self, table: str, *, filter: Json | None = None, sorts: Sequence[Json] = (), size: int = PAGE_SIZE
    ) -> Iterator[tuple[list[Json], bool, bool]]:
        """The rows of a query, a page of it at a time: (rows, whether more follow, whether rows were left out)."""
        body: Json = {"sorts": list(sorts), **({"filter": filter} if filter else {})}
        cursor = None
        while True:
            more: Json = {"start_cursor": cursor} if cursor else {}
            try:
                answer = self._read("POST", f"{self._tables}/{table}/query", {**body, **more, "page_size": size})
            except Rejected as error:
                # Rows that take Notion too long to put together come in smaller pages.
                if error.status not in (503, 504) or size <= SMALLEST_PAGE:
                    raise
                size //= 2
                continue
            rows = [self.in_full(row) for row in answer["results"] if row.get("object") == "page"]
            status = answer.get("request_status") or {}
            cursor = answer.get("next_cursor") if answer.get("has_more") else None
            yield rows, cursor is not None, status.get("type") == "incomplete"
            if cursor is None:
                return

    def in_full(self, page: Json) -> Json:
        """The row with those values read on that it shows only in part."""
        for value in page["properties"].values():
            kind = value["type"]
            if kind in ("title", "rich_text") and len(value[kind]) >= SHOWN:
                path = f"pages/{page['id']}/properties/{value['id']}"
                value[kind] = [item[kind] for item in self._items(path)]
        return page

    # Writing. Nothing is raised but what concerns the account as a whole.

    def create(self, table: str, properties: Json) -> Json | Failure:
        """A new row."""
        parent = {"type": self._parent, self._parent: table}
        return self._write("POST", "pages", {"parent": parent, "properties": properties})

    def update(self, page: str, properties: Json) -> Json | Failure:
        return self._write("PATCH", f"pages/{page}", {"properties": properties})

    def trash(self, page: str) -> Json | Failure:
        return self._write("PATCH", f"pages/{page}", {self._trash: True})

    def add_properties(self, table: str, properties: Json) -> Json:
        """Add properties to the schema; raises `ProviderError`."""
        return self._read("PATCH", f"{self._tables}/{table}", {"properties": properties})

    # Inside.

    def _only_tables(self) -> Json:
        return {"property": "object", "value": self._kind}

    def _items(self, path: str) -> Iterator[Json]:
        cursor = None
        while True:
            query = f"?start_cursor={cursor}" if cursor else ""
            answer = self._read("GET", path + query)
            yield from answer["results"]
            cursor = answer.get("next_cursor")
            if cursor is None:
                return

    def _paged(self, ask: Callable[[Json], Json]) -> Iterator[Json]:
        more: Json = {}
        while True:
            answer = ask(more)
            yield from answer["results"]
            if not answer.get("has_more"):
                return
            more = {"start_cursor": answer["next_cursor"]}

    def _send(self, method: str, path: str, body: Json | None) -> Reply:
        return self._rest.request(method, path, json=body, headers={"Notion-Version": self._version})

    def _read(self, method: str, path: str, body: Json | None = None) -> Json:
        reply = self._send(method, path, body)
        if reply.status >= 300:
            raise rejected(reply)
        if not isinstance(reply.json, dict):
            raise NoAnswer("Notion sent an answer that cannot be understood.", "Try again later.")
        return reply.json

    def _write(self, method: str, path: str, body: Json) -> Json | Failure:
        try:
            reply = self._send(method, path, body)
        except Unreached as error:
            return Failure(NotSent(error.message, error.retry_after))
        except NoAnswer as error:
            return Failure(Unknown(error.message))
        if reply.status >= 300:
            return failure(reply)
        if not isinstance(reply.json, dict):
            return Failure(Unknown("Notion sent an answer that cannot be understood."))
        try:
            return self.in_full(reply.json)
        except ProviderError as error:
            return Failure(Unknown(f"Written, but not read back: {error.message}"))


def rejected(reply: Reply) -> Rejected:
    """What an error answer to a read, or to a change of the schema, means for the account."""
    code, message = _said(reply)
    trait = Trait.RETRY
    hint = "Try again later."
    if reply.status == 404:
        trait, hint = Trait.GONE, "Share the database with the connection in Notion again, or remove the replica."
    elif code == "invalid_grant" or reply.status == 401:
        trait, hint = Trait.LOGIN, "Sign in again: calhub account login NAME"
    elif reply.status == 403:
        trait, hint = Trait.FATAL, "Let the connection read, insert and update content, in its settings."
    elif reply.status == 400 or _blocked(reply):
        trait, hint = Trait.FATAL, "See what Notion says, and docs/providers-notion.md."
    error = Rejected(f"Notion: {message}", hint, trait, retry_after(reply.headers))
    error.status = reply.status
    return error


def failure(reply: Reply) -> Failure:
    """What an error answer to a write of a row means (https://developers.notion.com/reference/request-limits).

    A 503 may mean that it was saved, and then says so for a new row.
    """
    code, message = _said(reply)
    status = reply.status
    if status in _LATER:
        if _blocked(reply):
            raise rejected(reply)
        return Failure(NotSent(f"Notion: {message}", retry_after(reply.headers)))
    if status == 401 or code == "invalid_grant":
        raise rejected(reply)
    if status in (404, 409):
        return Failure(Stale())
    if status >= 500:
        made = _more(reply).get("committed_resource_id")
        return Failure(Unknown(f"Notion failed with HTTP {status}."), made=made if isinstance(made, str) else None)
    return Failure(Refused(f"Notion: {message}"), schema=code == "validation_error")


def same_id(one: str, two: str) -> bool:
    """Whether two ids are one: Notion takes and gives them with and without dashes."""
    return normal_id(one) == normal_id(two)


def normal_id(text: str) -> str | None:
    """The id with dashes, or None for what is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def title_of(table: Json) -> str:
    return "".join(piece.get("plain_text", "") for piece in table.get("title", ()))


def is_trashed(thing: Json) -> bool:
    return bool(thing.get("in_trash") or thing.get("archived") or thing.get("is_archived"))


def _said(reply: Reply) -> tuple[str, str]:
    document = reply.json if isinstance(reply.json, dict) else {}
    return str(document.get("code", "")), str(document.get("message") or f"HTTP {reply.status}")


def _more(reply: Reply) -> Mapping[str, Any]:
    more = reply.json.get("additional_data") if isinstance(reply.json, dict) else None
    return more if isinstance(more, dict) else {}


def _blocked(reply: Reply) -> bool:
    return bool(_more(reply).get("rate_limit_reason") == "public_api_request_blocked")
