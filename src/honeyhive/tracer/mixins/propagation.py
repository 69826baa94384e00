"""Carrying a trace from one process to the next, in W3C headers."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from typing import TYPE_CHECKING, cast

from opentelemetry.context import get_current

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.interfaces import NeedsIdentity, NeedsPropagator, TracerPropagationInterface
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

__all__ = ["TracerPropagationMixin"]


class TracerPropagationMixin(TracerPropagationInterface, NeedsIdentity, NeedsPropagator):
    """Offers injection, extraction and linking over an OpenTelemetry propagator."""

    def inject_context(self, carrier: dict[str, str]) -> dict[str, str]:
        with guard("inject_context"):
            self.propagator.inject(carrier, context=self._with_own_session(get_current()))
        return carrier

    def inject(self, carrier: dict[str, str] | None = None) -> dict[str, str]:
        """Do what :meth:`inject_context` does, into a new dict where none is given."""
        return self.inject_context({} if carrier is None else carrier)

    def _with_own_session(self, context: Context) -> Context:
        """Add the tracer's own session where the context has none, so the next process joins it."""
        entries = hh_context.baggage_with_session(context, self.identity)
        return hh_context.with_value(context, hh_context.BAGGAGE_KEY, entries)

    def extract_context(self, carrier: Mapping[str, str]) -> Context:
        with guard("extract_context"):
            return cast("Context", self.propagator.extract(carrier, context=get_current()))
        return get_current()

    def link(self, carrier: Mapping[str, str] | None = None) -> Token[Context]:
        return hh_context.attach(self.extract_context(carrier or {}))

    def unlink(self, token: Token[Context]) -> None:
        with guard("unlink"):
            hh_context.detach(token)
