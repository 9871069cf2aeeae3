"""Messages to endpoints, over real HTTP and on a clock that is moved by hand: what arrives, what is tried again, when
somebody is given up."""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.receiver import Answer, Receiver, drip, endless, fail, hang_up

from calhub.daemon import outgoing
from calhub.daemon.delivery import Delivery, ping
from calhub.daemon.outgoing import BACKOFF
from calhub.hub import accounts, audit, changes, endpoints, events, measures, messages, retention, runs
from calhub.hub.backup import backup, restore
from calhub.hub.database import Hub, instant
from calhub.hub.errors import InvalidValue
from calhub.ops import alerts
from calhub.providers import pinned
from calhub.testing.world import plain


class Town:
    """A hub with the calendars Work and Home, somebody to be told, and the time of both."""

    def __init__(self, home: Path) -> None:
        self.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self.receiver = Receiver(lambda: self.now.timestamp())
        self.hub = Hub.open(home, clock=lambda: self.now)
        self.delivery = Delivery(self.hub, chance=lambda: 0.0)
        with self.hub.transaction() as conn:
            self.calendars = {name: accounts.add_calendar(conn, name, self.hub.now()).id for name in ("Work", "Home")}

    def close(self) -> None:
        self.receiver.close()
        self.hub.close()
        assert self.receiver.refused == []

    def add(self, url: str = "", calendars: list[str] | None = None, *, public_only: bool = False) -> int:
        """An endpoint at the receiver, which learns its secret."""
        url = url or self.receiver.url
        with self.hub.transaction() as conn:
            made = endpoints.add(conn, self.hub.home, url, calendars, public_only=public_only, now=self.hub.now())
        self.receiver.secrets.append(made["secret"])
        number: int = made["id"]
        return number

    def put(self, *uids: str, calendar: str = "Work", **content: Any) -> None:
        with self.hub.transaction() as conn:
            for uid in uids:
                events.put_event(conn, self.calendars[calendar], uid, plain(**content), now=self.hub.now())

    def delete(self, uid: str) -> None:
        with self.hub.transaction() as conn:
            events.delete_event(conn, events.find_event(conn, uid).id, now=self.hub.now())

    def go(self) -> None:
        """What the thread does now: cut, then send what is due, until nothing is."""
        self.delivery.cut()
        while due := self.delivery.due():
            for each in due:
                self.delivery.attempt(each)

    def pass_time(self, **time: float) -> None:
        self.now += timedelta(**time)

    def wait_for_next(self) -> float:
        """Move the clock to when the next message is due; returns by how many seconds."""
        with self.hub.read() as conn:
            due = messages.next_due(conn, [])
        assert due is not None
        before, self.now = self.now, datetime.fromisoformat(due)
        return (self.now - before).total_seconds()

    def shape(self, endpoint_id: int = 1) -> dict[str, Any]:
        with self.hub.read() as conn:
            return endpoints.shape(conn, endpoints.endpoint(conn, endpoint_id))

    def kept(self, state: messages.State | None = None) -> list[dict[str, Any]]:
        with self.hub.read() as conn:
            return messages.messages(conn, 1000, state=state)

    def enable(self, endpoint_id: int = 1) -> None:
        with self.hub.transaction() as conn:
            endpoints.enable(conn, endpoint_id, self.hub.now())

    def disable(self, endpoint_id: int = 1) -> None:
        with self.hub.transaction() as conn:
            endpoints.disable(conn, endpoint_id, endpoints.BY_HAND)

    def clean_up(self, *, keep_days: int = 0) -> None:
        with self.hub.transaction() as conn:
            retention.drop_expired(conn, keep_runs=0, before=instant(self.now - timedelta(days=keep_days)))

    def audited(self) -> list[str]:
        with self.hub.read() as conn:
            return [each["what"] for each in reversed(audit.entries(conn, 100)) if each["what"].startswith("webhook")]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path / "home")
    yield made
    made.close()


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


def test_chosen_calendars(town: Town) -> None:
    """Others are not told of; a calendar that goes leaves the choice, and its number is worth nothing to its heir."""
    town.add(calendars=["Home"])
    town.put("w", calendar="Work")
    town.put("h", calendar="Home")
    town.go()
    assert (town.receiver.told, town.shape()["calendars"]) == (["h"], ["Home"])

    with town.hub.transaction() as conn:
        accounts.remove_calendar(conn, town.calendars["Home"])
        town.calendars["Heir"] = accounts.add_calendar(conn, "Heir", town.hub.now()).id
    assert town.calendars["Heir"] == town.calendars["Home"]
    town.put("x", calendar="Heir")
    town.go()
    assert (town.receiver.told, town.shape()["calendars"]) == (["h"], [])


