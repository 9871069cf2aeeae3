"""Graph requests: headers, pages, batches, and what its errors mean (microsoft: Limits and errors, Batch)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import NoAnswer, origin, retry_after
from calhub.providers.limits import Limiter
from calhub.providers.rest import Params, Reply, Rest

ROOT: Final = "https://graph.microsoft.com/v1.0"
#: Parts of one ``$batch``.
BATCH: Final = 20
#: Immutable ids survive moves between folders; times come in UTC, each with the zone it was made in beside it.
PREFER: Final = ('IdType="ImmutableId"', 'outlook.timezone="UTC"')
#: How often a throttled read in a batch is sent again before the whole call counts as failed.
_ROUNDS: Final = 5
_RESYNC: Final = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired"})


def limiter() -> Limiter:
    """10,000 requests in 10 minutes for an app and mailbox, parts of batches included, 4 at one time."""
    return Limiter(rate=5, burst=7000, at_once=4)


class Expired(ProviderError):
    """The delta token is not known any more."""


@dataclass(frozen=True)
class Part:
    """One request, alone or in a batch. ``url`` is relative to the root. ``undoes``: it takes back what went before."""

    method: str
    url: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    undoes: bool = False

    @property
    def writes(self) -> bool:
        return self.method != "GET"


class Graph:
    """One mailbox at Graph."""

    def __init__(self, rest: Rest, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self.rest = rest
        self._sleep = sleep

    def get(self, url: str, *, params: Params | None = None, prefer: Sequence[str] = ()) -> Any:
        """The JSON of a read. Raises `ProviderError`."""
        reply = self.rest.request("GET", url, params=params, headers=prefers(*prefer))
        if reply.status >= 300:
            raise error_of(reply)
        if not isinstance(reply.json, dict):
            raise NoAnswer("Microsoft Graph gave an answer that cannot be read.", "Try again later.")
        return reply.json

    def pages(self, url: str, *, params: Params | None = None, prefer: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """All pages of a collection, by their next links."""
        page = self.get(url, params=params, prefer=prefer)
        while True:
            yield page
            link = page.get("@odata.nextLink")
            if not link:
                return
            page = self.get(self.own(link), prefer=prefer)

    def own(self, link: str) -> str:
        """A link that Graph gave: it holds a token, so it is followed only to the host of the API."""
        if origin(link) != origin(self.rest.root):
            raise ProviderError(
                "Microsoft Graph refers to another host.", "Check the api_root of the account.", Trait.FATAL
            )
        return link

    def send(self, part: Part) -> Reply:
        """One request, whatever comes of it. Raises `ProviderError` where there is no answer."""
        url = self.own(part.url) if "://" in part.url else part.url
        return self.rest.request(part.method, url, json=part.json, headers={**prefers(), **part.headers})

    def batch(self, parts: Sequence[Part]) -> list[Reply | None]:
        """Up to `BATCH` requests in one, answered in order; None where a part was not answered.

        Raises `ProviderError` where the batch as a whole failed.
        """
        requests = [self._request(str(number), part) for number, part in enumerate(parts)]
        reply = self.rest.request("POST", "/$batch", json={"requests": requests}, cost=len(parts))
        if reply.status >= 300:
            raise error_of(reply)
        responses = reply.json.get("responses") if isinstance(reply.json, dict) else None
        found = {str(each.get("id")): each for each in responses or () if isinstance(each, dict)}
        return [_reply(found[str(number)]) if str(number) in found else None for number in range(len(parts))]

    def _request(self, number: str, part: Part) -> dict[str, Any]:
        """Addresses are relative here, also those from next links."""
        headers = {**prefers(), **part.headers}
        url = part.url.removeprefix(self.rest.root)
        request: dict[str, Any] = {"id": number, "method": part.method, "url": url, "headers": headers}
        if part.json is not None:
            request |= {"headers": {**headers, "Content-Type": "application/json"}, "body": part.json}
        return request

    def read_all(self, urls: Sequence[str]) -> list[Reply]:
        """Many reads, in batches. Throttled parts are asked again after the time they say.

        Raises `ProviderError` when one of them cannot be had; "not there" is an answer.
        """
        starts = range(0, len(urls), BATCH)
        return [reply for at in starts for reply in self._read_batch(urls[at : at + BATCH])]

    def _read_batch(self, urls: Sequence[str]) -> list[Reply]:
        answers: dict[int, Reply] = {}
        for attempt in range(_ROUNDS):
            missing = [at for at in range(len(urls)) if at not in answers]
            replies = self.batch([Part("GET", urls[at]) for at in missing])
            failures: list[ProviderError] = []
            for at, reply in zip(missing, replies, strict=True):
                if reply is not None and (reply.status < 300 or is_absent(reply)):
                    answers[at] = reply
                else:
                    lost = NoAnswer("Microsoft Graph left out an answer.", "Try again later.")
                    failures.append(lost if reply is None else error_of(reply))
            if not failures:
                break
            hopeless = [error for error in failures if error.trait is not Trait.RETRY]
            if hopeless or attempt == _ROUNDS - 1:
                raise (hopeless or failures)[0]
            self._sleep(max(error.retry_after or 2**attempt for error in failures))
        return [answers[at] for at in range(len(urls))]


def prefers(*more: str) -> dict[str, str]:
    return {"Prefer": ", ".join((*PREFER, *more))}


def path(*segments: str) -> str:
    """A path of literal segments, each escaped."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def with_query(url: str, **params: str) -> str:
    """``$``-options for a path inside a batch, where there is no other way to give them."""
    return url + "?" + "&".join(f"${name}={quote(value, safe='(),$')}" for name, value in params.items())


