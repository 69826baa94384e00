"""The client against a service that works, one that fails in every way, and none at all."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
import traceback

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.api import HoneyHive
from honeyhive.exceptions import (
    APICircuitOpenError,
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    MissingApiKeyError,
    NotFoundError,
    RateLimitError,
)
from honeyhive.models import EventFilter, EventType, FilterOperator
from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.resilience import RetryPolicy

KEY = "hh-secret-key-0123456789"
ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(max_attempts=3, delay=0.001)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("HH_API_KEY", "HH_INGESTION_API_KEY", "HH_API_URL", "HH_STRICT", "HH_PROJECT", "HONEYHIVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_client(server):
    clients = []

    def make(**settings):
        settings = {"api_key": KEY, "server_url": server.url, "retry_config": ONCE, **settings}
        clients.append(HoneyHive(**settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def sent(server, index=0):
    return json.loads(server.exchanges[index].body)


class TestWhatIsSaid:
    @pytest.mark.parametrize(
        "data",
        [
            {"session_name": "s", "inputs": {"q": 1}},
            {"session": {"session_name": "s", "inputs": {"q": 1}}},
        ],
        ids=["flat", "in its envelope"],
    )
    def test_a_session_starts_under_an_id_made_here(self, data, server, make_client):
        server.plan(
            lambda x: x.answer(200, json.dumps({"session_id": json.loads(x.body)["session"]["session_id"]}).encode())
        )

        session = make_client(project="p").sessions.start(data)

        said = sent(server)["session"]
        assert server.exchanges[0].path == "/session/start"
        assert said == {"session_name": "s", "inputs": {"q": 1}, "project": "p", "session_id": session.session_id}

    @pytest.mark.parametrize("form", ["flat", "envelope", "keywords"])
    def test_an_event_is_created_in_any_form(self, form, server, make_client):
        server.answer_json({"success": True, "event_id": "e1"})
        fields = {"event_type": EventType.model, "event_name": "call", "inputs": {"none": None}, "custom": 7}
        events = make_client(project="p").events

        answer = {
            "flat": lambda: events.create(fields),
            "envelope": lambda: events.create({"event": fields}),
            "keywords": lambda: events.create_event(**fields),
        }[form]()

        said = sent(server)["event"]
        assert (answer.success, answer.event_id) == (True, "e1")
        assert said.pop("event_id")
        assert said == {**fields, "event_type": "model", "project": "p"}
        assert server.exchanges[0].headers["authorization"] == f"Bearer {KEY}"

    def test_an_event_is_updated(self, server, make_client):
        server.plan(lambda x: x.answer(200, b""))

        assert make_client().events.update(event_id="e1", feedback={"rating": 5}) is True

        assert (server.exchanges[0].method, server.exchanges[0].path) == ("PUT", "/events")
        assert sent(server) == {"event_id": "e1", "feedback": {"rating": 5}}

    def test_a_batch_is_created(self, server, make_client):
        server.answer_json({"event_ids": ["a", "b"], "success": True})

        batch = [{"event_type": "tool"}, {"event_type": "model", "event_id": "mine"}]
        answer = make_client().events.create_batch(events=batch, single_session=True)

        said = sent(server)
        assert answer.event_ids == ("a", "b")
        assert said["is_single_session"] is True
        assert said["events"][1]["event_id"] == "mine"
        assert said["events"][0]["event_id"]

    def test_events_are_found_by_filters(self, server, make_client):
        server.answer_json({"events": [{"event_id": "e1", "inputs": {"q": 1}, "brand_new": 2}], "totalEvents": 9})
        condition = EventFilter(field="event_type", operator=FilterOperator.IS, value="model")

        found = make_client().events.export("p", [condition], projections=["inputs"], date_range={"$gte": "2026-01-01"})

        assert sent(server) == {
            "project": "p",
            "filters": [{"field": "event_type", "operator": "is", "value": "model", "type": "string"}],
            "projections": ["inputs"],
            "dateRange": {"$gte": "2026-01-01"},
            "limit": 1000,
            "page": 1,
        }
        event = found.events[0]
        assert (found.total_events, event.event_id, event["inputs"], event.get("brand_new")) == (9, "e1", {"q": 1}, 2)

    def test_more_events_than_a_page_holds_come_in_several_requests(self, server, make_client):
        def page(exchange):
            asked = json.loads(exchange.body)
            count = 7500 if asked["page"] == 1 else 1000
            exchange.answer(200, json.dumps({"events": [{}] * count, "totalEvents": 8500}).encode())

        server.plan(page)

        found = make_client(timeout=9.0).events.export(limit=10_000)

        assert len(found.events) == 8500
        assert [sent(server, n)["page"] for n in range(2)] == [1, 2]

    @pytest.mark.parametrize("name", ["list", "list_events", "get_events"])
    def test_listing_has_three_names(self, name, server, make_client):
        server.answer_json({"events": [], "totalEvents": 0})

        getattr(make_client().events, name)({"limit": 5})

        assert sent(server)["limit"] == 5

    def test_events_of_a_session_are_found(self, server, make_client):
        server.answer_json({"events": [{}], "count": 1})

        found = make_client().events.get_by_session_id("s1")

        assert found.total_events == 1
        assert sent(server)["filters"] == [{"field": "session_id", "operator": "is", "value": "s1", "type": "string"}]

    def test_writing_uses_the_key_for_writing(self, server, make_client):
        server.answer_json({"success": True, "events": []})
        client = make_client(ingestion_api_key="key-for-writing")

        client.events.create(event_type="tool")
        client.events.list()

        used = [exchange.headers["authorization"] for exchange in server.exchanges]
        assert used == ["Bearer key-for-writing", f"Bearer {KEY}"]

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_every_method_can_be_awaited(self, backend, server, make_client):
        server.plan(
            lambda x: x.answer(200, b'{"session_id":"s"}'),
            lambda x: x.answer(200, b'{"success":true,"event_id":"e"}'),
            lambda x: x.answer(200, b""),
            lambda x: x.answer(200, b'{"event_ids":["b"],"success":true}'),
            lambda x: x.answer(200, b'{"events":[{}],"totalEvents":1}'),
        )

        async def run():
            async with make_client() as client:
                return [
                    (await client.sessions.start_session_async(session_id="s")).session_id,
                    (await client.events.create_event_async(event_type="tool")).event_id,
                    await client.events.update_event_async(event_id="e"),
                    (await client.events.create_batch_async(events=[{"event_type": "tool"}])).event_ids,
                    len((await client.events.export_async()).events),
                    len((await client.events.get_events_async()).events),
                    len((await client.events.get_by_session_id_async("s")).events),
                ]

        assert anyio.run(run, backend=backend) == ["s", "e", True, ("b",), 1, 1, 1]


CALLS = {
    "sessions.start": lambda client: client.sessions.start(session_id="s1"),
    "events.create": lambda client: client.events.create(event_type="tool", event_id="e1"),
    "events.update": lambda client: client.events.update(event_id="e1"),
    "events.create_batch": lambda client: client.events.create_batch(events=[{"event_type": "tool", "event_id": "e1"}]),
    "events.export": lambda client: client.events.export(),
    "events.list": lambda client: client.events.list(),
    "events.get_by_session_id": lambda client: client.events.get_by_session_id("s1"),
}
FALLBACKS = {
    "sessions.start": lambda r: (r.session_id, r.event_id) == ("s1", "s1"),
    "events.create": lambda r: (r.success, r.event_id) == (False, "e1"),
    "events.update": lambda r: r is False,
    "events.create_batch": lambda r: (r.success, r.event_ids) == (False, ("e1",)),
    "events.export": lambda r: (r.events, r.total_events) == ((), 0),
    "events.list": lambda r: (r.events, r.total_events) == ((), 0),
    "events.get_by_session_id": lambda r: (r.events, r.total_events) == ((), 0),
}
LOGIN_PAGE = b"<!doctype html><title>Sign in</title>"


def answering(status, body=b'{"error":"because"}', **headers):
    return lambda exchange: exchange.answer(status, body, **headers)


FAILURES = {
    "refused": (None, APIConnectionError, None),
    "hang": (lambda x: x.hang(), APITimeoutError, None),
    "reset": (lambda x: x.reset(), APIConnectionError, None),
    "301": (answering(301, b"", location="http://elsewhere.invalid/"), APIError, 301),
    "401": (answering(401), AuthenticationError, 401),
    "403": (answering(403), AuthenticationError, 403),
    "404": (answering(404), NotFoundError, 404),
    "409": (answering(409), InvalidRequestError, 409),
    "422": (answering(422), InvalidRequestError, 422),
    "429": (answering(429), RateLimitError, 429),
    "500": (answering(500), APIError, 500),
    "503": (answering(503, b"down for maintenance", content_type="text/plain"), APIError, 503),
    "malformed JSON": (answering(200, b'{"success": tru'), APIError, 200),
    "deep JSON": (answering(200, b"[" * 200_000), APIError, 200),
    "login page": (answering(200, LOGIN_PAGE, content_type="text/html"), APIError, 200),
    "echo of the key": (lambda x: x.answer(400, x.headers["authorization"].encode()), InvalidRequestError, 400),
}


@pytest.mark.acceptance("C6")
@pytest.mark.acceptance("S6")
@pytest.mark.acceptance("S19")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", CALLS)
class TestFailureMatrix:
    """Every call, every failure, both ways to take it."""

    @pytest.fixture
    def broken(self, failure, call, server, closed_port, make_client):
        behaviour, _, _ = FAILURES[failure]
        if behaviour is not None:
            server.plan(behaviour)
        address = closed_port if behaviour is None else server.url
        timeout = 0.1 if failure == "hang" else 5.0
        return lambda **settings: make_client(server_url=address, timeout=timeout, **settings)

    def test_strict_raises_the_typed_error(self, broken, failure, call):
        _, kind, status = FAILURES[failure]

        with pytest.raises(APIError) as caught:
            CALLS[call](broken(strict=True))

        assert type(caught.value) is kind
        assert caught.value.status_code == status
        assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))

    def test_graceful_returns_the_fallback_warns_once_and_counts(self, broken, failure, call, caplog):
        _, kind, _ = FAILURES[failure]
        client = broken()

        with caplog.at_level(logging.DEBUG):
            results = [CALLS[call](client) for _ in range(2)]

        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert all(map(FALLBACKS[call], results))
        assert len(warnings) == 1
        assert client.statistics().failed == {kind.__name__: 2}
        assert KEY not in caplog.text


class TestAnswers:
    @pytest.mark.parametrize("call", CALLS)
    def test_unknown_fields_do_no_harm(self, call, server, make_client):
        server.answer_json(
            {"session_id": "s1", "success": True, "event_id": "e1", "event_ids": ["e1"], "events": [], "new": {"a": 1}}
        )

        CALLS[call](make_client(strict=True))

    @pytest.mark.parametrize("call", ["sessions.start", "events.create_batch", "events.export", "events.list"])
    def test_missing_fields_are_named(self, call, server, make_client):
        server.answer_json({"unexpected": 1})

        with pytest.raises(APIError, match=rf"{call}.*not as expected: (session_id|event_ids|events)"):
            CALLS[call](make_client(strict=True))

    @pytest.mark.parametrize("call", ["sessions.start", "events.create", "events.update", "events.create_batch"])
    def test_an_empty_success_is_one_where_the_ids_are_ours(self, call, server, make_client):
        server.plan(lambda x: x.send(b"HTTP/1.1 204 No Content\r\n\r\n"))

        result = CALLS[call](make_client(strict=True))

        assert result is True or not hasattr(result, "success") or result.success

    @pytest.mark.parametrize("call", ["events.export", "events.list", "events.get_by_session_id"])
    def test_an_empty_answer_to_a_question_is_an_error(self, call, server, make_client):
        server.plan(lambda x: x.send(b"HTTP/1.1 204 No Content\r\n\r\n"))

        with pytest.raises(APIError, match="not as expected"):
            CALLS[call](make_client(strict=True))

    def test_an_error_carries_what_the_service_said(self, server, make_client):
        server.answer_json({"message": "no such project"}, 404, x_request_id="r-7")

        with pytest.raises(NotFoundError, match="no such project") as caught:
            make_client(strict=True).events.list()

        assert (caught.value.server_message, caught.value.request_id) == ("no such project", "r-7")

    def test_a_login_page_is_called_one(self, server, make_client):
        server.plan(answering(200, LOGIN_PAGE, content_type="text/html; charset=utf-8"))

        with pytest.raises(APIError, match=r"text/html, not JSON.*login page"):
            make_client(strict=True).events.list()


class TestTryingAgain:
    def test_what_is_transient_is_tried_again(self, server, make_client):
        server.plan(answering(503), lambda x: x.reset(), answering(200, b'{"success":true,"event_id":"e"}'))

        answer = make_client(retry_config=QUICK).events.create(event_type="tool")

        ids = {sent(server, n)["event"]["event_id"] for n in range(3)}
        assert answer.success
        assert len(ids) == 1

    def test_what_is_final_is_not(self, server, make_client):
        server.plan(answering(422))

        make_client(retry_config=QUICK).events.list()

        assert len(server.exchanges) == 1

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_service_says_when(self, status, server, make_client, clock):
        server.plan(answering(status, retry_after="7"), answering(200, b'{"events":[]}'))

        make_client(retry_config=RetryPolicy(delay=1.0), clock=clock).events.list()

        assert clock.slept == [7.0]

    def test_failed_tries_are_told_on_the_current_span(self, server, make_client, clock):
        server.plan(answering(503), answering(429, retry_after="7"), answering(200, b'{"events":[]}'))

        with TracerProvider().get_tracer("tests").start_as_current_span("work") as span:
            make_client(retry_config=RetryPolicy(delay=1.0, jitter=0), clock=clock).events.list()

        told = [dict(event.attributes) for event in span.events]
        assert [(event["operation"], event["attempt"], event["wait_s"]) for event in told] == [
            ("events.list", 1, 1.0),
            ("events.list", 2, 7.0),
        ]
        assert {event.name for event in span.events} == {"honeyhive.resilience.retry.attempt_failed"}

    def test_a_wait_beyond_the_policy_is_not_waited(self, server, make_client, clock):
        server.plan(answering(429, retry_after="3600"))

        with pytest.raises(RateLimitError) as caught:
            make_client(retry_config=RetryPolicy(max_age=60), strict=True, clock=clock).events.list()

        assert caught.value.retry_after_s == 300
        assert clock.slept == []

    def test_a_rate_limit_of_our_own_holds_calls_back(self, server, make_client, clock):
        server.answer_json({"events": []})
        client = make_client(rate_limit_calls=2, rate_limit_window=10, clock=clock)

        for _ in range(5):
            client.events.list()

        assert clock.slept == [10.0, 10.0]

    def test_an_operation_that_keeps_failing_is_not_tried(self, server, make_client, clock):
        server.plan(answering(500))
        client = make_client(strict=True, clock=clock)
        for _ in range(5):
            with pytest.raises(APIError, match="500"):
                client.events.list()

        with pytest.raises(APICircuitOpenError, match=r"failed 5 times in a row; the next try is in 30 s"):
            client.events.list()

        assert len(server.exchanges) == 5

    def test_after_a_while_one_call_finds_out(self, server, make_client, clock):
        server.plan(*[answering(500)] * 5, answering(200, b'{"events":[]}'))
        client = make_client(clock=clock)
        for _ in range(6):
            client.events.list()
        clock.advance(30)

        client.events.list()

        assert len(server.exchanges) == 6
        assert client.statistics().succeeded == 1

    def test_refusals_of_a_request_do_not_count_against_the_service(self, server, make_client):
        server.plan(answering(404))
        client = make_client(strict=True)

        for _ in range(9):
            with pytest.raises(NotFoundError):
                client.events.list()

        assert len(server.exchanges) == 9

    @pytest.mark.anyio
    async def test_a_cancelled_call_leaves_the_breaker_as_it_was(self, server, make_client):
        server.plan(lambda x: x.hang())
        client = make_client(timeout=30.0)

        for _ in range(6):
            with anyio.move_on_after(0.02) as scope:
                await client.events.list_async()
            assert scope.cancelled_caught
        await client.aclose()

        assert client.statistics().failed == {}


def test_a_second_outage_is_reported_again(server, make_client, clock, caplog):
    works = answering(200, b'{"events":[]}')
    server.plan(answering(500), works, answering(500), works)
    client = make_client(clock=clock)

    with caplog.at_level(logging.INFO, "honeyhive.api"):
        for _ in range(3):
            client.events.list()
            clock.advance(61)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


class TestKeys:
    def test_without_a_key_nothing_is_sent(self, server, make_client):
        client = make_client(api_key=None)

        with pytest.raises(MissingApiKeyError, match="HH_API_KEY") as caught:
            client.events.create(event_type="tool")

        assert caught.value.key_kind == "ingestion"
        assert isinstance(caught.value, ValueError)
        assert server.exchanges == []

    def test_the_backend_of_this_machine_needs_none(self, server, make_client, tmp_path):
        server.answer_json({"events": []})
        token = tmp_path / "token"
        token.write_text("token-of-this-machine\n")
        ServerFile(server.url, str(token), 1).write(server_file_path())

        make_client(api_key=None, server_url=None, strict=True).events.list()

        assert server.exchanges[0].headers["authorization"] == "Bearer token-of-this-machine"

    def test_no_key_shows_in_a_repr(self, make_client):
        client = make_client(ingestion_api_key="other-secret")

        assert all(
            secret not in text
            for secret in (KEY, "other-secret")
            for text in (repr(client), repr(client.events), repr(client.api_config), repr(vars(client)))
        )

    @pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy], ids=["pickle", "copy"])
    def test_a_client_stays_in_its_process(self, duplicate, make_client):
        with pytest.raises(TypeError, match="cannot be pickled"):
            duplicate(make_client())


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"cp_base_url": "http://x"},
            {"tracer_instance": object()},
            {"retry_config": 3},
            {"rate_limit_calls": 0},
            {"rate_limit_window": 3},
            {"max_connections": 0},
            {"api_key": 5},
            {"timeout": "soon"},
        ],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_what_has_no_meaning_is_refused_with_the_reason(self, wrong, make_client):
        with pytest.raises(ConfigurationError):
            make_client(**wrong)

    def test_an_unknown_keyword_is_refused(self, make_client):
        with pytest.raises(TypeError):
            make_client(bogus=1)

    def test_an_address_that_is_none_is_reported_and_no_cloud_is_called_instead(self, make_client, caplog):
        client = make_client(server_url="not an address")

        found = client.events.list()

        assert found.events == ()
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]

    def test_the_environment_is_read_when_a_client_is_made(self, server, monkeypatch):
        server.answer_json({"events": []})
        monkeypatch.setenv("HH_API_KEY", KEY)
        monkeypatch.setenv("HH_API_URL", server.url)

        with HoneyHive() as client:
            client.events.list()

        assert len(server.exchanges) == 1

    def test_test_mode_sends_nothing(self, server, make_client, caplog):
        client = make_client(test_mode=True, api_key=None)

        assert client.sessions.start(session_id="s1").session_id == "s1"
        assert (server.exchanges, caplog.records) == ([], [])

    def test_verbose_logs_each_exchange_without_its_key(self, server, make_client, caplog):
        server.answer_json({"events": []})

        with caplog.at_level(logging.INFO, "honeyhive.api"):
            make_client(verbose=True).events.list()

        assert "events.list" in caplog.text
        assert KEY not in caplog.text

    @pytest.mark.parametrize(
        "wrong", [{"event_type": "tool", "inputs": 3}, {"event_type": "tool", "metadata": {"x": object()}}, {}]
    )
    def test_a_request_that_cannot_be_raises_in_either_mode(self, wrong, server, make_client):
        with pytest.raises(InvalidRequestError, match="CreateEventRequest"):
            make_client().events.create(wrong)

        assert server.exchanges == []


@pytest.mark.acceptance("S22")
def test_all_resources_and_threads_share_the_connections(server, make_client):
    server.answer_json({"events": [], "session_id": "s", "success": True})
    client = make_client(max_connections=2, max_keepalive=2)
    calls = [CALLS["events.list"], CALLS["sessions.start"], CALLS["events.create"]] * 4
    threads = [threading.Thread(target=call, args=(client,)) for call in calls]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(server.exchanges) == 12
    assert len(server.connections) <= 2
