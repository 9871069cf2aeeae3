"""Signing in: an HTTP client stands in for the browser, and everything goes over real connections."""

from __future__ import annotations

import socket
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from tests.providers.desk import Desk

from calhub.providers.base import ProviderError, Trait
from calhub.providers.oauth import RenewedTokens
from calhub.providers.oauth_services import notion
from calhub.providers.signin import by_device_code, in_browser
from calhub.providers.vault import MemoryVault
from calhub.testing.services.base import Receiver, Response
from calhub.testing.services.oauth import Paths
from calhub.testing.world import VirtualClock


class Browser:
    """Opens an address as a browser does; ``visits`` are the pages it was shown in the end."""

    def __init__(self) -> None:
        self.visits: list[httpx.Response] = []

    def __call__(self, url: str) -> None:
        self.visits.append(httpx.get(url, follow_redirects=True, trust_env=False))


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def told() -> list[str]:
    """What the user was told."""
    return []


def redirect_of(url: str) -> tuple[str, str]:
    """The redirect address and the state in the address of a sign-in page."""
    query = parse_qs(urlsplit(url).query)
    return query["redirect_uri"][0], query["state"][0]


# In the browser.


def test_browser(desk: Desk, browser: Browser, told: list[str], clock: VirtualClock) -> None:
    """Code with PKCE, a redirect to this machine, a state: what comes out signs the account in."""
    secrets = in_browser(desk.client(optional_scopes=("more",), login_params={"p": "v"}), told.append, browser)

    (asked,) = desk.requests("GET *")
    assert asked.param("code_challenge_method") == "S256"
    assert asked.param("scope") == "papers.write more"
    assert asked.param("p") == "v"
    assert urlsplit(asked.param("redirect_uri")).hostname == "127.0.0.1"
    (page,) = browser.visits
    assert page.status_code == 200
    assert "You can close this page" in page.text
    assert any(url.startswith(desk.url) for url in told[0].split())
    assert RenewedTokens(desk.client(), MemoryVault(secrets), clock=clock).current() == secrets["access_token"]


def test_address_is_told_where_there_is_no_browser(desk: Desk, browser: Browser) -> None:
    """Without a browser to open, the user opens the address that is shown."""

    def show(text: str) -> None:
        browser(text.split()[-1])

    assert in_browser(desk.client(), show, None)["refresh_token"]


def test_each_sign_in_is_unlike_the_last(desk: Desk, browser: Browser, told: list[str]) -> None:
    """State and challenge are fresh each time."""
    for _ in range(2):
        in_browser(desk.client(), told.append, browser)

    first, second = desk.requests("GET *")
    assert first.param("state") != second.param("state")
    assert first.param("code_challenge") != second.param("code_challenge")


def test_nothing_secret_is_told(desk: Desk, browser: Browser, told: list[str]) -> None:
    """Neither code nor verifier nor client secret is shown; the page in the browser says nothing either."""
    secrets = in_browser(desk.client(), told.append, browser)

    (exchange,) = desk.requests("POST /token")
    hidden = {*secrets.values(), exchange.form()["code"], exchange.form()["code_verifier"], "client-secret"}
    shown = "".join(told) + browser.visits[0].text
    assert not [secret for secret in hidden if secret in shown]


def test_visits_with_a_wrong_state_are_turned_away(desk: Desk, browser: Browser, told: list[str]) -> None:
    """Somebody else's page cannot slip in a code of its own, and does not end the waiting."""
    turned_away: list[int] = []

    def attacked(url: str) -> None:
        redirect, _ = redirect_of(url)
        for query in ({"code": "evil"}, {"code": "evil", "state": "guess"}, {"error": "access_denied"}):
            turned_away.append(httpx.get(f"{redirect}/?{urlencode(query)}", trust_env=False).status_code)
        browser(url)

    assert in_browser(desk.client(), told.append, attacked)["refresh_token"]
    assert turned_away == [400, 400, 400]
    assert desk.requests("POST /token")[0].form()["code"] != "evil"


