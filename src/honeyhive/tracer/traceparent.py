"""The trace in W3C headers, written and read in few steps where nothing unusual stands in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import default_getter, default_setter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from honeyhive.tracer.context import SPAN_KEY, with_value
from honeyhive.tracer.details import NO_STATE

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Getter, Setter

__all__ = ["TraceParentPropagator"]

_HEADER: Final = "traceparent"
_usual: Final = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
_flags: Final = tuple(map(TraceFlags, range(256)))


class TraceParentPropagator(TraceContextTextMapPropagator):
    """Does what its base class does, and by itself what is usual: one plain header, no ``tracestate``."""

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        header = getattr(get_current_span(context), "traceparent", None)  # our spans know it
        if header is None:
            super().inject(carrier, context, setter)
        else:
            setter.set(carrier, _HEADER, header)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        if getter is default_getter and (parent := _parent_in(carrier)) is not None:
            return with_value(Context() if context is None else context, SPAN_KEY, NonRecordingSpan(parent))
        return super().extract(carrier, context, getter)


def _parent_in(carrier: object) -> SpanContext | None:
    """Return what the usual header in *carrier* names, if that is all there is."""
    header = carrier.get(_HEADER)  # type: ignore[attr-defined]  # the default getter takes mappings only
    found = _usual(header) if type(header) is str else None
    if found is None or carrier.get("tracestate"):  # type: ignore[attr-defined]  # as above
        return None
    trace_id, span_id = int(found[1], 16), int(found[2], 16)
    return SpanContext(trace_id, span_id, True, _flags[int(found[3], 16)], NO_STATE) if trace_id and span_id else None
