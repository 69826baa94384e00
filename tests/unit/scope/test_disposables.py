"""Resources of a scope: opened in order, closed in reverse, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from honeyhive import State, ctx
from honeyhive.exceptions import MissingStateError, ScopeError


class Database(State):
    name: str


class Cache(State):
    size: int


class Journal:
    """Writes down what happens to resources, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def resource(
        self,
        name: str,
        provided: object = None,
        *,
        open_error: BaseException | None = None,
        close_error: BaseException | None = None,
        forgives: bool = False,
    ) -> AbstractAsyncContextManager[Any]:
        @asynccontextmanager
        async def manage() -> AsyncIterator[Any]:
            await checkpoint()
            if open_error is not None:
                raise open_error
            self.entries.append(f"open {name}")
            try:
                yield provided
            except ValueError:
                self.entries.append(f"{name} saw the error")
                if not forgives:
                    raise
            finally:
                await checkpoint()
                self.entries.append(f"close {name}")
                if close_error is not None:
                    raise close_error

        return manage()


@pytest.fixture
def journal() -> Journal:
    return Journal()


class TestOpening:
    @pytest.mark.acceptance("H25")
    @pytest.mark.acceptance("H26")
    @pytest.mark.anyio
    async def test_a_resource_is_open_and_provides_its_state_while_the_scope_is(self, journal: Journal) -> None:
        async with ctx.scope("app", disposables=(journal.resource("database", Database(name="shop")),)):
            journal.entries.append(ctx.state(Database).name)

        assert ["open database", "shop", "close database"] == journal.entries

    @pytest.mark.acceptance("H26")
    @pytest.mark.anyio
    async def test_resources_open_in_order_and_close_in_reverse(self, journal: Journal) -> None:
        async with ctx.scope("app", disposables=[journal.resource("a"), journal.resource("b"), journal.resource("c")]):
            journal.entries.append("work")

        assert ["open a", "open b", "open c", "work", "close c", "close b", "close a"] == journal.entries

    @pytest.mark.anyio
    async def test_a_resource_may_provide_several_states(self, journal: Journal) -> None:
        both = [Database(name="shop"), Cache(size=1)]

        async with ctx.scope("app", disposables=(journal.resource("both", both),)):
            assert (both[0], both[1]) == (ctx.state(Database), ctx.state(Cache))

    @pytest.mark.anyio
    async def test_a_resource_finds_the_states_of_the_scope_and_of_resources_before_it(self) -> None:
        @asynccontextmanager
        async def cache() -> AsyncIterator[Cache]:
            yield Cache(size=len(ctx.state(Database).name) + ctx.current().name.count("a"))

        async with ctx.scope("app", disposables=(Journal().resource("database", Database(name="shop")), cache())):
            assert 5 == ctx.state(Cache).size

    @pytest.mark.anyio
    async def test_a_function_that_makes_a_resource_is_called_for_each_scope(self, journal: Journal) -> None:
        def database() -> AbstractAsyncContextManager[Any]:
            return journal.resource("database", Database(name="shop"))

        @ctx.scope("job", disposables=(database,))
        async def job() -> str:
            return ctx.state(Database).name

        assert ["shop", "shop"] == [await job(), await job()]
        assert ["open database", "close database"] * 2 == journal.entries

    def test_a_resource_that_opens_once_cannot_decorate_a_function(self, journal: Journal) -> None:
        with pytest.raises(TypeError, match="give functions that make the disposables"):
            ctx.scope("job", disposables=(journal.resource("database"),))(lambda: None)


class TestClosing:
    @pytest.mark.acceptance("H26")
    @pytest.mark.anyio
    async def test_resources_are_closed_after_an_error_which_they_see_and_which_passes(self, journal: Journal) -> None:
        error = ValueError("theirs")

        with pytest.raises(ValueError, match="theirs") as caught:
            async with ctx.scope("app", disposables=(journal.resource("a"), journal.resource("b"))):
                raise error

        assert error is caught.value
        assert ["b saw the error", "close b", "a saw the error", "close a"] == journal.entries[2:]

    @pytest.mark.acceptance("H26")
    @pytest.mark.anyio
    async def test_resources_are_closed_to_the_end_when_the_scope_is_cancelled(self, journal: Journal) -> None:
        with anyio.CancelScope() as cancellation:
            async with ctx.scope("app", disposables=(journal.resource("a"), journal.resource("b"))):
                cancellation.cancel()
                await anyio.sleep_forever()

        assert cancellation.cancelled_caught
        assert ["open a", "open b", "close b", "close a"] == journal.entries

    @pytest.mark.anyio
    async def test_tasks_have_ended_before_resources_are_closed(self, journal: Journal) -> None:
        async def work() -> None:
            await checkpoint()
            journal.entries.append("task")

        async with ctx.scope("app", disposables=(journal.resource("a"),)):
            ctx.spawn(work)

        assert ["open a", "task", "close a"] == journal.entries

    @pytest.mark.anyio
    async def test_a_resource_may_hold_a_task_group_of_its_own(self, journal: Journal) -> None:
        @asynccontextmanager
        async def worker() -> AsyncIterator[None]:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                yield
                group.cancel_scope.cancel()

        async with ctx.scope("app", disposables=(journal.resource("a"), worker(), journal.resource("b"))):
            pass

        assert ["open a", "open b", "close b", "close a"] == journal.entries

    @pytest.mark.anyio
    async def test_a_resource_may_deal_with_the_error(self, journal: Journal) -> None:
        resources = (journal.resource("outer"), journal.resource("forgiving", forgives=True))

        async with ctx.scope("app", disposables=resources):
            raise ValueError("dealt with")

        assert "outer saw the error" not in journal.entries


