"""The JSON client, over real connections to a service that wants tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from tests.providers.desk import Desk
from tests.providers.test_limits import Time

from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import NoAnswer, Unreached
from calhub.providers.limits import Limiter
from calhub.providers.oauth import FixedToken, RenewedTokens
from calhub.providers.rest import Rest
from calhub.providers.vault import MemoryVault
from calhub.testing.services.base import Receiver, Response
from calhub.testing.world import VirtualClock

Fixed = Callable[..., Rest]


@pytest.fixture
def rest(desk: Desk, clock: VirtualClock) -> Iterator[Rest]:
    """An account whose tokens are renewed."""
    vault = MemoryVault({"refresh_token": desk.oauth.issue()})
    tokens = RenewedTokens(desk.client(), vault, clock=clock)
    with closing(Rest(f"{desk.url}/v1/", tokens, headers={"X-Version": "7"})) as rest:
        yield rest


@pytest.fixture
def fixed() -> Iterator[Fixed]:
    """``fixed(root)``: an account whose token is what it is."""
    with ExitStack() as stack:

        def connect(root: str, token: str = "token", limiter: Limiter | None = None) -> Rest:
            return stack.enter_context(closing(Rest(root, FixedToken(token), limiter=limiter)))

        yield connect


def test_exchange(desk: Desk, rest: Rest) -> None:
    """Path, parameters, headers and JSON go out; status, headers and JSON come back."""
    reply = rest.request(
        "PATCH", "papers/a%2Fb", params={"q": "x y+z", "f": ["1", "2"]}, json={"ä": None}, headers={"If-Match": '"1"'}
    )

    assert (reply.status, reply.json) == (200, {"paper": "a/b", "sent": {"ä": None}})
    assert reply.headers["content-type"].startswith("application/json")
    (sent,) = desk.requests("PATCH *")
    assert sent.query == {"q": ["x y+z"], "f": ["1", "2"]}
    assert sent.header("if-match") == '"1"'
    assert sent.header("x-version") == "7"
    assert sent.header("content-type") == "application/json"
    assert rest.requests == 1


def test_links_of_the_service_are_followed(desk: Desk, rest: Rest) -> None:
    """A next page is given as an address; its own query stays."""
    reply = rest.request("GET", f"{desk.url}/v1/papers/next?token=%2Bx")

    assert reply.json["paper"] == "next"
    assert desk.requests("GET *")[0].param("token") == "+x"


def test_token_goes_to_nobody_else(rest: Rest, fixed: Fixed) -> None:
    """Neither a link nor a redirect takes the token to another host."""
    with Receiver() as elsewhere:
        away = Response(status=302, headers={"Location": f"{elsewhere.url}/x"})
        with pytest.raises(ProviderError) as linked:
            rest.request("GET", f"{elsewhere.url}/x")
        with Receiver(reply=lambda _: away) as redirecting, pytest.raises(ProviderError) as redirected:
            fixed(redirecting.url).request("POST", "x")
        assert elsewhere.log == []
    assert {linked.value.trait, redirected.value.trait} == {Trait.FATAL}


def test_expired_token_is_renewed_once(desk: Desk, rest: Rest) -> None:
    """A 401 brings a fresh token and the same request again, body and all."""
    rest.request("GET", "papers/1")
    desk.oauth.expire()
    reply = rest.request("POST", "papers/2", json={"a": 1})

    assert reply.json == {"paper": "2", "sent": {"a": 1}}
    assert len(desk.requests("POST /v1/*")) == 2
    assert desk.refreshes == 2


def test_withdrawn_access_needs_a_login(desk: Desk, rest: Rest) -> None:
    """When a renewed token is refused too, or there is none, only the user can help; it is not tried for ever."""
    rest.request("GET", "papers/1")
    desk.oauth.revoke_all()

    with pytest.raises(ProviderError) as caught:
        rest.request("GET", "papers/1")
    assert caught.value.trait is Trait.LOGIN
    assert len(desk.requests("GET *")) == 2


def test_refused_integration_token_needs_a_login(desk: Desk, fixed: Fixed) -> None:
    """A token that cannot be renewed is tried once."""
    with pytest.raises(ProviderError) as caught:
        fixed(f"{desk.url}/v1").request("GET", "papers/1")
    assert caught.value.trait is Trait.LOGIN
    assert len(desk.requests("GET *")) == 1


@pytest.mark.parametrize("how", ["status", "cut-after"])
def test_write_without_a_token_was_not_sent(desk: Desk, rest: Rest, how: Any) -> None:
    """Whatever goes wrong at the token endpoint, the write itself is certain not to have been applied."""
    desk.fail("POST /token", how)

    with pytest.raises(Unreached) as caught:
        rest.request("POST", "papers/1", json={})
    assert caught.value.trait is Trait.RETRY
    assert desk.requests("POST /v1/*") == []


@pytest.mark.parametrize("how", ["cut-before", "cut-after", "truncated"])
def test_no_whole_answer(desk: Desk, rest: Rest, how: Any) -> None:
    """A write whose answer is lost or cut is in doubt."""
    desk.fail("POST /v1/*", how)

    with pytest.raises(NoAnswer):
        rest.request("POST", "papers/1", json={})


def test_dead_service(fixed: Fixed) -> None:
    with Receiver() as gone:
        url = gone.url
    with pytest.raises(Unreached):
        fixed(url).request("GET", "x")


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 412, 429, 500, 503])
def test_other_statuses_are_answers(desk: Desk, rest: Rest, status: int) -> None:
    """What a status means is for the provider to say."""
    desk.reply = Response.of({"error": {"code": status}}, status)

    reply = rest.request("GET", "papers/1")
    assert (reply.status, reply.json) == (status, {"error": {"code": status}})


@pytest.mark.parametrize(
    "reply",
    [
        Response(body=b'{"items": [', headers={"Content-Type": "application/json"}),
        Response(body=b"<html>Please sign in to this network", headers={"Content-Type": "text/html; charset=utf-8"}),
    ],
)
def test_success_that_cannot_be_understood(desk: Desk, rest: Rest, reply: Response) -> None:
    """A success must be understood to count as one."""
    desk.reply = reply

    with pytest.raises(NoAnswer):
        rest.request("GET", "papers/1")


@pytest.mark.parametrize(
    "reply",
    [
        Response(status=502, body=b"<html>", headers={"Content-Type": "text/html"}),
        Response(status=400, body=b"{", headers={"Content-Type": "application/json"}),
        Response(status=204),
        Response(body=b"--b\r\n", headers={"Content-Type": "multipart/mixed; boundary=b"}),
    ],
)
def test_answers_without_json(desk: Desk, rest: Rest, reply: Response) -> None:
    """Errors of proxies, empty answers and batches have no JSON; the body is there as it came."""
    desk.reply = reply

    found = rest.request("GET", "papers/1")
    assert (found.status, found.json, found.body) == (reply.status, None, reply.body)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_busy_service_holds_everybody(desk: Desk, fixed: Fixed, status: int) -> None:
    """Retry-After makes the account's limiter pause; the answer itself goes to the provider."""
    time = Time()
    limiter = Limiter(rate=100, burst=100, clock=time, sleep=time.sleep)
    rest = fixed(f"{desk.url}/v1", desk.oauth.access(), limiter)
    desk.fail("GET *", "status", status=status, retry_after=11)

    assert rest.request("GET", "papers/1").status == status
    rest.request("GET", "papers/1")
    assert time.slept == [11.0]


def test_cost_is_taken_from_the_limiter(desk: Desk, fixed: Fixed) -> None:
    time = Time()
    limiter = Limiter(rate=1, burst=20, clock=time, sleep=time.sleep)
    rest = fixed(f"{desk.url}/v1", desk.oauth.access(), limiter)
    rest.request("GET", "papers/1", cost=20)
    rest.request("GET", "papers/1")

    assert time.slept == [1.0]


@pytest.mark.parametrize("root", ["http://api.example.org/v1", "http://10.0.0.1/v1"])
def test_root_is_https_or_of_this_machine(fixed: Fixed, root: str) -> None:
    with pytest.raises(ProviderError) as caught:
        fixed(root)
    assert caught.value.trait is Trait.FATAL
