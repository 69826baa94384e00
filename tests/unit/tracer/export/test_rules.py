"""The sending rules, row by row."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from honeyhive.exceptions import APITimeoutError
from honeyhive.tracer.export.rules import Action, Verdict, judge, judge_status, pause_s, unanswered

NOON_NS = 1_800_000_000_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    "status, action",
    [
        *((status, Action.DELIVERED) for status in (200, 201, 202, 204)),
        *((status, Action.RETRY) for status in (408, 425, 429, 500, 501, 502, 503, 504, 507, 599)),
        *((status, Action.ISOLATE) for status in (400, 422)),
        (413, Action.SHRINK),
        *((status, Action.WAIT) for status in (100, 301, 302, 307, 308, 401, 403, 404, 405, 407, 410, 415, 451)),
    ],
)
def test_a_status_leads_to_its_action(status, action):
    assert judge_status(status) is action


@pytest.mark.parametrize(
    "status, action",
    [(200, Action.DELIVERED), (503, Action.RETRY), (429, Action.RETRY), (401, Action.WAIT), (307, Action.WAIT)]
    + [(status, Action.ISOLATE) for status in (400, 404, 405, 409, 410, 422)],
)
def test_a_rest_record_is_dropped_when_the_endpoint_does_not_want_it(status, action):
    """No span may wait behind a session that a plain OTLP backend has no place for."""
    assert judge_status(status, alone=True) is action


@pytest.mark.parametrize("content_type", ["", "application/x-protobuf", "application/json; charset=utf-8"])
def test_success_with_a_body_that_means_nothing_is_success(answer, content_type):
    reply = answer(200, {"content-type": content_type}, b"\xff\x00<html>not protobuf\x80")

    assert judge(reply, now_ns=NOON_NS) == Verdict(Action.DELIVERED, "HTTP 200")


def test_a_login_page_is_no_delivery(answer):
    reply = answer(200, {"content-type": "text/html; charset=utf-8"}, b"<html>sign in")

    verdict = judge(reply, now_ns=NOON_NS)

    assert verdict.action is Action.WAIT
    assert "text/html" in verdict.reason


def test_an_empty_answer_may_have_any_content_type(answer):
    assert judge(answer(200, {"content-type": "text/plain"}), now_ns=NOON_NS).action is Action.DELIVERED


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/json"])
def test_rejected_spans_are_read_from_a_partial_success(answer, content_type):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 3
    body = response.SerializeToString() if "proto" in content_type else b'{"partialSuccess": {"rejectedSpans": "3"}}'

    assert judge(answer(200, {"content-type": content_type}, body), now_ns=NOON_NS).rejected == 3


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"partialSuccess": null}', b'{"partialSuccess": {"rejectedSpans": "many"}}', b"["]
)
def test_a_partial_success_that_cannot_be_read_rejects_nothing(answer, body):
    assert judge(answer(200, {"content-type": "application/json"}, body), now_ns=NOON_NS).rejected == 0


def test_retry_pauses_double_up_to_half_a_minute():
    retry = Verdict(Action.RETRY, "HTTP 503")

    longest = [pause_s(retry, failures, lambda: 1.0) for failures in (1, 2, 3, 7, 8, 1000)]

    assert longest == [0.5, 1.0, 2.0, 30.0, 30.0, 30.0]


def test_retry_pauses_are_fully_jittered():
    assert pause_s(Verdict(Action.RETRY, "HTTP 503"), 5, lambda: 0.25) == 2.0


def test_probe_pauses_double_up_to_a_minute_and_are_exact():
    wait = Verdict(Action.WAIT, "HTTP 401")

    assert [pause_s(wait, failures, lambda: 0.0) for failures in (1, 2, 3, 6, 99)] == [2.0, 4.0, 8.0, 60.0, 60.0]


def test_no_pause_is_shorter_than_the_backend_asked_for():
    asked = Verdict(Action.RETRY, "HTTP 429", retry_after_s=30.0)

    assert pause_s(asked, 1, lambda: 0.0) == 30.0
    assert pause_s(asked, 1, lambda: 1.0) == 33.0


def test_no_answer_is_worth_another_try():
    assert unanswered(APITimeoutError("no answer in 10 s")) == Verdict(Action.RETRY, "no answer in 10 s")
