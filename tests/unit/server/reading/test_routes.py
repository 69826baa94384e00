"""Asking on behalf of requests."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from starlette.requests import Request

from honeyhive.server.admission.limits import Limits
from honeyhive.server.index.queries import Queries
from honeyhive.server.reading.routes import Asking
from honeyhive.server.storage.files import FileStorage

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_slow_readers_leave_threads_for_what_comes_in(tmp_path: Path) -> None:
    limits = Limits()
    storage = FileStorage(
        tmp_path, on_append=lambda: None, on_readable=lambda _: None, on_failure=lambda _: None, limits=limits
    )
    asking = Asking(storage, limits)
    request = Request({"type": "http", "query_string": b""})
    ends = threading.Event()

    def slow(_: Queries) -> bool:
        return ends.wait(10)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(asking.ask, request, slow)
        await anyio.wait_all_tasks_blocked()

        with anyio.fail_after(5):
            assert await to_thread.run_sync(lambda: "taken in") == "taken in"
        ends.set()

    storage.close()