def literal(text: str) -> str:
    """A text in an OData filter."""
    return "'" + text.replace("'", "''") + "'"


def _reply(response: Mapping[str, Any]) -> Reply:
    headers = {str(name).lower(): str(value) for name, value in (response.get("headers") or {}).items()}
    return Reply(int(response.get("status") or 500), headers, response.get("body"))


def code_of(reply: Reply) -> str:
    """``error.code`` in lower case, or that of the innermost error that has one; empty where there is none."""
    error = reply.json.get("error") if isinstance(reply.json, dict) else None
    code = ""
    while isinstance(error, dict):
        code = str(error.get("code") or code)
        error = error.get("innerError") or error.get("innererror")
    return code.lower()


def is_absent(reply: Reply) -> bool:
    """Whether the answer says that there is no such event."""
    return reply.status in (404, 410) or code_of(reply) == "errorinvalididmalformed"


def error_of(reply: Reply) -> ProviderError:
    """A failed read as an error."""
    status, code = reply.status, code_of(reply)
    if status == 410 or code in _RESYNC:
        return Expired("The list of changes has expired at Microsoft 365.", "Nothing: it is read anew.")
    if status == 401:
        return ProviderError("Microsoft 365 does not accept the sign-in.", "Sign in again.", Trait.LOGIN)
    if status == 403:
        return ProviderError(
            "The account has no access to this at Microsoft 365.",
            "Give calhub the permission Calendars.ReadWrite, or have an administrator allow it.",
            Trait.FATAL,
        )
    if is_absent(reply):
        return ProviderError("This is not at Microsoft 365 any more.", "Choose another calendar.", Trait.GONE)
    # 412 without a condition and 423 happen; they pass.
    if status in (408, 412, 423, 424, 429) or status >= 500:
        wait = retry_after(reply.headers)
        return ProviderError(f"Microsoft 365 is busy (HTTP {status}).", "Try again later.", Trait.RETRY, wait)
    return ProviderError(
        f"Microsoft Graph refused the request with HTTP {status}{f' ({code})' if code else ''}.",
        "Check the account's settings.",
        Trait.FATAL,
    )
