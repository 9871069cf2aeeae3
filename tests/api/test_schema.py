"""The API against its own OpenAPI document: made-up requests, valid and not, and what the document promises about each
answer (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.api.conftest import Server, add

from calhub.api.app import ROUTERS, make_app
from calhub.api.surroundings import Surroundings
from calhub.cli.context import SETTINGS
from calhub.hub.database import Hub

#: It does not end by itself; see test_stream.py.
STREAM: Final = "/stream"
#: An address at which nobody answers.
NOBODY: Final = "http://127.0.0.1:9/"
#: What a broken request is answered with: by default schemathesis knows nothing of bodies that are too large.
REFUSALS: Final = ["400", "404", "405", "406", "409", "412", "413", "415", "422"]
#: Of each kind for each operation.
EXAMPLES: Final = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API with something of everything to meet: a calendar, a series, a folder account, a rule, a webhook."""
    folder = tmp_path_factory.mktemp("service") / "cal"
    folder.mkdir()
    with Hub.open(tmp_path_factory.mktemp("home")) as hub:
        chosen = {"api_rate": "1000000", "allow_private_networks": "true"}
        here = Surroundings(hub, {**{each.name: each.default for each in SETTINGS}, **chosen}.__getitem__)
        server = Server(here)
        api = server.client
        api.post("/api/v1/calendars", json={"name": "Work", "time_zone": "Europe/Paris"})
        add(api, uid="u", rrule="FREQ=DAILY", attendees=["ann@example.org"])
        body = {"provider": "folder", "name": "disk", "credentials": {"url": str(folder.parent)}}
        api.post("/api/v1/accounts", json=body)
        api.post("/api/v1/rules", json={"kind": "mirror", "source": "Work", "target": "cal"})
        api.post("/api/v1/webhooks", json={"url": NOBODY})
        api.post("/api/v1/sync")
        yield server
        server.close()


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}})
    return schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json", config=config)


ROUTES: Final = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _cases() -> Iterator[tuple[str, str, GenerationMode]]:
    """Every operation as documented, and broken where anything in it can be: any text names a calendar."""
    for route in ROUTES:
        can_be_wrong = route.body_field or route.dependant.query_params or "{id}" in route.path_format
        for method in sorted(route.methods or ()):
            for mode in GenerationMode:
                if route.path != STREAM and (mode is GenerationMode.POSITIVE or can_be_wrong):
                    yield method, f"/api/v1{route.path_format}", mode


def is_understood(_: object, answer: Response, case: Case[Any]) -> None:
    """What is as documented is never refused as malformed. It may still be no rule, time or name that there is: that is
    a 422 of another code, which schemathesis' own check (`positive_data_acceptance`) knows nothing of."""
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE and answer.status_code == 422:
        assert answer.json()["code"] != "invalid-request", answer.json()


def _known(method: str, path: str, mode: GenerationMode) -> dict[str, Any] | None:
    """What is there, rather than made-up names, so that there is an answer; not where it would be removed."""
    names = {"uid": "u", "id": 1, "name": "disk" if "/accounts" in path else "1"}
    found = {name: value for name, value in names.items() if f"{{{name}}}" in path}
    return found if found and mode is GenerationMode.POSITIVE and method != "DELETE" else None


def _disarm(body: dict[str, Any], method: str, path: str, mode: GenerationMode) -> None:
    """What is made up must reach neither the network nor folders of this machine. What breaks a rule stays broken."""
    if (method, path) == ("POST", "/api/v1/accounts"):
        body["credentials"] = {}
    if "/webhooks" in path and "url" in body and mode is GenerationMode.POSITIVE:
        body["url"] = NOBODY


@pytest.mark.parametrize(("method", "path", "mode"), list(_cases()))
def test_answers_are_as_documented(document: Any, method: str, path: str, mode: GenerationMode) -> None:
    """No failure of the server; statuses, headers, types and shapes as documented; what is not is refused."""
    operation = document[path][method]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode, path_parameters=_known(method, path, mode)))
    def answered(case: Case[Any]) -> None:
        if isinstance(case.body, dict):
            _disarm(case.body, method, path, mode)
        case.call_and_validate(excluded_checks=[positive_data_acceptance], additional_checks=[is_understood])

    answered()


def test_every_route_is_described(tmp_path: Path) -> None:
    """Each operation says what it is, what it needs and what comes back; lists are pages; examples are there."""
    with Hub.open(tmp_path) as hub:
        app = make_app(Surroundings(hub, {each.name: each.default for each in SETTINGS}.__getitem__))
        found = app.openapi()

    bare = []
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            described = operation.get("description") and operation.get("x-scope") and operation.get("security")
            answers = good and all(each.get("content") for each in good) and "default" in operation["responses"]
            if not (described and answers):
                bare.append(f"{method} {path}")
    assert bare == []
    assert found["components"]["schemas"]["Event"]["properties"]["title"]["examples"] == ["Stand-up"]
