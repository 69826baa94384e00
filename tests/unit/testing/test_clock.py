"""Manual time passes when a test says so, and for spans too."""

from __future__ import annotations

import threading

import pytest

from honeyhive.testing import ManualClock, MemoryExporter, TestableTracer
from honeyhive.tracer import Components


def test_time_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(start_ns=10)

    clock.advance(2.5)

    assert (2_500_000_010, 2.5) == (clock.time_ns(), clock.monotonic())


def test_sleeping_passes_at_once_and_is_noted() -> None:
    clock = ManualClock()

    clock.sleep(3)
    clock.sleep(0.5)

    assert ([3, 0.5], 3.5) == (clock.slept, clock.monotonic())


def test_setting_the_wall_clock_does_not_disturb_monotonic_time() -> None:
    clock = ManualClock()
    clock.advance(1)

    clock.set_time(5)

    assert (5, 1.0) == (clock.time_ns(), clock.monotonic())


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)


def test_a_wait_ends_when_another_thread_advances_the_clock() -> None:
    clock, event, answers = ManualClock(), threading.Event(), []
    waiting = threading.Thread(target=lambda: answers.append(clock.wait(event, 60)))
    waiting.start()

    while waiting.is_alive():
        clock.advance(30)
        waiting.join(0.01)

    assert [False] == answers


def test_a_wait_ends_when_the_event_is_set() -> None:
    clock, event, answers = ManualClock(), threading.Event(), []
    waiting = threading.Thread(target=lambda: answers.append(clock.wait(event, 60)))
    waiting.start()

    event.set()
    waiting.join(5)

    assert ([True], 0.0) == (answers, clock.monotonic())


def test_a_wait_of_no_time_does_not_wait() -> None:
    assert ManualClock().wait(threading.Event(), 0) is False


def test_spans_take_their_times_from_the_clock() -> None:
    clock, exporter = ManualClock(start_ns=1_000), MemoryExporter()
    tracer = TestableTracer(
        span_processor=exporter.processor(), components=Components(clock=clock), project="test", test_mode=True
    )

    with tracer.start_span("work"):
        clock.advance(2)

    recorded = exporter.named("work")
    assert (1_000, 2_000_000_000) == (recorded.span.start_time, recorded.duration_ns)
