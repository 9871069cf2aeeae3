"""Webhooks: the token that verifies them, their signature, and which calendar they poke."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.providers.notion.conftest import FULL, text

from calhub.providers.notion.webhooks import SIGNATURE, Forged, Poke, Verification, receive
from calhub.testing.services.base import Receiver
from calhub.testing.services.notion import NotionService
from calhub.testing.services.notion.model import DataSource

TOKEN = "secret_token"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def source(service: NotionService) -> DataSource:
    return service.add_database("Team", FULL)


@pytest.fixture
def token(service: NotionService, receiver: Receiver) -> str:
    """Of a subscription that was verified as a person does it."""
    subscription = service.webhooks.subscribe(receiver.url + "/webhooks/notion/1")
    service.deliver()
    found = receive(receiver.log[-1].body, receiver.log[-1].header(SIGNATURE), None)
    assert isinstance(found, Verification)
    service.webhooks.verify(subscription, found.token)
    return found.token


def pokes(service: NotionService, receiver: Receiver, token: str) -> list[Poke]:
    """What arrived since the last call."""
    service.webhooks.flush()
    before = len(receiver.log)
    service.deliver()
    found = [receive(each.body, each.header(SIGNATURE), token) for each in receiver.log[before:]]
    return [each for each in found if isinstance(each, Poke)]


def test_edits_poke_the_calendar_in_both_models(
    service: NotionService, receiver: Receiver, source: DataSource, token: str
) -> None:
    page = service.user_create(source, {"Title": text("Lunch"), "Date": {"start": "2026-11-23"}})
    service.user_edit(page, {"Title": text("Supper")})
    (poke,) = pokes(service, receiver, token)

    assert poke.concerns([source.id, "someone-else", source.database.replace("-", "")]) == [
        source.id, source.database.replace("-", ""),
    ]  # fmt: skip
    assert not poke.full


def test_deletion_asks_for_a_full_listing(
    service: NotionService, receiver: Receiver, source: DataSource, token: str
) -> None:
    page = service.user_create(source, {"Title": text("Lunch")})
    pokes(service, receiver, token)
    service.user_trash(page)

    assert [poke.full for poke in pokes(service, receiver, token)] == [True]


def test_changed_schema_pokes_too(service: NotionService, receiver: Receiver, source: DataSource, token: str) -> None:
    service.webhooks.tell_schema(source)

    assert [poke.concerns([source.id]) for poke in pokes(service, receiver, token)] == [[source.id]]


@pytest.mark.parametrize("change", ["body", "signature", "missing", "another token"])
def test_forged_messages(
    service: NotionService, receiver: Receiver, source: DataSource, token: str, change: str
) -> None:
    """The signature is over the bytes as they came."""
    service.user_create(source, {"Title": text("Lunch")})
    pokes(service, receiver, token)
    message = receiver.log[-1]
    body, signature = message.body, message.header(SIGNATURE)
    assert signature is not None
    forged: dict[str, tuple[bytes, Any, str]] = {
        "body": (json.dumps(json.loads(body), indent=1).encode(), signature, token),
        "signature": (body, signature[:-1] + ("0" if signature[-1] != "0" else "1"), token),
        "missing": (body, None, token),
        "another token": (body, signature, "secret_another"),
    }

    with pytest.raises(Forged):
        receive(*forged[change])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"verification_token": ""}', b"\xff"])
def test_first_message_must_bring_a_token(body: bytes) -> None:
    with pytest.raises(Forged):
        receive(body, None, None)


def test_second_token_is_not_taken() -> None:
    """Anybody could send one."""
    with pytest.raises(Forged):
        receive(b'{"verification_token": "secret_mine"}', None, TOKEN)
