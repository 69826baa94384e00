"""Baggage in W3C headers, where the same few entries come again and again: a session's, a project's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter

from honeyhive.tracer.context import with_baggage
from honeyhive.tracer.traceparent import TraceParentPropagator

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Getter, Setter

__all__ = ["BaggagePropagator", "w3c_headers"]

_HEADER = "baggage"
_TEXTS = frozenset({str})
_w3c = W3CBaggagePropagator()


def w3c_headers() -> TextMapPropagator:
    """Return what writes and reads the trace and the baggage of a context as W3C headers."""
    return W3CHeaders()


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


class W3CHeaders(TextMapPropagator):
    """The trace, and the baggage where there is some."""

    def __init__(self) -> None:
        self._trace = TraceParentPropagator()
        self._baggage = BaggagePropagator()

    @property
    def fields(self) -> set[str]:
        return self._trace.fields | self._baggage.fields

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        self._trace.inject(carrier, context, setter)
        self._baggage.inject(carrier, context, setter)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return self._baggage.extract(carrier, self._trace.extract(carrier, context, getter), getter)


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
