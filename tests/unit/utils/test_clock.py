"""The machine's clock, behind the interface that tests replace."""

import threading

from honeyhive.utils.clock import SystemClock


def test_waiting_ends_at_once_when_the_event_is_set():
    event = threading.Event()
    event.set()

    assert SystemClock().wait(event, timeout_s=60)


def test_waiting_gives_up_after_its_time():
    assert not SystemClock().wait(threading.Event(), timeout_s=-1)


def test_time_goes_forward():
    clock = SystemClock()

    before = clock.monotonic()
    clock.sleep(0.001)
    clock.sleep(-1)

    assert clock.monotonic() > before
    assert clock.time_ns() > 1_700_000_000 * 10**9
