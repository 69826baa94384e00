"""What ``ctx.scope(...)`` returns: a block to be entered once, with ``async with`` or ``with``."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import Token
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry.trace import Span

from honeyhive.exceptions import ScopeError
from honeyhive.models.state import State
from honeyhive.scope.current import Scope, current_scope, innermost
from honeyhive.scope.disposables import Disposable, Resources, checked_disposables
from honeyhive.scope.outcome import Outcome, details
from honeyhive.scope.spans import Tracing
from honeyhive.scope.states import States, by_class
from honeyhive.scope.tasks import TASK_POLICIES, TaskOwner, TaskPolicy, current_task

__all__ = ["ScopeBlock", "scope_block"]

F = TypeVar("F", bound=Callable[..., Any])


class ScopeBlock:
    """A scope to be opened.

    ``async with`` opens resources and owns tasks; ``with`` gives state, name and span only and leaves tasks to the scope
    around it. Both yield the `Scope`. As a decorator it opens a new scope for each call of the function.

    Raises:
        ScopeError: It is entered twice, left before a scope that was opened inside it, or left in another task than it
            was entered in. What it holds is closed all the same.
    """

    __slots__ = (
        "_disposables",
        "_name",
        "_opener",
        "_owner",
        "_policy",
        "_resources",
        "_scope",
        "_span",
        "_states",
        "_task",
        "_token",
        "_tracing",
    )

    def __init__(
        self,
        name: str,
        states: Sequence[State],
        disposables: Sequence[Disposable],
        tracing: Tracing,
        policy: TaskPolicy | None,
        opener: str,
    ) -> None:
        self._name = name
        self._states = states
        self._disposables = disposables
        self._tracing = tracing
        self._policy = policy
        self._opener = opener
        self._scope: Scope | None = None
        self._span: AbstractContextManager[Span] | None = None
        self._resources: Resources | None = None
        self._owner: TaskOwner | None = None

    def __enter__(self) -> Scope:
        if self._disposables or self._policy is not None:
            raise ScopeError(f"scope {self._name!r} has disposables or a task policy: open it with `async with`")
        return self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        problem = self._problem()
        self._finish(error, in_order=problem is None)
        if problem is not None:
            raise problem

    async def __aenter__(self) -> Scope:
        scope = self._begin()
        try:
            if self._disposables:
                await self._open_resources(scope)
            scope.owner = self._owner = await TaskOwner.open(self._policy, self._opener)
        except BaseException as error:
            outcome = Outcome(self._name, error)
            await self._close(outcome)
            if outcome.error is not None and outcome.error is not error:
                raise outcome.error from None
            raise
        return scope

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        outcome = Outcome(self._name, error)
        problem = self._problem()
        if problem is None:
            await self._close(outcome)
        else:
            outcome.add(problem)
            await self._abandon(outcome)
        left = outcome.error
        if left is None or left is error:
            return left is None
        raise left

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator would carry its scope to whoever iterates over it; open the scope inside")
        if any(hasattr(disposable, "__aenter__") for disposable in self._disposables):
            raise TypeError("each call opens a new scope: give functions that make the disposables, not disposables")
        if inspect.iscoroutinefunction(function):

            async def run_async(*args: Any, **kwargs: Any) -> Any:
                async with self._another():
                    return await function(*args, **kwargs)

            return cast("F", functools.update_wrapper(run_async, function))

        def run(*args: Any, **kwargs: Any) -> Any:
            with self._another():
                return function(*args, **kwargs)

        return cast("F", functools.update_wrapper(run, function))

    def _another(self) -> ScopeBlock:
        return ScopeBlock(self._name, self._states, self._disposables, self._tracing, self._policy, self._opener)

    def _begin(self) -> Scope:
        if self._scope is not None:
            raise ScopeError(f"scope {self._name!r} has been entered before; call ctx.scope(...) again for another one")
        parent = innermost()
        traced = self._tracing.wanted if parent is None or self._tracing.wanted is not None else parent.traced
        scope = self._scope = Scope(self._name, parent, self._states_above(parent), traced=traced)
        self._task = current_task() or threading.get_ident()
        self._span = self._tracing.open(self._name, traced)
        if self._span is not None:
            scope.outside = otel_context.get_current()
            scope.span = self._span.__enter__()
        self._token: Token[Scope | None] = current_scope.set(scope)
        return scope

    def _states_above(self, parent: Scope | None) -> States:
        if parent is not None and not self._states and not self._disposables:
            return parent.states
        return States(by_class(self._states), None if parent is None else parent.states)

    async def _open_resources(self, scope: Scope) -> None:
        # Tasks that a resource starts for itself end with the resource, after those of the scope.
        token = current_scope.set(scope.without_owner())
        try:
            self._resources = Resources()
            await self._resources.open(self._disposables, scope.states)
        finally:
            current_scope.reset(token)

    def _problem(self) -> ScopeError | None:
        """Return what is wrong with leaving here and now.

        Raises:
            ScopeError: It is not open.
        """
        scope, here = self._scope, innermost()
        if scope is None or not scope.is_open:
            raise ScopeError(f"scope {self._name!r} is left {'twice' if scope else 'without having been entered'}")
        if self._task != (current_task() or threading.get_ident()):
            return ScopeError(
                f"scope {self._name!r} was entered in one task and is left in another; enter and leave it in the same one"
            )
        if here is not scope:
            inner = "another scope" if here is None else repr(here.name)
            return ScopeError(
                f"scope {self._name!r} is left before {inner}, which was opened inside it; leave that first"
            )
        return None

    async def _close(self, outcome: Outcome) -> None:
        """End tasks, then close resources; then this scope, and those around it that were left too early."""
        scope = cast("Scope", self._scope)
        if self._owner is not None:
            await self._owner.close(outcome)
            scope.owner = None
        if self._resources is not None:
            await self._resources.close(outcome)
            self._resources.leave()
        self._finish(outcome.error, in_order=True)
        while (scope := scope.parent) is not None and scope.unwind is not None:  # type: ignore[assignment]
            unwind, scope.unwind = scope.unwind, None
            await unwind()

    async def _abandon(self, outcome: Outcome) -> None:
        """End tasks and close resources where cancel scopes cannot be left in order; the scope inside does that later."""
        scope = cast("Scope", self._scope)
        if self._owner is not None:
            await self._owner.abandon(outcome)
            scope.owner = None
        if self._resources is not None:
            await self._resources.close(outcome)
        scope.unwind = self._unwind
        self._finish(outcome.error, in_order=False)

    async def _unwind(self) -> None:
        if self._task != current_task():
            return
        if self._owner is not None:
            await self._owner.leave()
        if self._resources is not None:
            self._resources.leave()

    def _finish(self, error: BaseException | None, *, in_order: bool) -> None:
        scope = cast("Scope", self._scope)
        scope.is_open = False
        scope.left_early = not in_order
        if in_order:
            current_scope.reset(self._token)
        if self._span is not None:
            self._span.__exit__(*details(error))
        if in_order and scope.parent is not None and scope.parent.left_early:
            _pass_over(scope.parent)


def _pass_over(scope: Scope) -> None:
    """Let nothing of *scope*, which was left before its turn, be current any longer."""
    current_scope.set(innermost())
    outer: Scope | None = scope
    while outer is not None and outer.left_early:
        if outer.outside is not None:
            otel_context.attach(outer.outside)
        outer = outer.parent


def scope_block(
    name: str,
    states: Sequence[State],
    disposables: Collection[Disposable],
    tracing: Tracing,
    policy: TaskPolicy | None,
) -> ScopeBlock:
    """Return the block of these arguments, checked; the module that asks for it counts as the one that opens it.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The name is empty, or there is no such policy.
    """
    if not isinstance(name, str):
        raise TypeError(f"a scope begins with its name, a text; got {type(name).__name__}")
    if not name:
        raise ValueError("a scope needs a name")
    for state in states:
        if not isinstance(state, State):
            raise TypeError(f"scope {name!r} takes State instances, not {_described(state)}")
    if tracing.wanted not in _SWITCH:
        raise TypeError(f"trace is True, False or None, not {tracing.wanted!r}")
    if policy not in TASK_POLICIES:
        raise ValueError(f"tasks is 'cancel', 'join', 'leave' or None, not {policy!r}")
    resources = checked_disposables(disposables) if disposables != () else ()
    return ScopeBlock(name, states, resources, tracing, policy, _module_of_caller())


_SWITCH: Final = (True, False, None)


def _described(thing: object) -> str:
    if isinstance(thing, type) and issubclass(thing, State):
        return f"the class: {thing.__name__}(...) makes one"
    if isinstance(thing, AbstractAsyncContextManager):
        return f"{type(thing).__name__}: resources go into disposables=(...,)"
    return type(thing).__name__


def _module_of_caller() -> str:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- inspect would read source files
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if not module.startswith("honeyhive."):
            return module
        frame = frame.f_back
    return ""