class TestFailures:
    @pytest.mark.anyio
    async def test_what_was_open_is_closed_when_a_resource_does_not_open(self, journal: Journal) -> None:
        error = ValueError("refused")

        with pytest.raises(ValueError, match="refused") as caught:
            async with ctx.scope("app", disposables=(journal.resource("a"), journal.resource("b", open_error=error))):
                journal.entries.append("never")

        assert error is caught.value
        assert ["open a", "a saw the error", "close a"] == journal.entries

    @pytest.mark.anyio
    async def test_a_failing_open_is_not_hidden_by_a_resource_that_forgives(self, journal: Journal) -> None:
        resources = (journal.resource("a", forgives=True), journal.resource("b", open_error=ValueError("refused")))

        with pytest.raises(ValueError, match="refused"):
            async with ctx.scope("app", disposables=resources):
                journal.entries.append("never")

        assert "never" not in journal.entries

    @pytest.mark.anyio
    async def test_the_others_are_closed_when_one_does_not_close(self, journal: Journal) -> None:
        error = OSError("stuck")

        with pytest.raises(OSError, match="stuck") as caught:
            async with ctx.scope("app", disposables=(journal.resource("a"), journal.resource("b", close_error=error))):
                pass

        assert error is caught.value
        assert ["close b", "close a"] == journal.entries[2:]

    @pytest.mark.anyio
    async def test_several_errors_come_together_that_of_the_block_first(self, journal: Journal) -> None:
        block, close = KeyError("block"), OSError("stuck")

        with pytest.raises(ExceptionGroup, match="errors in scope 'app'") as caught:
            async with ctx.scope("app", disposables=(journal.resource("a", close_error=close),)):
                raise block

        assert (block, close) == caught.value.exceptions

    @pytest.mark.parametrize(
        "disposables, message",
        [
            (lambda journal: journal.resource("a"), "with the comma"),
            (lambda journal: 1, "with the comma"),
            (lambda journal: ("a",), "str is no disposable: give an async context manager"),
            (lambda journal: (Database(name=""),), "Database is no disposable"),
        ],
    )
    def test_what_cannot_be_opened_is_refused_at_once(
        self, journal: Journal, disposables: Callable[[Journal], Any], message: str
    ) -> None:
        with pytest.raises(TypeError, match=message):
            ctx.scope("app", disposables=disposables(journal))

    @pytest.mark.anyio
    async def test_a_function_that_makes_nothing_to_open_is_named(self) -> None:
        async def forgotten() -> AsyncIterator[None]:
            yield

        with pytest.raises(
            TypeError, match=r"forgotten makes no async context manager, but .*forgotten: give an async"
        ):
            async with ctx.scope("app", disposables=(forgotten,)):
                pass

    @pytest.mark.anyio
    @pytest.mark.parametrize("provided", ["text", 1, [1], {"a": 1}, []])
    async def test_a_resource_that_provides_no_state_is_named_and_closed(
        self, journal: Journal, provided: object
    ) -> None:
        with pytest.raises(TypeError, match=f"yields {type(provided).__name__}; let it yield a State"):
            async with ctx.scope("app", disposables=(journal.resource("a", provided),)):
                pass

        assert ["open a", "close a"] == journal.entries

    @pytest.mark.anyio
    async def test_a_failed_scope_leaves_nothing_behind(self, journal: Journal) -> None:
        with pytest.raises(ValueError, match="refused"):
            async with ctx.scope("app", disposables=(journal.resource("a", open_error=ValueError("refused")),)):
                pass

        with ctx.scope("next"), pytest.raises(MissingStateError, match="the scopes are next;"):
            ctx.state(Database)

    def test_a_plain_with_opens_no_resources(self, journal: Journal) -> None:
        with (
            pytest.raises(ScopeError, match="open it with `async with`"),
            ctx.scope("a", disposables=(journal.resource,)),
        ):
            pass
