"""HTTP as the providers use it: an httpx client with our rules about credentials, redirects, sizes and errors.

- Credentials go to the host of the account and, over https, to hosts of the same registrable domain (a large service
  moves its users between such hosts). They never go anywhere else: a redirect that leads away ends in an error.
- Plain http is for loopback and local networks; elsewhere it would show the password to everybody on the way.
- Redirects keep method and body, also 301 and 302, as WebDAV servers mean them (RFC 6764 section 5).
- A body is never read beyond a limit. No cookies are kept: a session would make some servers ignore the credentials.

    ProviderError
      Unreached   the request was certainly not received (RETRY; FATAL for a certificate that is not trusted)
      NoAnswer    it was sent, but no whole answer came back (RETRY)
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from calhub.ops import samples, trace
from calhub.providers.base import ProviderError, Trait
from calhub.providers.pinned import PublicOnly

USER_AGENT: Final = "calhub"
CONNECT_SECONDS: Final = 15.0
READ_SECONDS: Final = 60.0
BODY_LIMIT: Final = 64 * 1024 * 1024
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_SECOND_LEVELS: Final = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "gv", "me", "ne", "net", "or", "org"})
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa")


class Unreached(ProviderError):
    """The request was certainly not received."""


class NoAnswer(ProviderError):
    """The request was sent, at least in part, and no whole answer came back."""


class TooLarge(NoAnswer):
    """The answer is larger than the limit."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user name with a password, or a bearer token. Not shown when printed."""

    username: str = ""
    password: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(...)"


@dataclass(frozen=True)
class Answer:
    """A whole response. ``url`` is where it came from after redirects."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str


class Web:
    """One account's way to its service. Safe to use from several threads.

    ``home`` is the address whose host gets the credentials: those given, or what an `httpx.Auth` adds or a body holds.
    ``requests`` counts what was sent, redirects included. With ``returns_401`` that status is an answer like any other;
    with ``public_only`` hosts of private networks are refused, see `calhub.providers.pinned`. ``transport`` takes the
    place of the network.
    """

    def __init__(
        self,
        home: str,
        credentials: Credentials | httpx.Auth | None = None,
        *,
        returns_401: bool = False,
        public_only: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.home = home
        self.requests = 0
        self._kind = samples.kind.get()
        self._lock = threading.Lock()
        self._credentials = credentials
        self._returns_401 = returns_401
        self._auth = credentials if isinstance(credentials, httpx.Auth) else _preemptive(credentials)
        self._client = new_client(public_only=public_only, transport=transport)
        self._client.event_hooks = {"request": [self._count]}

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        limit: int = BODY_LIMIT,
    ) -> Answer:
        """One exchange with its whole body, whatever the status. Raises `ProviderError`, also for 401."""
        with self.stream(method, url, headers=headers, content=content) as response:
            return Answer(response.status_code, response.headers, read_body(response, limit), str(response.url))

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        read_seconds: float | None = None,
    ) -> Iterator[httpx.Response]:
        """One exchange whose body is yet to be read, whatever the status. Raises `ProviderError`, also for 401.

        ``read_seconds``: how long to wait for the answer to begin or to go on, where that is not `READ_SECONDS`. Errors
        of the connection while the body is read inside the block are turned into `NoAnswer`, too.
        """
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=read_seconds or READ_SECONDS)
        try:
            for _ in range(MAX_REDIRECTS + 1):
                request = self._client.build_request(method, url, headers=headers, content=content, timeout=timeout)
                response = self._authorised(request)
                try:
                    location = response.headers.get("location")
                    if response.status_code in _REDIRECTS and location:
                        url = check_url(urljoin(str(response.url), location))
                        continue
                    if response.status_code == 401 and not self._returns_401:
                        raise _login(response, self._credentials)
                    yield response
                    return
                finally:
                    response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise transport_failure(error, url) from error
        raise ProviderError(f"{host_of(url)} redirects without end.", "Check the address of the account.", Trait.FATAL)

    def close(self) -> None:
        """Release connections. Idempotent."""
        self._client.close()

    def trusts(self, url: str) -> bool:
        """Whether credentials may be sent to this address."""
        return self._credentials is None or same_owner(self.home, url)

    def _authorised(self, request: httpx.Request) -> httpx.Response:
        """Send with credentials; Digest (RFC 7616) only where the server asks for it: Basic needs no extra trip."""
        if not self.trusts(str(request.url)):
            raise _stranger(str(request.url))
        response = self._exchange(request, self._auth)
        if response.status_code != 401 or isinstance(self._auth, httpx.DigestAuth):
            return response
        credentials = self._credentials
        if not isinstance(credentials, Credentials) or credentials.password is None or not _offers_digest(response):
            return response
        response.close()
        digest = httpx.DigestAuth(credentials.username, credentials.password)
        del request.headers["Authorization"]
        response = self._exchange(request, digest)
        if response.status_code != 401:
            self._auth = digest
        return response

    def _exchange(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Send, and measure how long the answer took to begin."""
        began, status = time.monotonic(), "none"
        try:
            with trace.span("call", provider=self._kind, method=request.method, host=request.url.host) as told:
                response = self._client.send(request, auth=auth, stream=True)
                told["code"] = response.status_code
            status = str(response.status_code)
            return response
        finally:
            samples.here.observe("request_seconds", time.monotonic() - began, provider=self._kind, status=status)

    def _count(self, request: httpx.Request) -> None:  # noqa: ARG002 (httpx hands it to the hook)
        with self._lock:
            self.requests += 1


