"""Public hosts only, looked up once: what an address given by a stranger can reach."""

from __future__ import annotations

import ssl
from dataclasses import replace

import httpx
import pytest

from calhub.providers import oauth_services, pinned, registry
from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import Web
from calhub.providers.oauth import RenewedTokens
from calhub.providers.pinned import PublicOnly, is_public
from calhub.providers.vault import MemoryVault

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", f"::ffff:{PUBLIC}", "64:ff9b::5db8:d70e"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


class Names:
    """A DNS that gives its answers in turn."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = iter(answers)

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        return next(self._answers)


class Network:
    """What is sent, and to which address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, str, object]] = []

        def handle(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            self.sent.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
            location = {"/away": {"Location": "https://inside.example/"}}.get(request.url.path, {})
            return httpx.Response(302 if location else 200, headers=location, stream=httpx.ByteStream(b"ok"))

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def client(names: Names) -> httpx.Client:
    return httpx.Client(transport=PublicOnly(ssl.create_default_context(), ask=names))


def test_connects_to_the_address_it_looked_at(network: Network) -> None:
    """The name is for Host and TLS; what it means a moment later does not matter (DNS rebinding)."""
    names = Names([PUBLIC], ["127.0.0.1"])
    with client(names) as web:
        answers = [web.get("https://cal.example:8443/a") for _ in range(2)]

    assert [answer.text for answer in answers] == ["ok", "ok"]
    assert str(answers[0].url) == "https://cal.example:8443/a"
    assert network.sent == [(PUBLIC, "cal.example:8443", "cal.example")] * 2
    assert names.asked == ["cal.example"]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], []])
def test_private_hosts_are_refused(network: Network, addresses: list[str]) -> None:
    """Also where only one of several addresses is private."""
    with client(Names(addresses)) as web, pytest.raises(ProviderError, match="private network") as caught:
        web.get("http://inside.example/")

    assert caught.value.trait is Trait.FATAL
    assert network.sent == []


def test_redirect_inwards_is_refused(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public server that sends its visitors to a private one."""
    monkeypatch.setattr(PublicOnly.__init__, "__kwdefaults__", {"ask": Names([PUBLIC], ["10.0.0.1"])})
    web = Web("https://cal.example/away", public_only=True)

    with pytest.raises(ProviderError, match=r"inside\.example is in a private network"):
        web.send("GET", "https://cal.example/away")
    assert len(network.sent) == 1
    web.close()


def test_name_that_cannot_be_resolved() -> None:
    def ask(_: str) -> list[str]:
        raise OSError

    transport = PublicOnly(ssl.create_default_context(), ask=ask)
    with httpx.Client(transport=transport) as web, pytest.raises(httpx.ConnectError):
        web.get("https://nowhere.example/")


@pytest.mark.parametrize("kind", ["google", "microsoft", "notion", "caldav", "feed"])
def test_accounts_from_the_api_are_kept_to_it(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """For every kind of service, at each later sync too: the account's settings say so."""
    monkeypatch.setattr(PublicOnly.__init__, "__kwdefaults__", {"ask": lambda _: ["127.0.0.1"]})
    settings = {
        "url": "https://in.example/",
        "api_root": "https://in.example",
        "token_uri": "https://in.example/t",
        "username": "u",
    }
    secrets = {"token": "t"} if kind in ("notion", "caldav") else {"refresh_token": "r", "password": "p"}
    given = settings | {"client_id": "c", "authority": "https://in.example"} | pinned.SETTING

    provider = registry.connect(kind, given, MemoryVault(secrets))

    with pytest.raises(ProviderError, match="private network"):
        provider.discover()
    provider.close()


def test_renewing_tokens_is_kept_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token endpoint is an address of the account, too."""
    monkeypatch.setattr(PublicOnly.__init__, "__kwdefaults__", {"ask": lambda _: ["127.0.0.1"]})
    settings = {"client_id": "c", "token_uri": "https://in.example/t"}
    service = replace(oauth_services.google(settings, {}), public_only=True)

    with pytest.raises(ProviderError, match="private network"):
        RenewedTokens(service, MemoryVault({"refresh_token": "r"})).current()
