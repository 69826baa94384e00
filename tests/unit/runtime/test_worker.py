"""The worker and the publisher: messages reach their handlers, in the same trace, after the work that published them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from honeyhive import State
from honeyhive.events import AsyncMessageBus, Command, Event, InMemoryMessageBus, Message, MessageBus
from honeyhive.exceptions import DeclarationError, MissingInterceptorError
from honeyhive.resilience import RetryPolicy
from honeyhive.runtime import (
    Execution,
    HttpExecution,
    MessageExecution,
    Provider,
    Publishing,
    ScheduleExecution,
    Service,
    Tracing,
    every,
    get,
    hook,
    on_message,
    use_execution,
    use_publisher,
)
from honeyhive.runtime.assembly import Process
from honeyhive.runtime.scheduler import scheduler_of
from honeyhive.runtime.worker import worker_of
from honeyhive.testing import SpanCapture

pytestmark = pytest.mark.anyio


class OrderPlaced(Event):
    order: str


class SendReceipt(Command, type="receipts.send"):
    order: str


class Orders:
    """Publishes, and handles what was published; remembers what it has handled."""

    handled: list[Any] = []

    @get("/orders/{order}")
    async def place(self, order: str, fails: bool = False) -> str:
        await use_publisher().publish(OrderPlaced(order=order))
        if fails:
            raise ValueError("theirs")
        return order

    @on_message(OrderPlaced)
    async def confirm(self, message: OrderPlaced) -> None:
        self.handled.append((message, use_execution()))
        await use_publisher().publish(SendReceipt(order=message.order))

    @on_message(SendReceipt)
    def send(self, message: SendReceipt) -> None:
        self.handled.append((message, use_execution()))


@pytest.fixture(autouse=True)
def _nothing_handled() -> None:
    Orders.handled.clear()


def service(
    *controllers: type, bus: AsyncMessageBus | None = None, interceptors: Any = (Tracing, Publishing)
) -> Service:
    bus = bus or AsyncMessageBus()
    return Service(
        "shop",
        providers=[Provider(MessageBus, lambda: bus)],
        controllers=controllers or (Orders,),
        interceptors=interceptors,
    )


@asynccontextmanager
async def working(declared: Service) -> AsyncIterator[Process]:
    """Run a worker beside the block; when the block ends, drain it."""
    stopping, ready = anyio.Event(), anyio.Event()
    async with declared.build({}).opened() as process, anyio.create_task_group() as tasks:
        worker = await worker_of(process)
        tasks.start_soon(worker.run, stopping, ready.set)
        await ready.wait()
        yield process
        stopping.set()


async def request(process: Process, order: str, **arguments: Any) -> None:
    """Do what a request for *order* does."""
    handler = process.assembly.routes()[0]
    execution = HttpExecution(name="GET /orders/{order}", method="GET", path=f"/orders/{order}")
    await process.run(execution, lambda: process.handle(execution, handler, order=order, **arguments))


def messages() -> list[tuple[str, str]]:
    return [(message.type, message.order) for message, _ in Orders.handled]


@pytest.mark.acceptance("J3")
@pytest.mark.acceptance("J9")
async def test_handlers_publish_and_consume_messages() -> None:
    async with working(service()) as process:
        await request(process, "tea")

    assert [("OrderPlaced", "tea"), ("receipts.send", "tea")] == messages()


@pytest.mark.acceptance("J21")
@pytest.mark.acceptance("J26")
async def test_handlers_receive_their_message_typed_with_kind_and_name() -> None:
    async with working(service()) as process:
        await request(process, "tea")

    (placed, execution), (receipt, _) = Orders.handled
    assert (OrderPlaced, SendReceipt) == (type(placed), type(receipt))
    assert isinstance(placed, Event)
    assert isinstance(receipt, Command)
    assert isinstance(execution, MessageExecution)
    assert ("OrderPlaced", placed.id, 1) == (execution.message_type, execution.message_id, execution.attempt)
    assert execution.id == f"{placed.id}/Orders.confirm"


@pytest.mark.acceptance("J34")
async def test_what_was_published_does_not_leave_when_the_work_fails() -> None:
    async with working(service()) as process:
        with pytest.raises(ValueError, match="theirs"):
            await request(process, "tea", fails=True)

    assert [] == messages()


async def test_what_was_published_leaves_after_everything_inside_has_succeeded() -> None:
    log: list[str] = []

    class Committing:
        @asynccontextmanager
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            yield
            log.append("commit")

    class Listens(Orders):
        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            log.append("handle")

    async with working(service(Listens, interceptors=[Publishing, Committing()])) as process:
        await request(process, "tea")

    assert ["commit", "handle"] == log[:2]


async def test_one_trace_runs_from_the_request_through_all_that_follows(capture_spans: SpanCapture) -> None:
    async with working(service()) as process:
        await request(process, "tea")

    assert len({span.trace_id for span in capture_spans}) == 1
    assert (
        "GET /orders/{order} [chain]\n"
        "  publish OrderPlaced [chain]\n"
        "    process OrderPlaced [chain]\n"
        "      publish receipts.send [chain]\n"
        "        process receipts.send [chain]"
    ) == capture_spans.tree()


async def test_the_span_of_a_message_tells_attempt_delay_and_handler(capture_spans: SpanCapture) -> None:
    async with working(service()) as process:
        await request(process, "tea")

    attributes = capture_spans.named("process OrderPlaced").attributes
    assert attributes["honeyhive.execution.kind"] == "message"
    assert attributes["code.function.name"] == "Orders.confirm"
    assert attributes["honeyhive.execution.attempt"] == 1
    assert attributes["honeyhive.execution.queue_delay_s"] >= 0


async def test_a_handler_is_tried_again_in_an_execution_of_its_own(capture_spans: SpanCapture) -> None:
    attempts: list[int] = []

    class Flaky(Orders):
        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            execution = use_execution()
            assert isinstance(execution, MessageExecution)
            attempts.append(execution.attempt)
            await use_publisher().publish(SendReceipt(order=f"attempt {execution.attempt}"))
            if execution.attempt < 3:
                raise ValueError("theirs")

    bus = AsyncMessageBus(retry=RetryPolicy(max_attempts=3, delay=0))
    async with working(service(Flaky, bus=bus)) as process:
        await request(process, "tea")

    assert [1, 2, 3] == attempts
    assert [("receipts.send", "attempt 3")] == messages()
    assert capture_spans.named("process OrderPlaced").attributes["honeyhive.execution.attempt"] == 3


async def test_tries_are_counted_also_when_other_handlers_run_within_them() -> None:
    attempts: list[int] = []
    bus = AsyncMessageBus(retry=RetryPolicy(max_attempts=3, delay=0))

    class Flaky(Orders):
        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            execution = use_execution()
            assert isinstance(execution, MessageExecution)
            attempts.append(execution.attempt)
            await bus.publish(SendReceipt(order="tea"))
            if execution.attempt < 3:
                raise ValueError("theirs")

    async with working(service(Flaky, bus=bus)) as process:
        await request(process, "tea")

    assert [1, 2, 3] == attempts
    assert 3 == len(messages())


async def test_a_handler_that_fails_for_good_leaves_a_dead_letter_and_the_request_alone(
    capture_spans: SpanCapture,
) -> None:
    class Failing(Orders):
        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            raise ValueError("theirs")

    bus = AsyncMessageBus()
    async with working(service(Failing, bus=bus)) as process:
        await request(process, "tea")

    (letter,) = bus.dead_letters.list()
    assert letter.message.order == "tea"
    assert letter.handler.endswith("Failing.confirm")
    assert "theirs" in (capture_spans.named("process OrderPlaced").error or "")
    assert capture_spans.named("GET /orders/{order}").error is None


async def test_a_handler_that_fails_for_good_is_logged_once_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Orders):
        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            raise ValueError("theirs")

    bus = AsyncMessageBus(retry=RetryPolicy(max_attempts=3, delay=0))
    async with working(service(Failing, bus=bus, interceptors=[Publishing])) as process:
        await request(process, "tea")

    (record,) = caplog.records
    (letter,) = bus.dead_letters.list()
    assert ("ERROR", "honeyhive.events") == (record.levelname, record.name)
    assert f"Failing.confirm failed at OrderPlaced ({letter.message.id}) for good, attempts: 3: ValueError: theirs" in (
        record.getMessage()
    )
    assert record.exc_info is not None


async def test_a_process_whose_tracing_finds_no_tracer_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with working(service(interceptors=[Tracing(), Publishing])) as process:
        await request(process, "tea")

    (record,) = caplog.records
    assert "Tracing() finds no tracer" in record.getMessage()
    assert "HoneyHiveTracer.init(...)" in record.getMessage()


async def test_a_process_whose_tracing_has_a_tracer_says_nothing(
    capture_spans: SpanCapture, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(service(interceptors=[Tracing(), Publishing])) as process:
        await request(process, "tea")

    assert capture_spans.named("GET /orders/{order}")
    assert [] == caplog.records


@pytest.mark.acceptance("J30")
async def test_a_message_does_not_see_the_state_of_the_request_it_came_from() -> None:
    class Tenant(State):
        name: str

    use_tenant = hook(Tenant, "OnlyRequests")
    seen: list[str] = []

    class OnlyRequests:
        @asynccontextmanager
        async def intercept(self, execution: Execution) -> AsyncIterator[Tenant | None]:
            yield Tenant(name="acme") if execution.kind == "http" else None

    class Looks(Orders):
        @get("/orders/{order}")
        async def place(self, order: str) -> None:
            seen.append(use_tenant().name)
            await use_publisher().publish(OrderPlaced(order=order))

        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            with pytest.raises(MissingInterceptorError):
                use_tenant()
            seen.append("nothing")

    async with working(service(Looks, interceptors=[Publishing, OnlyRequests()])) as process:
        await request(process, "tea")

    assert ["acme", "nothing"] == seen


async def test_a_stopping_worker_lets_handlers_end() -> None:
    began, go = anyio.Event(), anyio.Event()
    ended: list[str] = []

    class Slow(Orders):
        @on_message(OrderPlaced)
        async def confirm(self, message: OrderPlaced) -> None:
            began.set()
            await go.wait()
            ended.append(message.order)

    async with working(service(Slow)) as process:
        await request(process, "tea")
        await began.wait()
        go.set()

    assert ["tea"] == ended


async def test_a_tick_is_dispatched_to_a_worker_in_the_same_trace(capture_spans: SpanCapture) -> None:
    runs: list[ScheduleExecution] = []

    class Nightly:
        @every("* * * * * *", dispatch=True)
        async def sweep(self) -> None:
            execution = use_execution()
            assert isinstance(execution, ScheduleExecution)
            runs.append(execution)
            done.set()

    done = anyio.Event()
    async with (
        working(service(Nightly)) as process,
        scheduler_of(process) as scheduler,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(scheduler.run, done)
        await done.wait()

    first = runs[0]
    spans = [span for span in capture_spans if span.attributes.get("honeyhive.schedule.tick") == first.tick.isoformat()]
    assert ["schedule Nightly.sweep", "schedule Nightly.sweep"] == [span.name for span in spans]
    assert len({span.trace_id for span in spans}) == 1
    assert first.id == f"Nightly.sweep@{first.tick.isoformat()}"


async def test_a_service_without_a_bus_is_told_what_to_add() -> None:
    async with Service("shop", controllers=[Orders]).build({}).opened() as process:
        with pytest.raises(DeclarationError, match=r"'shop' needs a message bus.*Provider\(MessageBus"):
            await worker_of(process)


async def test_a_bus_that_would_block_the_event_loop_is_refused_when_the_process_opens() -> None:
    providers = [Provider(MessageBus, InMemoryMessageBus)]
    words = r"InMemoryMessageBus cannot.*provide an AsyncMessageBus\(\)"

    with pytest.raises(DeclarationError, match=words):
        async with Service("shop", providers=providers, interceptors=[Publishing]).build({}).opened():
            """It does not come so far."""
    async with Service("shop", providers=providers, controllers=[Orders]).build({}).opened() as process:
        with pytest.raises(DeclarationError, match=words):
            await worker_of(process)


async def test_a_bus_that_cannot_end_is_refused_by_a_worker() -> None:
    class TwoMethods(MessageBus):
        def subscribe(self, message_type: type, handler: Any) -> None: ...

        async def publish(self, message: Message) -> None: ...

    declared = Service("shop", providers=[Provider(MessageBus, TwoMethods)], controllers=[Orders])

    async with declared.build({}).opened() as process:
        with pytest.raises(DeclarationError, match=r"TwoMethods has no method drain\(\)"):
            await worker_of(process)


async def test_a_plain_method_publishes_without_waiting() -> None:
    class Plain(Orders):
        @get("/orders/{order}")
        def place(self, order: str) -> None:  # type: ignore[override]  # the point of the test
            use_publisher().publish(SendReceipt(order=order))

    async with working(service(Plain)) as process:
        await request(process, "tea")

    assert [("receipts.send", "tea")] == messages()


async def test_only_messages_can_be_published() -> None:
    class Wrong(Orders):
        @get("/orders/{order}")
        async def place(self, order: str) -> None:
            await use_publisher().publish(order)  # type: ignore[arg-type]  # the point of the test

    async with working(service(Wrong)) as process:
        with pytest.raises(TypeError, match="derived from Event, Command or Query, not str"):
            await request(process, "tea")


@pytest.mark.parametrize("kind", ["function", "awaitable"])
async def test_any_object_with_publish_is_a_bus_to_publish_on(kind: str) -> None:
    published: list[Message] = []

    class Own:
        def subscribe(self, message_type: type[Message], handler: Callable[[Message], Any]) -> None: ...

        def publish(self, message: Message) -> Any:
            published.append(message)
            return anyio.lowlevel.checkpoint() if kind == "awaitable" else None

    own = Service("shop", providers=[Provider(MessageBus, Own)], controllers=[Orders], interceptors=[Publishing]).build(
        {}
    )
    async with own.opened() as process:
        await request(process, "tea")

    assert [OrderPlaced] == [type(message) for message in published]
