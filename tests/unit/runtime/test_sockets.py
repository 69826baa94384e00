"""Broadcasts to WebSocket connections: how frames travel from one process to all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.to_thread
import pytest

from honeyhive.events import AsyncMessageBus, InMemoryMessageBus, KafkaMessageBus, Message
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime import LocalRelay, Sockets, WebsocketExecution, intercepted, use_ws_manager
from honeyhive.runtime.sockets import BusRelay, Frame
from honeyhive.testing import SpanCapture

pytestmark = pytest.mark.anyio

FRAMES = [Frame("hot tea"), Frame(""), Frame(b"\x00\xff"), Frame("only here", room="tea")]


class Told:
    """Stands for the connections of a process."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.is_complete = anyio.Event()

    def __call__(self, frame: Frame) -> None:
        self.frames.append(frame)
        if len(self.frames) == len(FRAMES):
            self.is_complete.set()


async def test_frames_reach_every_process_in_order_and_as_what_they_are() -> None:
    pytest.importorskip("aiokafka", reason="aiokafka is not installed: pip install honeyhive[kafka]")
    pytest.importorskip("aiokafka", reason="aiokafka is not installed: pip install honeyhive[kafka]")
    from honeyhive.testing import FakeKafka

    kafka = FakeKafka()
    told = Told(), Told()

    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        buses = [KafkaMessageBus("kafka://nowhere", group="shop", clients=kafka) for _ in told]
        relays = [BusRelay(bus) for bus in buses]
        for relay, each in zip(relays, told, strict=True):
            tasks.start_soon(relay.run, each)
        await anyio.wait_all_tasks_blocked()
        for bus in buses:
            await stack.enter_async_context(bus)
        for frame in FRAMES:
            await relays[0].send(frame)
        for each in told:
            await each.is_complete.wait()
        tasks.cancel_scope.cancel()

    assert [FRAMES] * 2 == [each.frames for each in told]


@pytest.mark.parametrize(
    "declare",
    [
        Sockets,
        lambda: Sockets(relay=LocalRelay()),
        lambda: Sockets(InMemoryMessageBus()),
        lambda: Sockets(AsyncMessageBus()),
        lambda: Sockets(TwoMethods(), LocalRelay()),
    ],
    ids=["nothing", "relay", "bus in memory", "bus in a loop", "relay before bus"],
)
async def test_the_connections_of_the_process_are_told_whatever_it_is_declared_with(
    declare: Callable[[], Sockets],
) -> None:
    client = Client()

    async with declare() as sockets, intercepted(WebsocketExecution(name="live", path="/live"), [sockets]):
        await anyio.wait_all_tasks_blocked()
        async with use_ws_manager().connected(client):
            await use_ws_manager().broadcast("hot tea")
            await client.is_told.wait()

    assert ["hot tea"] == client.texts


class Client:
    """A connection, as far as the manager sees it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_told = anyio.Event()

    async def accept(self) -> None: ...

    async def send_text(self, text: str) -> None:
        self.texts.append(text)
        self.is_told.set()

    @property
    def client_state(self) -> Any:
        return self

    application_state = client_state
    name = "DISCONNECTED"


async def test_a_client_that_takes_nothing_holds_nobody_up() -> None:
    client = DeafClient()

    with anyio.fail_after(10):
        async with Sockets() as sockets, intercepted(WebsocketExecution(name="live", path="/live"), [sockets]):
            await anyio.wait_all_tasks_blocked()
            async with use_ws_manager().connected(client):
                await use_ws_manager().broadcast("hot tea")
                await client.is_told.wait()

            assert not use_ws_manager().connections


class DeafClient(Client):
    """A connection whose other end reads nothing."""

    async def send_text(self, text: str) -> None:
        await super().send_text(text)
        await anyio.sleep_forever()


class TwoMethods:
    """A bus that cannot broadcast."""

    def subscribe(self, message_type: type[Message], handler: object) -> None: ...

    def publish(self, message: Message) -> None: ...


def test_a_bus_that_cannot_broadcast_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"a TwoMethods does not broadcast; .* Sockets\(relay=\.\.\.\)"):
        Sockets(TwoMethods())


async def test_a_plain_method_broadcasts_from_its_thread() -> None:
    told: list[Frame] = []

    class Remembering(LocalRelay):
        async def send(self, frame: Frame) -> None:
            told.append(frame)

    execution = WebsocketExecution(name="WEBSOCKET /live", path="/live")
    async with Sockets(relay=Remembering()) as sockets, intercepted(execution, [sockets]):
        await anyio.to_thread.run_sync(lambda: use_ws_manager().broadcast("hot tea"))

    assert [Frame("hot tea")] == told


async def test_a_broadcast_leaves_no_spans(capture_spans: SpanCapture) -> None:
    told = Told()

    async with AsyncMessageBus() as bus, anyio.create_task_group() as tasks:
        relay = BusRelay(bus)
        tasks.start_soon(relay.run, told)
        await anyio.wait_all_tasks_blocked()
        await relay.send(Frame("hot tea"))
        tasks.cancel_scope.cancel()

    assert [Frame("hot tea")] == told.frames
    assert [] == capture_spans.spans
