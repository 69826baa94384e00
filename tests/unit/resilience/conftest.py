from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from honeyhive.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pause(clock: ManualClock) -> Callable[[float], Awaitable[None]]:
    """An asynchronous sleep that moves the clock."""

    async def pause(seconds: float) -> None:
        clock.sleep(seconds)

    return pause