def test_silent_connections_do_not_block(desk: Desk, browser: Browser, told: list[str]) -> None:
    """Browsers open connections in advance and say nothing on them."""
    silent: list[socket.socket] = []

    def eager(url: str) -> None:
        parts = urlsplit(redirect_of(url)[0])
        silent.append(socket.create_connection((parts.hostname or "", parts.port or 0)))
        browser(url)

    try:
        assert in_browser(desk.client(), told.append, eager)["refresh_token"]
    finally:
        for each in silent:
            each.close()


def test_user_says_no(desk: Desk, browser: Browser, told: list[str]) -> None:
    desk.oauth.user.denies = True

    with pytest.raises(ProviderError, match="declined at Desk") as caught:
        in_browser(desk.client(), told.append, browser)
    assert caught.value.trait is Trait.LOGIN
    assert desk.refreshes == 0


def test_service_breaks_off(desk: Desk, told: list[str]) -> None:
    """An error that the service sends back names itself, as far as it is a plain word."""

    def broken(url: str) -> None:
        redirect, state = redirect_of(url)
        httpx.get(f"{redirect}/?{urlencode({'error': 'invalid_scope', 'state': state})}", trust_env=False)

    with pytest.raises(ProviderError, match="invalid_scope"):
        in_browser(desk.client(), told.append, broken)


def test_nobody_comes(desk: Desk, told: list[str]) -> None:
    with pytest.raises(ProviderError, match="in time") as caught:
        in_browser(desk.client(), told.append, None, seconds=0)
    assert caught.value.trait is Trait.LOGIN


def test_unticked_right(desk: Desk, browser: Browser, told: list[str]) -> None:
    """A right that calhub needs and the user unticked is named; one it can do without is not missed."""
    client = desk.client(scopes=("https://desk/auth/papers.write", "papers.list"), optional_scopes=("papers.create",))
    desk.oauth.user.unticks = frozenset({"papers.create"})
    assert in_browser(client, told.append, browser)

    desk.oauth.user.unticks = frozenset({"https://desk/auth/papers.write"})
    with pytest.raises(ProviderError, match=r"papers\.write") as caught:
        in_browser(client, told.append, browser)
    assert "papers.list" not in caught.value.message


def test_no_refresh_token(desk: Desk, browser: Browser, told: list[str]) -> None:
    """A token that ends within the hour is no sign-in, unless the service's tokens last."""
    desk.oauth.gives_refresh = False
    with pytest.raises(ProviderError, match="refresh token"):
        in_browser(desk.client(), told.append, browser)

    secrets = in_browser(desk.client(lasting_tokens=True), told.append, browser)
    assert list(secrets) == ["token"]


def test_notion_in_the_browser(browser: Browser, told: list[str]) -> None:
    """Notion gets what it documents and nothing else: JSON, Basic authentication, no PKCE, no scopes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        redirect = f"http://localhost:{probe.getsockname()[1]}/"
    paths = Paths(authorize="/v1/oauth/authorize", token="/v1/oauth/token")
    with Desk(needs_pkce=False, gives_refresh=False, paths=paths) as notion_like:
        settings = {"client_id": "client", "api_root": f"{notion_like.url}/v1", "redirect_uri": redirect}
        secrets = in_browser(notion(settings, {"client_secret": "client-secret"}), told.append, browser)
        (asked,), (exchange,) = notion_like.requests("GET *"), notion_like.requests("POST *")

    assert secrets == {"token": "access-1"}
    assert sorted(asked.query) == ["client_id", "owner", "redirect_uri", "response_type", "state"]
    assert exchange.json() == {"grant_type": "authorization_code", "code": "code-1", "redirect_uri": redirect}
    assert (exchange.header("authorization") or "").startswith("Basic ")


def test_registered_redirect(desk: Desk, browser: Browser, told: list[str]) -> None:
    """Where the service compares ports, the one registered is listened on; a taken one is told."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        client = desk.client(redirect_uri=f"http://localhost:{port}/calhub")
        with pytest.raises(ProviderError, match=f"Port {port}"):
            in_browser(client, told.append, browser)

    assert in_browser(client, told.append, browser)["refresh_token"]
    assert desk.requests("GET *")[0].param("redirect_uri") == f"http://localhost:{port}/calhub"


