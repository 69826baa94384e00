"""Samplers in OpenTelemetry's sense: which spans are recorded, decided when they start.

Both keep traces whole. The decision depends on the trace id, so all processes and all
spans of a kind within a trace agree, and nothing hangs below a span that was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, get_current_span
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from honeyhive.exceptions import ConfigurationError
from honeyhive.models.conventions import DEFAULT_EVENT_TYPE, detect_event_type

__all__ = ["EventTypeSampler", "rate_sampler"]

_TRACE_ID_BITS: Final = (1 << 64) - 1


def rate_sampler(rate: float) -> Sampler:
    """Record the share *rate* of all new traces; spans within a trace follow its beginning.

    Raises:
        ConfigurationError: *rate* is not between 0 and 1.
    """
    return ParentBased(TraceIdRatioBased(_checked("sample_rate", rate)))


class EventTypeSampler(Sampler):
    """Record a share of the spans of each event type.

    The type is what a span's attributes and name say when it starts; what is set later
    comes too late. Below a span that is left out nothing is recorded.

    Args:
        rates: For each event type the share to record, 0 to 1: ``{"tool": 0.1}``.
        default_rate: The share of all other types; ``None`` records them all.

    Raises:
        ConfigurationError: A rate is not between 0 and 1.
    """

    def __init__(self, rates: Mapping[str, float], default_rate: float | None = None) -> None:
        self._rates = {kind: _checked(f"sample_rates[{kind!r}]", rate) for kind, rate in rates.items()}
        self._default_rate = 1.0 if default_rate is None else _checked("sample_rate", default_rate)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,  # noqa: ARG002 -- OpenTelemetry's signature
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002 -- OpenTelemetry's signature
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide on one span, as OpenTelemetry asks it."""
        parent = get_current_span(parent_context).get_span_context()
        if parent.is_valid and not parent.trace_flags.sampled:
            return SamplingResult(Decision.DROP, trace_state=parent.trace_state)
        event_type = detect_event_type(attributes or {}, name=name) or DEFAULT_EVENT_TYPE
        rate = self._rates.get(event_type, self._default_rate)
        chosen = (trace_id & _TRACE_ID_BITS) < round(rate * (_TRACE_ID_BITS + 1))
        return SamplingResult(
            Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP,
            attributes if chosen else None,
            parent.trace_state if parent.is_valid else trace_state,
        )

    def get_description(self) -> str:
        """Name the sampler and its rates."""
        return f"EventTypeSampler({self._rates}, default_rate={self._default_rate})"


def _checked(setting: str, rate: object) -> float:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ConfigurationError(f"{setting} must be a number from 0 to 1, not {rate!r}")
    return float(rate)
