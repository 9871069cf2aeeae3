"""Push channels and the messages that come by them, with services that really POST."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families
from tests.daemon.rig import eventually
from tests.providers.notion.conftest import text

from calhub.api.app import make_app
from calhub.api.routes import webhooks as routes
from calhub.api.surroundings import Surroundings
from calhub.cli import main
from calhub.cli.context import SETTINGS
from calhub.daemon.front import listen
from calhub.daemon.webhooks import Webhooks
from calhub.hub import accounts, audit, channels, tokens
from calhub.hub.channels import Channel
from calhub.hub.database import Hub
from calhub.hub.secrets import seal
from calhub.hub.tokens import Scope
from calhub.sync.channels import Channels, is_told
from calhub.sync.connect import connector
from calhub.testing.people import PROPERTIES
from calhub.testing.services.base import Service
from calhub.testing.services.google import GoogleService
from calhub.testing.services.graph import Graph
from calhub.testing.services.notion import NotionService
from calhub.testing.world import VirtualClock

DAY = {"start": {"date": "2026-11-23"}, "end": {"date": "2026-11-24"}}
TIMES: dict[str, Any] = {
    "start": {"dateTime": "2026-11-23T10:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2026-11-23T11:00:00", "timeZone": "UTC"},
}
SECRETS = ("client_secret", "refresh_token", "token")


class Place:
    """A hub whose webhooks are served; pokes and the like are only written down."""

    def __init__(self, hub: Hub, clock: VirtualClock) -> None:
        self.hub, self.clock = hub, clock
        self.pokes: list[tuple[list[int], bool]] = []
        self.looked: list[int] = []
        self.said: list[str] = []
        self.channels = Channels(hub, connector(hub), self.looked.extend)
        self.webhooks = self._webhooks()
        self._sock = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        settings = {each.name: each.default for each in SETTINGS}
        app = make_app(Surroundings(hub, settings.__getitem__, webhooks=self.webhooks))
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._sock]})

    def _webhooks(self) -> Webhooks:
        return Webhooks(
            self.hub, lambda replicas, full: self.pokes.append((list(replicas), full)),
            lambda: self.channels.tend(), self.said.append,
        )  # fmt: skip

    def __enter__(self) -> Place:
        self._thread.start()
        eventually(lambda: self._server.started, "the web server")
        self.channels.public_url = self.url
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def attach(self, kind: str, credentials: dict[str, str], *calendars: str, **options: Any) -> list[int]:
        """An account with a replica for each remote calendar; returns their ids."""
        with self.hub.transaction() as conn:
            now = self.hub.now()
            settings = {key: value for key, value in credentials.items() if key not in SECRETS}
            account = accounts.add_account(conn, kind, kind, settings, now)
            for key in credentials.keys() & set(SECRETS):
                accounts.set_secret(conn, account.id, key, seal(self.hub.home, kind, key, credentials[key]))
            return [
                accounts.add_replica(
                    conn, accounts.add_calendar(conn, name, now).id, account.id, name, name, now, **options
                ).id
                for name in calendars
            ]

    def outcomes(self) -> dict[tuple[str, str], float]:
        """What became of the messages, as the metrics have it: by provider and outcome."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        return {
            (each.labels["provider"], each.labels["outcome"]): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if each.name == "calhub_webhooks_total"
        }

    def shown_tokens(self, scope: Scope = "admin") -> list[str | None]:
        """The verification token of each channel, as its health shows it to a caller of this scope."""
        with self.hub.transaction() as conn:
            token = tokens.create(conn, self.hub.home, scope, "", now=self.hub.now())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        found = httpx.get(f"{self.url}/health/detailed", headers=headers, trust_env=False).json()
        return [each.get("verification_token") for each in found["channels"]]

    def doctor(self) -> str:
        """What ``calhub doctor`` finds."""
        with redirect_stdout(io.StringIO()) as out:
            main.run(["--home", str(self.hub.home), "doctor"])
        return out.getvalue()

    def refused(self) -> list[dict[str, Any]]:
        """What the audit log tells of them, oldest first."""
        with self.hub.read() as conn:
            return [each["facts"] for each in audit.entries(conn, 100)[::-1] if each["what"] == "webhook refused"]

    def rows(self) -> list[Channel]:
        with self.hub.read() as conn:
            return channels.channels(conn)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def place(tmp_path: Any, clock: VirtualClock) -> Iterator[Place]:
    with Hub.open(tmp_path / "home", clock=clock) as hub, Place(hub, clock) as made:
        yield made


