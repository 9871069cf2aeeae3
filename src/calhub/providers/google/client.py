"""Calls of the Calendar API, one by one and in batches (guide "Sending batch requests")."""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.client import parse_headers
from io import BytesIO
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from calhub.providers.base import ProviderError, Trait
from calhub.providers.http import NoAnswer
from calhub.providers.oauth import Tokens
from calhub.providers.rest import Reply, Rest

#: Parts of one batch; the API takes 1000, but parts run in parallel, and large batches meet the rate limit.
BATCH: Final = 50

_BOUNDARY: Final = "calhub-batch"
_CONTENT_ID: Final = re.compile(r"response-(\d+)")


@dataclass(frozen=True)
class Call:
    """One request. ``path`` is below the root of the API, escaped; ``etag`` makes it conditional."""

    method: str
    path: str
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    json: Any = None
    etag: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.etag is None else {"If-Match": self.etag}


def calendar_path(calendar: str) -> str:
    return f"/calendars/{quote(calendar, safe='')}"


def events_path(calendar: str, event: str = "") -> str:
    return f"{calendar_path(calendar)}/events" + (f"/{quote(event, safe='')}" if event else "")


class Client:
    """One account's calls. Safe to use from several threads."""

    def __init__(self, rest: Rest, tokens: Tokens) -> None:
        self._rest = rest
        self._tokens = tokens
        parts = urlsplit(rest.root)
        self._prefix = parts.path
        self._batch_url = f"{parts.scheme}://{parts.netloc}/batch{parts.path}"

    @property
    def requests(self) -> int:
        """HTTP requests sent so far; a batch is one."""
        return self._rest.requests

    def close(self) -> None:
        self._rest.close()

    def send(self, call: Call) -> Reply:
        """Any status is an answer. Raises `ProviderError` as `Rest.request` does."""
        return self._rest.request(call.method, call.path, params=call.params, json=call.json, headers=call.headers)

    def send_all(self, calls: Sequence[Call]) -> list[Reply | None]:
        """The answers in the order of the calls, by as few requests as there can be; None = it was not answered.

        A part answered by 401 was certainly not done: those are sent again with a fresh token. Raises `ProviderError`
        only if nothing was sent.
        """
        replies: list[Reply | None] = []
        for start in range(0, len(calls), BATCH):
            try:
                replies += self._batch(calls[start : start + BATCH])
            except ProviderError as error:
                if not replies and not isinstance(error, NoAnswer):
                    raise
                return [*replies, *[None] * (len(calls) - len(replies))]
        return replies

    def _batch(self, calls: Sequence[Call]) -> list[Reply | None]:
        if len(calls) == 1:
            return [self.send(calls[0])]
        token = self._tokens.current()
        replies = self._exchange(calls)
        refused = [at for at, reply in enumerate(replies) if reply is not None and reply.status == 401]
        if refused:
            self._tokens.refused(token)
            again = self._exchange([calls[at] for at in refused])
            for at, reply in zip(refused, again, strict=True):
                replies[at] = reply
        return replies

    def _exchange(self, calls: Sequence[Call]) -> list[Reply | None]:
        content = b"".join(self._part(number, call) for number, call in enumerate(calls))
        reply = self._rest.request(
            "POST",
            self._batch_url,
            headers={"Content-Type": f"multipart/mixed; boundary={_BOUNDARY}"},
            content=content + f"--{_BOUNDARY}--\r\n".encode(),
            cost=len(calls),
        )
        if reply.status >= 400:  # the batch as a whole: each part met the same
            return [reply] * len(calls)
        answers = _answers(reply)
        return [answers.get(number) for number in range(len(calls))]

    def _part(self, number: int, call: Call) -> bytes:
        query = f"?{urlencode(call.params, doseq=True)}" if call.params else ""
        lines = [
            f"--{_BOUNDARY}",
            "Content-Type: application/http",
            f"Content-ID: <{number}>",
            "",
            f"{call.method} {self._prefix}{call.path}{query} HTTP/1.1",
            *(f"{name}: {value}" for name, value in call.headers.items()),
        ]
        body = b""
        if call.json is not None:
            body = json.dumps(call.json, separators=(",", ":")).encode()  # ASCII: no boundary can be in it by chance
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body + b"\r\n"


def _answers(reply: Reply) -> dict[int, Reply]:
    """The parts of a batch answer by the number of their call; the order is the service's own."""
    kind = reply.headers.get("content-type", "")
    message = email.message_from_bytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + reply.body, policy=email.policy.HTTP, _class=EmailMessage
    )
    if message.get_content_type() != "multipart/mixed" or not message.is_multipart():
        raise NoAnswer("Google answered a batch with something else.", "Try again later.", Trait.RETRY)
    found = {}
    for part in message.iter_parts():
        number = _CONTENT_ID.search(part.get("Content-ID", ""))
        answer = _read_part(part.get_payload(decode=True)) if number else None
        if number and answer is not None:
            found[int(number[1])] = answer
    return found


def _read_part(content: Any) -> Reply | None:
    """One response as it stands in a part; None if it is cut off."""
    stream = BytesIO(content)
    status = stream.readline().split()
    if len(status) < 2 or not status[1].isdigit():
        return None
    headers = {name.lower(): value for name, value in parse_headers(stream).items()}
    body = stream.read().strip()
    try:
        document = json.loads(body) if body else None
    except ValueError:
        if int(status[1]) < 300:
            return None
        document = None
    return Reply(int(status[1]), headers, document, body)
