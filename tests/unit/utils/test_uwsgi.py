"""What is asked of uWSGI, by a module that looks like its own."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from honeyhive.utils.uwsgi import call_in_workers, expect_threads


@pytest.fixture
def uwsgi(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker of a uWSGI that runs threads."""
    module = SimpleNamespace(opt={"enable-threads": True}, masterpid=lambda: 1, worker_id=lambda: 1)
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    return module


@pytest.mark.parametrize("option", ["enable-threads", "threads"])
def test_threads_are_expected_where_they_are_switched_on(uwsgi: Any, option: str) -> None:
    uwsgi.opt = {option: b"2"}

    expect_threads()


def test_without_threads_it_is_said_once_with_the_fix(uwsgi: Any, caplog: pytest.LogCaptureFixture) -> None:
    uwsgi.opt = {"master": True}

    for _ in range(2):
        with pytest.raises(RuntimeError, match="no threads"):
            expect_threads()

    assert 1 == caplog.text.count("--enable-threads")


def test_a_master_that_will_fork_runs_none(uwsgi: Any, caplog: pytest.LogCaptureFixture) -> None:
    uwsgi.worker_id = lambda: 0

    with pytest.raises(RuntimeError, match="master"):
        expect_threads()

    assert not caplog.records


def test_workers_call_us_before_the_hook_that_was_there(uwsgi: Any) -> None:
    called: list[str] = []
    uwsgi.masterpid = lambda: 0
    uwsgi.post_fork_hook = lambda: called.append("theirs")

    call_in_workers(lambda: called.append("ours"))
    uwsgi.post_fork_hook()

    assert ["ours", "theirs"] == called


def test_with_a_master_we_come_first_in_the_chain_of_its_decorators(
    uwsgi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain: list[object] = ["theirs"]
    monkeypatch.setitem(sys.modules, "uwsgidecorators", SimpleNamespace(postfork_chain=chain))

    call_in_workers(len)  # type: ignore[arg-type]

    assert [len, "theirs"] == chain
