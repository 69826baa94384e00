"""What was being done when an error passed."""

import asyncio
import logging
import threading

import pytest

from honeyhive.utils.clock import Clock
from honeyhive.utils.error_context import ErrorContext


class SteppingClock(Clock):
    """Every look at it is half a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def time_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.is_set()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "honeyhive")
    return caplog


@pytest.mark.acceptance("S21")
def test_the_error_passes_and_is_logged_with_all_that_was_known(log):
    error = ValueError("theirs")

    with (
        pytest.raises(ValueError, match="theirs") as caught,
        ErrorContext("span_creation", SteppingClock(), span_name="test"),
    ):
        raise error

    assert error is caught.value
    (record,) = log.records
    assert logging.ERROR == record.levelno
    assert "span_creation" in record.getMessage()
    assert ("span_creation", 0.5, "ValueError", "theirs", "test") == (
        record.operation,
        record.duration,
        record.error_type,
        record.error_message,
        record.span_name,
    )


@pytest.mark.acceptance("S21")
def test_it_serves_async_code_too(log):
    async def work() -> None:
        async with ErrorContext("work"):
            raise KeyError("k")

    with pytest.raises(KeyError):
        asyncio.run(work())

    assert ["KeyError"] == [record.error_type for record in log.records]


def test_no_error_no_record(log):
    with ErrorContext("work"):
        pass

    assert [] == log.records


def test_cancellation_is_not_an_error(log):
    with pytest.raises(asyncio.CancelledError), ErrorContext("work"):
        raise asyncio.CancelledError

    assert [] == log.records


def test_context_may_be_named_like_fields_of_a_log_record(log):
    with pytest.raises(KeyError), ErrorContext("work", message="m", name="n", operation="mine", clock=1):
        raise KeyError

    (record,) = log.records
    assert ("m", "n", 1) == (record.context_message, record.context_name, record.clock)
    assert ("work", "mine") == (record.operation, record.context_operation)


def test_an_error_that_cannot_say_its_name_still_passes():
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("mute")

    with pytest.raises(MuteError), ErrorContext("work"):
        raise MuteError


def test_secrets_stay_out_of_the_log(log):
    with pytest.raises(ValueError, match="401"), ErrorContext("call", api_key="LEAKLEAKLEAK"):
        raise ValueError("401 for sk-LEAKLEAKLEAKLEAKLEAKLEAK")

    assert "LEAK" not in str(vars(log.records[0]) | {"exc_info": None})
