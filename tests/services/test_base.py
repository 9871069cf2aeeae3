"""The base of the emulators, over real connections."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from calhub.testing.services.base import Failed, Receiver, Request, Response, Route, Service
from calhub.testing.services.oauth import DEVICE_GRANT, OAuth, Paths
from calhub.testing.world import VirtualClock

LOOPBACK = "http://127.0.0.1:9/"


class Notes(Service):
    """A service of texts."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.notes: dict[str, str] = {}
        self.oauth = OAuth(clock=clock, paths=Paths(device="/device", revoke="/revoke"), rotates=True)

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", "/notes/{note}", self.put),
            Route("GET", "/notes/{note}", self.read),
            Route("POST", "/batch", self.batch),
            Route("GET", "/files/{name:path}", lambda request: Response.of(request.path_value("name"))),
            *self.oauth.routes(),
        ]

    def expire_tokens(self) -> None:
        self.oauth.expire()

    def put(self, request: Request) -> Response:
        self.notes[request.path_value("note")] = request.body.decode()
        return Response.of({"stored": True})

    def read(self, request: Request) -> Response:
        if request.path_value("note") not in self.notes:
            raise Failed(Response.of({"error": "no such note"}, 404))
        return Response.of({"text": self.notes[request.path_value("note")], "scope": self.oauth.scope_of(request)})

    def batch(self, request: Request) -> Response:
        return Response.of([self.part(request, "PUT", f"/notes/{n}", {}, b"x").status for n in request.json()])


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def notes(clock: VirtualClock) -> Iterator[Notes]:
    with Notes(clock) as service:
        yield service


@pytest.fixture
def client(notes: Notes) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=notes.url, trust_env=False) as client:
        yield client


def test_routes_decode_their_values(client: httpx.Client, notes: Notes) -> None:
    assert client.put("/notes/a%2Fb%40c?x=1&x=2", content=b"text").json() == {"stored": True}
    assert notes.notes == {"a/b@c": "text"}
    assert client.get("/files/a/b%20c").json() == "a/b c"
    assert client.get("/nowhere").status_code == 404
    assert client.delete("/notes/1").status_code == 405
    assert client.get("/notes/1").json() == {"error": "no such note"}
    first = notes.log[0]
    assert (first.name, first.query["x"], first.param("x"), first.order) == ("PUT /notes/a%2Fb%40c", ["1", "2"], "2", 1)


@pytest.mark.parametrize(("how", "applied"), [("status", False), ("status-after", True)])
def test_an_error_comes_before_or_after_applying(client: httpx.Client, notes: Notes, how: str, applied: bool) -> None:
    notes.fail("PUT *", how, status=429, retry_after=7)  # type: ignore[arg-type]
    answer = client.put("/notes/1", content=b"one")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert ("1" in notes.notes) is applied
    assert client.put("/notes/1", content=b"one").status_code == 200


@pytest.mark.parametrize(("how", "applied"), [("cut-before", False), ("cut-after", True), ("truncated", True)])
def test_a_connection_breaks(client: httpx.Client, notes: Notes, how: str, applied: bool) -> None:
    notes.fail("PUT *", how, skip=1)  # type: ignore[arg-type]
    assert client.put("/notes/0", content=b"zero").status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        client.put("/notes/1", content=b"one")
    assert ("1" in notes.notes) is applied


def test_a_fault_strikes_inside_a_batch(client: httpx.Client, notes: Notes) -> None:
    notes.fail("PUT */2", "status", status=500, part=True)
    assert client.post("/batch", json=["1", "2", "3"]).json() == [200, 500, 200]
    notes.fail("PUT */5", "cut-after", part=True)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/batch", json=["4", "5", "6"])
    assert sorted(notes.notes) == ["1", "3", "4", "5"]
    assert [request.part_of for request in notes.requests("PUT *")] == [1, 1, 1, 5, 5]


def test_webhooks_are_posted_for_real(notes: Notes) -> None:
    with Receiver(status=202) as receiver:
        notes.notify(receiver.url + "/hook", {"X-Token": "t"}, b"body")
        assert receiver.log == []
        assert [message.status for message in notes.deliver()] == [202]
        gone = receiver.url
    assert (receiver.log[0].header("x-token"), receiver.log[0].body) == ("t", b"body")
    notes.notify(gone, {})
    assert [message.status for message in notes.deliver()] == [None]


def _token(client: httpx.Client, **form: str) -> httpx.Response:
    return client.post("/token", data={"client_id": "client", "client_secret": "client-secret", **form})


def _code(client: httpx.Client, verifier: str, scope: str = "a b") -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {"client_id": "client", "redirect_uri": LOOPBACK, "response_type": "code", "scope": scope, "state": "s"}
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    answer = client.get("/o/oauth2/v2/auth", params={**asked, **pkce})
    values = parse_qs(urlsplit(answer.headers["location"]).query)
    assert values["state"] == ["s"]
    return values["code"][0]


def test_a_code_is_redeemed_once_with_its_verifier(client: httpx.Client, notes: Notes) -> None:
    notes.oauth.user.unticks = frozenset({"b"})
    code = _code(client, "verifier")
    asked = {"grant_type": "authorization_code", "redirect_uri": LOOPBACK, "code_verifier": "verifier"}
    answer = _token(client, code=code, **asked).json()
    assert (answer["scope"], answer["expires_in"]) == ("a", 3600)
    assert answer["refresh_token"]
    assert _token(client, code=code, **asked).json()["error"] == "invalid_grant"
    wrong = _token(client, code=_code(client, "other"), **asked)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")


def test_refresh_tokens_rotate_and_access_tokens_expire(
    client: httpx.Client, notes: Notes, clock: VirtualClock
) -> None:
    notes.notes["1"] = "one"
    first = notes.oauth.issue("calendar")
    answer = _token(client, grant_type="refresh_token", refresh_token=first).json()
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert client.get("/notes/1", headers=bearer).json()["scope"] == "calendar"
    clock.advance(hours=1)
    assert client.get("/notes/1", headers=bearer).json()["scope"] is None
    assert _token(client, grant_type="refresh_token", refresh_token=first).json()["error"] == "invalid_grant"
    second = _token(client, grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    notes.fail("GET *", "expired", skip=1)
    assert [client.get("/notes/1", headers=bearer).json()["scope"] for _ in range(2)] == ["calendar", None]
    notes.oauth.revoke_all()
    answer = _token(client, grant_type="refresh_token", refresh_token=second["refresh_token"]).json()
    assert answer["error"] == "invalid_grant"


def test_a_device_code_waits_for_its_user(client: httpx.Client, notes: Notes) -> None:
    device = client.post("/device", data={"client_id": "client", "scope": "a"}).json()
    asked = {"grant_type": DEVICE_GRANT, "device_code": device["device_code"]}
    assert _token(client, **asked).json()["error"] == "authorization_pending"
    notes.oauth.approve_device(device["user_code"])
    assert _token(client, **asked).json()["scope"] == "a"
    assert _token(client, **asked).json()["error"] == "invalid_grant"


def test_a_client_needs_its_secret(client: httpx.Client, notes: Notes) -> None:
    token = notes.oauth.issue()
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "client", "client_secret": "wrong"}
    assert client.post("/token", data=form).status_code == 401
    basic = client.post(
        "/token", json={"grant_type": "refresh_token", "refresh_token": token}, auth=("client", "client-secret")
    )
    assert basic.status_code == 200
    assert client.post("/revoke", data={"token": basic.json()["access_token"]}).status_code == 200
    assert _token(client, grant_type="refresh_token", refresh_token=basic.json()["refresh_token"]).status_code == 400
