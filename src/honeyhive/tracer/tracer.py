"""The tracer itself: the base and the capabilities, composed."""

from __future__ import annotations

from honeyhive.tracer.base import HoneyHiveTracerBase
from honeyhive.tracer.mixins import (
    TracerContextMixin,
    TracerLifecycleMixin,
    TracerOperationsMixin,
    TracerPropagationMixin,
    TracerScopeMixin,
    TracerSessionMixin,
)

__all__ = ["HoneyHiveTracer"]


class HoneyHiveTracer(
    TracerOperationsMixin,
    TracerContextMixin,
    TracerSessionMixin,
    TracerPropagationMixin,
    TracerScopeMixin,
    TracerLifecycleMixin,
    HoneyHiveTracerBase,
):
    """Records what an AI application does.

    Any number may exist at once, each with its own provider, session, destination and
    place in the context; all may be used from any thread. Nothing raises into the
    program once the tracer is made.

        tracer = HoneyHiveTracer.init(project="shop")

        @trace
        def answer(question: str) -> str: ...
    """
