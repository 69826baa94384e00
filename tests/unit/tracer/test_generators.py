"""Traced generators keep their whole protocol, and their spans only hold while the body runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from honeyhive import trace
from honeyhive.tracer import HoneyHiveTracer

Exported = Callable[[], list[ReadableSpan]]
Journal = list[object]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.none()),
        st.tuples(st.just("send"), st.one_of(st.none(), st.integers(0, 3))),
        st.tuples(st.just("throw"), st.sampled_from([KeyError, ValueError, GeneratorExit, StopIteration])),
        st.tuples(st.just("close"), st.none()),
    ),
    max_size=8,
)


EVERY_STEP: list[tuple[str, Any]] = [("next", None), ("send", 3), ("throw", KeyError), ("send", 1), ("close", None)]
TO_THE_END: list[tuple[str, Any]] = [("next", None), ("send", 1), ("send", 2), ("send", 3), ("next", None)]


def body(journal: Journal, stubborn: bool) -> Generator[object, object, str]:
    """Take everything a consumer can do, and note it."""
    journal.append("begin")
    try:
        for number in range(3):
            try:
                journal.append(("got", (yield number)))
            except KeyError:
                journal.append("caught")
                yield "after error"
            except GeneratorExit:
                journal.append("closing")
                if stubborn:
                    return "stubborn"
                raise
    finally:
        journal.append("end")
    return "done"


async def async_body(journal: Journal) -> AsyncGenerator[object, object]:
    journal.append("begin")
    try:
        for number in range(3):
            try:
                journal.append(("got", (yield number)))
            except KeyError:
                journal.append("caught")
                yield "after error"
    finally:
        journal.append("end")


def outcome(act: Callable[[], object]) -> tuple[str, object]:
    try:
        return "value", act()
    except StopIteration as stop:
        return "stop", stop.value
    except BaseException as error:  # noqa: BLE001 -- every way to end is compared
        return type(error).__name__, str(error)


def driven(generator: Any, steps: list[tuple[str, Any]]) -> list[tuple[str, object]]:
    acts: dict[str, Callable[[Any], object]] = {
        "next": lambda _: next(generator),
        "send": generator.send,
        "throw": lambda kind: generator.throw(kind("thrown")),
        "close": lambda _: generator.close(),
    }
    return [outcome(lambda name=name, value=value: acts[name](value)) for name, value in steps]  # type: ignore[misc]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, stubborn=st.booleans())
@example(steps=EVERY_STEP, stubborn=False)
@example(steps=TO_THE_END, stubborn=False)
@example(steps=[("next", None), ("close", None)], stubborn=True)
def test_any_use_of_a_generator_gives_what_the_undecorated_one_gives(
    tracer: HoneyHiveTracer, steps: list[tuple[str, Any]], stubborn: bool
) -> None:
    plain_journal: Journal = []
    traced_journal: Journal = []

    expected = driven(body(plain_journal, stubborn), steps)
    found = driven(trace(tracer=tracer)(body)(traced_journal, stubborn), steps)

    assert expected == found
    assert plain_journal == traced_journal


async def adriven(generator: Any, steps: list[tuple[str, Any]]) -> list[tuple[str, object]]:
    results: list[tuple[str, object]] = []
    for name, value in steps:
        try:
            if name == "close":
                results.append(("value", await generator.aclose()))
            elif name == "throw":
                results.append(("value", await generator.athrow(value("thrown"))))
            else:
                results.append(("value", await generator.asend(value)))
        except BaseException as error:  # noqa: BLE001 -- every way to end is compared
            results.append((type(error).__name__, str(error)))
    return results


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(steps=STEPS)
@example(steps=EVERY_STEP)
@example(steps=TO_THE_END)
@example(steps=[("next", None), ("throw", ValueError)])
def test_any_use_of_an_async_generator_gives_what_the_undecorated_one_gives(
    tracer: HoneyHiveTracer, steps: list[tuple[str, Any]]
) -> None:
    plain_journal: Journal = []
    traced_journal: Journal = []

    async def both() -> tuple[object, object]:
        return (
            await adriven(async_body(plain_journal), steps),
            await adriven(trace(tracer=tracer)(async_body)(traced_journal), steps),
        )

    expected, found = asyncio.run(both())

    assert expected == found
    assert plain_journal == traced_journal


def test_text_that_was_yielded_is_recorded_joined(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace
    def tokens() -> Generator[str, None, None]:
        yield "Hel"
        yield "lo"

    assert ["Hel", "lo"] == list(tokens())

    assert "Hello" == dict(exported()[0].attributes or {})["honeyhive_outputs.result"]


def test_a_generator_left_half_way_is_no_error_and_keeps_what_it_yielded(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    @trace
    def numbers() -> Generator[int, None, None]:
        yield from range(5)

    left = numbers()
    assert (0, 1) == (next(left), next(left))
    left.close()

    (span,) = exported()
    assert "[0,1]" == dict(span.attributes or {})["honeyhive_outputs.result"]
    assert StatusCode.ERROR is not span.status.status_code


def test_items_are_kept_as_they_were_up_to_a_megabyte(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace
    def many() -> Generator[object, None, None]:
        item = {"n": 1}
        yield item
        item["n"] = 2
        for _ in range(5):
            yield "x" * 400_000

    for _ in many():
        pass

    found = str(dict(exported()[0].attributes or {})["honeyhive_outputs.result"])
    assert found.startswith('[{"n":1},"xxx')
    assert found.endswith('"<3 more items>"]')


def test_of_very_many_items_the_first_thousand_are_kept_and_the_rest_is_counted(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    @trace
    def many() -> Generator[int, None, None]:
        yield from range(5_000)

    assert 5_000 == len(list(many()))

    found = str(dict(exported()[0].attributes or {})["honeyhive_outputs.result"])
    assert found.endswith('998,999,"<4000 more items>"]')


def test_the_span_is_current_in_the_body_only(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_name="numbers")
    def numbers() -> Generator[str, None, None]:
        for _ in range(2):
            yield otel_trace.get_current_span().name  # type: ignore[attr-defined]

    with tracer.start_span("consumer") as consumer:
        for inside in numbers():
            assert "numbers" == inside
            assert otel_trace.get_current_span() is consumer
            break
        assert otel_trace.get_current_span() is consumer

    assert {"numbers", "consumer"} == {span.name for span in exported()}


def test_timeouts_inside_an_async_generator_work(tracer: HoneyHiveTracer) -> None:
    @trace
    async def slow() -> AsyncGenerator[int, None]:
        async with asyncio.timeout(0.01):
            yield 1
            await asyncio.sleep(30)

    async def main() -> None:
        async for _ in slow():
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_a_generator_that_was_never_started_leaves_no_span(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace
    def never() -> Generator[int, None, None]:
        yield 1

    never().close()

    assert [] == exported()


def test_an_existing_generator_that_is_returned_is_handed_over_untouched(tracer: HoneyHiveTracer) -> None:
    source = (number for number in range(3))

    @trace
    def give() -> object:
        return source

    given = give()

    assert given is source
    assert [0, 1, 2] == list(source)
