"""The one blind ``except``: swallows our own failures, tells once, counts always."""

import asyncio
import logging

import pytest

from honeyhive.utils.guard import FailureLog, guard, raise_it


def fail_once(report: FailureLog) -> None:
    with guard("work", report=report):
        raise ValueError("ours")


def test_an_error_of_ours_stops_at_the_guard():
    seen = []

    with guard("work", report=lambda operation, error: seen.append((operation, str(error)))):
        raise ValueError("ours")

    assert [("work", "ours")] == seen


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_what_is_not_an_exception_passes(error: type[BaseException]):
    with pytest.raises(error), guard("work"):
        raise error


def test_tests_make_it_loud_with_raise_it():
    with pytest.raises(ValueError, match="ours"), guard("work", report=raise_it):
        raise ValueError("ours")


def test_one_cause_is_reported_once_and_counted_always(caplog: pytest.LogCaptureFixture):
    report = FailureLog()

    with caplog.at_level(logging.INFO, "honeyhive"):
        for _ in range(3):
            fail_once(report)

    assert [logging.WARNING] == [record.levelno for record in caplog.records]
    assert "Your program is not affected" in caplog.text
    assert "ours" not in caplog.text
    assert [3] == list(report.counts().values())


def test_causes_are_told_apart_up_to_a_bound():
    report = FailureLog(max_causes=2)

    for number in range(5):
        report(f"operation {number}", ValueError())

    assert 5 == sum(report.counts().values())
    assert 3 == len(report.counts())


def test_a_host_whose_logging_raises_is_not_harmed():
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("the host's filter")

    logger = logging.getLogger("honeyhive")
    logger.addFilter(broken)
    try:
        fail_once(FailureLog())
    finally:
        logger.removeFilter(broken)