@pytest.fixture
def google(clock: VirtualClock) -> Iterator[GoogleService]:
    with GoogleService(clock=clock) as service:
        yield service


@pytest.fixture
def graph(clock: VirtualClock) -> Iterator[Graph]:
    with Graph(clock=clock) as service:
        yield service


def deliver(service: Service) -> list[int | None]:
    return [message.status for message in service.deliver()]


def test_a_channel_is_opened_and_tells(place: Place, google: GoogleService) -> None:
    """Opened once; what happened before it stood is looked for, and each change pokes its replica."""
    calendar = google.user_add_calendar("Work")
    [replica] = place.attach("google", google.credentials(), calendar)
    place.channels.tend()
    place.channels.tend()
    assert len(google.channels) == 1
    assert place.looked == [replica]
    assert place.channels.told() == {replica}

    google.user_insert(calendar, **DAY)
    assert deliver(google) == [200, 200]  # the first message says only that the channel is open
    assert place.pokes == [([replica], False)]


def test_old_and_forged_messages_do_nothing(place: Place, google: GoogleService) -> None:
    """They are answered like the others, or the service would repeat them."""
    calendar = google.user_add_calendar("Work")
    [replica] = place.attach("google", google.credentials(), calendar)
    place.channels.tend()
    google.user_insert(calendar, **DAY)
    google.user_insert(calendar, **DAY)
    sent = google.deliver()
    place.pokes.clear()
    url = sent[-1].url
    for message in sent:
        google.notify(message.url, message.headers)
    google.notify(url, {**sent[-1].headers, "X-Goog-Message-Number": "99", "X-Goog-Channel-Token": "guess"})
    google.notify(url.removesuffix(str(replica)) + "77", sent[-1].headers)
    assert deliver(google) == [200] * 5
    assert place.pokes == []
    counted = {"accepted": 3, "repeated": 3, "refused": 1, "ended": 1}
    assert place.outcomes() == {("google", outcome): number for outcome, number in counted.items()}
    assert place.refused() == [{"provider": "google", "replica": replica, "address": "127.0.0.1"}]


def test_an_old_channel_is_no_attack(place: Place, google: GoogleService, graph: Graph) -> None:
    """Services go on for a while after they were told to stop. That is counted, and not taken for a forgery."""
    calendar, other = google.user_add_calendar("Work"), graph.user_calendar("Work")
    place.attach("google", google.credentials(), calendar)
    place.attach("microsoft", graph.credentials(), other)
    place.channels.tend()
    google.user_insert(calendar, **DAY)
    graph.user_event(other, subject="told", **TIMES)
    [*_, late] = google.deliver()
    [later] = graph.pending
    assert deliver(graph) == [202]
    place.channels.public_url = ""
    place.channels.tend()
    assert place.rows() == []

    google.notify(late.url, {**late.headers, "X-Goog-Message-Number": "99"})
    graph.notify(later.url, later.headers, later.body)
    assert [*deliver(google), *deliver(graph)] == [200, 202]
    assert place.refused() == []
    google.notify(late.url, {**late.headers, "X-Goog-Channel-Token": "guess"})
    assert deliver(google) == [200]
    assert [each["provider"] for each in place.refused()] == ["google"]
    found = place.outcomes()
    assert (found["google", "ended"], found["microsoft", "ended"], found["google", "refused"]) == (1, 1, 1)


