"""Tasks that a scope spawns: awaited, cancelled, and their errors."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from honeyhive import State, ctx
from honeyhive.exceptions import NoScopeError, ScopeError, TaskCancelledError


class Config(State):
    retries: int = 3


async def add(left: int, right: int = 0) -> int:
    await checkpoint()
    return left + right


async def fail(error: BaseException) -> None:
    await checkpoint()
    raise error


class TestSpawning:
    @pytest.mark.acceptance("H8")
    @pytest.mark.anyio
    async def test_a_spawned_task_has_a_result(self) -> None:
        async with ctx.scope("app"):
            task = ctx.spawn(add, 1, right=2)

            assert 3 == await task
            assert 3 == await task
            assert task.is_done

    @pytest.mark.acceptance("H4")
    @pytest.mark.anyio
    async def test_a_scope_awaits_its_tasks_when_its_block_ends_well(self) -> None:
        async with ctx.scope("app"):
            task = ctx.spawn(add, 1)

        assert task.is_done
        assert 1 == await task

    @pytest.mark.anyio
    async def test_a_task_sees_the_scope_it_was_spawned_in(self) -> None:
        async def look() -> tuple[str, int]:
            return ctx.current().name, ctx.state(Config).retries

        async with ctx.scope("app"), ctx.scope("inner", Config(retries=9)):
            assert ("inner", 9) == await ctx.spawn(look)

    @pytest.mark.anyio
    async def test_a_task_may_spawn_others_of_the_same_scope(self) -> None:
        done: list[int] = []

        async def count(depth: int) -> None:
            if depth:
                ctx.spawn(count, depth - 1)
            await checkpoint()
            done.append(depth)

        async with ctx.scope("app"):
            ctx.spawn(count, 3)

        assert [0, 1, 2, 3] == sorted(done)

    @pytest.mark.anyio
    async def test_in_a_plain_with_a_task_belongs_to_the_scope_around(self) -> None:
        release = anyio.Event()

        async with ctx.scope("app"):
            with ctx.scope("inner"):
                task = ctx.spawn(release.wait)
            assert not task.is_done
            release.set()

        assert task.is_done

    @pytest.mark.anyio
    async def test_a_task_tells_what_it_is_and_how_it_stands(self) -> None:
        async with ctx.scope("app"):
            task = ctx.spawn(add, 1)
            assert "TaskHandle('add', running)" == repr(task)
            await task

        assert "TaskHandle('add', done)" == repr(task)


class TestCancelling:
    @pytest.mark.anyio
    async def test_a_scope_cancels_its_tasks_when_its_block_fails(self) -> None:
        with pytest.raises(KeyError):
            async with ctx.scope("app"):
                task = ctx.spawn(anyio.sleep_forever)
                await checkpoint()
                raise KeyError

        assert task.is_cancelled

    @pytest.mark.anyio
    async def test_a_task_can_be_cancelled_alone(self) -> None:
        async with ctx.scope("app"):
            task, other = ctx.spawn(anyio.sleep_forever), ctx.spawn(add, 1)
            task.cancel()

            with pytest.raises(TaskCancelledError, match="'sleep_forever' was cancelled"):
                await task
            assert 1 == await other
            assert "cancelled" in repr(task)

    @pytest.mark.anyio
    async def test_a_task_can_be_cancelled_before_it_has_begun(self) -> None:
        async with ctx.scope("app"):
            task = ctx.spawn(anyio.sleep_forever)
            task.cancel()

        assert task.is_cancelled

    @pytest.mark.anyio
    async def test_the_policy_cancel_ends_tasks_that_would_run_forever(self) -> None:
        async with ctx.scope("app", tasks="cancel"):
            task = ctx.spawn(anyio.sleep_forever)
            await checkpoint()

        assert task.is_cancelled

    @pytest.mark.acceptance("H4")
    @pytest.mark.anyio
    async def test_a_deadline_around_the_scope_ends_its_tasks(self) -> None:
        with anyio.move_on_after(0.01) as deadline:
            async with ctx.scope("app"):
                task = ctx.spawn(anyio.sleep_forever)

        assert deadline.cancelled_caught
        assert task.is_cancelled

    @pytest.mark.anyio
    async def test_what_a_task_does_on_its_way_out_is_awaited(self) -> None:
        done: list[str] = []

        async def work() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await checkpoint()
                    done.append("cleaned up")

        async with ctx.scope("app", tasks="cancel"):
            ctx.spawn(work)
            await anyio.sleep(0.01)

        assert ["cleaned up"] == done


class TestErrors:
    @pytest.mark.anyio
    async def test_the_error_of_a_task_ends_the_scope_and_comes_in_a_group(self) -> None:
        error = ValueError("child")

        with pytest.raises(ExceptionGroup, match="errors in scope 'app'") as caught:
            async with ctx.scope("app"):
                ctx.spawn(fail, error)
                await anyio.sleep_forever()

        assert (error,) == caught.value.exceptions

    @pytest.mark.anyio
    async def test_errors_of_several_tasks_and_of_the_block_come_together(self) -> None:
        block, first, second = KeyError("block"), ValueError("first"), OSError("second")

        async def late(error: BaseException) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise error

        with pytest.raises(ExceptionGroup) as caught:
            async with ctx.scope("app"):
                ctx.spawn(late, first)
                ctx.spawn(late, second)
                await anyio.sleep(0.01)
                raise block

        assert block is caught.value.exceptions[0]
        assert {first, second} == set(caught.value.exceptions[1:])

    @pytest.mark.anyio
    async def test_an_error_of_the_block_alone_passes_as_the_same_object(self) -> None:
        error = ValueError("block")

        with pytest.raises(ValueError, match="block") as caught:
            async with ctx.scope("app"), ctx.scope("inner"):
                ctx.spawn(anyio.sleep_forever)
                raise error

        assert error is caught.value

    @pytest.mark.anyio
    async def test_a_group_that_leaves_the_block_passes_as_the_same_object(self) -> None:
        error = ExceptionGroup("theirs", [ValueError("a")])

        with pytest.raises(ExceptionGroup) as caught:
            async with ctx.scope("app"):
                raise error

        assert error is caught.value

    @pytest.mark.anyio
    async def test_an_error_of_a_task_reaches_those_who_wait_elsewhere(self) -> None:
        error, handles = ValueError("child"), []

        with pytest.raises(ExceptionGroup):
            async with ctx.scope("app"):
                handles.append(ctx.spawn(fail, error))

        with pytest.raises(ValueError, match="child") as caught:
            await handles[0]
        assert error is caught.value


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestOnAsyncio:
    @pytest.mark.anyio
    async def test_a_failed_task_leaves_no_cancellation_behind(self) -> None:
        with pytest.raises(ExceptionGroup):
            async with asyncio.timeout(10), ctx.scope("app"):
                ctx.spawn(fail, ValueError("child"))
                await anyio.sleep_forever()

        current = asyncio.current_task()
        assert current is not None
        assert 0 == current.cancelling()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anyio.sleep_forever()

    @pytest.mark.anyio
    async def test_handles_can_be_gathered(self) -> None:
        async with ctx.scope("app"):
            assert [1, 2, 3] == await asyncio.gather(*(ctx.spawn(add, number) for number in (1, 2, 3)))


class TestBadUse:
    @pytest.mark.anyio
    async def test_a_coroutine_is_refused_and_closed(self) -> None:
        async with ctx.scope("app"):
            with pytest.raises(TypeError, match=r"ctx\.spawn\(add, \.\.\.\), without parentheses"):
                ctx.spawn(add(1))  # type: ignore[arg-type]

    @pytest.mark.anyio
    async def test_what_cannot_be_called_is_refused(self) -> None:
        async with ctx.scope("app"):
            with pytest.raises(TypeError, match="takes an async function, not int"):
                ctx.spawn(1)  # type: ignore[arg-type]

    @pytest.mark.anyio
    async def test_a_function_that_returns_nothing_to_await_is_refused(self) -> None:
        def plain() -> int:
            return 1

        async with ctx.scope("app"):
            with pytest.raises(TypeError, match=r"takes an async function; .*plain has returned int"):
                ctx.spawn(plain)  # type: ignore[arg-type]

    @pytest.mark.anyio
    async def test_without_a_scope_there_is_nobody_to_own_a_task(self) -> None:
        with pytest.raises(NoScopeError, match=r"ctx\.spawn\(\) needs an open scope"):
            ctx.spawn(add, 1)

    @pytest.mark.anyio
    async def test_a_plain_with_alone_owns_no_tasks(self) -> None:
        with ctx.scope("app"), pytest.raises(ScopeError, match="owns no tasks here"):
            ctx.spawn(add, 1)

    @pytest.mark.anyio
    async def test_a_detached_block_spawns_nothing(self) -> None:
        async with ctx.scope("app"):
            with ctx.detached(), pytest.raises(ScopeError, match="is detached"):
                ctx.spawn(add, 1)
            assert 1 == await ctx.spawn(add, 1)

    @pytest.mark.anyio
    async def test_another_thread_asks_the_loop_to_spawn(self) -> None:
        def spawn() -> Any:
            with pytest.raises(ScopeError, match=r"anyio\.from_thread\.run_sync\(ctx\.spawn, \.\.\.\)"):
                ctx.spawn(add, 1)
            return anyio.from_thread.run_sync(ctx.spawn, add, 1)

        async with ctx.scope("app"):
            task = await anyio.to_thread.run_sync(spawn)
            assert 1 == await task

    @pytest.mark.anyio
    async def test_a_scope_that_was_left_spawns_nothing(self) -> None:
        tasks: list[Any] = []
        release = anyio.Event()

        async def late() -> None:
            await release.wait()
            with pytest.raises(ScopeError, match="has been left"):
                ctx.spawn(add, 1)
            tasks.append("refused")

        async with anyio.create_task_group() as group:
            async with ctx.scope("app"):
                group.start_soon(late)
            release.set()

        assert ["refused"] == tasks
