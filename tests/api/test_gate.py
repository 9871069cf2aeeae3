"""Who gets in, how often, with how much; and that no answer tells what it should not."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.api.conftest import Clock, MakeToken, Serve, Settings, add, problem

from calhub.api import gate
from calhub.api.app import make_app
from calhub.api.auth import SIGNED, sign
from calhub.api.surroundings import Surroundings
from calhub.hub import runs, tokens
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue
from calhub.hub.tokens import Scope, signing_key

STATUS = "/api/v1/status"


@pytest.fixture
def public(here: Surroundings, serve: Serve) -> httpx.Client:
    """An API that is bound to more than loopback."""
    here.loopback = False
    return serve().client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Without a token


def test_owner_needs_no_token_on_loopback(api: httpx.Client) -> None:
    assert api.get(STATUS).status_code == 200


def test_everybody_else_needs_one(public: httpx.Client) -> None:
    answer = public.get(STATUS)

    problem(answer, 401, "token-needed")
    assert answer.headers["www-authenticate"] == "Bearer"
    problem(public.get("/nowhere"), 401, "token-needed")
    problem(public.get("/api/v1/openapi.json"), 401, "token-needed")


@pytest.mark.parametrize("host", ["rebound.example", "localhost.example:8470", "10.0.0.1", "127.0.0.1.example", ""])
def test_a_name_pointed_here_is_not_this_machine(api: httpx.Client, host: str) -> None:
    """DNS rebinding: the page's own name comes with the request."""
    problem(api.get(STATUS, headers={"Host": host}), 401, "token-needed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8470", "[::1]:8470", "calhub.localhost"])
def test_names_of_this_machine(api: httpx.Client, host: str) -> None:
    assert api.get(STATUS, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host"])
def test_a_proxy_speaks_for_others(api: httpx.Client, name: str) -> None:
    """A reverse proxy on this machine does not make its visitors the owner."""
    problem(api.get(STATUS, headers={name: "for=203.0.113.7"}), 401, "token-needed")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_other_sites_get_nothing_done(api: httpx.Client, headers: dict[str, str]) -> None:
    """A form or script elsewhere may send requests here; they are not carried out."""
    problem(api.post("/api/v1/sync", headers=headers), 403, "cross-site")


def test_own_page_may(api: httpx.Client) -> None:
    assert api.post("/api/v1/sync", headers={"Origin": str(api.base_url).rstrip("/")}).status_code == 200


def test_cors_is_closed(api: httpx.Client) -> None:
    """No origin is told that it may read."""
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}

    answers = [api.get(STATUS, headers={"Origin": "https://a.example"}), api.options(STATUS, headers=asked)]

    assert [answer.headers.get("access-control-allow-origin") for answer in answers] == [None, None]


def test_cors_can_be_opened(settings: Settings, serve: Serve) -> None:
    """For the origins in the setting, and no others."""
    settings["cors_origins"] = "https://a.example, https://b.example"
    api = serve().client

    allowed = api.get(STATUS, headers={"Origin": "https://b.example"})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://b.example")
    problem(api.get(STATUS, headers={"Origin": "https://c.example"}), 403, "cross-site")
    settings["cors_origins"] = "https://c.example"  # settings count as they are, not as they were at the start
    asked = {"Origin": "https://c.example", "Access-Control-Request-Method": "POST"}
    assert api.options(STATUS, headers=asked).headers["access-control-allow-origin"] == "https://c.example"
    problem(api.get(STATUS, headers={"Origin": "https://b.example"}), 403, "cross-site")


# Tokens


