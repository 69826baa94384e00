"""What a process does for its service: its roles, and what of the declarations concerns which of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from honeyhive.runtime.declaring import MessageFacts, RouteFacts, ScheduleFacts, SocketFacts

if TYPE_CHECKING:
    from honeyhive.runtime.assembly import AnyHandler, Assembly

__all__ = ["ROLES", "Role", "concerns", "declares", "dispatches", "roles_of"]

Role: TypeAlias = Literal["http", "worker", "scheduler"]
"""What a process does for its service."""

ROLES: Final[Sequence[Role]] = ("http", "worker", "scheduler")


def roles_of(assembly: Assembly) -> tuple[Role, ...]:
    """Return the roles that *assembly* declares something for."""
    return tuple(role for role in ROLES if declares(assembly, role))


def declares(assembly: Assembly, role: Role) -> bool:
    """Whether *assembly* gives a process of *role* something to do."""
    if role == "http" and assembly.service.http.app is not None:
        return True
    return any(concerns(role, handler) for handler in assembly.handlers)


def dispatches(assembly: Assembly) -> bool:
    """Whether schedulers of *assembly* hand ticks to workers."""
    return any(map(_is_dispatched, assembly.handlers))


def concerns(role: Role, handler: AnyHandler) -> bool:
    """Whether *handler* is called, or seen to, by processes of *role*."""
    return _CONCERNS[role](handler)


def _is_dispatched(handler: AnyHandler) -> bool:
    return isinstance(handler.facts, ScheduleFacts) and handler.facts.dispatch


_CONCERNS: Final[Mapping[Role, Callable[[Any], bool]]] = {
    "http": lambda handler: isinstance(handler.facts, RouteFacts | SocketFacts),
    "worker": lambda handler: isinstance(handler.facts, MessageFacts) or _is_dispatched(handler),
    "scheduler": lambda handler: isinstance(handler.facts, ScheduleFacts),
}
