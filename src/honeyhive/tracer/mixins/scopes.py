"""Scopes whose spans are this tracer's, wherever they are opened."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from honeyhive.scope.spans import Tracing
from honeyhive.tracer.interfaces import NeedsIdentity, TracerScopeInterface
from honeyhive.tracer.scopes import scope_span_of

if TYPE_CHECKING:
    from honeyhive.models.state import State
    from honeyhive.scope import Disposable, ScopeBlock, TaskPolicy

__all__ = ["TracerScopeMixin"]


class TracerScopeMixin(TracerScopeInterface, NeedsIdentity):
    """Offers scopes over the tracer's identity."""

    def scope(
        self,
        name: str,
        /,
        *states: State,
        disposables: Collection[Disposable] = (),
        trace: bool | None = None,
        tasks: TaskPolicy | None = None,
    ) -> ScopeBlock:
        tracing = Tracing(trace, functools.partial(scope_span_of, self.identity))
        return _scope_block()(name, states, disposables, tracing, tasks)


@functools.cache
def _scope_block() -> Callable[..., ScopeBlock]:
    """Load what opens scopes when the first one is asked for: it needs pydantic and anyio, which tracing does not."""
    from honeyhive.scope.block import scope_block

    return scope_block
