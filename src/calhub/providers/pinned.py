"""Requests to addresses that a stranger may have chosen: public hosts only, and no second opinion from the DNS.

An address that came in through the API must not lead calhub to services that only this machine can reach. Each host is
resolved once; all its addresses must be public; and the connection goes to the address that was looked at, whatever the
name means a moment later (DNS rebinding). TLS still proves the name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from calhub.providers.base import ProviderError, Trait

#: The setting of an account, and its value, that has its requests go through here.
SETTING: Final = {"network": "public"}

#: IPv4 inside IPv6, for networks that have only the latter (RFC 6052).
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

#: The addresses of a host; raises OSError when there are none.
Resolve = Callable[[str], list[str]]


def public_only(settings: Mapping[str, str]) -> bool:
    """Whether an account with these settings may only talk to public hosts."""
    return settings.items() >= SETTING.items()


def resolve(host: str) -> list[str]:
    """Ask the system."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also one that is wrapped in another."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


def public_address(host: str, ask: Resolve = resolve) -> str:
    """The address to talk to a host at. Raises `ProviderError` FATAL where it is not public, OSError or UnicodeError
    for a name that cannot be resolved.
    """
    addresses = ask(host)
    if not addresses or not all(map(is_public, addresses)):
        raise ProviderError(
            f"{host} is in a private network, where addresses given through the API may not lead.",
            "Add it on the command line, or set allow_private_networks.",
            Trait.FATAL,
        )
    return addresses[0]


class PublicOnly(httpx.BaseTransport):
    """Resolves each host once and talks to that address. Raises `ProviderError` FATAL for hosts that are not public."""

    def __init__(self, tls: ssl.SSLContext, *, ask: Resolve = resolve) -> None:
        self._tls = tls
        self._ask = ask
        self._lock = threading.Lock()
        # One pool for each host: a connection proved to be of one host must not serve another at the same address.
        self._hosts: dict[str, tuple[str, httpx.HTTPTransport]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address, transport = self._pinned(host, request)
        return transport.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # with the Host of the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
        )

    def close(self) -> None:
        for _, transport in self._hosts.values():
            transport.close()

    def _pinned(self, host: str, request: httpx.Request) -> tuple[str, httpx.HTTPTransport]:
        with self._lock:
            if host not in self._hosts:
                try:
                    address = public_address(host, self._ask)
                except (OSError, UnicodeError) as error:
                    raise httpx.ConnectError("The name cannot be resolved.", request=request) from error
                self._hosts[host] = address, httpx.HTTPTransport(verify=self._tls)
            return self._hosts[host]
