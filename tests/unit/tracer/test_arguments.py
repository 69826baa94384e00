"""Arguments are recorded under the names of their parameters, however they are given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from honeyhive import trace
from honeyhive.tracer import HoneyHiveTracer
from honeyhive.tracer.arguments import Signature

Exported = Callable[[], list[ReadableSpan]]


def fixed(a: object, b: object = "B") -> None: ...
def marked(a: object, /, b: object = "B", *, c: object, d: object = "D") -> None: ...
def starred(a: object, *rest: object, c: object = "C", **options: object) -> None: ...
def optional(*, c: object = "C") -> None: ...
def ours(a: object, tracer: object = None) -> None: ...
def none() -> None: ...


@pytest.mark.parametrize(
    "function,args,kwargs,expected",
    [
        (fixed, (1, 2), {}, {"a": 1, "b": 2}),
        (fixed, (1,), {}, {"a": 1, "b": "B"}),
        (fixed, (), {"b": 2, "a": 1}, {"a": 1, "b": 2}),
        (marked, (1,), {"c": 3}, {"a": 1, "b": "B", "c": 3, "d": "D"}),
        (starred, (1,), {}, {"a": 1, "c": "C"}),
        (starred, (1, 2, 3), {"x": 4}, {"a": 1, "rest": "[2,3]", "c": "C", "options": '{"x":4}'}),
        (optional, (), {}, {"c": "C"}),
        (ours, (1,), {}, {"a": 1}),
        (ours, (), {"a": 1, "tracer": object()}, {"a": 1}),
        (none, (), {}, {}),
        (functools.partial(fixed, 1), (), {}, {"b": "B"}),
        (functools.partial(fixed, b=2), (1,), {}, {"a": 1, "b": 2}),
    ],
)
def test_every_argument_has_the_name_of_its_parameter(
    tracer: HoneyHiveTracer,
    exported: Exported,
    function: Callable[..., None],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    expected: dict[str, object],
) -> None:
    trace(tracer=tracer)(function)(*args, **kwargs)

    assert expected == inputs(exported()[0])


def inputs(span: ReadableSpan) -> dict[str, object]:
    prefix = "honeyhive_inputs."
    return {key.removeprefix(prefix): value for key, value in (span.attributes or {}).items() if key.startswith(prefix)}


def test_a_method_is_recorded_without_its_object(tracer: HoneyHiveTracer, exported: Exported) -> None:
    class Agent:
        @trace(tracer=tracer)
        def answer(self, question: str, retries: int = 2) -> None: ...

        @classmethod
        @trace(tracer=tracer)
        def make(cls, name: str) -> None: ...

    Agent().answer("why")
    Agent().answer(question="why", retries=1)
    Agent.make("x")

    expected = [{"question": "why", "retries": 2}, {"question": "why", "retries": 1}, {"name": "x"}]
    assert expected == [inputs(span) for span in exported()]


def test_what_the_function_refuses_is_recorded_as_it_was_given(tracer: HoneyHiveTracer, exported: Exported) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
        trace(tracer=tracer)(fixed)(1, wrong=2)

    assert {"args": "[1]", "wrong": 2} == inputs(exported()[0])


def test_a_builtin_without_a_signature_is_recorded_too(tracer: HoneyHiveTracer, exported: Exported) -> None:
    assert 3 == trace(tracer=tracer)(max)(1, 3)

    assert {"args": "[1,3]"} == inputs(exported()[0])


def test_a_default_is_the_object_it_was_when_the_function_was_decorated() -> None:
    default = object()

    def function(a: object = default) -> None: ...

    assert (("a",), (default,)) == Signature(function).named((), {})


VALUES = st.integers(0, 9)


@given(args=st.lists(VALUES, max_size=4), kwargs=st.dictionaries(st.sampled_from("abcdxy"), VALUES, max_size=4))
@pytest.mark.parametrize("function", [fixed, starred, optional, none])
def test_names_are_those_that_inspect_would_give(
    function: Callable[..., None], args: list[int], kwargs: dict[str, int]
) -> None:
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return
    bound.apply_defaults()

    names, values = Signature(function).named(tuple(args), kwargs)

    assert {name: value for name, value in bound.arguments.items() if value or name not in {"rest", "options"}} == dict(
        zip(names, values, strict=True)
    )
