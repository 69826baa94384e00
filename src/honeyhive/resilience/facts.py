"""What a helper did, put on the current span; without a recording span this is one look and nothing else.

The names are those of `honeyhive.models.conventions.resilience`. OpenTelemetry's API is all that is used, so the facts
land on the spans of any tracer.
"""

from __future__ import annotations

import threading

from opentelemetry.context import get_current
from opentelemetry.trace import Span, get_current_span

from honeyhive.models.conventions import resilience as names
from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.guard import guard

__all__ = ["add", "attempt_failed", "is_wanted", "reason_of", "tell"]

_LONGEST_REASON = 200


class _Sums(Renewable):
    """Adds to numbers on spans, where the interface only knows how to set them."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        # Keeps reading a sum and writing it back one step, for threads that share a span.
        self._lock = threading.Lock()

    def add(self, span: Span, name: str, amount: float) -> float:
        """Add *amount* to the attribute *name* and return the sum."""
        with self._lock:
            known = (getattr(span, "attributes", None) or {}).get(name, 0)
            total: float = amount + (known if isinstance(known, int | float) else 0)
            span.set_attribute(name, total)
            return total


_sums = _Sums()


def is_wanted() -> bool:
    """Tell whether there is a span to put facts on; for those that cost something to find out."""
    return get_current_span().is_recording()


def add(name: str, amount: float = 1) -> None:
    """Add *amount* to the attribute *name* of the current span."""
    # The usual context without a tracer is empty, which is known sooner than that it holds no span.
    if get_current() and (span := get_current_span()).is_recording():
        with guard("tell a sum on the current span"):
            _sums.add(span, name, amount)


def tell(name: str, **facts: str | float | None) -> None:
    """Put an event on the current span unless it has too many already; what is ``None`` is not told."""
    span = get_current_span()
    if not span.is_recording():
        return
    with guard("tell an event on the current span"):
        if _sums.add(span, names.EVENTS_SEEN, 1) <= names.MOST_EVENTS:
            span.add_event(name, {fact: value for fact, value in facts.items() if value is not None})


def attempt_failed(operation: str, number: int, wait_s: float | None, error: Exception) -> None:
    """Tell that a try has failed; *wait_s* is the pause before the next one, ``None`` if there is none.

    For every loop over `honeyhive.resilience.policy.Attempts`, whoever runs it.
    """
    add(names.RETRY_ATTEMPTS)
    if wait_s is not None:
        add(names.RETRY_WAIT_S, wait_s)
    tell(names.RETRY_FAILED, operation=operation, attempt=number, wait_s=wait_s, reason=reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return the type and the message of *error*, shortened; the type alone if its message cannot be had."""
    kind = type(error).__name__
    message = next((part for part in error.args if isinstance(part, str)), "")
    return f"{kind}: {message}"[:_LONGEST_REASON] if message else kind
