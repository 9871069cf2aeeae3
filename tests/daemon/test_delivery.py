"""Delivering messages over real HTTP, on a clock that is moved by hand: what arrives, what is tried again, when
somebody is given up."""

from __future__ import annotations

import base64
import re
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.receiver import Answer, drip, endless, fail, hang_up
from tests.daemon.town import Town

from calhub.daemon import outgoing
from calhub.daemon.delivery import ping
from calhub.daemon.outgoing import BACKOFF
from calhub.health import alerts
from calhub.hub import endpoints, measures, messages, runs
from calhub.hub.errors import InvalidValue
from calhub.providers import pinned


def test_changes_are_told(town: Town) -> None:
    """What happens from now on, in the order it happens; nothing of what is in events, and nobody's address."""
    town.put("before")
    town.add()
    who = {"ann@example.org": {"role": "chair", "status": "accepted"}}
    town.put("u", title="Secret", attendees=who)
    town.put("u", title="Secret", attendees={**who, "bob@example.org": {"role": "required", "status": "accepted"}})
    town.delete("u")

    town.go()

    (message,) = town.receiver.received
    assert [(each["seq"], each["op"], each["fields"]) for each in town.receiver.items] == [
        (2, "create", ["attendees", "end", "start", "time_zone", "title"]), (3, "update", ["attendees"]),
        (4, "delete", []),
    ]  # fmt: skip
    assert {(each["uid"], each["calendar"], each["at"]) for each in town.receiver.items} == {
        ("u", "Work", "2026-11-21T12:00:00.000Z")
    }
    assert not any(word in str(message.data) for word in ("Secret", "@"))
    assert [each["state"] for each in town.kept()] == ["delivered"]
    town.go()
    assert len(town.receiver.received) == 1


def test_schedule_and_dead_letter(town: Town) -> None:
    """Tried again with growing pauses under the same id, signed anew each time; then dead, and sent again on demand."""
    town.add()
    town.put("u")
    town.receiver.answers += fail(len(BACKOFF) + 1)

    pauses = [0.0]
    town.go()
    for _ in BACKOFF:
        pauses.append(town.wait_for_next())
        town.go()

    assert pauses[1:] == list(BACKOFF)
    assert len({each.id for each in town.receiver.received}) == 1
    (dead,) = town.kept("dead")
    assert (dead["attempts"], dead["status"], dead["error"]) == (10, 500, "The answer was 500.")
    assert (town.shape()["dead"], town.shape()["failing_since"]) == (1, "2026-11-21T12:00:00.000Z")
    with town.hub.transaction() as conn:
        assert runs.status(conn)["webhooks"] == {"pending": 0, "dead": 1, "disabled": []}
        messages.resend(conn, dead["id"], town.hub.now())
    town.go()
    assert [each["state"] for each in town.kept()] == ["delivered"]
    assert (town.receiver.told, town.shape()["failing_since"]) == (["u"], None)
    with town.hub.read() as conn:
        counted = {row[1]["outcome"]: row[3] for row in measures.stored(conn) if row[0] == "messages"}
    assert counted == {"delivered": 1, "failed": 9, "dead": 1}


def test_what_can_be_sent_again(town: Town) -> None:
    """Not what was delivered, nor to somebody who is disabled; all dead messages of an endpoint at once."""
    town.add()
    for uid in "ab":
        town.put(uid)
        town.receiver.answers += fail(1)
        town.go()
    with town.hub.transaction() as conn:
        conn.execute("UPDATE message SET state = 'dead', next_try = NULL")
        assert messages.resend_dead(conn, 1, town.hub.now()) == 2
    town.go()
    assert town.receiver.told == ["a", "b"]
    for state in ("delivered", "disabled"):
        with pytest.raises(InvalidValue, match=state), town.hub.transaction() as conn:
            messages.resend(conn, town.kept()[0]["id"], town.hub.now())
        town.put("c")
        town.delivery.cut()
        town.disable()


def test_nobody_waits_behind_a_message_that_fails(town: Town) -> None:
    town.add()
    town.put("poison")
    town.receiver.answers += fail(1)
    town.go()
    town.put("next")
    town.go()

    delivered = [each["id"] for each in town.kept("delivered")]
    assert [each.data["items"][0]["uid"] for each in town.receiver.received if each.id in delivered] == ["next"]
    assert town.shape()["failing_since"] is None