@pytest.mark.parametrize("uri", ["https://example.org/back", "http://example.org:80/", "https://localhost:1/"])
def test_redirect_is_to_this_machine(desk: Desk, told: list[str], uri: str) -> None:
    with pytest.raises(ProviderError) as caught:
        in_browser(desk.client(redirect_uri=uri), told.append, None)
    assert caught.value.trait is Trait.FATAL


# By device code.


class Waiting:
    """The time between two polls, in which something may happen."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.slept: list[float] = []
        self.events: dict[int, object] = {}

    def seconds(self) -> float:
        return self.clock().timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds=seconds)
        event = self.events.get(len(self.slept))
        if callable(event):
            event()


@pytest.fixture
def waiting(clock: VirtualClock) -> Waiting:
    return Waiting(clock)


def by_device(desk: Desk, told: list[str], waiting: Waiting) -> dict[str, str]:
    return by_device_code(desk.client(), told.append, sleep=waiting.sleep, clock=waiting.seconds)


def user_code(told: list[str]) -> str:
    return told[0].split()[-1]


def test_device(desk: Desk, told: list[str], waiting: Waiting, clock: VirtualClock) -> None:
    """The code is told, and asked about at the interval the service gave until it was entered."""
    waiting.events[3] = lambda: desk.oauth.approve_device(user_code(told))

    secrets = by_device(desk, told, waiting)

    assert f"{desk.url}/device" in told[0]
    assert waiting.slept == [1, 1, 1]
    assert desk.requests("POST /device")[0].form() == {"client_id": "client", "scope": "papers.write"}
    assert RenewedTokens(desk.client(), MemoryVault(secrets), clock=clock).current() == secrets["access_token"]


def test_device_slows_down(desk: Desk, told: list[str], waiting: Waiting) -> None:
    """``slow_down``, a failure of the service and a lost answer each add five seconds (RFC 8628 section 3.5)."""
    desk.oauth.rotates = False
    slow = Response.of({"error": "slow_down"}, 400)
    desk.error = lambda *_: slow  # type: ignore[method-assign]  # how this service fails
    desk.fail("POST /token", "status", status=400)
    waiting.events[2] = lambda: desk.fail("POST /token", "cut-before")
    waiting.events[3] = lambda: desk.oauth.approve_device(user_code(told))

    assert by_device(desk, told, waiting)["refresh_token"]
    assert waiting.slept == [1, 6, 11]


def test_device_is_declined(desk: Desk, told: list[str], waiting: Waiting) -> None:
    waiting.events[1] = lambda: desk.oauth.approve_device(user_code(told), denied=True)

    with pytest.raises(ProviderError, match="declined at Desk") as caught:
        by_device(desk, told, waiting)
    assert caught.value.trait is Trait.LOGIN


@pytest.mark.parametrize("by_the_service", [True, False])
def test_device_code_ends(desk: Desk, told: list[str], waiting: Waiting, by_the_service: bool) -> None:
    """Nobody asks for longer than the code lives, by our clock or by the service's."""
    ours = VirtualClock() if by_the_service else waiting.clock
    waiting.events[4] = lambda: waiting.clock.advance(seconds=900)

    with pytest.raises(ProviderError, match="in time") as caught:
        by_device_code(desk.client(), told.append, sleep=waiting.sleep, clock=lambda: ours().timestamp())
    assert caught.value.trait is Trait.LOGIN
    assert len(waiting.slept) == 4


def test_device_needs_the_service_to_have_it(desk: Desk, told: list[str]) -> None:
    with pytest.raises(ProviderError, match="device code"):
        by_device_code(desk.client(device_url=None), told.append)


@pytest.mark.parametrize("document", [{}, {"user_code": 1, "verification_uri": "https://x", "device_code": "d"}])
def test_device_endpoint_that_is_none(desk: Desk, told: list[str], document: dict[str, object]) -> None:
    """An answer without a code to show is an error, not a wait."""
    with Receiver(reply=lambda _: Response.of(document)) as other, pytest.raises(ProviderError):
        by_device_code(desk.client(device_url=f"{other.url}/device"), told.append)
    assert told == []
