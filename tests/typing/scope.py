"""What a type checker knows of scopes. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import assert_type

from honeyhive import HoneyHiveTracer, State, ctx
from honeyhive.scope import Scope, ScopeBlock, TaskHandle

tracer = HoneyHiveTracer(project="typing")


class Config(State):
    """A state."""

    retries: int = 3


@asynccontextmanager
async def database() -> AsyncGenerator[Config]:
    """A resource."""
    yield Config()


async def add(left: int, right: int = 0) -> int:
    """A task."""
    return left + right


async def scopes_are_typed() -> None:
    async with ctx.scope("app", Config(), disposables=(database(),), trace=True, tasks="join") as scope:
        assert_type(scope, Scope)
    with ctx.scope("plain") as plain:
        assert_type(plain.path, tuple[str, ...])
    assert_type(tracer.scope("app", Config()), ScopeBlock)
    ctx.scope("app", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.scope("app", tasks="kill")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def states_have_the_type_asked_for() -> None:
    assert_type(ctx.state(Config), Config)
    assert_type(ctx.state(Config, None), Config | None)
    ctx.state(int)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def tasks_keep_the_types_of_their_functions() -> None:
    task = ctx.spawn(add, 1, right=2)
    assert_type(task, TaskHandle[int])
    assert_type(await task, int)
    ctx.spawn(add, "one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@ctx.scope("job", Config())
def job(times: int) -> str:
    """A decorated function."""
    return str(times)


assert_type(job(1), str)
as_function: Callable[[int], str] = job
