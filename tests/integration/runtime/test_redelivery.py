"""A message that comes again after its process has died over it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engines import Engine
from honeyhive.events import Event, RedisMessageBus
from services import Start

SERVICE = """
import os
from collections.abc import AsyncIterator

import anyio

from honeyhive.events import Event, MessageBus, RedisMessageBus
from honeyhive.runtime import Service, on_message, use_execution


class Parcelled(Event, type="test.parcelled"):
    pass


class Post:
    @on_message(Parcelled)
    async def carry(self, message: Parcelled) -> None:
        print("attempt", use_execution().attempt, flush=True)
        await anyio.sleep_forever()


async def bus() -> AsyncIterator[MessageBus]:
    async with RedisMessageBus(os.environ["BUS_URL"], name="post", group="carriers", lease_s=1) as opened:
        yield opened


service = Service("post", providers=[bus], controllers=[Post])
"""


class Parcelled(Event, type="test.parcelled"):
    """What the process under test handles, by a class of its own with the same name."""


@pytest.mark.fault
def test_the_execution_counts_the_deliveries_that_other_processes_have_died_over(
    start: Start, tmp_path: Path, redis_server: Engine
) -> None:
    (tmp_path / "post.py").write_text(SERVICE)
    first = start("post:service", "worker", BUS_URL=redis_server.url)
    first.wait_for("worker is ready")

    with RedisMessageBus(redis_server.url, name="post") as bus:
        bus.publish(Parcelled())
    first.wait_for("attempt 1")
    first.stop(signal.SIGKILL)
    second = start("post:service", "worker", BUS_URL=redis_server.url)

    second.wait_for("attempt 2")
