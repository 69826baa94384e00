"""Interceptors: their order, what they provide, what they see of errors; and the hooks that read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import wrapt

from honeyhive import State
from honeyhive.exceptions import DeclarationError, MissingInterceptorError
from honeyhive.runtime import (
    Configuration,
    Execution,
    HttpExecution,
    Service,
    Tracing,
    get,
    hook,
    intercepted,
    use_config,
    use_execution,
    use_publisher,
    use_session,
    use_ws_manager,
)
from honeyhive.testing import SpanCapture

pytestmark = pytest.mark.anyio

REQUEST = HttpExecution(name="GET /", method="GET", path="/")


class Tenant(State):
    name: str


class Config(State):
    tenant: str


use_tenant = hook(Tenant, "TenantInterceptor")


class Logging:
    """Writes down when it is entered and left, and what it saw."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    @asynccontextmanager
    async def intercept(self, _: Execution) -> AsyncIterator[None]:
        self.log.append(f"{self.name} in")
        try:
            yield
        except ValueError as error:
            self.log.append(f"{self.name} saw {error}")
            raise
        finally:
            self.log.append(f"{self.name} out")


class TenantInterceptor:
    def __init__(self, name: str = "acme") -> None:
        self.name = name

    @asynccontextmanager
    async def intercept(self, _: Execution) -> AsyncIterator[Tenant]:
        yield Tenant(name=self.name)


@pytest.mark.acceptance("J29")
async def test_interceptors_are_entered_in_order_and_left_in_reverse() -> None:
    log: list[str] = []

    async with intercepted(REQUEST, [Logging("first", log), Logging("second", log)]):
        log.append("work")

    assert ["first in", "second in", "work", "second out", "first out"] == log


@pytest.mark.acceptance("J31")
async def test_every_interceptor_sees_the_error_and_the_caller_gets_it_untouched() -> None:
    log: list[str] = []
    error = ValueError("theirs")

    with pytest.raises(ValueError, match="theirs") as caught:
        async with intercepted(REQUEST, [Logging("first", log), Logging("second", log)]):
            raise error

    assert error is caught.value
    assert ["first in", "second in", "second saw theirs", "second out", "first saw theirs", "first out"] == log


async def test_what_was_entered_is_left_when_a_later_interceptor_cannot_be_entered() -> None:
    log: list[str] = []

    class Failing:
        @asynccontextmanager
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            raise ValueError("no database")
            yield

    with pytest.raises(ValueError, match="no database"):
        async with intercepted(REQUEST, [Logging("first", log), Failing()]):
            log.append("never")

    assert ["first in", "first saw no database", "first out"] == log


@pytest.mark.acceptance("J28")
async def test_hooks_read_the_execution_they_run_in() -> None:
    async def names(tenant: str) -> tuple[str, str]:
        async with intercepted(HttpExecution(name=tenant, method="GET", path="/"), [TenantInterceptor(tenant)]):
            await asyncio.sleep(0)
            return use_tenant().name, use_execution().name

    assert await asyncio.gather(names("a"), names("b")) == [("a", "a"), ("b", "b")]


async def test_a_later_interceptor_may_use_what_an_earlier_one_provides() -> None:
    class Greeting(State):
        text: str

    class Greeter:
        @asynccontextmanager
        async def intercept(self, _: Execution) -> AsyncIterator[Greeting]:
            yield Greeting(text=f"hello {use_tenant().name}")

    async with intercepted(REQUEST, [TenantInterceptor(), Greeter()]):
        assert hook(Greeting, "Greeter")().text == "hello acme"