def test_a_flood_of_forgeries_does_not_fill_the_audit_log(place: Place) -> None:
    """One entry a minute for each sender and replica, and no more than twenty; the next tells of the rest."""
    url = f"{place.url}/webhooks/google/"
    with httpx.Client(trust_env=False) as stranger:
        for replica in (*[1] * 30, *range(1, 31)):
            assert stranger.post(f"{url}{replica}").status_code == 200
        assert [each["replica"] for each in place.refused()] == list(range(1, 21))
        place.clock.advance(minutes=2)
        assert stranger.post(f"{url}{1}").status_code == 200
        assert stranger.post(f"{url}{2**70}").status_code == 422
    assert place.refused()[-1] == {"provider": "google", "replica": 1, "address": "127.0.0.1", "left_out": 10}
    assert sum(1 + each.get("left_out", 0) for each in place.refused()) == 61
    assert place.outcomes() == {("google", "refused"): 61}


def test_a_channel_is_replaced_ahead_of_its_end(place: Place, google: GoogleService) -> None:
    """Also when the clock jumps past it, and when the address changes; the old one is stopped."""
    calendar = google.user_add_calendar("Work")
    place.attach("google", google.credentials(), calendar)
    for days, changed in ((0, True), (6, False), (0.6, True), (30, True)):
        before = set(google.channels)
        place.clock.advance(days=days)
        place.channels.tend()
        alive = {name for name, each in google.channels.items() if each.expires > place.clock()}
        assert len(alive) == 1
        assert (set(google.channels) != before) is changed
    [row] = place.rows()
    assert is_told(row, place.hub.now())
    place.channels.public_url = place.url.replace("127.0.0.1", "localhost")
    place.channels.tend()
    assert [each.address for each in google.channels.values()] == [row.address.replace("127.0.0.1", "localhost")]


def test_channels_end_with_what_wanted_them(place: Place, google: GoogleService) -> None:
    """A replica removed or paused, an account about to be removed, no public URL any more."""
    names = [google.user_add_calendar(name) for name in ("a", "b", "c")]
    first, second, _ = place.attach("google", google.credentials(), *names)
    place.channels.tend()
    assert len(google.channels) == 3
    with place.hub.transaction() as conn:
        accounts.remove_replica(conn, first)
        accounts.update_replica(conn, second, state="paused")
    place.channels.tend()
    assert [each.calendar for each in google.channels.values()] == [names[2]]
    place.channels.stop(1)
    assert google.channels == {}
    place.channels.tend()
    assert len(google.channels) == 1
    place.channels.public_url = ""
    place.channels.tend()
    assert google.channels == {}
    assert place.rows() == []


def test_who_does_not_push_is_not_asked_all_the_time(place: Place, google: GoogleService) -> None:
    calendar = google.user_add_calendar("Work")
    place.attach("google", google.credentials(), calendar)
    google.fail("POST */watch", "status", status=400)
    place.channels.tend()
    place.channels.tend()
    assert len(google.requests("POST */watch")) == 1
    assert place.channels.told() == set()
    assert [row.state for row in place.rows()] == ["refused"]
    place.clock.advance(days=1, minutes=1)
    place.channels.tend()
    assert [row.state for row in place.rows()] == ["open"]


def test_a_failure_in_passing_is_tried_again(place: Place, google: GoogleService) -> None:
    """And a channel that was planned when the process died is made anew."""
    calendar = google.user_add_calendar("Work")
    place.attach("google", google.credentials(), calendar)
    google.fail("POST */watch", "status", status=503, times=20)
    place.channels.tend()
    assert place.rows() == []
    google.heal()
    place.channels.tend()
    with place.hub.transaction() as conn:
        conn.execute("UPDATE channel SET state = 'planned', due = ''")
    place.channels.tend()
    assert [row.state for row in place.rows()] == ["open"]


