"""Random programs of scopes, tasks, resources, errors and cancellation: whatever they do, nothing is left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from honeyhive import State, ctx
from honeyhive.scope import Scope, ScopeBlock
from honeyhive.scope.current import current_scope


class Depth(State):
    value: int


class Planned(Exception):  # noqa: N818 -- an event of a program, not an error of ours
    """The only error that programs raise."""


@dataclass(frozen=True)
class Resource:
    """A resource of a scope; it may fail."""

    fails_to_open: bool
    fails_to_close: bool


@dataclass(frozen=True)
class InScope:
    """Open a scope and run a program in it."""

    program: Program
    policy: str | None
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class InPlainScope:
    """Open a scope without tasks and run a program in it."""

    program: Program


@dataclass(frozen=True)
class Spawn:
    """Run a program as a task of the scope."""

    program: Program


@dataclass(frozen=True)
class MakeTask:
    """Run a program as a task that asyncio makes; on trio it is spawned."""

    program: Program
    is_detached: bool


@dataclass(frozen=True)
class Wait:
    """Let others run, for so many rounds."""

    rounds: int


@dataclass(frozen=True)
class Fail:
    """Raise an error."""


@dataclass(frozen=True)
class CancelAll:
    """Cancel the whole program."""


Step: TypeAlias = InScope | InPlainScope | Spawn | MakeTask | Wait | Fail | CancelAll
Program: TypeAlias = Sequence[Step]

resources = st.builds(Resource, st.booleans(), st.booleans())
simple_steps = st.one_of(
    st.builds(Wait, st.integers(0, 3)), st.builds(Wait, st.just(2)), st.builds(Fail), st.builds(CancelAll)
)
programs = st.recursive(
    st.lists(simple_steps, max_size=3),
    lambda inner: st.lists(
        st.one_of(
            simple_steps,
            st.builds(
                InScope, inner, st.sampled_from([None, "cancel", "join"]), st.tuples() | st.tuples(resources, resources)
            ),
            st.builds(InPlainScope, inner),
            st.builds(Spawn, inner),
            st.builds(MakeTask, inner, st.booleans()),
        ),
        max_size=4,
    ),
    max_leaves=25,
)


@dataclass
class World:
    """Runs a program and keeps the model of what must hold: what is open, and in which order it has to close."""

    everything: anyio.CancelScope
    is_asyncio: bool
    open_resources: int = 0
    detached: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, program: Program, depth: int = 0) -> None:
        for step in program:
            await self.take(step, depth)

    async def take(self, step: Step, depth: int) -> None:
        match step:
            case InScope():
                await self.in_scope(step, depth + 1)
            case InPlainScope(program):
                with ctx.scope("plain", Depth(value=depth + 1)):
                    await self.run(program, depth + 1)
            case Spawn(program):
                ctx.spawn(self.run, program, depth)
            case MakeTask(program, is_detached):
                self.make_task(program, depth, is_detached=is_detached)
            case Wait(rounds):
                for _ in range(rounds):
                    await checkpoint()
            case Fail():
                raise Planned
            case CancelAll():
                self.everything.cancel()
                await checkpoint()
        assert depth == ctx.state(Depth).value

    async def in_scope(self, step: InScope, depth: int) -> None:
        opened: list[int] = []
        disposables = [self.resource(resource, number, opened) for number, resource in enumerate(step.resources)]
        outside = ctx.current()
        try:
            async with ctx.scope("s", Depth(value=depth), disposables=disposables, tasks=step.policy) as scope:
                await self.run(step.program, depth)
                assert ctx.current() is scope
        finally:
            assert ctx.current() is outside
            assert [] == opened

    @asynccontextmanager
    async def resource(self, resource: Resource, number: int, opened: list[int]) -> AsyncIterator[None]:
        await checkpoint()
        if resource.fails_to_open:
            raise Planned
        opened.append(number)
        self.open_resources += 1
        try:
            yield
        finally:
            assert number == opened.pop()
            self.open_resources -= 1
            await checkpoint()
            if resource.fails_to_close:
                raise Planned

    def make_task(self, program: Program, depth: int, *, is_detached: bool) -> None:
        if not self.is_asyncio:
            ctx.spawn(self.run, program, depth)
        elif is_detached:
            with ctx.detached():
                self.detached.append(asyncio.create_task(self.simply(program)))
        else:
            asyncio.create_task(self.run(program, depth))

    async def simply(self, program: Program) -> None:
        """Run the steps that need no scope: nobody owns what a detached task starts."""
        for step in program:
            if isinstance(step, Wait):
                await self.take(step, ctx.state(Depth).value)


async def run_whole(program: Program, *, is_asyncio: bool) -> World:
    """Run *program* in a scope of its own, and see to it that only planned errors leave it."""
    with anyio.CancelScope() as everything:
        world = World(everything, is_asyncio)
        try:
            async with ctx.scope("program", Depth(value=0)):
                await world.run(program)
        except* Planned:
            pass
    for task in world.detached:
        task.cancel()
    if world.detached:
        await asyncio.wait(world.detached)
    return world


def number_of_files() -> int:
    files = Path("/proc/self/fd")
    return len(list(files.iterdir())) if files.is_dir() else 0


def quiet(loop: asyncio.AbstractEventLoop, context: object) -> None:
    """Nobody awaits the tasks that programs make; their errors are planned."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(program=programs)
def test_nothing_is_left_of_any_program(backend: str, program: Program) -> None:
    async def main() -> None:
        is_asyncio = backend == "asyncio"
        tasks = asyncio.all_tasks() if is_asyncio else set()
        if is_asyncio:
            asyncio.get_running_loop().set_exception_handler(quiet)

        world = await run_whole(program, is_asyncio=is_asyncio)

        assert 0 == world.open_resources
        assert current_scope.get() is None
        if is_asyncio:
            assert tasks == asyncio.all_tasks()
            assert asyncio.get_running_loop().get_task_factory() is None

    anyio.run(main, backend=backend)


@pytest.mark.anyio
async def test_scopes_are_gone_when_they_have_been_left() -> None:
    async def work() -> None:
        async with ctx.scope("work", Depth(value=1)), ctx.scope("inner"):
            ctx.spawn(checkpoint)

    await work()
    gc.collect()
    before = number_of_files(), count(Scope), count(ScopeBlock)
    for _ in range(50):
        await work()
    gc.collect()

    assert before == (number_of_files(), count(Scope), count(ScopeBlock))


def count(kind: type) -> int:
    return sum(type(thing) is kind for thing in gc.get_objects())