@pytest.mark.parametrize(
    "use, words",
    [
        (use_tenant, r"use_Tenant\(\) finds nothing here; declare the service with interceptors=\[TenantInterceptor\]"),
        pytest.param(
            use_session,
            r"use_session\(\).*interceptors=\[SqlSession\(url\)\]",
            marks=pytest.mark.skipif(find_spec("sqlalchemy") is None, reason="sqlalchemy is not installed"),
        ),
        (use_publisher, r"use_publisher\(\).*interceptors=\[Publishing\]"),
        (use_ws_manager, r"use_ws_manager\(\).*Sockets"),
        (lambda: use_config(State), r"use_config\(State\).*config=State"),
    ],
)
async def test_a_hook_that_finds_nothing_names_itself_and_the_interceptor_to_add(use: Any, words: str) -> None:
    with pytest.raises(MissingInterceptorError, match=words):
        async with intercepted(REQUEST):
            use()
    with pytest.raises(MissingInterceptorError, match="outside of any execution"):
        use()


async def test_outside_of_executions_there_are_no_facts_of_one() -> None:
    with pytest.raises(
        MissingInterceptorError, match=r"use_execution\(\) was called outside .* a handler of a service"
    ):
        use_execution()


async def test_configuration_is_an_interceptor_too() -> None:
    async with intercepted(REQUEST, [Configuration(Config, {"MY_TENANT": "acme"}, prefix="MY_")]):
        assert use_config(Config) == Config(tenant="acme")
        with pytest.raises(MissingInterceptorError, match="is a Config, not a Tenant"):
            use_config(Tenant)


async def test_an_interceptor_can_be_entered_by_hand() -> None:
    async with Configuration(Config, {"TENANT": "acme"}).intercept(REQUEST) as state:
        assert isinstance(state, State)
        assert repr(Config(tenant="acme")) in repr(state)


async def test_nothing_is_left_when_the_execution_has_ended() -> None:
    async with intercepted(REQUEST, [TenantInterceptor()]):
        pass

    with pytest.raises(MissingInterceptorError):
        use_tenant()


async def test_an_interceptor_that_yields_something_else_is_told_so() -> None:
    class Wrong:
        @asynccontextmanager
        async def intercept(self, _: Execution) -> AsyncIterator[Any]:
            yield "a text"

    with pytest.raises(TypeError, match=r"Wrong\.intercept yielded 'a text'"):
        async with intercepted(REQUEST, [Wrong()]):
            pass


async def test_edge_interceptors_come_first() -> None:
    with pytest.raises(DeclarationError, match=r"Tracing surrounds whole executions.*before TenantInterceptor"):
        async with intercepted(REQUEST, [TenantInterceptor(), Tracing()]):
            pass


async def test_tracing_records_an_execution_with_its_facts_in_any_program() -> None:
    with SpanCapture.running() as capture:
        async with intercepted(REQUEST, [Tracing()]):
            pass

    span = capture.named("GET /")
    assert span.attributes["http.request.method"] == "GET"
    assert span.event_type == "chain"


async def test_tracing_without_a_tracer_stays_out_of_the_way() -> None:
    async with intercepted(REQUEST, [Tracing()]):
        assert use_execution() is REQUEST


async def test_an_interceptor_that_is_a_context_manager_is_opened_with_the_process() -> None:
    log: list[str] = []

    class Pooled(Logging):
        async def __aenter__(self) -> None:
            log.append("pool in")

        async def __aexit__(self, *_: object) -> None:
            log.append("pool out")

    class Reads:
        @get("/")
        async def read(self) -> None:
            log.append("work")

    assembly = Service("shop", controllers=[Reads], interceptors=[Pooled("each", log)]).build({})
    async with assembly.opened() as process:
        await process.run(REQUEST, partial(process.handle, REQUEST, assembly.handlers[0]))

    assert ["pool in", "each in", "work", "each out", "pool out"] == log


@pytest.mark.acceptance("J16")
async def test_interceptors_are_built_from_the_configuration() -> None:
    def tenants(config: Config) -> TenantInterceptor:
        return TenantInterceptor(config.tenant)

    class Reads:
        @get("/")
        async def read(self) -> str:
            return use_tenant().name

    found = []
    for factory in (tenants, lambda config: TenantInterceptor(config.tenant)):
        assembly = Service("shop", controllers=[Reads], interceptors=[factory], config=Config).build({"TENANT": "acme"})
        async with assembly.opened() as process:
            found.append(await process.run(REQUEST, partial(process.handle, REQUEST, assembly.handlers[0])))

    assert ["acme", "acme"] == found


