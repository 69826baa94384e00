"""From a reply to what it says."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.api.answers import is_transient, payload
from honeyhive.api.transport import Reply
from honeyhive.exceptions import APICircuitOpenError, APIConnectionError, APIError, RateLimitError

NOW_NS = 1_790_000_000_000_000_000  # 2026-09-21 14:13:20 UTC


def refusal(reply, *secrets):
    with pytest.raises(APIError) as caught:
        payload("events.list", reply, NOW_NS, secrets)
    return caught.value


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("3", 3.0),
        ("2.5", 2.5),
        ("-1", 0.0),
        ("1e9", 300.0),
        ("Mon, 21 Sep 2026 14:13:50 GMT", 30.0),
        ("Mon, 21 Sep 2020 14:13:50 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        ("soon", None),
        ("NaN", None),
        ("", None),
    ],
)
def test_retry_after_is_read_within_bounds(value, seconds):
    error = refusal(Reply(429, {"retry-after": value}, b""))

    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    "body, said",
    [
        (b'{"message": "no"}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"error": {"code": 1}}', '{"error": {"code": 1}}'),
        (b"plain", "plain"),
        (b"\xff\xfe", "��"),
        (b"", None),
    ],
)
def test_what_the_service_says_is_found(body, said):
    assert refusal(Reply(400, {}, body)).server_message == said


def test_a_key_at_the_edge_of_a_long_message_does_not_show_in_part():
    error = refusal(Reply(400, {}, b"x" * 1995 + b"hh-secret-key"), "hh-secret-key")

    assert error.server_message == "x" * 1995 + "***"


@given(st.binary(max_size=200), st.sampled_from([200, 201, 204, 301, 400, 429, 500]))
def test_whatever_comes_is_json_or_a_typed_error(body, status):
    reply = Reply(status, {}, body)

    with contextlib.suppress(APIError):
        payload("events.list", reply, NOW_NS, ())


@pytest.mark.parametrize(
    "error, transient",
    [
        (APIConnectionError("x"), True),
        (APIError("x", status_code=503), True),
        (RateLimitError("x"), True),
        (APIError("x", status_code=501), False),
        (APIError("x", status_code=200), False),
        (APICircuitOpenError("x"), False),
    ],
)
def test_what_may_pass_with_time_is_transient(error, transient):
    assert is_transient(error) is transient
