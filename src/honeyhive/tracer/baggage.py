"""Trace and baggage in W3C headers, where the same few entries come again and again: a session's, a project's."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter

from honeyhive.tracer.context import (
    BAGGAGE_KEY,
    SPAN_KEY,
    Baggage,
    baggage_in,
    baggage_with_session,
    current,
    with_baggage,
    with_value,
)
from honeyhive.tracer.traceparent import TraceParentPropagator, parent_in, trace_headers
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Getter, Setter

    from honeyhive.tracer.identity import Identity

__all__ = [
    "SAFE_PROPAGATION_KEYS",
    "BaggagePropagator",
    "baggage_header",
    "context_of",
    "headers_of",
    "safe_part",
    "w3c_headers",
]

SAFE_PROPAGATION_KEYS: Final = frozenset(
    {"session_id", "project", "source", "parent_id", "run_id", "dataset_id", "datapoint_id"}
)
"""Baggage entries that mean the same in every process, and so may travel."""

_HEADER = "baggage"
_LONGEST_HEADER: Final = 8192
"""Characters beyond which OpenTelemetry reads none of a header; nor is what is longer remembered."""
_TEXTS = frozenset({str})
_w3c = W3CBaggagePropagator()


def w3c_headers() -> TextMapPropagator:
    """Return what writes and reads the trace and the baggage of a context as W3C headers."""
    return _headers


def headers_of(context: Context, identity: Identity) -> dict[str, str]:
    """Return the headers by which another process continues the trace of *context*, in its session or the tracer's own."""
    headers = trace_headers(context)
    if header := baggage_header(baggage_with_session(context, identity)):
        headers[_HEADER] = header
    return headers


def context_of(headers: Mapping[str, str]) -> Context:
    """Return a context that has of *headers* the trace and the baggage, and nothing else."""
    parent, baggage = parent_in(headers), headers.get(_HEADER)
    if parent is None:
        return _headers.extract(headers)
    return Context({SPAN_KEY: parent, BAGGAGE_KEY: _entries_of(baggage)} if baggage else {SPAN_KEY: parent})


def safe_part(entries: Baggage) -> Baggage:
    """Return those of *entries* that mean the same in every process."""
    if SAFE_PROPAGATION_KEYS.issuperset(entries):
        return entries
    return Baggage({name: value for name, value in entries.items() if name in SAFE_PROPAGATION_KEYS})


def baggage_header(entries: Baggage) -> str:
    """Return what says *entries* in W3C headers; empty where there is nothing to say."""
    try:
        return entries.header
    except AttributeError:
        pass
    if not _TEXTS.issuperset(map(type, entries.values())):
        return _written(entries)  # what it is made of may change
    write = _header_of if sum(map(len, entries.values())) <= _LONGEST_HEADER else _header_of.__wrapped__
    entries.header = header = write(tuple(entries.items()))
    return header


class BaggagePropagator(W3CBaggagePropagator):
    """Does what its base class does, but writes the same entries, and reads the same header, once."""

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        if header := baggage_header(baggage_in(current() if context is None else context)):
            setter.set(carrier, _HEADER, header)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        context = current() if context is None else context
        headers = getter.get(carrier, _HEADER)
        return with_baggage(context, _entries_of(headers[0])) if headers else context


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


_headers = W3CHeaders()


@functools.lru_cache(maxsize=256)
def _header_of(entries: tuple[tuple[str, str], ...]) -> str:
    return _written(dict(entries))


def _written(entries: Mapping[str, object]) -> str:
    carrier: dict[str, str] = {}
    with guard("write baggage"):
        _w3c.inject(carrier, with_value(Context(), BAGGAGE_KEY, dict(entries)))
    return carrier.get(_HEADER, "")


def _entries_of(header: str) -> Baggage:
    return _read(header) if len(header) <= _LONGEST_HEADER else Baggage()


@functools.lru_cache(maxsize=256)
def _read(header: str) -> Baggage:
    found = get_all(_w3c.extract({_HEADER: header}, Context()))
    return Baggage({name: str(value) for name, value in found.items()})
