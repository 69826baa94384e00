"""Scopes used as they cannot be used: each a precise error, and nothing left open."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from honeyhive import State, ctx
from honeyhive.exceptions import NoScopeError, ScopeError


class Config(State):
    retries: int = 3


@pytest.fixture
def closed() -> list[str]:
    """What has been closed."""
    return []


@pytest.fixture
def resource(closed: list[str]) -> Callable[[str], Any]:
    @asynccontextmanager
    async def make(name: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await checkpoint()
            closed.append(name)

    return make


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: ctx.scope(1), TypeError, "begins with its name, a text; got int"),
        (lambda: ctx.scope(""), ValueError, "needs a name"),
        (lambda: ctx.scope("app", Config), TypeError, r"not the class: Config\(\.\.\.\) makes one"),
        (lambda: ctx.scope("app", {"retries": 3}), TypeError, "takes State instances, not dict"),
        (lambda: ctx.scope("app", anyio.Lock()), TypeError, r"resources go into disposables="),
        (lambda: ctx.scope("app", trace="yes"), TypeError, "trace is True, False or None, not 'yes'"),
        (lambda: ctx.scope("app", tasks="kill"), ValueError, "'cancel', 'join', 'leave' or None, not 'kill'"),
        (lambda: ctx.scope("app", retries=3), TypeError, "unexpected keyword"),
    ],
)
def test_wrong_arguments_are_refused_at_once(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


class TestEntering:
    @pytest.mark.anyio
    async def test_a_scope_opens_once(self) -> None:
        block = ctx.scope("app")

        async with block:
            with pytest.raises(ScopeError, match=r"'app' has been entered before; call ctx\.scope\(\.\.\.\) again"):
                await block.__aenter__()

        with pytest.raises(ScopeError, match="has been entered before"):
            async with block:
                pass
        with pytest.raises(ScopeError, match="has been entered before"), block:
            pass

    @pytest.mark.anyio
    async def test_entering_again_does_not_disturb_the_scope_that_is_open(self) -> None:
        block = ctx.scope("app")

        async with block as scope:
            with pytest.raises(ScopeError):
                async with block:
                    pass
            assert ctx.current() is scope
            assert scope.is_open

    @pytest.mark.anyio
    async def test_what_was_not_entered_cannot_be_left(self) -> None:
        block = ctx.scope("app")

        with pytest.raises(ScopeError, match="'app' is left without having been entered"):
            await block.__aexit__(None, None, None)

    @pytest.mark.anyio
    async def test_a_scope_is_left_once(self) -> None:
        block = ctx.scope("app")
        async with block:
            pass

        with pytest.raises(ScopeError, match="'app' is left twice"):
            await block.__aexit__(None, None, None)


class TestOrder:
    @pytest.mark.anyio
    async def test_leaving_before_an_inner_scope_is_an_error_that_names_both(
        self, resource: Callable[[str], Any], closed: list[str]
    ) -> None:
        outer, inner = ctx.scope("outer", disposables=(resource("outer"),)), ctx.scope("inner")
        await outer.__aenter__()
        task = ctx.spawn(anyio.sleep_forever)
        await inner.__aenter__()

        with pytest.raises(ScopeError, match="'outer' is left before 'inner', which was opened inside it"):
            await outer.__aexit__(None, None, None)

        assert ["outer"] == closed
        assert task.is_cancelled
        assert "inner" == ctx.current().name
        await inner.__aexit__(None, None, None)

    @pytest.mark.anyio
    async def test_after_leaving_out_of_order_everything_around_works_as_before(self) -> None:
        async with anyio.create_task_group(), ctx.scope("app") as app:
            outer, inner = ctx.scope("outer"), ctx.scope("inner")
            await outer.__aenter__()
            await inner.__aenter__()
            with pytest.raises(ScopeError):
                await outer.__aexit__(None, None, None)
            await inner.__aexit__(None, None, None)

            assert ctx.current() is app
            with anyio.move_on_after(0.01):
                await anyio.sleep_forever()
            assert await ctx.spawn(anyio.sleep, 0) is None

    @pytest.mark.anyio
    async def test_the_error_of_the_block_is_not_lost(self) -> None:
        error = ValueError("theirs")
        outer, inner = ctx.scope("outer"), ctx.scope("inner")
        await outer.__aenter__()
        await inner.__aenter__()

        with pytest.raises(ExceptionGroup, match="errors in scope 'outer'") as caught:
            await outer.__aexit__(ValueError, error, None)

        assert error is caught.value.exceptions[0]
        assert isinstance(caught.value.exceptions[1], ScopeError)
        await inner.__aexit__(None, None, None)

    def test_plain_scopes_are_left_in_order_too(self) -> None:
        outer, inner = ctx.scope("outer"), ctx.scope("inner")
        outer.__enter__()
        inner.__enter__()

        with pytest.raises(ScopeError, match="'outer' is left before 'inner'"):
            outer.__exit__(None, None, None)
        inner.__exit__(None, None, None)

        with pytest.raises(NoScopeError):
            ctx.current()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestOtherTasks:
    async def test_leaving_in_another_task_is_an_error_and_closes_everything(
        self, resource: Callable[[str], Any], closed: list[str]
    ) -> None:
        block = ctx.scope("app", disposables=(resource("app"),))
        started: list[Any] = []

        async def enter() -> None:
            await block.__aenter__()
            started.append(ctx.spawn(anyio.sleep_forever))
            started.append(asyncio.create_task(anyio.sleep_forever()))
            await checkpoint()

        await asyncio.create_task(enter())

        with pytest.raises(ScopeError, match="entered in one task and is left in another"):
            await block.__aexit__(None, None, None)

        assert ["app"] == closed
        assert started[0].is_cancelled
        assert started[1].cancelled()

    async def test_a_generator_that_is_closed_elsewhere_says_so(self, closed: list[str]) -> None:
        async def numbers() -> AsyncIterator[int]:
            async with ctx.scope("numbers"):
                try:
                    yield 1
                finally:
                    closed.append("numbers")

        generator = numbers()
        await asyncio.create_task(anext(generator), context=contextvars.copy_context())  # type: ignore[arg-type]

        with pytest.raises(ScopeError, match="'numbers' was entered in one task"):
            await generator.aclose()  # type: ignore[attr-defined]

        assert ["numbers"] == closed


@pytest.mark.acceptance("A13")
@pytest.mark.anyio
async def test_a_generator_can_be_consumed_inside_a_scope() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            await checkpoint()
            yield number * ctx.state(Config).retries

    async with ctx.scope("app", Config(retries=10)):
        assert [0, 10, 20] == [number async for number in numbers()]


@pytest.mark.anyio
async def test_a_generator_may_hold_a_scope_to_its_end() -> None:
    async def numbers() -> AsyncIterator[int]:
        async with ctx.scope("numbers", Config(retries=2)):
            yield ctx.state(Config).retries

    async with ctx.scope("app", Config(retries=1)) as app:
        assert [2] == [number async for number in numbers()]
        assert ctx.current() is app
        assert 1 == ctx.state(Config).retries