def test_graph_shakes_hands_and_tells(place: Place, graph: Graph) -> None:
    calendar = graph.user_calendar("Work")
    [replica] = place.attach("microsoft", graph.credentials(), calendar)
    place.channels.tend()
    [name] = graph.subscriptions.rows
    graph.user_event(calendar, subject="told", **TIMES)
    assert deliver(graph) == [202]
    assert place.pokes == [([replica], False)]

    place.clock.advance(days=5)
    place.channels.tend()
    assert graph.subscriptions.rows[name].expires > place.clock() + timedelta(days=6)


def test_graph_s_lifecycle_is_seen_to(place: Place, graph: Graph) -> None:
    """Reauthorised, made anew when removed, and a full pass where messages were missed."""
    calendar = graph.user_calendar("Work")
    [replica] = place.attach("microsoft", graph.credentials(), calendar)
    place.channels.tend()
    [name] = graph.subscriptions.rows
    place.looked.clear()
    graph.subscriptions.lifecycle(name, "reauthorizationRequired")
    assert deliver(graph) == [202]
    assert len(graph.requests("PATCH */subscriptions/*")) == 1
    graph.subscriptions.lifecycle(name, "missed")
    assert deliver(graph) == [202]
    assert place.pokes == [([replica], True)]
    graph.subscriptions.lifecycle(name, "subscriptionRemoved")
    assert deliver(graph) == [202]
    assert [*graph.subscriptions.rows] != [name]
    assert len(graph.subscriptions.rows) == 1
    assert place.looked == [replica]


def test_graph_s_messages_need_the_secret(place: Place, graph: Graph) -> None:
    calendar = graph.user_calendar("Work")
    place.attach("microsoft", graph.credentials(), calendar)
    place.channels.tend()
    graph.user_event(calendar, subject="told", **TIMES)
    [message] = graph.pending
    graph.pending.clear()
    graph.notify(message.url, message.headers, message.body.replace(b'"clientState": "', b'"clientState": "x'))
    graph.notify(message.url, message.headers, b"x" * (routes.MOST_BYTES + 1))
    graph.notify(message.url, message.headers, b"nonsense")
    assert deliver(graph) == [202, 413, 202]
    assert place.pokes == []
    assert [each["provider"] for each in place.refused()] == ["microsoft"]
    assert place.outcomes() == {("microsoft", "refused"): 2}


def test_notion_is_verified_and_tells_of_all_its_databases(place: Place, clock: VirtualClock) -> None:
    """The newest token counts until a signed message has come, later ones do not; repetitions do nothing."""
    with NotionService(clock=clock) as notion:
        sources = [notion.add_database(name, PROPERTIES) for name in ("a", "b")]
        credentials = {"token": notion.token, "api_root": notion.api_root}
        first, second = place.attach("notion", credentials, *(source.id for source in sources))
        url = f"{place.url}/webhooks/notion/{first}"
        notion.notify(url, {}, b'{"verification_token": "somebody else"}')
        made = notion.webhooks.subscribe(url)
        assert deliver(notion) == [200, 200]
        assert made.token in place.said[-1]
        assert place.shown_tokens() == [made.token]
        assert place.shown_tokens(scope="read") == [None]
        assert f"verification token: {made.token}" in place.doctor()
        notion.webhooks.verify(made, made.token)
        notion.user_create(sources[1], {"Title": text("Lunch")})
        notion.webhooks.flush()
        [message] = notion.pending
        assert deliver(notion) == [200]
        assert place.pokes == [([second], False)]
        assert place.channels.told() == {first}
        assert place.shown_tokens() == [None]
        assert made.token not in place.doctor()

        notion.notify(url, {}, b'{"verification_token": "too late"}')
        notion.notify(url, message.headers, message.body)
        notion.notify(url, message.headers, message.body + b" ")
        notion.notify(f"{place.url}/webhooks/notion/9", message.headers, message.body)
        assert deliver(notion) == [403, 200, 403, 403]
        assert place.pokes == [([second], False)]
        assert [each["replica"] for each in place.refused()] == [first, 9]
        assert place.outcomes()["notion", "repeated"] == 1
        assert place.outcomes()["notion", "refused"] == 3
