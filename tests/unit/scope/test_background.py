"""Tasks that code in a scope makes with asyncio itself: whose they are, and when they end."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from honeyhive import State, ctx

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

LIBRARY = """
import asyncio

def keep_alive():
    return asyncio.get_running_loop().create_task(asyncio.sleep(3600))

async def first_of(coroutine):
    return await asyncio.wait_for(coroutine, 10)
"""


class Config(State):
    retries: int = 3


async def forever() -> None:
    await asyncio.sleep(3600)


def tasks_alive() -> int:
    return len(asyncio.all_tasks())


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An installed library that keeps a task of its own."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "some_client.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("some_client")
    del sys.modules["some_client"]


class TestEnding:
    @pytest.mark.acceptance("H34")
    async def test_a_task_made_in_a_scope_is_cancelled_when_the_scope_ends(self) -> None:
        async with ctx.scope("app"):
            task = asyncio.create_task(forever())
            await checkpoint()
            assert not task.done()

        assert task.cancelled()

    @pytest.mark.acceptance("H8")
    async def test_no_task_outlives_its_scope(self) -> None:
        async def brood() -> None:
            asyncio.create_task(forever())
            await asyncio.gather(forever(), forever())

        before = tasks_alive()

        async with ctx.scope("app"):
            asyncio.create_task(brood())
            asyncio.ensure_future(forever())
            asyncio.get_running_loop().create_task(forever())
            await checkpoint()
            await checkpoint()
            assert before < tasks_alive()

        assert before == tasks_alive()

    async def test_a_task_that_has_ended_is_forgotten(self) -> None:
        async with ctx.scope("app") as scope:
            for _ in range(100):
                await asyncio.create_task(checkpoint())

            assert scope.owner is not None
            assert 0 == len(scope.owner._background._tasks)

    async def test_a_scope_ends_its_own_tasks_and_not_those_around_it(self) -> None:
        async with ctx.scope("app"):
            outer = asyncio.create_task(forever())
            async with ctx.scope("inner"):
                inner = asyncio.create_task(forever())
                await checkpoint()
            assert inner.cancelled()
            assert not outer.done()

        assert outer.cancelled()

    async def test_tasks_made_while_others_end_are_ended_too(self) -> None:
        late: list[asyncio.Task[None]] = []

        async def work() -> None:
            try:
                await forever()
            finally:
                late.append(asyncio.create_task(forever()))

        async with ctx.scope("app"):
            asyncio.create_task(work())
            await checkpoint()

        assert [True] == [task.cancelled() for task in late]

    async def test_spawned_tasks_are_awaited_before_the_others_are_cancelled(self) -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        taken: list[int] = []

        async def consume() -> None:
            while True:
                taken.append(await queue.get())
                queue.task_done()

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
            await queue.join()

        async with ctx.scope("app"):
            asyncio.create_task(consume())
            ctx.spawn(produce)

        assert [0, 1, 2] == taken

    async def test_what_fails_while_it_ends_is_told(self) -> None:
        async def fail() -> None:
            try:
                await forever()
            finally:
                raise ValueError("on the way out")

        with pytest.raises(ExceptionGroup, match="errors in scope 'app'") as caught:
            async with ctx.scope("app"):
                asyncio.create_task(fail())
                await checkpoint()

        assert ["on the way out"] == [str(error) for error in caught.value.exceptions]

    async def test_what_fails_before_is_the_affair_of_those_who_await_it(self) -> None:
        async def fail() -> None:
            raise ValueError("expected")

        async with ctx.scope("app"):
            results = await asyncio.gather(fail(), checkpoint(), return_exceptions=True)

        assert ["expected", "None"] == list(map(str, results))

    async def test_a_task_that_resists_once_is_asked_again_by_nobody_and_awaited(self) -> None:
        async def work() -> str:
            try:
                await forever()
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
            return "finished"

        async with ctx.scope("app"):
            task = asyncio.create_task(work())
            await checkpoint()

        assert "finished" == task.result()


class TestPolicies:
    async def test_join_awaits_them(self) -> None:
        async with ctx.scope("app", tasks="join"):
            task = asyncio.create_task(asyncio.sleep(0.01, "done"))

        assert "done" == task.result()

    async def test_join_cancels_them_when_the_block_fails(self) -> None:
        with pytest.raises(KeyError):
            async with ctx.scope("app", tasks="join"):
                task = asyncio.create_task(forever())
                await checkpoint()
                raise KeyError

        assert task.cancelled()

    async def test_join_cancels_them_when_the_waiting_is_cancelled(self) -> None:
        with anyio.move_on_after(0.01) as deadline:
            async with ctx.scope("app", tasks="join"):
                task = asyncio.create_task(forever())

        assert deadline.cancelled_caught
        assert task.cancelled()

    async def test_leave_lets_them_live(self) -> None:
        async with ctx.scope("app", tasks="leave"):
            task = asyncio.create_task(forever())
            await checkpoint()

        assert not task.done()
        task.cancel()

    async def test_a_detached_task_lives_and_sees_the_state(self) -> None:
        release = asyncio.Event()

        async def look() -> int:
            child = asyncio.create_task(release.wait())
            await child
            return ctx.state(Config).retries

        async with ctx.scope("app", Config(retries=9)):
            with ctx.detached():
                task = asyncio.create_task(look())
            await checkpoint()

        release.set()
        assert 9 == await task


class TestOtherOwners:
    async def test_a_library_ends_its_own_tasks(self, library: ModuleType) -> None:
        async with ctx.scope("app"):
            task = library.keep_alive()
            await checkpoint()

        assert not task.done()
        task.cancel()

    async def test_code_in_the_package_that_opened_the_scope_is_no_library(self, library: ModuleType) -> None:
        source = "async def main():\n    async with ctx.scope('app'):\n        return keep_alive()\n"
        exec(source, namespace := vars(library) | {"ctx": ctx})  # noqa: S102 -- code of that module

        task = await namespace["main"]()

        assert task.cancelled()

    async def test_a_task_group_ends_its_own_tasks(self) -> None:
        started: list[asyncio.Task[None]] = []

        async with asyncio.TaskGroup() as group, anyio.create_task_group() as other:
            async with ctx.scope("app"):
                started.append(group.create_task(forever()))
                other.start_soon(forever)
                await checkpoint()

            assert not started[0].done()
            started[0].cancel()
            other.cancel_scope.cancel()

    async def test_a_resource_ends_its_own_tasks_after_those_of_the_scope(self) -> None:
        ended: list[str] = []

        async def work(name: str) -> None:
            try:
                await forever()
            finally:
                ended.append(name)

        async def start(name: str) -> None:
            await asyncio.create_task(work(name))

        @asynccontextmanager
        async def worker() -> AsyncIterator[None]:
            task = asyncio.create_task(start("resource"))
            yield
            task.cancel()
            await asyncio.wait([task])

        async with ctx.scope("app", disposables=(worker(),)):
            asyncio.create_task(work("scope"))
            await asyncio.sleep(0.01)

        assert ["scope", "resource"] == ended

    async def test_a_callback_of_the_program_counts_as_the_scope_it_was_made_in(self) -> None:
        started: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()

        async with ctx.scope("app"):
            loop.call_soon(lambda: started.append(asyncio.create_task(forever())))
            await checkpoint()

        assert started[0].cancelled()

    async def test_a_task_made_for_another_context_belongs_to_the_scope_of_that_context(self) -> None:
        outside = contextvars.copy_context()

        async with ctx.scope("app"):
            task = asyncio.create_task(forever(), context=outside)
            await checkpoint()

        assert not task.done()
        task.cancel()

    async def test_another_loop_keeps_its_tasks(self) -> None:
        async def elsewhere() -> str:
            return await asyncio.create_task(asyncio.sleep(0, "done"))

        async with ctx.scope("app"):
            assert "done" == await asyncio.to_thread(lambda: asyncio.run(elsewhere()))


class TestFactories:
    async def test_the_loop_gets_its_factory_back_with_the_last_scope(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()

        async with ctx.scope("app"):
            inside = loop.get_task_factory()
            async with ctx.scope("inner"):
                assert loop.get_task_factory() is inside
            assert loop.get_task_factory() is inside

        assert loop.get_task_factory() is before is not inside

    async def test_tasks_are_made_by_the_factory_that_was_there(self) -> None:
        loop, made = asyncio.get_running_loop(), []

        def own(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Any:
            made.append(coroutine.__name__)
            return asyncio.Task(coroutine, loop=loop, **options)

        loop.set_task_factory(own)
        async with ctx.scope("app"):
            task = asyncio.create_task(forever(), name="mine")
            await checkpoint()
            assert "mine" == task.get_name()

        assert ["forever"] == made
        assert loop.get_task_factory() is own
        assert task.cancelled()
        loop.set_task_factory(None)

    async def test_a_factory_that_came_later_stays(self) -> None:
        loop = asyncio.get_running_loop()

        async with ctx.scope("app"):
            beneath = loop.get_task_factory()

            def later(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
                return beneath(loop, coroutine, **options)

            loop.set_task_factory(later)
            inside = asyncio.create_task(forever())
            await checkpoint()

        after = asyncio.create_task(forever())
        assert inside.cancelled()
        assert loop.get_task_factory() is later
        loop.set_task_factory(None)
        await checkpoint()
        assert not after.done()
        after.cancel()

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
    async def test_eager_tasks_are_owned_from_where_they_first_wait(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)

        async with ctx.scope("app"):
            done, waiting = asyncio.create_task(asyncio.sleep(0, "x")), asyncio.create_task(forever())
            spawned = ctx.spawn(asyncio.sleep, 0, "spawned")

            assert "spawned" == await spawned
            assert "x" == await done

        assert waiting.cancelled()
        loop.set_task_factory(None)


class TestCancellation:
    async def test_cancelling_the_task_that_holds_the_scope_ends_its_tasks_and_passes(self) -> None:
        started: list[asyncio.Task[None]] = []

        async def hold() -> None:
            async with ctx.scope("app"):
                started.append(asyncio.create_task(forever()))
                await forever()

        holder = asyncio.create_task(hold())
        await checkpoint()
        await checkpoint()
        holder.cancel()
        await asyncio.wait([holder])

        assert holder.cancelled()
        assert started[0].cancelled()

    async def test_a_timeout_of_asyncio_around_the_scope_works(self) -> None:
        started: list[asyncio.Task[None]] = []

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), ctx.scope("app"):
                started.append(asyncio.create_task(forever()))
                await forever()

        assert started[0].cancelled()

    async def test_a_second_cancellation_while_tasks_end_does_not_leave_them_behind(self) -> None:
        ended: list[str] = []

        async def slow() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(0.01)
                ended.append("slow")

        async def hold() -> None:
            async with ctx.scope("app"):
                asyncio.create_task(slow())
                await forever()

        before = tasks_alive()
        holder = asyncio.create_task(hold())
        await asyncio.sleep(0.001)
        holder.cancel()
        await checkpoint()
        holder.cancel()
        await asyncio.wait([holder])

        assert holder.cancelled()
        assert before == tasks_alive()
