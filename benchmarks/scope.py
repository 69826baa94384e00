"""What opening and closing a scope costs, as ratios within one run.

    python benchmarks/scope.py [ROUNDS]    fails above the promised limits

Beside anyio's task group, which every scope has inside, and, where the public haiway is installed, beside its scopes
doing the same work. Cases take turns within each round; the median of the rounds' ratios is shown, so that a busy machine
moves the figures little.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from time import thread_time_ns
from typing import Any

import anyio
from parts.promises import kept

from honeyhive import State, ctx

CALLS = 1_000
Work = Callable[[], Awaitable[None]]

PROMISED = {
    "a scope, in anyio task groups": 3.0,
    "a scope inside a scope, in anyio task groups": 3.0,
    "a traced scope, in scopes plus one span": 1.25,
    "a scope, in haiway's": 1.0,
    "a scope inside a scope, in haiway's": 1.0,
    "looking up a state, in haiway's": 1.0,
    "making a state, in haiway's": 1.0,
}
"""At most so much; what has no limit is shown only."""


class Config(State):
    """A state to give and to look up."""

    retries: int = 3


CONFIG = Config(retries=1)


async def task_groups() -> None:
    """Open and close task groups."""
    for _ in range(CALLS):
        async with anyio.create_task_group():
            pass


async def scopes() -> None:
    """Open and close scopes with one state."""
    for _ in range(CALLS):
        async with ctx.scope("app", CONFIG):
            pass


async def nothing() -> None:
    """Be a task."""


async def started() -> None:
    """Start tasks in a task group."""
    async with anyio.create_task_group() as group:
        for _ in range(CALLS):
            group.start_soon(nothing)


async def spawned() -> None:
    """Start tasks in a scope."""
    async with ctx.scope("app"):
        for _ in range(CALLS):
            ctx.spawn(nothing)


async def lookups() -> None:
    """Look a state up two scopes further in."""
    async with ctx.scope("app", CONFIG), ctx.scope("one"), ctx.scope("two"):
        for _ in range(CALLS):
            ctx.state(Config)


async def states() -> None:
    """Make states."""
    for _ in range(CALLS):
        Config(retries=2)


def inside(work: Work) -> Work:
    """Return *work*, done in a scope."""

    async def run() -> None:
        async with ctx.scope("outer"):
            await work()

    return run


def traced() -> tuple[Work, Work]:
    """Return scopes with a tracer, and as many spans of it alone."""
    from honeyhive import set_default_tracer
    from honeyhive.testing import TestableTracer

    tracer = TestableTracer(span_processor=Ignore(), test_mode=True)
    set_default_tracer(None)  # or every scope would have a span of it

    async def scopes_with_spans() -> None:
        for _ in range(CALLS):
            async with tracer.scope("app", CONFIG):
                pass

    async def spans() -> None:
        for _ in range(CALLS):
            with tracer.start_span("app"):
                pass

    return scopes_with_spans, spans


class Ignore:
    """A span processor that keeps nothing."""

    def on_start(self, span: object, parent_context: object = None) -> None: ...

    def on_end(self, span: object) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Have nothing to wait for."""
        return True


def theirs() -> dict[str, tuple[Work, Work]]:
    """Return, by what is compared, our work and the same work of haiway's; nothing where it is not installed."""
    try:
        haiway: Any = importlib.import_module("haiway")
    except ImportError:
        return {}
    their_ctx, their_state = haiway.ctx, type("TheirConfig", (haiway.State,), {"__annotations__": {"retries": int}})
    config = their_state(retries=1)

    async def their_scopes() -> None:
        for _ in range(CALLS):
            async with their_ctx.scope("app", config):
                pass

    async def their_scopes_inside() -> None:
        async with their_ctx.scope("outer"):
            await their_scopes()

    async def their_spawned() -> None:
        async with their_ctx.scope("app"):
            for _ in range(CALLS):
                their_ctx.spawn(nothing)

    async def their_lookups() -> None:
        async with their_ctx.scope("app", config), their_ctx.scope("one"), their_ctx.scope("two"):
            for _ in range(CALLS):
                their_ctx.state(their_state)

    async def their_states() -> None:
        for _ in range(CALLS):
            their_state(retries=2)

    return {
        "a scope, in haiway's": (scopes, their_scopes),
        "a scope inside a scope, in haiway's": (inside(scopes), their_scopes_inside),
        "looking up a state, in haiway's": (lookups, their_lookups),
        "making a state, in haiway's": (states, their_states),
        "spawning a task, in haiway's": (spawned, their_spawned),
    }


async def cost(work: Work) -> float:
    """Microseconds of CPU per call."""
    began = thread_time_ns()
    await work()
    return (thread_time_ns() - began) / CALLS / 1000


async def ratios(compared: dict[str, tuple[Work, Work]], traced_work: tuple[Work, Work]) -> Iterator[tuple[str, float]]:
    """Return what is compared in one round, and each ratio."""
    found = {name: await cost(ours) / await cost(unit) for name, (ours, unit) in compared.items()}
    together, span = traced_work
    found["a traced scope, in scopes plus one span"] = await cost(together) / (await cost(scopes) + await cost(span))
    return iter(found.items())


async def measure(rounds: int) -> dict[str, float]:
    """Return the median of each ratio."""
    compared = {
        "a scope, in anyio task groups": (scopes, task_groups),
        "a scope inside a scope, in anyio task groups": (inside(scopes), inside(task_groups)),
        "spawning a task, in anyio's": (spawned, started),
        **theirs(),
    }
    traced_work = traced()
    table: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, ratio in await ratios(compared, traced_work):
            if number:  # the first round warms up
                table.setdefault(name, []).append(ratio)
    print(f"an anyio task group: {await cost(task_groups):.1f} µs of CPU; {rounds} rounds of {CALLS}")
    return {name: median(found) for name, found in table.items()}


def versions() -> str:
    """Say what is compared."""
    installed = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
    return ", ".join(f"{name} {installed[name]}" for name in ("anyio", "haiway") if name in installed)


def main() -> int:
    """Measure, print a table, and return 1 where a promise is broken."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        print(f"Python {sys.version.split()[0]}, {versions()}")
        return int(not kept(asyncio.run(measure(rounds)), PROMISED))


if __name__ == "__main__":
    sys.exit(main())
