"""Decorators keep what a type checker knows of a function. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from honeyhive import EventType, HoneyHiveTracer, atrace, trace, trace_class

tracer = HoneyHiveTracer.init(project="typing")


@trace
def bare(number: int, *, text: str = "") -> list[str]:
    return [text] * number


@trace(event_type="model", event_name="answer", tracer=tracer, metadata={"version": 1}, anything_else=True)
def with_arguments(number: int) -> float:
    return number / 2


@trace(event_type=EventType.tool)
async def coroutine(number: int) -> bytes:
    return bytes(number)


@atrace
async def always_async(number: int) -> bytes:
    return bytes(number)


@atrace
def made_async(number: int) -> str:
    return str(number)


@atrace(event_type="tool")
def made_async_with_arguments(number: int) -> str:
    return str(number)


@trace
def generator(number: int) -> Iterator[int]:
    yield from range(number)


@trace
async def async_generator(number: int) -> AsyncIterator[int]:
    yield number


@tracer.trace(event_type="tool")
def through_the_tracer(number: int) -> str:
    return str(number)


def blocking(number: int, *, text: str = "") -> str:
    return text * number


assert_type(tracer.wrap(blocking)(1, text="a"), str)


@trace_class
class Bare:
    def method(self, number: int) -> str:
        return str(number)

    @staticmethod
    def static(number: int) -> int:
        return number

    @classmethod
    def make(cls) -> Bare:
        return cls()


@trace_class(exclude=("secret",), event_type="chain")
class WithArguments:
    @trace
    def method(self, number: int) -> str:
        return str(number)


def functions_keep_parameters_and_result() -> None:
    assert_type(bare(1, text="a"), list[str])
    assert_type(with_arguments(1), float)
    assert_type(through_the_tracer(1), str)
    assert_type(generator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    keeps: Callable[[int], float] = with_arguments
    assert_type(keeps(1), float)


async def coroutines_stay_coroutines() -> None:
    assert_type(await made_async(1), str)
    assert_type(await made_async_with_arguments(1), str)
    running: Coroutine[Any, Any, bytes] = coroutine(1)
    assert_type(await running, bytes)
    assert_type(await coroutine(1), bytes)
    assert_type(await always_async(1), bytes)


def classes_stay_themselves() -> None:
    assert_type(Bare(), Bare)
    assert_type(Bare().method(1), str)
    assert_type(Bare.static(1), int)
    assert_type(Bare.make(), Bare)
    assert_type(WithArguments().method(1), str)


def wrong_calls_are_errors() -> None:
    bare("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare(1, wrong=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with_arguments()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
