"""The Notion API as a real HTTP server, for both of its models (notion: "Endpoints by version").

    with NotionService() as notion:
        source = notion.add_database("Team calendar", {"Name": {"title": {}}, "Date": {"date": {}}})
        notion.user_create(source, {"Name": [{"text": {"content": "Lunch"}}], "Date": {"start": "2026-11-21"}})
        client = httpx.Client(base_url=notion.api_root, headers={"Authorization": f"Bearer {notion.token}", ...})

``user_*`` methods are what people do in Notion's own app; values are as in the API, without the type around them.
What is asked of the HTTP server is checked as strictly as Notion does where the fact sheet says how it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from calhub.testing.services.base import Clock, Request, Response, Route, Service
from calhub.testing.services.notion import model
from calhub.testing.services.notion.errors import error_response, failed, invalid
from calhub.testing.services.notion.model import (
    BOT,
    NEW,
    OLD,
    PERSON,
    RENAMED,
    VERSIONS,
    Database,
    DataSource,
    Page,
    Store,
    minute,
    same_id,
)
from calhub.testing.services.notion.query import compile_filter, ordered
from calhub.testing.services.notion.values import written
from calhub.testing.services.notion.webhooks import Webhooks
from calhub.testing.services.oauth import OAuth, Paths

PAGE_SIZE: Final = 100
BODY_LIMIT: Final = 500_000
_QUERY_KEYS: Final = frozenset(
    {"filter", "sorts", "start_cursor", "page_size", "result_type", "is_archived", "archived", "in_trash"}
)


class NotionService(Service):
    """One workspace with one connection, known by `token` or by the OAuth client of `oauth`.

    ``row_cap``: rows one query ever shows. ``budget``: requests per 60 seconds of the clock, None for no limit.
    ``tells_committed``: whether a 503 after a create says what was made.
    """

    def __init__(self, *, clock: Clock | None = None, row_cap: int = 10_000, budget: int | None = None) -> None:
        super().__init__(clock=clock)
        self.token = "ntn_calhub"
        self.oauth = OAuth(
            clock=self.clock, needs_pkce=False, paths=Paths(authorize="/v1/oauth/authorize", token="/v1/oauth/token")
        )
        self.row_cap = row_cap
        self.budget = budget
        self.tells_committed = True
        self.read_only = False  # the connection lacks the capability to insert and update content
        self.users = {PERSON["id"]: "Ada"}
        self.store = Store()
        self.webhooks = Webhooks(self)
        self._recent: list[float] = []
        self._made: dict[int, str] = {}  # order of a request -> the page it made
        self._cursors: dict[str, int] = {}

    @property
    def api_root(self) -> str:
        return f"{self.url}/v1"

    # What people do in the app.

    def add_database(self, title: str, properties: Mapping[str, Any], *, sources: Iterable[str] = ()) -> DataSource:
        """A database shared with the connection; its first data source. ``sources`` are titles of further ones."""
        with self.lock:
            database = self.store.add_database(title, self.clock())
            first = self.store.add_source(database, title, dict(properties), self.clock())
            for name in sources:
                self.store.add_source(database, name, dict(properties), self.clock())
            return first

    def database_of(self, source: DataSource) -> Database:
        return self.store.databases[source.database]

    def user_create(self, source: DataSource, values: Mapping[str, Any]) -> Page:
        """A new row by a person."""
        with self.lock:
            page = self.store.add_page(source, self.clock(), PERSON)
            self._write(page, _typed(source, values), PERSON)
            self.webhooks.tell("page.created", page)
            return page

    def user_edit(self, page: Page, values: Mapping[str, Any]) -> None:
        assert page.source is not None
        with self.lock:
            self._write(page, _typed(page.source, values), PERSON)
            self.webhooks.tell("page.properties_updated", page)

    def user_trash(self, page: Page, *, in_trash: bool = True) -> None:
        with self.lock:
            self._trash(page, in_trash, PERSON)

    def user_purge(self, page: Page) -> None:
        """Delete it from the trash for good: from now on it answers 404."""
        with self.lock:
            del self.store.pages[page.id]

    def rows(self, source: DataSource) -> list[Page]:
        """The rows that are not in the trash, by when they were made."""
        with self.lock:
            return [page for page in self.store.rows(source) if not page.in_trash]

    def shown(self, page: Page) -> dict[str, Any]:
        """Its property values by name, in full."""
        assert page.source is not None
        return {prop.name: model.value_of(page, prop) for prop in page.source.properties.values()}

    def text(self, page: Page, name: str) -> str:
        """The plain text of a title or rich_text property."""
        return "".join(piece["plain_text"] for piece in self.shown(page)[name])

    # The server.

    def routes(self) -> Sequence[Route]:
        known = [
            ("GET", "/users/me", self._me),
            ("POST", "/search", self._search),
            ("POST", "/databases", self._create_database),
            ("GET", "/databases/{id}", self._read_database),
            ("PATCH", "/databases/{id}", self._update_database),
            ("POST", "/databases/{id}/query", self._query_database),
            ("POST", "/data_sources", self._create_source),
            ("GET", "/data_sources/{id}", self._read_source),
            ("PATCH", "/data_sources/{id}", self._update_source),
            ("POST", "/data_sources/{id}/query", self._query_source),
            ("POST", "/pages", self._create_page),
            ("GET", "/pages/{id}", self._read_page),
            ("PATCH", "/pages/{id}", self._update_page),
            ("GET", "/pages/{id}/properties/{property:path}", self._read_property),
        ]
        return [
            *(Route(method, f"/v1{path}", self._checked(handler)) for method, path, handler in known),
            *self.oauth.routes(),
        ]

    def error(self, status: int, request: Request) -> Response:
        """A 503 after a create may say what was made (notion: "Writing", 503 on a write may mean "saved")."""
        more = None
        if status == 503 and request.order in self._made and self.tells_committed:
            more = {"retry_guidance": "do_not_retry", "committed_resource_id": self._made[request.order]}
        code = "invalid_request_url" if status in (404, 405) else None
        return error_response(status, f"Something went wrong ({status}).", code=code, more=more)

    def expire_tokens(self) -> None:
        self.oauth.expire()

    def _checked(self, handler: Any) -> Any:
        """What every endpoint looks at first: token, version, budget, body."""

        def checked(request: Request) -> Response:
            if request.header("authorization") != f"Bearer {self.token}" and self.oauth.scope_of(request) is None:
                raise failed(401, "API token is invalid.")
            version = request.header("notion-version")
            if version is None:
                raise failed(400, "Notion-Version header should be defined.", code="missing_version")
            if version not in VERSIONS:
                raise failed(400, f"Notion-Version {version} is not known.", code="missing_version")
            over = self._over_budget()
            if over is not None:
                return over
            body = _body(request)
            if self.read_only and _writes(request):
                raise failed(403, "Insufficient permissions for this endpoint.")
            document = handler(request, version, body)
            return Response.of(document)

        return checked

    def _over_budget(self) -> Response | None:
        """notion: "Limits and errors", Rate: a budget of 60 seconds, any shape of burst."""
        if self.budget is None:
            return None
        now = self.clock().timestamp()
        self._recent = [moment for moment in self._recent if moment > now - 60]
        if len(self._recent) >= self.budget:
            wait = max(1, round(self._recent[0] + 60 - now))
            more = {"rate_limit_reason": "public_api_request_rate_limit"}
            return error_response(429, "You have been rate limited.", headers={"Retry-After": str(wait)}, more=more)
        self._recent.append(now)
        return None

    # Workspace and schema.

    def _me(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        return BOT | {"type": "bot", "name": "calhub", "bot": {"owner": {"type": "workspace", "workspace": True}}}

    def _search(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        wanted = (body.get("filter") or {}).get("value")
        container = "database" if version == OLD else "data_source"
        if wanted not in (None, "page", container):
            raise invalid(f"body.filter.value should be `page` or `{container}`, instead was `{wanted}`.")
        sources = [source for source in self.store.sources.values() if self.store.sees(source)]
        found: list[dict[str, Any]] = []
        if wanted != "page":
            if version == OLD:
                single = [source for source in sources if len(self.database_of(source).sources) == 1]
                found += [model.show_database(self.database_of(source), version) for source in single]
            else:
                found += [model.show_source(source, version) for source in sources]
        if wanted in (None, "page"):
            pages = [page for page in self.store.pages.values() if not page.in_trash and self._is_seen(page)]
            found += [model.show_page(page, version) for page in pages]
        start, size = _position(body)
        shown = found[start : start + size]
        return _list(shown, str(start + size) if len(found) > start + size else None, "page_or_database")

    def _create_database(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        properties = body.get("properties")
        if version != OLD:
            properties = (body.get("initial_data_source") or {}).get("properties")
        if "parent" not in body or not isinstance(properties, dict):
            raise invalid("body.parent and the properties should be defined.")
        title = "".join(piece["text"]["content"] for piece in body.get("title", ()))
        return model.show_database(self.database_of(self.add_database(title, properties)), version)

    def _read_database(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        return model.show_database(self._database(request, version), version)

    def _update_database(self, request: Request, version: str, body: Any) -> dict[str, Any]:
        database = self._database(request, version)
        if "properties" in body:
            if version != OLD:
                raise invalid("body.properties: update the data source instead.")
            self._change_schema(database.sources[0], body["properties"])
        return model.show_database(database, version)

    def _create_source(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        _needs_new(version)
        database = self.store.databases.get(same_id((body.get("parent") or {}).get("database_id")))
        if database is None:
            raise failed(404, "Could not find database.")
        title = "".join(piece["text"]["content"] for piece in body.get("title", ()))
        source = self.store.add_source(database, title, body.get("properties") or {}, self.clock())
        return model.show_source(source, version)

    def _read_source(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        return model.show_source(self._source(request, version), version)

    def _update_source(self, request: Request, version: str, body: Any) -> dict[str, Any]:
        source = self._source(request, version)
        self._change_schema(source, body.get("properties") or {})
        return model.show_source(source, version)

    def _change_schema(self, source: DataSource, properties: Mapping[str, Any]) -> None:
        """null removes a property (notion: "Writing", Clearing); an unknown name makes one."""
        for name, config in properties.items():
            known = next((prop for prop in source.properties.values() if name in (prop.name, prop.id)), None)
            if known is None:
                source.add(name, config)
            elif config is None:
                del source.properties[known.id]
            else:
                known.name = config.get("name", known.name)
        self.webhooks.tell_schema(source)

    # Rows.

    def _query_database(self, request: Request, version: str, body: Any) -> dict[str, Any]:
        if version != OLD:
            raise failed(400, "Invalid request URL.", code="invalid_request_url")
        return self._query(self._database(request, version).sources[0], request, version, body)

    def _query_source(self, request: Request, version: str, body: Any) -> dict[str, Any]:
        return self._query(self._source(request, version), request, version, body)

    def _query(self, source: DataSource, request: Request, version: str, body: Any) -> dict[str, Any]:
        if unknown := body.keys() - _QUERY_KEYS:
            raise invalid(f"body.{min(unknown)} should be not present.")
        size = _size(body)
        pages = [page for page in self.store.rows(source) if not page.in_trash and not page.is_archived]
        if body.get("filter") is not None:
            test = compile_filter(body["filter"], source.find)
            pages = [page for page in pages if test(page)]
        pages = ordered(pages, body.get("sorts"), source.find)
        capped = len(pages) > self.row_cap
        pages = pages[: self.row_cap]
        start = self._start(body.get("start_cursor"), pages)
        following = pages[start + size].id if len(pages) > start + size else None
        if following is not None:
            self._cursors[following] = start + size
        names = request.query.get("filter_properties[]") or request.query.get("filter_properties")
        only = frozenset(source.find(name).id for name in names) if names else None
        shown = [model.show_page(page, version, only) for page in pages[start : start + size]]
        answer = _list(shown, following, "page_or_data_source")
        if capped:  # on every page of that result (notion: "Reading", hard cap)
            answer["request_status"] = {"type": "incomplete", "incomplete_reason": "query_result_limit_reached"}
        return answer

    def _start(self, cursor: Any, pages: Sequence[Page]) -> int:
        """A cursor is the id of the next row; results shift while paging (notion: "Reading")."""
        if cursor is None:
            return 0
        if cursor not in self._cursors:
            raise invalid("The start_cursor provided is invalid.")
        at = next((at for at, page in enumerate(pages) if page.id == cursor), None)
        return self._cursors[cursor] if at is None else at

    def _create_page(self, request: Request, version: str, body: Any) -> dict[str, Any]:
        parent = body.get("parent") or {}
        kind = "database_id" if version == OLD else "data_source_id"
        if kind not in parent:
            raise invalid(f"body.parent.{kind} should be defined.")
        source = self._parent_source(same_id(parent[kind]), version)
        values = body.get("properties")
        if not isinstance(values, dict):
            raise invalid("body.properties should be defined.")
        page = self.store.add_page(source, self.clock(), BOT)
        try:
            self._write(page, values, BOT)
        except Exception:
            del self.store.pages[page.id]
            raise
        self._made[request.order] = page.id
        self.webhooks.tell("page.created", page)
        return model.show_page(page, version)

    def _read_page(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        return model.show_page(self._page(request), version)

    def _update_page(self, request: Request, version: str, body: Any) -> dict[str, Any]:
        """notion: "Writing": merges per property; `archived` is no name any more from 2026-03-11."""
        page = self._page(request)
        known = {"properties", "icon", "cover", "is_locked", "in_trash", "is_archived"}
        known |= set() if version == RENAMED else {"archived"}
        if unknown := body.keys() - known:
            raise invalid(f"body.{min(unknown)} should be not present.")
        trash = body.get("in_trash", body.get("archived"))
        if page.in_trash and trash is not False:
            raise invalid("Can't edit page on block with an archived ancestor.")
        if body.get("properties"):
            self._write(page, body["properties"], BOT)
            self.webhooks.tell("page.properties_updated", page)
        if trash is not None:
            self._trash(page, bool(trash), BOT)
        return model.show_page(page, version)

    def _read_property(self, request: Request, version: str, body: Any) -> dict[str, Any]:  # noqa: ARG002 (handlers are called alike)
        """A whole value, paged (notion: "Long values")."""
        page = self._page(request)
        assert page.source is not None
        prop = page.source.find(request.path.rsplit("/", 1)[1])
        value = model.value_of(page, prop)
        if not isinstance(value, list):
            return {"object": "property_item", "id": prop.id, "type": prop.type, prop.type: value}
        start, size = _position({name: request.param(name) for name in ("start_cursor", "page_size")})
        items = [
            {"object": "property_item", "id": prop.id, "type": prop.type, prop.type: each}
            for each in value[start : start + size]
        ]
        answer = _list(items, str(start + size) if len(value) > start + size else None, "property_item")
        return answer | {"property_item": {"id": prop.id, "type": prop.type, "next_url": None, prop.type: {}}}

    # Inside.

    def _write(self, page: Page, values: Mapping[str, Any], by: dict[str, str]) -> None:
        assert page.source is not None
        new = {}
        for name, value in values.items():
            prop = page.source.find(name)
            new[prop.id] = written(prop, value, self.users)
        page.values = page.values | new
        self._touch(page, by)

    def _trash(self, page: Page, in_trash: bool, by: dict[str, str]) -> None:
        if page.in_trash != in_trash:
            page.in_trash = in_trash
            self._touch(page, by)
            self.webhooks.tell("page.deleted" if in_trash else "page.undeleted", page)

    def _touch(self, page: Page, by: dict[str, str]) -> None:
        page.last_edited_time, page.last_edited_by = minute(self.clock()), by
        self.store.changes += 1

    def _is_seen(self, page: Page) -> bool:
        return page.source is None or self.store.sees(page.source)

    def _database(self, request: Request, version: str) -> Database:
        database = self.store.databases.get(same_id(request.path_value("id")))
        if database is None or not database.shared:
            raise failed(404, "Could not find database. Make sure it is shared with your integration.")
        return self._single(database, version)

    def _single(self, database: Database, version: str) -> Database:
        """notion: "Version matters": the old model breaks with a second data source."""
        if version == OLD and len(database.sources) > 1:
            raise invalid("Databases with multiple data sources are not supported in this API version.")
        return database

    def _source(self, request: Request, version: str) -> DataSource:
        _needs_new(version)
        return self._parent_source(same_id(request.path_value("id")), version)

    def _parent_source(self, key: str, version: str) -> DataSource:
        source = self.store.sources.get(key)
        if version == OLD:
            database = self.store.databases.get(key)
            source = self._single(database, version).sources[0] if database is not None else None
        if source is None or not self.store.sees(source):
            raise failed(404, "Could not find it. Make sure it is shared with your integration.")
        return source

    def _page(self, request: Request) -> Page:
        page = self.store.pages.get(same_id(request.path_value("id")))
        if page is None or (page.source is not None and not self.database_of(page.source).shared):
            raise failed(404, "Could not find page. Make sure it is shared with your integration.")
        return page


def _typed(source: DataSource, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {source.find(name).type: value} for name, value in values.items()}


def _body(request: Request) -> Any:
    if len(request.body) > BODY_LIMIT:
        raise invalid("The body is larger than 500 KB.")
    try:
        body = request.json()
    except ValueError:
        raise failed(400, "Error parsing JSON body.", code="invalid_json") from None
    if body is not None and "json" not in (request.header("content-type") or ""):
        raise failed(400, "Content-Type should be application/json.", code="invalid_json")
    if not isinstance(body, dict | None):
        raise invalid("The body should be an object.")
    return body or {}


def _writes(request: Request) -> bool:
    reads = request.path.endswith(("/query", "/search"))
    return request.method in ("POST", "PATCH") and not reads


def _needs_new(version: str) -> None:
    if version < NEW:
        raise failed(400, "Invalid request URL.", code="invalid_request_url")


def _size(body: Mapping[str, Any]) -> int:
    size = int(body.get("page_size") or PAGE_SIZE)
    if not 0 < size <= PAGE_SIZE:
        raise invalid(f"body.page_size should be ≤ {PAGE_SIZE}.")
    return size


def _position(body: Mapping[str, Any]) -> tuple[int, int]:
    cursor = body.get("start_cursor")
    if cursor is not None and not str(cursor).isdecimal():
        raise invalid("The start_cursor provided is invalid.")
    return int(cursor or 0), _size(body)


def _list(results: list[dict[str, Any]], following: str | None, kind: str) -> dict[str, Any]:
    return {
        "object": "list",
        "results": results,
        "next_cursor": following,
        "has_more": following is not None,
        "type": kind,
        kind: {},
    }
