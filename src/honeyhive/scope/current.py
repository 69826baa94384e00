"""The scope that is open here: one context variable, and what it holds."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from honeyhive.exceptions import NoScopeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from honeyhive.scope.states import States
    from honeyhive.scope.tasks import TaskOwner

__all__ = ["Scope", "current_scope", "innermost", "require_scope"]


class Scope:
    """A scope that has been opened: who it is, and where it stands.

    What it provides is asked for through ``ctx``. It can be kept and read after it has been left.

    Attributes:
        name: As given to ``ctx.scope``.
        parent: The scope around it; ``None`` for an outermost one.
        is_open: Whether it has not been left yet.
        span: Its OpenTelemetry span; ``None`` where it is not traced.
    """

    __slots__ = (
        "_id",
        "is_open",
        "left_early",
        "name",
        "outside",
        "owner",
        "parent",
        "span",
        "states",
        "traced",
        "unwind",
    )

    def __init__(self, name: str, parent: Scope | None, states: States, *, traced: bool | None = None) -> None:
        self.name = name
        self.parent = parent
        self.states = states
        self.traced = traced
        self.owner: TaskOwner | None = None if parent is None else parent.owner
        self.span: Span | None = None
        self.outside: Context | None = None
        self.unwind: Callable[[], Awaitable[None]] | None = None
        self.is_open = True
        self.left_early = False
        self._id = ""

    @property
    def id(self) -> str:
        """Sixteen random hex digits, the same for as long as the scope lives."""
        if not self._id:
            self._id = secrets.token_hex(8)
        return self._id

    @property
    def path(self) -> tuple[str, ...]:
        """The names from the outermost scope to this one."""
        return (self.name,) if self.parent is None else (*self.parent.path, self.name)

    @property
    def trace_id(self) -> str | None:
        """Its trace as 32 hex digits; ``None`` where it is not traced."""
        return None if self.span is None else f"{self.span.get_span_context().trace_id:032x}"

    @property
    def span_id(self) -> str | None:
        """Its span as 16 hex digits; ``None`` where it is not traced."""
        return None if self.span is None else f"{self.span.get_span_context().span_id:016x}"

    def without_owner(self) -> Scope:
        """Return the same scope seen by work that does not belong to it: tasks begun there are nobody's."""
        view = Scope(self.name, self.parent, self.states, traced=self.traced)
        view.owner, view.span, view._id = None, self.span, self.id
        return view

    def __str__(self) -> str:
        return " > ".join(self.path)

    def __repr__(self) -> str:
        return f"Scope({self})"


current_scope: Final[ContextVar[Scope | None]] = ContextVar("honeyhive_scope", default=None)


def innermost() -> Scope | None:
    """Return the innermost scope here, or ``None``; those that were left before their turn are passed over."""
    scope = current_scope.get()
    while scope is not None and scope.left_early:
        scope = scope.parent
    return scope


def require_scope(purpose: str) -> Scope:
    """Return the innermost scope here.

    Raises:
        NoScopeError: There is none.
    """
    scope = innermost()
    if scope is None:
        raise NoScopeError(f'{purpose} needs an open scope; open one around it: `async with ctx.scope("app"):`')
    return scope
