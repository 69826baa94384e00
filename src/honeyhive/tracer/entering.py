"""How a span of ours becomes the current one, and what it leaves behind when it is not any more."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.context.context import Context

from honeyhive.tracer import context as hh_context

if TYPE_CHECKING:
    from contextvars import Token

    from honeyhive.tracer.state import SpanState

__all__ = ["ENTERABLE", "Enterable", "activate", "entered"]

ENTERABLE: Final[Any] = object()
"""Marks a span that becomes current when entered, as those of ``tracer.start_span`` do."""

_SPAN_KEY: Final = hh_context.SPAN_KEY
_TRACER_KEY: Final = hh_context.TRACER_KEY

# A context refuses to be changed by its own methods; these belong to the dictionary that it is.
_put: Final = dict.__setitem__


class Enterable:
    """A span in a ``with`` statement: it ends with the block, and is current inside if it was made for that."""

    __slots__ = ()

    _st: SpanState
    _token: Token[Context] | Any

    def __enter__(self) -> Self:
        if self._token is ENTERABLE:
            self._token = activate(self)  # type: ignore[misc]  # a slot of the subclasses
        return self

    def enter_in(self, context: Context) -> None:
        """Become the current span, in *context*, until the block is left by ``__exit__``."""
        self._token = hh_context.attach(entered(context, self))  # type: ignore[misc]  # a slot of the subclasses

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        token, self._token = self._token, None  # type: ignore[misc]  # a slot of the subclasses
        was_entered = token is not None and token is not ENTERABLE
        if was_entered:
            hh_context.detach(token)
        if exc_val is not None and not isinstance(exc_val, GeneratorExit):
            self._left_by(exc_val, was_entered=was_entered)
        self.end()

    def _left_by(self, error: BaseException, *, was_entered: bool) -> None:
        """Record that *error* ended the block."""
        raise NotImplementedError

    def end(self, end_time: int | None = None) -> None:
        """End the span."""
        raise NotImplementedError


def entered(context: Context, span: Enterable) -> Context:
    """Return *context* with *span* as the current one, remembering what it hides.

    Where the span of another tracer is hidden, that one is kept under its tracer's key,
    and bare ``@trace`` means this tracer from here on.
    """
    if not context:
        return Context({_SPAN_KEY: span})
    inner = Context(context)
    _put(inner, _SPAN_KEY, span)
    identity = span._st.identity
    hidden = getattr(context.get(_SPAN_KEY), "_st", None)
    if hidden is not None and hidden.identity is not identity and (owner := hidden.identity) is not None:
        _put(inner, owner.key, context[_SPAN_KEY])
    if _TRACER_KEY in context and identity is not None and context[_TRACER_KEY] is not identity:
        _put(inner, _TRACER_KEY, identity)
    return inner


def activate(span: Enterable) -> Token[Context]:
    """Make *span* the current one; the token goes to :func:`honeyhive.tracer.context.detach`."""
    return hh_context.attach(entered(hh_context.current(), span))
