"""The trace in W3C headers, written and read in few steps where nothing unusual stands in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import default_getter, default_setter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from honeyhive.tracer.context import SPAN_KEY, current, with_value
from honeyhive.tracer.remote import RemoteSpan, remote_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.propagators.textmap import CarrierT, Getter, Setter

__all__ = ["TraceParentPropagator", "parent_in", "trace_headers"]

_HEADER: Final = "traceparent"
_is_usual: Final = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_LOWEST_64_BITS: Final = (1 << 64) - 1
_standard: Final = TraceContextTextMapPropagator()


class TraceParentPropagator(TraceContextTextMapPropagator):
    """Does what its base class does, and by itself what is usual: one plain header, no ``tracestate``."""

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        for name, header in trace_headers(current() if context is None else context).items():
            setter.set(carrier, name, header)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        if getter is default_getter and (parent := parent_in(carrier)) is not None:  # type: ignore[arg-type]
            return with_value(Context() if context is None else context, SPAN_KEY, parent)
        return super().extract(carrier, context, getter)


def trace_headers(context: Mapping[str, object]) -> dict[str, str]:
    """Return the W3C headers that name the current span of *context*; none where there is no valid one."""
    usual = getattr(context.get(SPAN_KEY), "traceparent", None)  # our spans know it
    if usual is not None:
        return {_HEADER: usual}
    headers: dict[str, str] = {}
    _standard.inject(headers, Context(context))
    return headers


def parent_in(headers: Mapping[str, object]) -> RemoteSpan | None:
    """Return the span that the usual header in *headers* names, if that is all they say of a trace."""
    header = headers.get(_HEADER)
    if type(header) is not str or not _is_usual(header) or headers.get("tracestate"):
        return None
    number = int(header.replace("-", ""), 16)  # all in one: reading each part by itself costs twice as much
    trace_id, span_id = number >> 72, number >> 8 & _LOWEST_64_BITS
    return remote_span(header, trace_id, span_id, number & 255) if trace_id and span_id else None