@pytest.mark.parametrize(
    ("answer", "rests", "pause"),
    [
        ((500, {}), 0, 5),
        ((404, {"Retry-After": "60"}), 0, 5),
        ((503, {}), 5, 5),
        ((429, {"Retry-After": "60"}), 60, 60),
        ((503, {"Retry-After": "Sat, 21 Nov 2099 12:00:00 GMT"}), 86_400, 86_400),
        ((429, {"Retry-After": "soon"}), 5, 5),
        (hang_up, 5, 5),
    ],
)
def test_the_receiver_is_busy(town: Town, answer: Answer, rests: int, pause: int) -> None:
    """Then other messages wait a moment, too: as long as it asks for, which is a day at most."""
    town.add()
    town.put("first")
    town.receiver.answers.append(answer)
    town.go()
    town.put("second")
    town.delivery.cut()

    town.pass_time(seconds=max(rests - 1, 0))
    assert bool(town.delivery.due()) == (rests == 0)
    town.pass_time(seconds=1)
    town.go()
    town.pass_time(seconds=max(pause - rests, 0))
    town.go()
    assert {each["state"] for each in town.kept()} == {"delivered"}
    assert sorted(town.receiver.told) == ["first", "second"]


def test_a_receiver_that_is_down_for_a_while(town: Town) -> None:
    """The reason names the host, and what happened meanwhile arrives."""
    town.add()
    town.put("u")
    town.receiver.close()
    town.go()
    assert [each["error"] for each in town.kept("pending")] == ["127.0.0.1 cannot be reached."]

    town.receiver.open()
    town.pass_time(seconds=5)
    town.put("v")
    town.go()
    assert sorted(town.receiver.told) == ["u", "v"]


def test_gone(town: Town) -> None:
    """410: nothing more is sent until somebody enables it, and then everything, at once."""
    town.add()
    town.put("u")
    town.receiver.answers += fail(1, 410)
    town.go()
    town.put("v")
    town.pass_time(days=1)
    town.go()
    assert (town.shape()["state"], town.shape()["reason"]) == ("disabled", "It wants no more messages (410).")
    assert len(town.receiver.received) == 1
    with town.hub.read() as conn:
        (alert,) = alerts.conditions(runs.status(conn), {"passes": 0, "success_rate": None, "hours": []}, 60)
    assert alert.text == "Webhook 1 is disabled. It wants no more messages (410)."

    town.enable()
    town.go()
    assert (town.receiver.told, town.shape()["state"]) == (["u", "v"], "active")
    assert town.audited() == ["webhook added", "webhook disabled", "webhook enabled"]


def test_five_days_of_failures(town: Town) -> None:
    """Only without any success in between."""
    town.add()
    for uid in ("a", "b"):
        town.put(uid)
        town.receiver.answers += fail(1)
        town.go()
        town.pass_time(days=6)
        town.go()
    assert town.receiver.told == ["a", "b"]
    town.put("c")
    town.receiver.answers += fail(1)
    town.go()
    town.pass_time(days=4, hours=23)
    town.put("d")
    town.receiver.answers += fail(2)
    town.go()
    assert town.shape()["state"] == "active"
    town.pass_time(hours=1)
    town.receiver.answers += fail(1)
    town.go()

    shape = town.shape()
    assert (shape["state"], shape["pending"]) == ("disabled", 2)
    assert shape["reason"] == "No message could be delivered for 5 days. Last: The answer was 500."
    town.enable()
    town.receiver.answers += fail(1)
    town.go()
    assert (town.shape()["state"], town.shape()["pending"]) == ("active", 1)


def test_rotation(town: Town) -> None:
    """For a day both secrets sign, so that a receiver that knows only one of them accepts; then the new one alone."""
    town.add()
    with town.hub.transaction() as conn:
        new = endpoints.rotate(conn, town.hub.home, 1, town.hub.clock())["secret"]
    (old,) = town.receiver.secrets
    assert new != old
    for uid, known in (("a", old), ("b", new)):
        town.receiver.secrets = [known]
        town.put(uid)
        town.go()
    town.pass_time(hours=24)
    town.put("c")
    town.go()

    assert [each.signatures for each in town.receiver.received] == [2, 2, 1]
    assert town.receiver.told == ["a", "b", "c"]
    assert town.audited() == ["webhook added", "webhook rotated"]


