from __future__ import annotations

import threading

import pytest

from honeyhive.utils.clock import Clock


class HandClock(Clock):
    """A clock that only sleeping moves; it remembers every pause."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.pauses: list[float] = []

    def time_ns(self) -> int:
        return int(self.now_s * 1e9)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.sleep(timeout_s)
        return event.is_set()

    async def pause(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()
