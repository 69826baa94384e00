"""What every message bus must do, as a test class to inherit from.

::

    class TestMyBus(BusContract):
        @pytest.fixture
        def open_bus(self, my_server):
            return lambda **settings: MyBus(my_server.url, **settings)

The tests are coroutines and run under anyio's pytest plugin. They work with a synchronous bus as well.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from honeyhive.events import Command, DeadLetter, Event, InMemoryInbox, Message, decode, delivery_count, idempotent
from honeyhive.exceptions import BusClosedError, PublishError
from honeyhive.resilience import RetryPolicy
from honeyhive.testing.tracers import SpanCapture

__all__ = ["BusContract", "Heard", "Paid", "Pay"]

PATIENCE_S = 20.0

Make: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Pay(Command):
    """The command that the contract publishes."""

    order_id: str


@dataclass(frozen=True, kw_only=True)
class Paid(Event, key="order_id"):
    """The event that the contract publishes; those of one order are to stay in order."""

    order_id: str
    number: int = 0
    note: str = ""


class Heard:
    """A handler that remembers; what it has heard can be waited for. Safe to call from any thread."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        # Keeps counting and appending one step.
        self._hearing = threading.Lock()

    def __call__(self, message: Message) -> None:
        with self._hearing:
            self.messages.append(message)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the events, in the order in which they were heard."""
        return [message.number for message in self.messages]

    @property
    def by_order(self) -> dict[str, list[int]]:
        """The numbers of the events of each order."""
        found: dict[str, list[int]] = defaultdict(list)
        for message in list(self.messages):
            found[message.order_id].append(message.number)
        return dict(found)

    async def wait_for(self, count: int) -> None:
        """Return when so many messages were heard."""
        await eventually(lambda: len(self.messages) >= count)


class BusContract:
    """The contract of a bus: who hears what, in which order, and what becomes of failures.

    Attributes:
        blocks: Whether ``publish`` is no coroutine function.
        raises: Whether ``publish`` waits for the handlers and raises what they raise.
        shares: Whether two buses of the same name reach one another, as those on an engine do.
        counts: Whether the engine knows how often it has delivered a message.
    """

    blocks: ClassVar[bool] = False
    raises: ClassVar[bool] = False
    shares: ClassVar[bool] = True
    counts: ClassVar[bool] = True

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def open_bus(self) -> Callable[..., Any]:
        """Return what makes a bus; takes ``retry``, and where buses share also ``name`` and ``group``."""
        # Abstract: each test class that inherits the contract overrides it.
        raise NotImplementedError("give the test class a fixture `open_bus`")

    @pytest.fixture
    def restart_engine(self) -> Callable[[], None] | None:
        """Return what kills the engine and starts it again on the same data, if there is one."""
        return None

    @pytest.fixture
    def make(self, open_bus: Callable[..., Any]) -> Callable[..., Any]:
        """Return what makes buses of a name that no other test uses."""
        name = f"contract-{uuid.uuid4().hex[:12]}"

        def make(group: str = "workers", **settings: Any) -> Any:
            settings.setdefault("retry", RetryPolicy(max_attempts=3, delay=0.01))
            return open_bus(name=name, group=group, **settings) if self.shares else open_bus(**settings)

        return make

    async def publish(self, bus: Any, message: Message) -> None:
        """Publish *message*; what its handlers raise is not our concern."""
        try:
            await (anyio.to_thread.run_sync(bus.publish, message) if self.blocks else bus.publish(message))
        except Exception:
            # Of a handler, which some buses raise to the publisher; those tests look at what else has happened.
            if not self.raises:
                raise

    # -- who hears what ----------------------------------------------------------------------

    async def test_every_handler_of_a_class_its_base_and_a_pattern_hears(self, make: Make) -> None:
        own, other, base, everything, pattern, not_meant = (Heard() for _ in range(6))
        wanted = [(Paid, own), (Paid, other), (Event, base), (Message, everything), ("P*d", pattern), (Pay, not_meant)]
        event = Paid(order_id="1", note="é\n\x00" + "x" * 100_000)

        async with running(make(), wanted) as bus:
            await self.publish(bus, event)
            for handler in (own, other, base, everything, pattern):
                await handler.wait_for(1)

        assert [[event]] * 5 == [each.messages for each in (own, other, base, everything, pattern)]
        assert event.note == own.messages[0].note
        assert [] == not_meant.messages

    @pytest.mark.parametrize("wrong", [Paid, "Paid"], ids=["the class of a message", "a text"])
    async def test_what_is_no_message_is_refused(self, make: Make, wrong: Any) -> None:
        async with running(make(), []) as bus:
            with pytest.raises(TypeError, match="message"):
                await (anyio.to_thread.run_sync(bus.publish, wrong) if self.blocks else bus.publish(wrong))

    async def test_handlers_are_functions_coroutine_functions_or_objects(self, make: Make) -> None:
        heard = Heard()

        class Handler:
            async def handle(self, message: Paid) -> None:
                heard(message)

        async def coroutine(message: Paid) -> None:
            heard(message)

        async with running(make(), [(Paid, heard), (Paid, coroutine), (Paid, Handler())]) as bus:
            await self.publish(bus, Paid(order_id="1", number=7))
            await heard.wait_for(3)

        assert [7, 7, 7] == heard.numbers

    async def test_a_foreign_message_reaches_handlers_of_its_pattern_as_it_came(self, make: Make) -> None:
        heard = Heard()
        foreign = decode(b'{"type":"com.example.pull","id":"1","source":"/x","data":{"a":[1]},"tenant":"t"}')

        async with running(make(), [("com.example.*", heard)]) as bus:
            await self.publish(bus, foreign)
            await heard.wait_for(1)

        assert [foreign] == heard.messages
        assert {"tenant": "t"} == heard.messages[0].extensions

    async def test_handlers_of_a_group_take_turns(self, make: Make) -> None:
        one, other = Heard(), Heard()

        async with running(make()) as bus:
            bus.subscribe(Paid, one, group="turns")
            bus.subscribe(Paid, other, group="turns")
            for number in range(4):
                await self.publish(bus, Paid(order_id="1", number=number))
            await eventually(lambda: len(one.messages) + len(other.messages) == 4)

        assert [[0, 2], [1, 3]] == sorted([one.numbers, other.numbers])

    @pytest.mark.parametrize("kind", ["function", "coroutine function"])
    async def test_what_a_handler_publishes_follows_from_what_it_handles(self, make: Make, kind: str) -> None:
        heard = Heard()
        bus = make()

        def pays(command: Pay) -> None:
            bus.publish(Paid(order_id=command.order_id))

        async def pays_too(command: Pay) -> None:
            await bus.publish(Paid(order_id=command.order_id))

        async with running(bus, [(Pay, pays if kind == "function" else pays_too), (Paid, heard)]):
            command = Pay(order_id="1", subject="order 1")
            await self.publish(bus, command)
            await heard.wait_for(1)

        [event] = heard.messages
        assert (command.id, command.correlation_id) == (event.causation_id, event.correlation_id)

    async def test_one_trace_runs_from_the_publisher_through_the_handler(self, make: Make) -> None:
        heard = Heard()

        with SpanCapture.running() as recorded:
            async with running(make(), [(Paid, heard)]) as bus:
                with recorded.tracer.with_session("chat") as session, recorded.tracer.start_span("request"):
                    await self.publish(bus, Paid(order_id="1"))
                await heard.wait_for(1)

        sent, handled = recorded.named("publish Paid"), recorded.named("process Paid")
        assert ("request", sent.span_id) == (sent.parent, handled.parent_id)
        assert [recorded.named("request").trace_id] * 2 == [sent.trace_id, handled.trace_id]
        assert session == handled.session_id
        assert {"PRODUCER", "CONSUMER"} == {sent.span.kind.name, handled.span.kind.name}

    # -- order -------------------------------------------------------------------------------

    async def test_messages_with_the_same_key_are_handled_in_order(self, make: Make) -> None:
        heard = Heard()

        async def handler(event: Paid) -> None:
            for _ in range(event.number % 3):
                await anyio.lowlevel.checkpoint()
            heard(event)

        async with running(make(), [(Paid, handler)]) as bus:
            for number in range(60):
                await self.publish(bus, Paid(order_id=str(number % 4), number=number))
            await heard.wait_for(60)

        assert {str(order): list(range(order, 60, 4)) for order in range(4)} == heard.by_order

    async def test_later_messages_of_a_key_wait_while_an_earlier_one_is_tried_again(self, make: Make) -> None:
        heard = Heard()
        fails = failing(ConnectionError("down"), times=2)

        def handler(event: Paid) -> None:
            if event.number == 0:
                fails(event)
            heard(event)

        async with running(make(), [(Paid, handler)]) as bus:
            for number in range(3):
                await self.publish(bus, Paid(order_id="1", number=number))
            await heard.wait_for(3)
            letters = await finished(bus.dead_letters.list())

        assert [0, 1, 2] == heard.numbers
        assert () == letters

    # -- failures ----------------------------------------------------------------------------

    async def test_what_fails_for_good_is_kept_with_the_reason_and_can_be_replayed(self, make: Make) -> None:
        fails, other = failing(ValueError("too late"), times=3), Heard()
        event = Paid(order_id="1", number=7)

        async with running(make(), [(Paid, fails), (Paid, other)]) as bus:
            await self.publish(bus, event)
            [letter] = await some_letters(bus)
            result = await finished(bus.replay(letter))
            left = await finished(bus.dead_letters.list())

        assert (event, 3, "ValueError: too late") == (letter.message, letter.attempts, letter.error)
        assert letter.handler.endswith("failing.<locals>.handler")
        assert "done" == result.value
        assert () == left
        assert [7] == other.numbers, "a handler that succeeded is not called again"

    async def test_a_dead_letter_can_be_discarded(self, make: Make) -> None:
        async with running(make(), [(Paid, failing(ValueError("no")))]) as bus:
            for number in range(2):
                await self.publish(bus, Paid(order_id="1", number=number))
            first, second = await some_letters(bus, 2)
            await finished(bus.dead_letters.discard(first))
            left = await finished(bus.dead_letters.list())

        assert (second,) == left

    async def test_a_handler_that_hangs_is_given_up(self, make: Make) -> None:
        if self.blocks:
            pytest.skip("nothing can stop a function that the publisher's own thread runs")

        async def hangs(event: Paid) -> None:
            await anyio.sleep_forever()

        async with running(make(retry=RetryPolicy(max_attempts=1))) as bus:
            bus.subscribe(Paid, hangs, timeout_s=0.05)
            await self.publish(bus, Paid(order_id="1"))
            [letter] = await some_letters(bus)

        assert letter.error.startswith("TimeoutError")

    # -- broadcasts --------------------------------------------------------------------------

    async def test_a_broadcast_reaches_every_listener_of_its_class_its_base_and_a_pattern(self, make: Make) -> None:
        own, base, pattern, not_meant = (Heard() for _ in range(4))
        wanted = [(Paid, own), (Event, base), ("P*d", pattern), (Pay, not_meant)]
        event = Paid(order_id="1", note="é")

        async with running(make(), listeners=wanted) as bus:
            await finished(bus.broadcast(event))
            for listener in (own, base, pattern):
                await listener.wait_for(1)

        assert [[event]] * 3 == [each.messages for each in (own, base, pattern)]
        assert event.note == own.messages[0].note
        assert [] == not_meant.messages

    async def test_every_process_of_every_group_hears_a_broadcast(self, make: Make) -> None:
        self.needs_sharing()
        one, other, of_another_group = listeners = [Heard() for _ in range(3)]

        async with (
            running(make(), listeners=[(Paid, one)]) as bus,
            running(make(), listeners=[(Paid, other)]),
            running(make("audit"), listeners=[(Paid, of_another_group)]),
        ):
            for number in range(10):
                await finished(bus.broadcast(Paid(order_id="1", number=number)))
            for listener in listeners:
                await listener.wait_for(10)

        assert [list(range(10))] * 3 == [each.numbers for each in listeners]

    async def test_what_is_broadcast_and_what_is_published_do_not_mix(self, make: Make) -> None:
        handled, overheard = Heard(), Heard()

        async with running(make(), [(Paid, handled)], listeners=[(Paid, overheard)]) as bus:
            for number in range(5):
                await finished(bus.broadcast(Paid(order_id="1", number=number)))
                await self.publish(bus, Paid(order_id="1", number=number + 100))
            await overheard.wait_for(5)
            await handled.wait_for(5)

        assert ([0, 1, 2, 3, 4], [100, 101, 102, 103, 104]) == (overheard.numbers, handled.numbers)

    async def test_what_a_process_broadcasts_at_once_is_heard_in_its_order(self, make: Make) -> None:
        heard = Heard()

        async with running(make(), listeners=[(Paid, heard)]) as bus, anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(self.broadcast, bus, Paid(order_id="1", number=number))
                await anyio.lowlevel.checkpoint()
            await heard.wait_for(60)

        assert list(range(60)) == heard.numbers

    async def test_who_does_not_listen_misses_what_is_broadcast(self, make: Make) -> None:
        always, late, early = Heard(), Heard(), Heard()

        async with running(make(), listeners=[(Paid, always)]) as bus:
            leaving = bus.listen(Paid, early)
            await finished(bus.broadcast(Paid(order_id="1", number=1)))
            await early.wait_for(1)
            await always.wait_for(1)
            leaving.cancel()
            async with running(make() if self.shares else bus, listeners=[(Paid, late)]):
                await finished(bus.broadcast(Paid(order_id="1", number=2)))
                await late.wait_for(1)
                await always.wait_for(2)

        assert ([1, 2], [2], [1]) == (always.numbers, late.numbers, early.numbers)

    async def test_a_listener_that_fails_is_called_once_and_keeps_nothing_from_the_others(self, make: Make) -> None:
        tries, heard = Heard(), Heard()

        def fails(event: Paid) -> None:
            tries(event)
            raise ValueError("no")

        async with running(make(), listeners=[(Paid, fails), (Paid, heard)]) as bus:
            for number in range(3):
                await finished(bus.broadcast(Paid(order_id="1", number=number)))
            await heard.wait_for(3)
            await tries.wait_for(3)
            letters = await finished(bus.dead_letters.list())

        assert [0, 1, 2] == heard.numbers == tries.numbers
        assert () == letters

    async def test_a_listener_that_hangs_keeps_nothing_from_the_others(self, make: Make) -> None:
        if self.blocks:
            pytest.skip("nothing can stop a function that the broadcaster's own thread runs")
        hangs, heard = anyio.Event(), Heard()

        async def listener(event: Paid) -> None:
            await hangs.wait()

        listeners = [(Paid, listener), (Paid, heard)]
        async with running(make(), listeners=listeners) as bus, anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(self.broadcast, bus, Paid(order_id="1", number=number))
                await heard.wait_for(number + 1)
            hangs.set()

        assert [0, 1, 2] == heard.numbers

    async def test_one_trace_runs_from_the_broadcaster_to_its_listeners(self, make: Make) -> None:
        heard = Heard()

        with SpanCapture.running() as recorded:
            async with running(make(), listeners=[(Paid, heard)]) as bus:
                with recorded.tracer.start_span("request"):
                    await finished(bus.broadcast(Paid(order_id="1")))
                await heard.wait_for(1)

        sent, told = recorded.named("publish Paid"), recorded.named("process Paid")
        assert ("request", sent.span_id, sent.trace_id) == (sent.parent, told.parent_id, told.trace_id)

    async def test_broadcasts_are_heard_again_after_a_restart_of_the_engine(
        self, make: Make, restart_engine: Callable[[], None] | None
    ) -> None:
        if restart_engine is None:
            pytest.skip("this bus is given no engine that could be restarted")
        heard, elsewhere = Heard(), Heard()

        async with running(make(), listeners=[(Paid, heard)]) as bus, running(make(), listeners=[(Paid, elsewhere)]):
            await anyio.to_thread.run_sync(restart_engine)
            with anyio.fail_after(PATIENCE_S):
                while not (heard.messages and elsewhere.messages):
                    with contextlib.suppress(PublishError):
                        await bus.broadcast(Paid(order_id="1"))
                    await anyio.sleep(0.05)

        assert len(heard.messages) == len({each.id for each in heard.messages})

    async def broadcast(self, bus: Any, message: Message) -> None:
        """Broadcast *message*."""
        await finished(bus.broadcast(message))

    # -- the end -----------------------------------------------------------------------------

    async def test_a_closed_bus_takes_nothing_more(self, make: Make) -> None:
        async with running(make(), [(Paid, Heard())]) as bus:
            pass

        for send in (bus.publish, bus.broadcast):
            with pytest.raises(BusClosedError):
                await finished(send(Paid(order_id="1")))

    async def test_closing_lets_what_is_under_way_finish(self, make: Make) -> None:
        if self.blocks:
            pytest.skip("this bus blocks its publisher: nothing is under way when publish has returned")
        started, go_on, heard = anyio.Event(), anyio.Event(), Heard()

        async def handler(event: Paid) -> None:
            started.set()
            await go_on.wait()
            heard(event)

        async with anyio.create_task_group() as tasks, running(make(), [(Paid, handler)]) as bus:
            tasks.start_soon(self.publish, bus, Paid(order_id="1"))
            await started.wait()
            tasks.start_soon(bus.drain)
            await anyio.lowlevel.checkpoint()
            go_on.set()

        assert [0] == heard.numbers

    # -- several processes -------------------------------------------------------------------

    async def test_every_group_hears_everything(self, make: Make) -> None:
        self.needs_sharing()
        email, stock = Heard(), Heard()

        async with running(make("email"), [(Paid, email)]) as bus, running(make("stock"), [(Paid, stock)]):
            for number in range(10):
                await self.publish(bus, Paid(order_id="1", number=number))
            await email.wait_for(10)
            await stock.wait_for(10)

        assert list(range(10)) == email.numbers == stock.numbers

    async def test_members_of_a_group_share_the_work_and_keep_the_order(self, make: Make) -> None:
        self.needs_sharing()
        one, other, all_of_them = Heard(), Heard(), Heard()
        handlers = [[(Paid, mine), (Paid, all_of_them)] for mine in (one, other)]
        sent = 0

        async with running(make(), handlers[0]) as bus, running(make(), handlers[1]):
            with anyio.fail_after(PATIENCE_S):
                while not (one.messages and other.messages and sent >= 200):
                    await self.publish(bus, Paid(order_id=str(sent % 10), number=sent))
                    sent += 1
            await all_of_them.wait_for(sent)

        assert {str(order): list(range(order, sent, 10)) for order in range(10)} == all_of_them.by_order
        assert sent == len(one.messages) + len(other.messages)

    async def test_what_a_member_has_not_finished_comes_again_to_another(self, make: Make) -> None:
        self.needs_sharing()
        stuck, heard, counts = anyio.Event(), Heard(), []

        async def hangs(event: Paid) -> None:
            stuck.set()
            counts.append(delivery_count())
            await anyio.sleep_forever()

        async def hears(event: Paid) -> None:
            counts.append(delivery_count())
            heard(event)

        async with running(make(), [(Paid, hangs)]) as first:
            for number in range(5):
                await self.publish(first, Paid(order_id="1", number=number))
            await stuck.wait()
            await first.aclose(timeout_s=0.01)
            async with running(make(), [(Paid, hears)]):
                await heard.wait_for(5)

        assert [0, 1, 2, 3, 4] == heard.numbers
        assert counts[0] == 1
        assert not self.counts or counts[1] > 1, "a handler can tell that a message comes again"

    async def test_what_is_published_while_no_member_listens_is_kept(self, make: Make) -> None:
        self.needs_sharing()
        before, after = Heard(), Heard()

        async with running(make(), [(Paid, before)]) as bus:
            await self.publish(bus, Paid(order_id="1", number=1))
            await before.wait_for(1)
            await bus.drain()
            await self.publish(bus, Paid(order_id="1", number=2))
        async with running(make(), [(Paid, after)]):
            await after.wait_for(1)

        assert ([1], [2]) == (before.numbers, after.numbers)

    async def test_a_restart_of_the_engine_loses_nothing_and_doubles_no_effect(
        self, make: Make, restart_engine: Callable[[], None] | None
    ) -> None:
        if restart_engine is None:
            pytest.skip("this bus is given no engine that could be restarted")
        heard, inbox = Heard(), InMemoryInbox()

        async with running(make(), [(Paid, idempotent(heard, inbox))]) as bus:
            for number in range(20):
                await self.publish(bus, Paid(order_id=str(number % 3), number=number))
            await anyio.to_thread.run_sync(restart_engine)
            for number in range(20, 40):
                await self.publish(bus, Paid(order_id=str(number % 3), number=number))
            await heard.wait_for(40)

        assert {str(order): list(range(order, 40, 3)) for order in range(3)} == heard.by_order

    def needs_sharing(self) -> None:
        """Skip where a bus reaches its own process only."""
        if not self.shares:
            pytest.skip("this bus reaches its own process only")


@asynccontextmanager
async def running(
    bus: Any, handlers: Sequence[tuple[Any, Any]] = (), *, listeners: Sequence[tuple[Any, Any]] = ()
) -> AsyncIterator[Any]:
    """Subscribe *handlers* and *listeners*, open *bus* if it can be opened, and close it in the end."""
    for wanted, handler in handlers:
        bus.subscribe(wanted, handler)
    for wanted, listener in listeners:
        bus.listen(wanted, listener)
    if hasattr(bus, "open"):
        await finished(bus.open())
    try:
        yield bus
    finally:
        await finished(bus.aclose() if hasattr(bus, "aclose") else bus.close())


async def finished(value: Any) -> Any:
    """Return *value*, awaited if it can be."""
    return await value if inspect.isawaitable(value) else value


async def eventually(holds: Callable[[], object]) -> None:
    """Return when *holds* does; fails after twenty seconds."""
    with anyio.fail_after(PATIENCE_S):
        while not holds():
            await anyio.sleep(0.005)


async def some_letters(bus: Any, count: int = 1) -> Sequence[DeadLetter]:
    """Return the dead letters of *bus* when there are so many."""
    letters: Sequence[DeadLetter] = ()
    with anyio.fail_after(PATIENCE_S):
        while len(letters) < count:
            await anyio.sleep(0.005)
            letters = await finished(bus.dead_letters.list())
    return letters


def failing(error: Exception, times: int = 1_000_000) -> Callable[[Message], str]:
    """Return a handler that raises *error* so many times, and then returns ``"done"``."""
    left = iter(range(times))

    def handler(message: Message) -> str:
        if next(left, None) is None:
            return "done"
        raise error

    return handler