def test_a_key_that_is_gone(town: Town) -> None:
    """Is a failure like others, with a sentence."""
    town.add()
    town.put("u")
    (town.hub.home / "key").unlink()
    town.go()
    assert [each["error"] for each in town.kept("pending")] == ["Its secret cannot be opened; give it a new one."]


def test_redirects_are_failures(town: Town) -> None:
    town.add()
    town.put("u")
    town.receiver.answers.append((307, {"Location": town.receiver.url}))
    town.go()
    assert len(town.receiver.received) == 1
    assert [each["status"] for each in town.kept("pending")] == [307]


def test_a_body_without_end_is_not_read(town: Town) -> None:
    town.add()
    town.put("u")
    town.receiver.answers.append(endless)
    town.go()
    assert [each["status"] for each in town.kept("delivered")] == [200]


def test_an_answer_that_drips(town: Town) -> None:
    """No single byte takes long, and all of them together too long."""
    town.add()
    town.receiver.answers.append(drip)
    with town.hub.read() as conn:
        headers = outgoing.signed("msg_x", "{}", [], town.now)
        url = endpoints.endpoint(conn, 1).url
    town.receiver.secrets = []
    answer = outgoing.post(url, "{}", headers, False, seconds=0.2)
    assert answer.status is None
    assert town.receiver.refused.pop() == "the signature is wrong"


def test_private_addresses_of_strangers(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a name meant when it was given, it is looked at again when something is sent."""
    monkeypatch.setattr(pinned.PublicOnly.__init__, "__kwdefaults__", {"ask": lambda _: ["127.0.0.1"]})
    town.add(town.receiver.url.replace("127.0.0.1", "innocent.example"), public_only=True)
    town.put("u")
    town.go()
    assert town.receiver.received == []
    (message,) = town.kept("pending")
    assert message["error"].startswith("innocent.example is in a private network")


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "https://10.0.0.1/", "http://[::1]/", "http://localhost:1/"])
def test_private_addresses_are_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidValue, match="private network"):
        outgoing.accept(url, public_only=True)
    assert outgoing.accept(url, public_only=False) == url


@pytest.mark.parametrize("url", ["", "ftp://example.org", "http://example.org/x", "https://", "https://example.org:0/"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"web address|would show what changed"):
        outgoing.accept(url, public_only=False)


def test_url_without_password() -> None:
    """It would be in lists and logs."""
    url = outgoing.accept("https://ann:hush@10.0.0.1/x", public_only=False)
    assert url == "https://10.0.0.1/x"


def test_documented_verification() -> None:
    """The lines of Python in docs/api.md accept what is sent, and nothing else."""
    page = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()
    found = re.search(r"^ {4}import base64.*?(?=^\S)", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    names: dict[str, Any] = {}
    exec(textwrap.dedent(found[0]), names)  # our own page
    verified, secrets = names["verified"], ["whsec_" + base64.b64encode(bytes([n] * 32)).decode() for n in range(3)]
    now = datetime.now(UTC)
    headers = outgoing.signed("msg_x", "{}", secrets[:2], now)

    assert [verified(each, headers, b"{}") for each in secrets] == [True, True, False]
    assert not verified(secrets[0], headers, b"{ }")
    assert not verified(secrets[0], headers | {"webhook-id": "msg_y"}, b"{}")
    assert not verified(secrets[0], outgoing.signed("msg_x", "{}", secrets, now - timedelta(minutes=6)), b"{}")


def test_ping(town: Town) -> None:
    """Sent once, also to one that is disabled, and not kept."""
    town.add()
    town.disable()
    town.receiver.answers += fail(1)
    assert [ping(town.hub, 1)["error"], ping(town.hub, 1)["error"]] == ["The answer was 500.", None]
    assert (town.receiver.types, town.kept()) == (["ping", "ping"], [])
