"""From configuration to clean-up, in every kind of execution at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from honeyhive import State, ctx
from honeyhive.events import Event
from honeyhive.exceptions import MissingInterceptorError
from honeyhive.runtime import (
    Execution,
    HttpExecution,
    Provider,
    Service,
    every,
    get,
    hook,
    on_message,
    use_config,
    use_execution,
)

pytestmark = pytest.mark.anyio


class Config(State):
    shop: str


class Asked(Event):
    question: str


@dataclass
class Connection:
    """What an execution has for itself."""

    owner: str
    is_open: bool = True
    used_by: list[str] = field(default_factory=list)


class Connected(State):
    connection: Connection


use_connection = hook(Connected, "Connections")


class Connections:
    """Opens a connection for each execution, and remembers all of them."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []

    @asynccontextmanager
    async def intercept(self, execution: Execution) -> AsyncIterator[Connected]:
        connection = Connection(execution.id)
        self.opened.append(connection)
        try:
            yield Connected(connection=connection)
        finally:
            connection.is_open = False


class Ticket:
    """Injected anew into every execution; its factory uses a hook."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


def ticket() -> Ticket:
    return Ticket(use_connection().connection)


class Everything:
    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket

    async def use(self) -> None:
        connection = use_connection().connection
        assert connection is self.ticket.connection
        for _ in range(3):
            connection.used_by.append(use_execution().id)
            await anyio.lowlevel.checkpoint()
        if use_execution().id.endswith("7"):
            raise ValueError("theirs")

    @get("/")
    async def read(self) -> None:
        await self.use()

    @on_message(Asked)
    async def answer(self, message: Asked) -> None:
        await self.use()

    @every("* * * * *")
    async def tick(self) -> None:
        await self.use()


def build(connections: Connections) -> Service:
    return Service(
        "shop",
        providers=[Provider(Ticket, ticket, lifetime="execution")],
        controllers=[Everything],
        interceptors=[connections],
        config=Config,
    )


@pytest.mark.acceptance("J37")
async def test_many_executions_at_once_share_nothing_and_leave_nothing() -> None:
    connections = Connections()
    assembly = build(connections).build({"SHOP": "tea"})
    failures: list[ValueError] = []

    async def run(number: int) -> None:
        handler = assembly.handlers[number % 3]
        arguments = (Asked(question="?"),) if handler.method == "answer" else ()
        execution = HttpExecution(name="x", id=f"execution {number}", method="GET", path="/")
        try:
            await process.run(execution, partial(process.handle, execution, handler, *arguments))
        except ValueError as error:
            failures.append(error)

    async with assembly.opened() as process, anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(run, number)

    assert len(connections.opened) == 300
    assert [] == [each for each in connections.opened if each.is_open or each.used_by != [each.owner] * 3]
    assert len(failures) == 30


@pytest.mark.acceptance("J11")
async def test_hooks_injection_and_scopes_are_one_mechanism() -> None:
    """A state that an interceptor gives is found by a hook, by `ctx.state`, and by the factory of an injected value."""
    found: list[object] = []

    class Looks(Everything):
        @get("/")
        async def read(self) -> None:
            found.extend([use_connection().connection, ctx.state(Connected).connection, self.ticket.connection])

    connections = Connections()
    service = Service(
        "shop", [Provider(Ticket, ticket, lifetime="execution")], controllers=[Looks], interceptors=[connections]
    )
    assembly = service.build({})
    execution = HttpExecution(name="x", method="GET", path="/")
    async with assembly.opened() as process:
        await process.run(execution, partial(process.handle, execution, assembly.routes()[0]))

    assert connections.opened * 3 == found


@pytest.mark.acceptance("J32")
async def test_configured_executed_cleaned_up() -> None:
    log: list[str] = []

    async def value(config: Config) -> AsyncIterator[str]:
        log.append(f"configured for {config.shop}")
        yield "value"
        log.append("cleaned up")

    class Works:
        def __init__(self, value: str) -> None: ...

        @get("/")
        async def read(self) -> None:
            log.append(f"executed in {use_config(Config).shop}")

    assembly = Service("shop", [Provider(str, value)], controllers=[Works], config=Config).build({"SHOP": "tea"})
    execution = HttpExecution(name="x", method="GET", path="/")

    async with assembly.opened() as process:
        await process.run(execution, partial(process.handle, execution, assembly.handlers[0]))

    assert ["configured for tea", "executed in tea", "cleaned up"] == log
    with pytest.raises(MissingInterceptorError):
        use_execution()
