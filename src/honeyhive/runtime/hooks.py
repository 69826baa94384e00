"""Hooks: functions that hand over what an interceptor has put into the scope of this execution.

All of them read the state of the current scope, so they work wherever that scope holds: in the handler, in what it
calls, in the tasks it spawns. A hook of your own is one line::

    class Tenant(State):
        name: str


    use_tenant = hook(Tenant, "TenantInterceptor")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from honeyhive.exceptions import MissingInterceptorError
from honeyhive.models.state import State
from honeyhive.runtime.execution import Execution
from honeyhive.scope import ctx
from honeyhive.scope.current import innermost

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from honeyhive.runtime.publishing import Publisher
    from honeyhive.runtime.sockets import SocketManager

__all__ = [
    "Configured",
    "hook",
    "use_config",
    "use_execution",
    "use_publisher",
    "use_session",
    "use_ws_manager",
]

S = TypeVar("S", bound=State)
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Configured(State):
    """The configuration of the service that a scope belongs to."""

    config: BaseModel


def hook(state: type[S], provided_by: str) -> Callable[[], S]:
    """Return a function that returns the *state* of the current scope.

    Args:
        state: The state that is looked up.
        provided_by: The interceptor that provides it; named in the `MissingInterceptorError` where it is missing.
    """
    name = f"use_{state.__name__}"

    def use() -> S:
        return _provided(state, f"{name}()", f"interceptors=[{provided_by}]")

    use.__name__ = use.__qualname__ = name
    return use


def use_execution() -> Execution:
    """Return the facts of this execution.

    Raises:
        MissingInterceptorError: This is no execution.
    """
    return _provided(Execution, "use_execution()", "")


def use_config(model: type[M]) -> M:
    """Return the service's configuration, which is a *model*.

    Raises:
        MissingInterceptorError: The service has none, or another one.
    """
    name = model.__name__
    declared = f"config={name}, or interceptors=[Configuration({name})]"
    found = _provided(Configured, f"use_config({name})", declared).config
    if not isinstance(found, model):
        raise MissingInterceptorError(f"the configuration here is a {type(found).__name__}, not a {model.__name__}")
    return found


def use_session(name: str = "default") -> AsyncSession:
    """Return this execution's own SQLAlchemy session of the database *name*.

    It is committed when the handler succeeds and rolled back when it raises.

    Raises:
        MissingInterceptorError: No `SqlSession` of that name.
    """
    from honeyhive.runtime.sql import Sessions

    asked = "" if name == "default" else f"{name!r}"
    wanted = f"SqlSession(url, name={asked})" if asked else "SqlSession(url)"
    sessions = _provided(Sessions, f"use_session({asked})", f"interceptors=[{wanted}]").by_name
    if name not in sessions:
        raise MissingInterceptorError(f"no session {name!r} here; add {wanted} to the service's interceptors")
    session: AsyncSession = sessions[name]
    return session


def use_publisher() -> Publisher:
    """Return what publishes messages of this execution: they leave when it succeeds, and not if it fails.

    Raises:
        MissingInterceptorError: No `Publishing`.
    """
    from honeyhive.runtime.publishing import Publisher

    return _provided(Publisher, "use_publisher()", "interceptors=[Publishing]")


def use_ws_manager() -> SocketManager:
    """Return what knows the WebSocket connections, and reaches those of all processes.

    Raises:
        MissingInterceptorError: No `Sockets`.
    """
    from honeyhive.runtime.sockets import SocketsState

    return _provided(SocketsState, "use_ws_manager()", "interceptors=[Sockets]").manager


def found_or_none(state: type[S]) -> S | None:
    """Return the *state* of the current scope, or ``None``; for interceptors that add to one."""
    return ctx.state(state, None)


def _provided(kind: type[T], call: str, declared: str) -> T:
    """Return what the scopes here have under *kind*; where there is nothing, *call* is told what is to be *declared*."""
    scope = innermost()
    found = None if scope is None else scope.states.find(kind)
    if found is not None:
        return found
    if scope is None or scope.states.find(Execution) is None:
        raise MissingInterceptorError(
            f"{call} was called outside of any execution; call it in a handler of a service, or in a block of "
            "intercepted(execution, [...])"
        )
    raise MissingInterceptorError(f"{call} finds nothing here; declare the service with {declared}")
