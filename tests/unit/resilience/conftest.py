from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from honeyhive.testing import ManualClock


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run tests marked `anyio` on both event loops."""
    return request.param


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pause(clock: ManualClock) -> Callable[[float], Awaitable[None]]:
    """An asynchronous sleep that moves the clock."""

    async def pause(seconds: float) -> None:
        clock.sleep(seconds)

    return pause


@pytest.fixture
def recording() -> Callable[[], Iterator[ReadableSpan]]:
    """Open a span of a plain OpenTelemetry SDK and make it the current one."""
    tracer = TracerProvider().get_tracer("tests")

    @contextmanager
    def record() -> Iterator[ReadableSpan]:
        with tracer.start_as_current_span("work") as span:
            yield span

    return record


@pytest.fixture
def facts_of() -> Callable[[ReadableSpan], dict[str, object]]:
    """Read what our helpers have summed up on a span, without the prefix."""

    def read(span: ReadableSpan) -> dict[str, object]:
        prefix = "honeyhive.resilience."
        return {key.removeprefix(prefix): value for key, value in span.attributes.items() if key.startswith(prefix)}

    return read


@pytest.fixture
def events_of() -> Callable[[ReadableSpan], list[tuple[str, dict[str, object]]]]:
    """Read what our helpers have told on a span, without the prefix."""

    def read(span: ReadableSpan) -> list[tuple[str, dict[str, object]]]:
        return [(event.name.removeprefix("honeyhive.resilience."), dict(event.attributes)) for event in span.events]

    return read


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Fail if the test leaves a thread behind that was not there before, anyio's idle workers aside."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert [] == [thread for thread in left if "AnyIO worker" not in thread.name and "Trio" not in thread.name]