def new_client(
    *, public_only: bool = False, seconds: float = READ_SECONDS, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """A client that keeps no cookies, follows no redirects and needs no proxy for this machine. ``seconds`` is how long
    to wait for each part of an answer. The rest is as for `Web`.
    """
    return httpx.Client(
        headers={"User-Agent": USER_AGENT},
        verify=_tls(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
        mounts={f"all://{host}": None for host in _LOOPBACK},  # never through a proxy
        transport=transport or (PublicOnly(_tls()) if public_only else None),
    )


def read_body(response: httpx.Response, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` when it is longer than ``limit`` bytes, decompressed."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"{response.url.host} sent an answer of more than {limit // 1024**2} MB.")
    return bytes(body)


def check_url(url: str, shown: str = "the password") -> str:
    """``url`` with https as the default scheme. Raises `ProviderError` FATAL for one that cannot be used.

    ``shown`` is what plain http would show.
    """
    url = url.strip()
    if "://" not in url:
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ProviderError("This is not a web address.", "Give one like https://dav.example.org/.", Trait.FATAL)
    if parts.scheme == "http" and not is_local(parts.hostname or ""):
        raise ProviderError(
            f"Plain http to {parts.hostname} would show {shown} to everybody on the way.",
            "Use the https address of the server.",
            Trait.FATAL,
        )
    if parts.username is not None:
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url


def check_endpoint(url: str) -> str:
    """`check_url` for the endpoints of an API: plain http is accepted for loopback hosts only."""
    url = check_url(url)
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ProviderError(
            f"Plain http to {parts.hostname} would show the token to everybody on the way.",
            "Use an https address; http is for this machine only.",
            Trait.FATAL,
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def is_local(host: str) -> bool:
    """Whether the host is this machine or one of a local network, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.lower().endswith(_LOCAL_SUFFIXES)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def host_of(url: str) -> str:
    return urlsplit(url).hostname or "The server"


def same_owner(home: str, url: str) -> bool:
    """Whether both addresses can be taken to belong to one owner: same origin, or one domain over https."""
    if origin(home) == origin(url):
        return True
    (_, ours, _), (scheme, theirs, _) = origin(home), origin(url)
    if scheme != "https":
        return False
    return ours == theirs or (_domain(ours) == _domain(theirs) and _domain(ours) is not None)


def _domain(host: str) -> str | None:
    """The registrable domain, or None where there is none.

    There is no list of public suffixes here, only the second levels that countries commonly use (co.uk, com.au).
    """
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return None
    if len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS:
        return ".".join(labels[-3:]) if len(labels) > 2 else None
    return ".".join(labels[-2:])


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3: a number or a date), never negative.

    Microsoft Graph sends fractions as well.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


@cache
def _tls() -> ssl.SSLContext:
    """One for all connections of the process: reading the certificates takes longer than many a whole pass."""
    return httpx.create_ssl_context()


def _preemptive(credentials: Credentials | None) -> httpx.Auth | None:
    """Credentials sent with the first request: some servers answer without a challenge, and show nothing."""
    if credentials is None:
        return None
    if credentials.token is not None:
        return _Bearer(credentials.token)
    return httpx.BasicAuth(credentials.username, credentials.password or "")


class _Bearer(httpx.Auth):
    """RFC 6750 section 2.1."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


def _offers_digest(response: httpx.Response) -> bool:
    return any(value.strip().lower().startswith("digest") for value in response.headers.get_list("www-authenticate"))


def _login(response: httpx.Response, credentials: Credentials | httpx.Auth | None) -> ProviderError:
    if isinstance(credentials, httpx.Auth):
        return ProviderError(f"{response.url.host} does not accept the sign-in any more.", "", Trait.LOGIN)
    return ProviderError(
        f"{response.url.host} does not accept the user name and password.",
        "Sign in again; services with two-factor sign-in need an app password.",
        Trait.LOGIN,
    )


def _stranger(url: str) -> ProviderError:
    return ProviderError(
        f"The server refers to another host, {host_of(url)}, which does not get the credentials.",
        f"If you trust {host_of(url)}, give its https address as the address of the account.",
        Trait.FATAL,
    )


def transport_failure(error: httpx.HTTPError | httpx.InvalidURL, url: str) -> ProviderError:
    """What an error of httpx means, in a sentence that names the host only."""
    host = host_of(url)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return Unreached("This is not a web address.", "Check the address of the account.", Trait.FATAL)
    if isinstance(error, httpx.ConnectError) and _bad_certificate(error):
        return Unreached(f"The certificate of {host} is not trusted.", "Check the address and this machine's clock.",
                         Trait.FATAL)  # fmt: skip
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError):
        return Unreached(f"{host} cannot be reached.", "Check the address and the network connection.")
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(f"{host} did not answer in time.", "Try again later.")
    return NoAnswer(f"The connection to {host} broke.", "Try again later.")


def _bad_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
