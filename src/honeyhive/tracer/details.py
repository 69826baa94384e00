"""What few spans have, kept beside them: so that most spans share one object and stay small.

A small span costs less to make, to visit (the garbage collector looks at every slot of
every waiting span) and to encode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.sdk.util import BoundedList

__all__ = ["NO_STATE", "RECORD_ALL", "RECORD_EXCEPTION", "REMOTE", "SET_STATUS", "Details", "below_remote",
           "usual_details"]  # fmt: skip

NO_STATE: Final = TraceState()

REMOTE: Final = SpanContext(0, 0, is_remote=True)
"""Stands for the span context of a remote parent until somebody asks for it."""

_UNSET: Final = Status(StatusCode.UNSET)

RECORD_EXCEPTION: Final = 1
SET_STATUS: Final = 2
RECORD_ALL: Final = RECORD_EXCEPTION | SET_STATUS
"""What a span does with an exception that leaves its block."""


class Details:
    """The unusual of one span, or the usual of all those that have nothing of it.

    Attributes:
        is_shared: Whether it belongs to many spans and must not be changed.
        kind: The kind of the span.
        status: How it went.
        options: What it does with an exception: ``RECORD_ALL`` or less.
        trace_state: What vendors let the trace carry.
        parent: The parent's span context, or ``REMOTE``, if it was remote or somebody asked for it.
        attributes: All attributes in one mapping, once somebody needed it.
        events: What happened meanwhile, if anything did.
        links: What it is linked to, if anything.
        over: Private names of the SDK's span that another library assigned to, by name.
        release: Tells the SDK's metrics that the span is over.
    """

    __slots__ = ("attributes", "events", "is_shared", "kind", "links", "options", "over", "parent", "release",
                 "status", "trace_state")  # fmt: skip

    def __init__(
        self,
        kind: SpanKind = SpanKind.INTERNAL,
        trace_state: TraceState = NO_STATE,
        parent: SpanContext | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self.is_shared = is_shared
        self.kind = kind
        self.status = _UNSET
        self.options = RECORD_ALL
        self.trace_state = trace_state
        self.parent = parent
        self.attributes: BoundedAttributes | None = None
        self.events: BoundedList[Any] | None = None
        self.links: BoundedList[Any] | None = None
        self.over: dict[str, Any] | None = None
        self.release: Callable[[], None] | None = None


# By the value: the hash of a member of an enumeration is computed in Python.
_usual: Final = {kind.value: Details(kind, is_shared=True) for kind in SpanKind}
_below_remote: Final = {kind.value: Details(kind, parent=REMOTE, is_shared=True) for kind in SpanKind}


def usual_details(kind: SpanKind) -> Details:
    """Return what all spans of *kind* share that have nothing else that is unusual."""
    return _usual[kind._value_] if type(kind) is SpanKind else Details(kind)


def below_remote(details: Details) -> Details:
    """Return what *details*, as `usual_details` returns them, become where the parent is in another process."""
    return _below_remote[details.kind._value_] if details.is_shared else Details(details.kind, parent=REMOTE)
