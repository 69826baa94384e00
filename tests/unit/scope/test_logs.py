"""What a scope logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from honeyhive import ctx


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="scope")


@pytest.mark.anyio
async def test_each_scope_has_a_logger_named_after_its_path(caplog: pytest.LogCaptureFixture) -> None:
    async with ctx.scope("app"):
        ctx.log_info("outer")
        async with ctx.scope("orders"):
            ctx.log_info("inner")

    assert ["scope.app", "scope.app.orders"] == [record.name for record in caplog.records]


@pytest.mark.parametrize(
    "log, level",
    [
        (ctx.log_debug, logging.DEBUG),
        (ctx.log_info, logging.INFO),
        (ctx.log_warning, logging.WARNING),
        (ctx.log_error, logging.ERROR),
    ],
)
def test_levels_arguments_and_errors_are_those_of_logging(
    caplog: pytest.LogCaptureFixture, log: Callable[..., None], level: int
) -> None:
    error = ValueError("theirs")

    with ctx.scope("app"):
        log("%d of %s", 3, "four", error=error)

    (record,) = caplog.records
    assert (level, "3 of four") == (record.levelno, record.getMessage())
    assert record.exc_info is not None
    assert error is record.exc_info[1]


def test_a_record_points_at_the_line_that_logs(caplog: pytest.LogCaptureFixture) -> None:
    with ctx.scope("app"):
        ctx.log_info("here")

    (record,) = caplog.records
    assert (__file__, "test_a_record_points_at_the_line_that_logs") == (record.pathname, record.funcName)


def test_a_record_knows_its_scope(caplog: pytest.LogCaptureFixture) -> None:
    with ctx.scope("app"), ctx.scope("orders") as scope:
        ctx.log_info("here")

    (record,) = caplog.records
    assert ("app > orders", scope.id) == (record.scope, record.scope_id)
    assert ("", "", "") == (record.trace_id, record.span_id, record.session_id)


def test_outside_any_scope_the_logger_has_no_path(caplog: pytest.LogCaptureFixture) -> None:
    ctx.log_warning("alone")

    (record,) = caplog.records
    assert ("scope", "") == (record.name, record.scope)


def test_a_level_that_is_off_makes_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="scope")

    with ctx.scope("app"):
        ctx.log_info("nobody listens")

    assert [] == caplog.records


@pytest.fixture
def _own_records() -> Iterator[None]:
    before = logging.getLogRecordFactory()

    def own(*args: object, **kwargs: object) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.trace_id = "theirs"
        return record

    logging.setLogRecordFactory(own)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("_own_records")
def test_fields_that_the_program_gives_its_records_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    with ctx.scope("app"):
        ctx.log_info("here")

    assert "theirs" == caplog.records[0].trace_id