class Work:
    """Ends as it is told to."""

    error: BaseException | None = None

    @get("/")
    async def do(self) -> str:
        if self.error is not None:
            raise self.error
        return "done"


async def performed(interceptor: Any, error: BaseException | None = None) -> Any:
    """Return what work returns inside *interceptor*; it raises *error*, if there is one."""
    Work.error = error
    assembly = Service("shop", controllers=[Work], interceptors=[interceptor]).build({})
    async with assembly.opened() as process:
        return await process.perform(REQUEST, assembly.handlers[0])


def by_hand(function: Callable[[Any, Execution], AsyncIterator[Any]]) -> Callable[..., Any]:
    """Make the context manager in a function that is not made by contextlib itself."""

    def intercept(self: Any, execution: Execution) -> Any:
        return asynccontextmanager(function)(self, execution)

    return intercept


decorated = pytest.mark.parametrize("decorate", [asynccontextmanager, by_hand])


@decorated
async def test_an_interceptor_may_swallow_the_error_of_a_handler(decorate: Any) -> None:
    class Swallows:
        @decorate
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            try:
                yield
            except ValueError:
                pass

    assert await performed(Swallows()) == "done"
    assert await performed(Swallows(), ValueError("theirs")) is None


@decorated
@pytest.mark.parametrize("error", [ValueError("theirs"), StopAsyncIteration("theirs"), RuntimeError("theirs")])
async def test_an_interceptor_may_look_at_the_error_of_a_handler(decorate: Any, error: Exception) -> None:
    seen: list[BaseException] = []

    class Looks:
        @decorate
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            try:
                yield
            except BaseException as found:
                seen.append(found)
                raise

    with pytest.raises(type(error)) as caught:
        await performed(Looks(), error)

    assert [error, error] == [caught.value, *seen]


@decorated
async def test_an_interceptor_may_raise_another_error_instead(decorate: Any) -> None:
    class Translates:
        @decorate
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            try:
                yield
            except ValueError as error:
                raise LookupError("ours") from error

    with pytest.raises(LookupError, match="ours") as caught:
        await performed(Translates(), ValueError("theirs"))

    assert isinstance(caught.value.__cause__, ValueError)


@decorated
@pytest.mark.parametrize("times, words", [(0, "didn't yield"), (2, "didn't stop")])
async def test_an_interceptor_yields_exactly_once(decorate: Any, times: int, words: str) -> None:
    class Yields:
        @decorate
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            for _number in range(times):
                yield

    with pytest.raises(RuntimeError, match=words):
        await performed(Yields())


@decorated
async def test_an_interceptor_that_is_cancelled_with_its_handler_is_left(decorate: Any) -> None:
    log: list[str] = []

    class Cleans:
        @decorate
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            try:
                yield
            finally:
                log.append("left")

    class Cancels:
        @get("/")
        async def cancel(self) -> None:
            block.cancel()
            await anyio.lowlevel.checkpoint()

    assembly = Service("shop", controllers=[Cancels], interceptors=[Cleans()]).build({})
    async with assembly.opened() as process:
        with anyio.CancelScope() as block:
            await process.perform(REQUEST, assembly.handlers[0])

    assert block.cancelled_caught
    assert ["left"] == log


async def test_what_is_wrapped_around_the_method_of_an_interceptor_is_called() -> None:
    log: list[str] = []

    @wrapt.decorator
    def noted(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        log.append("called")
        return wrapped(*args, **kwargs)

    class Enters:
        @noted
        @asynccontextmanager
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            log.append("entered")
            yield

    assert await performed(Enters()) == "done"
    assert ["called", "entered"] == log
