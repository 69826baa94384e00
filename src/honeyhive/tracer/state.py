"""What all spans of one OpenTelemetry tracer share, worked out once: resource, limits, processors, sampling."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanLimits, sampling
from opentelemetry.trace import TraceFlags

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope

    from honeyhive.tracer.identity import Identity
    from honeyhive.tracer.processors import Processors

__all__ = ["ALL_TRACES", "ASK_SAMPLER", "SAMPLED", "SpanState"]

SAMPLED: Final = int(TraceFlags.SAMPLED)

ASK_SAMPLER: Final = -1
"""Stands where it does not depend on the trace id alone whether a new trace is recorded."""

ALL_TRACES: Final = 1 << 64
"""Above the lowest 64 bits of any trace id."""

_RESERVED: Final = 32


class SpanState:
    """What all spans of one OpenTelemetry tracer share. Replaced when it changes, never mutated.

    Where a tracer is *plain*, its sampler alone decides what is recorded, and as far as the sampler is one that we
    know it need not be asked:

    * ``root_bound``: new traces whose lowest 64 bits are below it are recorded, the others left out;
    * ``follows_parent``: a child of a recorded span is always recorded;
    * ``follows_remote``: a child of a span that was recorded in another process is always recorded;
    * ``leaves_out_below``: a child of a span that was sampled out never is;
    * ``leaves_out_remote``: nor is one of a span that was sampled out in another process.
    """

    __slots__ = ("allows", "fast_count", "follows_parent", "follows_remote", "identity", "info", "leaves_out_below",
                 "leaves_out_remote", "limits", "monotonic_ns", "processors", "resource", "root_bound", "root_flags",
                 "sampler", "scope", "wall_ns")  # fmt: skip

    def __init__(
        self,
        *,
        resource: Resource,
        scope: InstrumentationScope | None,
        info: InstrumentationInfo | None,
        limits: SpanLimits,
        processors: Processors,
        identity: Identity | None,
        sampler: Sampler,
        root_flags: int,
        is_plain: bool,
        allows: Callable[[str], bool] | None,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.resource = resource
        self.scope = scope
        self.info = info
        self.limits = limits
        self.processors = processors
        self.identity = identity
        self.sampler = sampler
        self.root_flags = root_flags
        self.root_bound = _root_bound(sampler) if is_plain else ASK_SAMPLER
        self.follows_parent = is_plain and _follows(sampler, "_local_parent_sampled")
        self.follows_remote = is_plain and _follows(sampler, "_remote_parent_sampled")
        self.leaves_out_below = is_plain and _leaves_out(sampler, "_local_parent_not_sampled")
        self.leaves_out_remote = is_plain and _leaves_out(sampler, "_remote_parent_not_sampled")
        self.allows = allows
        self.wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns
        self.fast_count = _fast_count(limits)


def _fast_count(limits: SpanLimits) -> int:
    """How many attributes may go straight into a plain dict; none where lengths are limited.

    Some are reserved for what the tracer itself adds, so that user code meets the
    limit exactly where OpenTelemetry's own bounded mapping would.
    """
    if limits.max_span_attribute_length is not None:
        return 0
    if limits.max_span_attributes is None:
        return sys.maxsize
    return max(0, limits.max_span_attributes - _RESERVED)


def _root_bound(sampler: Sampler) -> int:
    root = getattr(sampler, "_root", None) if type(sampler) is sampling.ParentBased else sampler
    if root is sampling.ALWAYS_ON:
        return ALL_TRACES
    if root is sampling.ALWAYS_OFF:
        return 0
    return root.bound if type(root) is sampling.TraceIdRatioBased else ASK_SAMPLER


def _follows(sampler: Sampler, delegate: str) -> bool:
    """Tell whether what *delegate* of a parent-based sampler decides is to record, always."""
    if type(sampler) is sampling.ParentBased:
        return getattr(sampler, delegate, None) is sampling.ALWAYS_ON
    return sampler is sampling.ALWAYS_ON


def _leaves_out(sampler: Sampler, delegate: str) -> bool:
    """Tell whether what *delegate* of a parent-based sampler decides is not to record, always."""
    if type(sampler) is sampling.ParentBased:
        return getattr(sampler, delegate, None) is sampling.ALWAYS_OFF
    return sampler is sampling.ALWAYS_OFF
