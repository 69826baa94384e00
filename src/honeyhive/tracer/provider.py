"""The OpenTelemetry provider whose tracers start our spans."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import sampling

from honeyhive.tracer.core import Tracer
from honeyhive.tracer.processors import Processors

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.util.types import Attributes

    from honeyhive.tracer.identity import Identity

__all__ = ["TracerProvider"]


class TracerProvider(sdk.TracerProvider):
    """The SDK's provider with our spans.

    Args:
        identity: Whose spans these are; ``None`` makes a plain OpenTelemetry provider.
        allows: Whether a span of that name is recorded. One that is not stands aside:
            its children attach to its parent.
        wall_ns: Clock of start times, nanoseconds since 1970.
        monotonic_ns: Clock of durations, nanoseconds.
        **kwargs: Those of :class:`opentelemetry.sdk.trace.TracerProvider`.
    """

    def __init__(
        self,
        sampler: sampling.Sampler | None = None,
        resource: Resource | None = None,
        shutdown_on_exit: bool = True,
        active_span_processor: Any = None,
        id_generator: IdGenerator | None = None,
        span_limits: sdk.SpanLimits | None = None,
        *,
        identity: Identity | None = None,
        allows: Callable[[str], bool] | None = None,
        wall_ns: Callable[[], int] = time_ns,
        monotonic_ns: Callable[[], int] = monotonic_ns,
        **kwargs: Any,
    ) -> None:
        self._extras = (identity, allows, (wall_ns, monotonic_ns), span_limits or sdk.SpanLimits())
        # Keeps a tracer from being used between becoming ours and knowing whose it is.
        self._adopting = threading.Lock()
        super().__init__(
            sampler,
            resource,
            shutdown_on_exit,
            active_span_processor or Processors(),
            id_generator,
            span_limits,
            **kwargs,
        )
        if identity is not None:
            # OTEL_SDK_DISABLED is one of the settings that decide whether the identity is enabled.
            self._disabled = False

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Any:
        """Return the tracer of that instrumentation scope; its spans are ours."""
        tracer = super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        if type(tracer) is sdk.Tracer:
            # The SDK keeps a table of tracers and hands out what stands there: that very
            # object becomes ours, so all who hold it see the change.
            with self._adopting:
                if type(tracer) is sdk.Tracer:
                    self._adopt(tracer)
        return tracer

    def _adopt(self, tracer: Any) -> None:
        tracer.__class__ = Tracer
        # A dictionary of its own: the one that is shared with other objects of a class is read slowly after the change.
        tracer.__dict__ = dict(vars(tracer))
        tracer.configure(*self._extras)
