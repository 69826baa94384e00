"""The mixins, the base and the class composed of them."""

from __future__ import annotations

import inspect
import itertools
from abc import ABC

import pytest

from honeyhive.tracer import HoneyHiveTracer, interfaces, mixins
from honeyhive.tracer.base import HoneyHiveTracerBase

MIXINS = [getattr(mixins, name) for name in mixins.__all__]
CONTRACTS = [
    value for value in vars(interfaces).values() if inspect.isclass(value) and value.__module__ == interfaces.__name__
]


@pytest.mark.acceptance("S13")
@pytest.mark.acceptance("C3")
def test_the_tracer_is_composed_of_the_base_and_the_mixins_with_an_empty_body() -> None:
    own = {name for name in vars(HoneyHiveTracer) if not name.startswith("__") and name != "_abc_impl"}

    assert set() == own
    assert {HoneyHiveTracerBase, *MIXINS} == set(HoneyHiveTracer.__bases__)


@pytest.mark.acceptance("S14")
def test_nothing_is_left_abstract() -> None:
    assert frozenset() == HoneyHiveTracer.__abstractmethods__


@pytest.mark.acceptance("S14")
@pytest.mark.parametrize("mixin", MIXINS)
def test_a_mixin_alone_cannot_be_made(mixin: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        mixin()


@pytest.mark.parametrize("mixin", MIXINS)
def test_a_mixin_has_no_constructor_and_no_other_mixin_below_it(mixin: type) -> None:
    others = [other for other in MIXINS if other is not mixin]

    assert "__init__" not in vars(mixin)
    assert not any(issubclass(mixin, other) for other in others)


def test_each_abstract_name_is_declared_once() -> None:
    declared = [
        name
        for contract in CONTRACTS
        for name, member in vars(contract).items()
        if getattr(member, "__isabstractmethod__", False)
    ]

    assert len(declared) == len(set(declared))


def test_every_order_of_the_parts_makes_a_whole_tracer() -> None:
    for order in itertools.permutations([*MIXINS, HoneyHiveTracerBase]):
        composed = type("Composed", order, {})

        assert frozenset() == composed.__abstractmethods__


@pytest.mark.acceptance("S14")
def test_a_capability_that_is_not_implemented_is_an_error_at_construction() -> None:
    class Unfinished(interfaces.TracerContextInterface, ABC):
        def enrich_span(self, attributes: object = None, **named: object) -> bool:
            return False

    with pytest.raises(TypeError, match="get_baggage"):
        Unfinished()  # type: ignore[abstract]


def test_a_subclass_may_replace_the_parts() -> None:
    class Own(HoneyHiveTracer):
        def _create_api_client(self) -> object:
            return "my client"

        def _create_span_processor(self) -> None:
            return None

    tracer = Own(project="x", test_mode=True)

    assert tracer.client == "my client"
    assert tracer.span_processor is None
