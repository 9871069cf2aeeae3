"""Tokens are renewed in time, once, and what a renewal brings is never lost. Over real connections."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.providers.desk import Desk

from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import Unreached
from calhub.providers.oauth import FixedToken, RenewedTokens, Service
from calhub.providers.oauth_services import google, microsoft, notion, tokens
from calhub.providers.vault import MemoryVault
from calhub.testing.services.base import Receiver, Request, Response
from calhub.testing.world import VirtualClock


@pytest.fixture
def vault(desk: Desk) -> MemoryVault:
    """An account that signed in before, whose access token is not known any more."""
    return MemoryVault({"refresh_token": desk.oauth.issue(), "client_secret": "client-secret"})


@pytest.fixture
def renewed(desk: Desk, vault: MemoryVault, clock: VirtualClock) -> RenewedTokens:
    return RenewedTokens(desk.client(), vault, clock=clock)


# Renewing.


def test_token_is_used_until_a_minute_before_its_end(desk: Desk, renewed: RenewedTokens, clock: VirtualClock) -> None:
    """A token that lives an hour is renewed after 59 minutes."""
    first = renewed.current()
    clock.advance(minutes=58, seconds=59)
    still = renewed.current()
    clock.advance(seconds=1)
    second = renewed.current()

    assert (first == still, second == first) == (True, False)
    assert desk.refreshes == 2


def test_short_lived_tokens_are_used_for_half_their_life(
    desk: Desk, renewed: RenewedTokens, clock: VirtualClock
) -> None:
    """Where a token lives for less than two minutes, it is still used more than once."""
    desk.oauth.lifetime = 20
    first = renewed.current()
    clock.advance(seconds=9)

    assert renewed.current() == first
    clock.advance(seconds=1)
    assert renewed.current() != first


def test_processes_share_a_token(desk: Desk, vault: MemoryVault, renewed: RenewedTokens, clock: VirtualClock) -> None:
    """The access token is in the vault: the next process asks for none."""
    first = renewed.current()

    assert RenewedTokens(desk.client(), vault, clock=clock).current() == first
    assert desk.refreshes == 1


def test_threads_renew_once(desk: Desk, renewed: RenewedTokens) -> None:
    """Eight threads that find the token ended make one request."""
    together = threading.Barrier(8)

    def current(_: int) -> str:
        together.wait(timeout=30)
        return renewed.current()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(current, range(8)))

    assert len(found) == 1
    assert desk.refreshes == 1


def test_refused_token_is_renewed(desk: Desk, renewed: RenewedTokens) -> None:
    """A token the service does not accept any more is not handed out again, however long it should have lived."""
    first = renewed.current()
    renewed.refused(first)

    assert renewed.current() != first
    assert desk.refreshes == 2


def test_what_somebody_else_renewed_is_taken(
    desk: Desk, vault: MemoryVault, renewed: RenewedTokens, clock: VirtualClock
) -> None:
    """Two processes whose token was refused renew it once."""
    other = RenewedTokens(desk.client(), vault, clock=clock)
    first = renewed.current()
    assert other.current() == first
    renewed.refused(first)
    other.refused(first)

    assert renewed.current() == other.current() != first
    assert desk.refreshes == 2


def test_token_without_an_end_is_used_until_refused(desk: Desk, renewed: RenewedTokens, clock: VirtualClock) -> None:
    """A service need not say how long a token lives."""
    desk.oauth.extra = {"expires_in": None}
    first = renewed.current()
    clock.advance(days=400)

    assert renewed.current() == first
    assert desk.refreshes == 1


# Rotation.


class _Dying(MemoryVault):
    """The process dies while it saves, or right after."""

    def __init__(self, secrets: Mapping[str, str], *, after: bool) -> None:
        super().__init__(secrets)
        self._after = after

    def save(self, secrets: Mapping[str, str]) -> None:
        if self._after:
            super().save(secrets)
        raise KeyboardInterrupt


def test_rotated_token_is_saved_before_the_new_one_is_used(desk: Desk, clock: VirtualClock) -> None:
    """Killed right after saving, before any use: the next process goes on with what was saved."""
    vault = _Dying({"refresh_token": desk.oauth.issue()}, after=True)
    with pytest.raises(KeyboardInterrupt):
        RenewedTokens(desk.client(), vault, clock=clock).current()

    survivor = MemoryVault(vault.load())
    clock.advance(hours=2)

    assert RenewedTokens(desk.client(), survivor, clock=clock).current() == "access-2"


def test_token_that_was_not_saved_is_not_used(desk: Desk, clock: VirtualClock) -> None:
    """When saving fails, nobody gets the new token, also not with the next call."""
    dying = RenewedTokens(desk.client(), _Dying({"refresh_token": desk.oauth.issue()}, after=False), clock=clock)
    with pytest.raises(KeyboardInterrupt):
        dying.current()

    with pytest.raises(ProviderError):
        dying.current()


def test_refresh_token_is_kept_where_it_does_not_rotate(
    desk: Desk, vault: MemoryVault, renewed: RenewedTokens, clock: VirtualClock
) -> None:
    """A service that sends no new refresh token means the old one."""
    desk.oauth.rotates = False
    before = vault.load()["refresh_token"]
    renewed.current()
    clock.advance(hours=2)
    renewed.current()

    assert vault.load()["refresh_token"] == before


# Failures.


def test_dead_grant_needs_a_login(desk: Desk, renewed: RenewedTokens) -> None:
    """``invalid_grant`` is for the user to mend; the error has no secret in it."""
    desk.oauth.revoke_all()

    with pytest.raises(ProviderError) as caught:
        renewed.current()
    assert caught.value.trait is Trait.LOGIN
    assert "Desk" in caught.value.message
    assert "refresh" not in repr(caught.value)


def test_wrong_client_needs_a_login(desk: Desk, vault: MemoryVault, clock: VirtualClock) -> None:
    """A client secret that has expired is for the user to mend, and told apart from a dead grant."""
    with pytest.raises(ProviderError, match="client id and secret") as caught:
        RenewedTokens(desk.client(client_secret="hush-hush"), vault, clock=clock).current()
    assert caught.value.trait is Trait.LOGIN
    assert "hush-hush" not in repr(caught.value) + repr(desk.client(client_secret="hush-hush"))


def test_account_without_refresh_token_needs_a_login(desk: Desk) -> None:
    with pytest.raises(ProviderError) as caught:
        RenewedTokens(desk.client(), MemoryVault()).current()
    assert caught.value.trait is Trait.LOGIN
    assert desk.refreshes == 0


@pytest.mark.parametrize("how", ["cut-before", "truncated"])
def test_broken_connections_pass(desk: Desk, renewed: RenewedTokens, how: Any) -> None:
    """A token endpoint that breaks off can be asked again later."""
    desk.oauth.rotates = False
    desk.fail("POST /token", how)

    with pytest.raises(ProviderError) as caught:
        renewed.current()
    assert caught.value.trait is Trait.RETRY
    assert renewed.current()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_endpoint_passes(desk: Desk, renewed: RenewedTokens, status: int) -> None:
    """Throttling and failures of the endpoint are passing, with the time it asks for."""
    desk.fail("POST /token", "status", status=status, retry_after=7)

    with pytest.raises(ProviderError) as caught:
        renewed.current()
    assert (caught.value.trait, caught.value.retry_after) == (Trait.RETRY, 7)
    assert renewed.current()


@pytest.mark.parametrize(
    ("reply", "trait"),
    [
        (Response(body=b"<html>", headers={"Content-Type": "text/html"}), Trait.RETRY),
        (Response.of([]), Trait.RETRY),
        (Response.of({"token_type": "Bearer"}), Trait.RETRY),
        (Response.of({"access_token": "a\nb"}), Trait.RETRY),
        (Response.of({"error": "temporarily_unavailable"}, 400), Trait.RETRY),
        (Response.of({"error": "interaction_required"}, 400), Trait.LOGIN),
        (Response.of({"error": {"code": 17}}, 400), Trait.FATAL),
        (Response.of({"error": "invalid_request"}, 400), Trait.FATAL),
        (Response(status=404), Trait.FATAL),
    ],
)
def test_other_answers(vault: MemoryVault, reply: Response, trait: Trait) -> None:
    """Whatever a token endpoint says ends in an error of the right kind."""
    with Receiver(reply=lambda _: reply) as endpoint:
        service = Service(
            name="Desk", client_id="c", authorize_url=f"{endpoint.url}/a", token_url=f"{endpoint.url}/token"
        )
        with pytest.raises(ProviderError) as caught:
            RenewedTokens(service, vault).current()
    assert caught.value.trait is trait


def test_refresh_token_does_not_follow_a_redirect(vault: MemoryVault) -> None:
    """A token endpoint that sends us elsewhere does not get our secrets sent there."""
    with Receiver() as elsewhere:
        away = Response(status=307, headers={"Location": f"{elsewhere.url}/token"})
        with Receiver(reply=lambda _: away) as endpoint:
            service = Service(name="Desk", client_id="c", authorize_url=endpoint.url, token_url=f"{endpoint.url}/t")
            with pytest.raises(ProviderError):
                RenewedTokens(service, vault).current()
        assert elsewhere.log == []


def test_endpoint_that_is_away(vault: MemoryVault) -> None:
    with Receiver() as endpoint:
        url = endpoint.url
    with pytest.raises(Unreached):
        RenewedTokens(Service(name="D", client_id="c", authorize_url=url, token_url=url), vault).current()


# Services.


@pytest.mark.parametrize("url", ["http://token.example.org/token", "http://192.168.1.7/token", "ftp://127.0.0.1/", ""])
def test_endpoints_are_https_or_of_this_machine(url: str) -> None:
    """Plain http carries tokens to loopback hosts only."""
    with pytest.raises(ProviderError) as caught:
        Service(name="Desk", client_id="c", authorize_url="https://example.org/", token_url=url)
    assert caught.value.trait is Trait.FATAL


@pytest.mark.parametrize(
    ("settings", "token_url"),
    [
        ({}, "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
        ({"tenant": "contoso"}, "https://login.microsoftonline.com/contoso/oauth2/v2.0/token"),
        ({"authority": "https://login.example.us/"}, "https://login.example.us/common/oauth2/v2.0/token"),
        ({"authority": "https://login.example.us/contoso"}, "https://login.example.us/contoso/oauth2/v2.0/token"),
        ({"authority": "https://l.example/x", "tenant": "x"}, "https://l.example/x/oauth2/v2.0/token"),
        ({"authority": "http://127.0.0.1:9", "tenant": "x"}, "http://127.0.0.1:9/x/oauth2/v2.0/token"),
    ],
)
def test_microsoft_authority(settings: dict[str, str], token_url: str) -> None:
    """The tenant may be a setting of its own or a part of the authority."""
    assert microsoft({"client_id": "c", **settings}, {}).token_url == token_url


def test_microsoft_clients() -> None:
    """Without a secret the client is a public one and sends none."""
    assert microsoft({"client_id": "c"}, {}).client_auth == "none"
    assert microsoft({"client_id": "c"}, {"client_secret": "s"}).client_auth == "client_secret_post"


def test_google_endpoints() -> None:
    service = google({"client_id": "c", "token_uri": "http://127.0.0.1:9/token"}, {"client_secret": "s"})

    assert service.token_url == "http://127.0.0.1:9/token"
    assert service.authorize_url == "https://accounts.google.com/o/oauth2/v2/auth"


def test_client_id_is_needed() -> None:
    with pytest.raises(ProviderError, match="client_id") as caught:
        google({}, {})
    assert caught.value.trait is Trait.FATAL


def test_integration_token_needs_no_client() -> None:
    """A Notion account with a token is not renewed: there is nothing to renew it with."""
    found = tokens("notion", {}, MemoryVault({"token": "ntn_x\n"}))
    assert isinstance(found, FixedToken)
    found.refused("ntn_x")

    assert found.current() == "ntn_x"


def test_refresh_token_goes_before_a_token(desk: Desk) -> None:
    """What other programs keep in a file may hold both; the one that lasts is used."""
    settings = {"client_id": "client", "token_uri": f"{desk.url}/token"}
    vault = MemoryVault({"token": "old", "refresh_token": desk.oauth.issue(), "client_secret": "client-secret"})

    assert tokens("google", settings, vault).current() == "access-1"


@pytest.mark.parametrize("token", ["", "  ", "a\nb", "ä"])
def test_tokens_that_cannot_be_sent(token: str) -> None:
    with pytest.raises(ProviderError):
        FixedToken(token)


def test_notion_is_asked_in_json() -> None:
    """Notion wants JSON and the client by Basic authentication."""
    asked: list[Request] = []

    def reply(request: Request) -> Response:
        asked.append(request)
        return Response.of({"access_token": "a", "refresh_token": "r2"})

    with Receiver(reply=reply) as endpoint:
        service = notion({"client_id": "id", "api_root": f"{endpoint.url}/v1"}, {"client_secret": "s"})
        vault = MemoryVault({"refresh_token": "r1"})
        assert RenewedTokens(service, vault).current() == "a"

    assert asked[0].path == "/v1/oauth/token"
    assert asked[0].json() == {"grant_type": "refresh_token", "refresh_token": "r1"}
    assert asked[0].header("authorization") == "Basic aWQ6cw=="
    assert vault.load()["refresh_token"] == "r2"