def test_a_storm_is_few_messages(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many changes in one, and so many messages waiting: the rest stays in the log until there is room."""
    town.add()
    town.put(*(f"e{number}" for number in range(1200)))
    town.go()
    assert [len(each.data["items"]) for each in town.receiver.received] == [500, 500, 200]
    assert town.receiver.told == [f"e{number}" for number in range(1200)]

    monkeypatch.setattr(messages, "MOST_ITEMS", 2)
    monkeypatch.setattr(messages, "MOST_WAITING", 3)
    town.receiver.close()
    town.put(*(f"f{number}" for number in range(20)))
    town.delivery.cut()
    assert town.shape()["pending"] == 3
    town.receiver.open()
    for _ in range(10):
        town.go()
    assert town.receiver.told[1200:] == [f"f{number}" for number in range(20)]


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


def test_the_log_waits_for_those_who_are_told(town: Town) -> None:
    """It is kept for an active endpoint; a disabled one that has missed something is told so."""
    town.add()
    town.put("a", "b")
    town.pass_time(days=1)
    town.clean_up()
    town.go()
    assert town.receiver.told == ["a", "b"]

    town.disable()
    town.put("c", "d")
    town.pass_time(days=1)
    town.clean_up()
    town.enable()
    town.put("e")
    town.go()
    lost = town.receiver.received[1]
    assert (lost.type, lost.data) == ("changes.lost", {"seq": 5})
    town.put("f")
    town.go()
    assert town.receiver.told == ["a", "b", "f"]


def test_a_log_with_gaps_is_not_whole(town: Town) -> None:
    """An old row that is kept for an event must not make up for later ones that are gone."""
    town.put("kept", "gone", "gone too", "last")
    town.delete("kept")
    town.pass_time(days=1)
    with town.hub.read() as conn:
        assert [changes.is_whole_after(conn, seq) for seq in (0, 2, 5, 6)] == [True, True, True, False]
    town.clean_up()

    with town.hub.read() as conn:
        left = [each["seq"] for each in changes.log_after(conn, 0, 100)]
        whole = {seq: changes.is_whole_after(conn, seq) for seq in range(6)}
    assert left == [1, 5]
    assert whole == {0: False, 1: False, 2: False, 3: False, 4: True, 5: True}


def test_what_is_forgotten(town: Town) -> None:
    """Delivered messages after a day, dead ones with the history, and what waits for somebody who is disabled, too."""
    town.add()
    town.put("a")
    town.go()
    town.put("b")
    town.receiver.answers += fail(1)
    town.go()
    town.pass_time(hours=23)
    for _ in range(2):
        with town.hub.transaction() as conn:
            messages.drop_delivered(conn, town.hub.clock())
        counted = len(town.kept("delivered"))
        town.pass_time(hours=2)
    assert counted == 0
    with town.hub.transaction() as conn:
        conn.execute("UPDATE message SET state = 'dead', next_try = NULL")
    town.put("c")
    town.delivery.cut()
    town.disable()
    town.pass_time(days=10)
    town.clean_up(keep_days=12)
    assert [each["state"] for each in town.kept()] == ["pending", "dead"]
    town.clean_up(keep_days=9)
    assert town.kept() == []
    town.enable()
    town.go()
    assert town.receiver.types[-1] == "changes.lost"


def test_after_a_restore(town: Town) -> None:
    """Who was told of what this hub does not know any more is told to read everything anew."""
    town.add()
    town.put("a")
    town.go()
    backup(town.hub.home, town.hub.home.parent / "copy.db")
    town.put("b")
    town.go()
    town.hub.close()
    restore(town.hub.home, town.hub.home.parent / "copy.db")
    town.hub = Hub.open(town.hub.home, clock=lambda: town.now)
    town.delivery = Delivery(town.hub)
    town.go()
    assert (town.receiver.types, town.receiver.received[-1].data) == (
        ["changes", "changes", "changes.lost"],
        {"seq": 1},
    )


def test_removed(town: Town) -> None:
    """With everything that waits for it; also between cutting and sending."""
    town.add()
    town.put("a")
    town.delivery.cut()
    (due,) = town.delivery.due()
    with town.hub.transaction() as conn:
        endpoints.remove(conn, town.hub.home, 1)
    town.delivery.attempt(due)
    assert (town.kept(), town.receiver.received) == ([], [])
    assert town.add() == 2
    assert town.audited() == ["webhook added", "webhook removed", "webhook added"]