@pytest.mark.parametrize(
    ("scope", "may"), [("read", [200, 403, 403]), ("write", [200, 200, 403]), ("admin", [200, 200, 201])]
)
def test_scopes(public: httpx.Client, make_token: MakeToken, scope: Scope, may: list[int]) -> None:
    """Reading, writing and administration."""
    headers = bearer(make_token(scope))

    answers = [
        public.get(STATUS, headers=headers),
        public.post("/api/v1/sync", headers=headers),
        public.post("/api/v1/calendars", json={"name": "Work"}, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == may
    for answer in answers:
        if answer.status_code == 403:
            problem(answer, 403, "scope")


def test_token_is_kept_as_a_hash_only(hub: Hub, make_token: MakeToken) -> None:
    """Neither the token nor the key it signs with is anywhere in the files of the home."""
    token = make_token("read")

    stored = b"".join(path.read_bytes() for path in hub.home.rglob("*") if path.is_file())

    assert token.encode() not in stored
    assert token.rpartition("_")[2].encode() not in stored
    assert signing_key(token).encode() not in stored
    assert hashlib.sha256(token.encode()).hexdigest().encode() in stored


def test_revoked_token_is_refused_at_once(public: httpx.Client, hub: Hub, make_token: MakeToken) -> None:
    token = make_token("read")
    assert public.get(STATUS, headers=bearer(token)).status_code == 200

    with hub.transaction() as conn:
        tokens.revoke(conn, hub.home, 1, now=hub.now())

    answer = public.get(STATUS, headers=bearer(token))
    problem(answer, 401, "wrong-token")
    assert "invalid_token" in answer.headers["www-authenticate"]


def test_last_use_is_noted(public: httpx.Client, hub: Hub, make_token: MakeToken) -> None:
    token = make_token("read")
    make_token("read")

    public.get(STATUS, headers=bearer(token))
    public.get(STATUS, headers=bearer(token))  # on the same connection: the first one's note is written by now

    with hub.read() as conn:
        assert [each["last_used"] for each in tokens.tokens(conn)] == [hub.now(), None]


@pytest.mark.parametrize(
    "offered",
    [
        "Bearer",
        "Bearer nonsense",
        "Bearer calhub_1_x",
        "Bearer calhub_x_y",
        "Bearer calhub_9999999999999999999_x",
        "Basic YTpi",
    ],
)
def test_wrong_credentials_are_refused_on_loopback_too(api: httpx.Client, make_token: MakeToken, offered: str) -> None:
    """Whoever offers something is not taken for the owner when it is wrong."""
    make_token("admin")

    problem(api.get(STATUS, headers={"Authorization": offered}), 401, "wrong-token")


def test_guessing_is_slowed_down(public: httpx.Client, clock: Clock, make_token: MakeToken) -> None:
    """After some wrong tokens an address waits, longer each time, and the right one is not looked at either."""
    right, wrong = bearer(make_token("read")), bearer("calhub_1_wrong")
    for _ in range(6):
        problem(public.get(STATUS, headers=wrong), 401, "wrong-token")

    slowed = public.get(STATUS, headers=right)
    problem(slowed, 429, "too-many-requests")
    clock.now += int(slowed.headers["retry-after"])
    problem(public.get(STATUS, headers=wrong), 401, "wrong-token")
    again = public.get(STATUS, headers=right)
    assert int(again.headers["retry-after"]) > int(slowed.headers["retry-after"])
    clock.now += int(again.headers["retry-after"])
    assert public.get(STATUS, headers=right).status_code == 200


def test_rate(settings: Settings, serve: Serve, clock: Clock, make_token: MakeToken) -> None:
    """A token has its own allowance, which fills up again."""
    settings["api_rate"] = "3"
    api = serve().client
    one, other = bearer(make_token("read")), bearer(make_token("read"))

    assert [api.get(STATUS, headers=one).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert api.get(STATUS, headers=other).status_code == 200
    answer = api.get(STATUS, headers=one)
    problem(answer, 429, "too-many-requests")
    clock.now += int(answer.headers["retry-after"])
    assert api.get(STATUS, headers=one).status_code == 200


def test_a_clock_put_back_keeps_nobody_out(public: httpx.Client, clock: Clock, make_token: MakeToken) -> None:
    """An hour back: whoever had to wait waits no longer than before."""
    right, wrong = bearer(make_token("read")), bearer("calhub_1_wrong")
    for _ in range(6):
        problem(public.get(STATUS, headers=wrong), 401, "wrong-token")
    clock.put_back(3600)
    slowed = public.get(STATUS, headers=right)
    assert int(slowed.headers["retry-after"]) == 1
    clock.now += 1
    assert public.get(STATUS, headers=right).status_code == 200


@pytest.mark.parametrize("rate", ["", "many", "0", "-1", "1.5"])
def test_rate_that_is_none(here: Surroundings, settings: Settings, rate: str) -> None:
    """Said at the start, in a sentence."""
    settings["api_rate"] = rate

    with pytest.raises(InvalidValue, match="api_rate"):
        make_app(here)


# Signed requests


class Signer:
    def __init__(self, token: str, clock: Clock) -> None:
        self.token, self.clock, self.count = token, clock, 0

    def headers(self, method: str, target: str, body: bytes = b"", *, late: float = 0.0) -> dict[str, str]:
        self.count += 1
        nonce, timestamp = f"n{self.count}", str(self.clock.now - late)
        signature = sign(signing_key(self.token), method, target, timestamp, nonce, body)
        number = self.token.split("_")[1]
        return {
            "Authorization": f"{SIGNED} id={number}, timestamp={timestamp}, nonce={nonce}, signature={signature}",
            "Content-Type": "application/json",
        }


@pytest.fixture
def signer(make_token: MakeToken, clock: Clock) -> Signer:
    return Signer(make_token("admin"), clock)


def test_signed_request(public: httpx.Client, signer: Signer) -> None:
    """The token itself is never sent; body and query are covered."""
    body = json.dumps({"name": "Work"}).encode()

    made = public.post("/api/v1/calendars", content=body, headers=signer.headers("POST", "/api/v1/calendars", body))
    read = public.get("/api/v1/runs?limit=5", headers=signer.headers("GET", "/api/v1/runs?limit=5"))

    assert (made.status_code, read.status_code) == (201, 200)


def test_documented_signature(here: Surroundings, serve: Serve, make_token: MakeToken) -> None:
    """The lines of Python in docs/api.md make a signature that is accepted."""
    page = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()
    found = re.search(r"^ {4}import hashlib.*?(?=^\S)", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    names: dict[str, Any] = {}
    exec(textwrap.dedent(found[0]), names)  # our own page
    here.loopback, here.clock, here.steady = False, time.time, time.monotonic
    api = serve().client

    offered = names["authorization"](make_token("read"), "GET", "/api/v1/runs?limit=5")

    assert api.get("/api/v1/runs?limit=5", headers={"Authorization": offered}).status_code == 200


def test_signed_request_is_accepted_once(public: httpx.Client, signer: Signer) -> None:
    headers = signer.headers("GET", STATUS)

    assert public.get(STATUS, headers=headers).status_code == 200
    problem(public.get(STATUS, headers=headers), 401, "wrong-token")


def test_altered_requests_are_refused(public: httpx.Client, signer: Signer) -> None:
    """Another body, path, query or method than the one signed."""
    body = b'{"name": "Work"}'

    def headers() -> dict[str, str]:
        return signer.headers("POST", "/api/v1/calendars", body)

    problem(public.post("/api/v1/calendars", content=body + b" ", headers=headers()), 401, "wrong-token")
    problem(public.post("/api/v1/rules", content=body, headers=headers()), 401, "wrong-token")
    problem(public.post("/api/v1/calendars?x=1", content=body, headers=headers()), 401, "wrong-token")
    problem(public.put("/api/v1/calendars", content=body, headers=headers()), 401, "wrong-token")


def test_old_requests_are_refused(public: httpx.Client, signer: Signer, clock: Clock, serve: Serve) -> None:
    """Those of more than five minutes ago or ahead; and, whatever nonce they have, those from before a restart."""
    clock.now += 1000
    assert public.get(STATUS, headers=signer.headers("GET", STATUS, late=299)).status_code == 200
    problem(public.get(STATUS, headers=signer.headers("GET", STATUS, late=301)), 401, "wrong-token")
    problem(public.get(STATUS, headers=signer.headers("GET", STATUS, late=-301)), 401, "wrong-token")
    problem(public.get(STATUS, headers=signer.headers("GET", STATUS, late=float("nan"))), 401, "wrong-token")

    restarted = serve().client
    problem(restarted.get(STATUS, headers=signer.headers("GET", STATUS, late=1)), 401, "wrong-token")
    assert restarted.get(STATUS, headers=signer.headers("GET", STATUS)).status_code == 200


def test_a_clock_put_back_lets_signed_requests_in(public: httpx.Client, signer: Signer, clock: Clock) -> None:
    """By the new time; those of the old one are too far ahead, and none is accepted twice."""
    clock.now += 10
    early = signer.headers("GET", STATUS)
    assert public.get(STATUS, headers=early).status_code == 200
    clock.put_back(3600)

    headers = signer.headers("GET", STATUS, late=9)
    assert public.get(STATUS, headers=headers).status_code == 200
    problem(public.get(STATUS, headers=headers), 401, "wrong-token")
    problem(public.get(STATUS, headers=signer.headers("GET", STATUS, late=11)), 401, "wrong-token")
    clock.now += 3600
    problem(public.get(STATUS, headers=early), 401, "wrong-token")


# Sizes and failures


def test_declared_size(api: httpx.Client) -> None:
    """Refused before anything of the body is read."""
    connection = http.client.HTTPConnection(urlsplit(str(api.base_url)).netloc, timeout=30)
    connection.putrequest("POST", "/api/v1/events")
    connection.putheader("Content-Length", str(gate.BODY + 1))
    connection.endheaders()

    answer = connection.getresponse()

    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    connection.close()


@pytest.mark.parametrize("signed", [False, True])
def test_undeclared_size(api: httpx.Client, signer: Signer, signed: bool) -> None:
    """A body in chunks is cut off at the limit."""

    def chunks() -> Iterator[bytes]:
        for _ in range(gate.BODY // 65536 + 1):
            yield b" " * 65536

    headers = signer.headers("POST", "/api/v1/events") if signed else {"Content-Type": "application/json"}
    problem(api.post("/api/v1/events", content=chunks(), headers=headers), 413, "too-large")


def test_calendar_files_may_be_larger(work: httpx.Client) -> None:
    """10 MB for an import, and no more."""
    kind = {"Content-Type": "text/calendar"}
    path = "/api/v1/import?calendar=Work"
    filling = b"X-FILL:" + b"x" * 2 * gate.BODY + b"\r\n"
    text = work.get("/api/v1/export?calendar=Work").content.replace(b"END:V", filling + b"END:V")

    assert work.post(path, content=text, headers=kind).status_code == 200
    problem(work.post(path, content=b" " * (gate.FILE + 1), headers=kind), 413, "too-large")


def test_unexpected_failure_tells_nothing(work: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is a problem without a trace of the code or of the event that is to blame."""
    add(work, title="Secret plan")

    def broken(*_: object) -> None:
        raise RuntimeError("Secret plan")

    monkeypatch.setattr(runs, "event_shape", broken)
    answer = work.get("/api/v1/events")

    found = problem(answer, 500, "internal-server-error")
    assert "Secret" not in answer.text
    assert "runs.py" not in json.dumps(found)


def test_unknown_addresses_and_methods(api: httpx.Client) -> None:
    problem(api.get("/api/v1/nothing"), 404, "not-found")
    answer = api.patch(STATUS)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


def test_answers_are_not_kept_by_anybody(api: httpx.Client) -> None:
    for answer in (api.get(STATUS), api.get("/nothing")):
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "sync", {"timeout": True}),
        ("POST", "sync", {"timeout": "5"}),
        ("POST", "sync", {"full": 1}),
        ("POST", "sync", {"dry_run": "yes"}),
        ("PATCH", "accounts/x", {"priority": True}),
        ("PATCH", "accounts/x", {"interval": "300"}),
        ("POST", "replicas", {"calendar": "a", "account": "b", "settings": {"past": True}}),
        ("POST", "replicas", {"calendar": "a", "account": "b", "settings": {"guard_share": True}}),
        ("POST", "replicas", {"calendar": "a", "account": "b", "settings": {"invitations": 0}}),
        ("POST", "events", {"calendar": "a", "title": "t", "start": "2026-11-23", "all_day": 1}),
        ("POST", "events", {"calendar": "a", "title": 1, "start": "2026-11-23"}),
        ("POST", "rules", {"kind": "mirror", "source": "a", "target": "b", "options": {"private": 1}}),
        ("POST", "dry-run", {"on": "true"}),
        ("POST", "runs/1/undo", {"dry_run": 0}),
        ("POST", "cleanup", {"remote": 1}),
        ("POST", "calendars/x/reset", {"confirm": "true"}),
    ],
)
def test_kinds_of_values_are_not_mixed_up(api: httpx.Client, method: str, path: str, body: dict[str, object]) -> None:
    """True is no number, 1 is not true, and a text is neither: whoever sends one means something else."""
    problem(api.request(method, f"/api/v1/{path}", json=body), 422, "invalid-request")
