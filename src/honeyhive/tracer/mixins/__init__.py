"""The tracer's capabilities, one mixin each.

A mixin has no state and no constructor. Its header says what it offers and what it
needs; it knows no other mixin.
"""

from __future__ import annotations

from honeyhive.tracer.mixins.context import TracerContextMixin
from honeyhive.tracer.mixins.lifecycle import TracerLifecycleMixin
from honeyhive.tracer.mixins.operations import TracerOperationsMixin
from honeyhive.tracer.mixins.propagation import TracerPropagationMixin
from honeyhive.tracer.mixins.scopes import TracerScopeMixin
from honeyhive.tracer.mixins.sessions import TracerSessionMixin

__all__ = [
    "TracerContextMixin",
    "TracerLifecycleMixin",
    "TracerOperationsMixin",
    "TracerPropagationMixin",
    "TracerScopeMixin",
    "TracerSessionMixin",
]
