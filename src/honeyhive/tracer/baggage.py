"""Baggage in W3C headers, where the same few entries come again and again: a session's, a project's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import default_getter, default_setter

from honeyhive.tracer.context import with_baggage
from honeyhive.tracer.traceparent import TraceParentPropagator

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Getter, Setter, TextMapPropagator

__all__ = ["BaggagePropagator", "w3c_headers"]

_HEADER = "baggage"
_TEXTS = frozenset({str})
_w3c = W3CBaggagePropagator()


def w3c_headers() -> TextMapPropagator:
    """Return what writes and reads the trace and the baggage of a context as W3C headers."""
    return CompositePropagator([TraceParentPropagator(), BaggagePropagator()])


class BaggagePropagator(W3CBaggagePropagator):
    """Does what its base class does, but writes the same entries, and reads the same header, once."""

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        entries = tuple(get_all(context).items())
        if not _TEXTS.issuperset([type(value) for _, value in entries]):
            super().inject(carrier, context, setter)
        elif header := _header_of(entries):
            setter.set(carrier, _HEADER, header)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        context = get_current() if context is None else context
        headers = getter.get(carrier, _HEADER)
        return with_baggage(context, dict(_entries_of(headers[0]))) if headers else context


@functools.lru_cache(maxsize=256)
def _header_of(entries: tuple[tuple[str, object], ...]) -> str:
    context, carrier = Context(), dict[str, str]()
    for name, value in entries:
        context = set_baggage(name, value, context)
    _w3c.inject(carrier, context)
    return carrier.get(_HEADER, "")


@functools.lru_cache(maxsize=256)
def _entries_of(header: str) -> tuple[tuple[str, str], ...]:
    found = get_all(_w3c.extract({_HEADER: header}, Context()))
    return tuple((name, str(value)) for name, value in found.items())
