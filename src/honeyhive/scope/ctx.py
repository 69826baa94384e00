"""The door to scopes: ``from honeyhive import ctx``.

::

    async with ctx.scope("app", Config(retries=3), disposables=(database(),)):
        ctx.state(Config).retries
        ctx.log_info("ready")
        task = ctx.spawn(watch, "orders")

Everything here acts on the innermost scope of the current context, in whatever task or thread that is.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, overload

from opentelemetry.trace import get_current_span
from opentelemetry.util.types import AttributeValue

from honeyhive.exceptions import MissingStateError, NoScopeError, ScopeError, StateError
from honeyhive.models.state import State
from honeyhive.scope.block import ScopeBlock, scope_block
from honeyhive.scope.current import Scope, current_scope, innermost, require_scope
from honeyhive.scope.disposables import Disposable
from honeyhive.scope.handles import TaskHandle
from honeyhive.scope.logs import log
from honeyhive.scope.spans import BY_DEFAULT, Tracing
from honeyhive.scope.tasks import TaskPolicy
from honeyhive.utils.missing import MISSING, Missing

__all__ = [
    "attributes",
    "current",
    "detached",
    "event",
    "has_state",
    "log_debug",
    "log_error",
    "log_info",
    "log_warning",
    "metric",
    "record",
    "scope",
    "spawn",
    "state",
    "update_state",
]

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")
S = TypeVar("S", bound=State)


def scope(
    name: str,
    /,
    *states: State,
    disposables: Collection[Disposable] = (),
    trace: bool | None = None,
    tasks: TaskPolicy | None = None,
) -> ScopeBlock:
    """Return a scope to open: ``async with ctx.scope("app", Config()):``, ``with ctx.scope(...)``, or as a decorator.

    Args:
        name: What it is called in errors, logs and traces. Names are few; what varies belongs into attributes.
        *states: What it provides, by class; the last of one class counts.
        disposables: Resources: opened in order on entry, closed in reverse on exit, also after errors and when
            cancelled. Each is an async context manager, or a function that makes one, and may yield states.
        trace: Whether it has a span. By default, what the scope around it has; outermost, whether there is a tracer.
            Scopes inside follow.
        tasks: What becomes of tasks when the block ends well: ``"cancel"``, ``"join"`` or ``"leave"``; see `TaskPolicy`.
            By default spawned tasks are awaited, and tasks that the program made with asyncio are cancelled.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The name is empty, or *tasks* is no policy.
    """
    return scope_block(name, states, disposables, BY_DEFAULT if trace is None else Tracing(trace), tasks)


def current() -> Scope:
    """Return the innermost scope.

    Raises:
        NoScopeError: None is open here.
    """
    return require_scope("ctx.current()")


@overload
def state(kind: type[S], /) -> S: ...
@overload
def state(kind: type[S], /, default: D) -> S | D: ...
def state(kind: type[S], /, default: D | Missing = MISSING) -> S | D:
    """Return the state of this class that the innermost scope provides which has one.

    If no scope provides one, and all fields of the class have defaults, one is made and kept with the outermost scope.

    Args:
        kind: The class, exactly; ``Box[int]`` is not ``Box``.
        default: Returned instead of an error, and instead of making one.

    Raises:
        MissingStateError: No scope provides one, and it cannot be made.
        NoScopeError: No scope is open here.
        TypeError: *kind* is no state class.
    """
    here = innermost()
    found = None if here is None else here.states.find(kind)
    if found is not None:
        return found
    _require_state_class(kind)
    if default is not MISSING:
        return default
    if here is None:
        raise NoScopeError(f"{kind.__name__} is provided by no scope, for none is open here; {_remedy(kind)}")
    try:
        return here.states.make(kind)
    except StateError as error:
        raise MissingStateError(_missing(kind, here)) from error


def has_state(kind: type[State], /) -> bool:
    """Tell whether a scope here provides a state of this class."""
    _require_state_class(kind)
    here = innermost()
    return here is not None and here.states.find(kind) is not None


def update_state(state: State, /) -> None:
    """Replace the state of the same class in the scope that provides it.

    Everybody who asks there and in scopes inside gets the new one from now on; scopes that hide it with one of their own
    are not affected, and neither are those who hold the old one. Of concurrent updates the last one counts.

    Raises:
        MissingStateError: No scope provides one.
        NoScopeError: No scope is open here.
        TypeError: *state* is no state.
    """
    if not isinstance(state, State):
        raise TypeError(f"ctx.update_state takes a State, not {type(state).__name__}")
    here = require_scope("ctx.update_state()")
    try:
        here.states.replace(state)
    except KeyError as error:
        raise MissingStateError(_missing(type(state), here)) from error


def spawn(function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[T]:
    """Start ``function(*args, **kwargs)`` as a task of the innermost scope that was opened with ``async with``.

    The scope awaits it when its block ends well and cancels it when the block fails. If it fails, the scope is
    cancelled and raises an exception group. It sees the states and the span that are current now.

    Raises:
        ScopeError: No scope here owns tasks, or it belongs to another thread.
        TypeError: *function* is no function, such as a coroutine that was made already.
    """
    if inspect.iscoroutine(function):
        function.close()
        raise TypeError(
            f"ctx.spawn calls the function itself: ctx.spawn({function.__name__}, ...), without parentheses"
        )
    if not callable(function):
        raise TypeError(f"ctx.spawn takes an async function, not {type(function).__name__}")
    here = require_scope("ctx.spawn()")
    if here.owner is None:
        raise ScopeError(
            f"{here!r} owns no tasks here: it has been left, is detached, or was opened without `async with`"
        )
    name = getattr(function, "__qualname__", None) or repr(function)
    return here.owner.spawn(name, functools.partial(function, *args, **kwargs))


@contextmanager
def detached() -> Iterator[None]:
    """Let tasks that are made in this block, and in those tasks, belong to no scope.

    They see the scope's state and trace as before, and outlive it: whoever makes them ends them.
    """
    here = innermost()
    token = current_scope.set(None if here is None else here.without_owner())
    try:
        yield
    finally:
        current_scope.reset(token)


def log_debug(message: str, /, *args: object, error: BaseException | None = None) -> None:
    """Log at level DEBUG; see `log_info`."""
    log(logging.DEBUG, message, args, error)


def log_info(message: str, /, *args: object, error: BaseException | None = None) -> None:
    """Log at level INFO to the logger of the scope, ``scope.<its path>``, and put an event on the current span.

    Outside any scope the logger is ``scope``. Records carry ``scope``, ``scope_id``, ``trace_id``, ``span_id`` and
    ``session_id``, empty where there is none.

    Args:
        message: Text, with %-placeholders for *args*.
        *args: Put into the message if somebody reads it.
        error: An exception to log and to record with it.
    """
    log(logging.INFO, message, args, error)


def log_warning(message: str, /, *args: object, error: BaseException | None = None) -> None:
    """Log at level WARNING; see `log_info`."""
    log(logging.WARNING, message, args, error)


def log_error(message: str, /, *args: object, error: BaseException | None = None) -> None:
    """Log at level ERROR; see `log_info`."""
    log(logging.ERROR, message, args, error)


def attributes(values: Mapping[str, AttributeValue] | None = None, /, **more: AttributeValue) -> None:
    """Set attributes of the current span."""
    get_current_span().set_attributes({**(values or {}), **more})


def event(name: str, values: Mapping[str, AttributeValue] | None = None, /, **more: AttributeValue) -> None:
    """Put an event with attributes on the current span."""
    get_current_span().add_event(name, {**(values or {}), **more})


def metric(name: str, value: float, /) -> None:
    """Set a metric of the current span: a score, a count, a duration."""
    get_current_span().set_attribute(f"honeyhive_metrics.{name}", value)


def record(state: State, /) -> None:
    """Put the fields of a state on the current span, as ``<class>.<field>``; nested ones as dotted names.

    Fields that are no plain values are left out.
    """
    span = get_current_span()
    if span.is_recording():
        span.set_attributes(dict(_leaves(type(state).__name__, state.model_dump())))


def _require_state_class(kind: object) -> None:
    if not isinstance(kind, type) or not issubclass(kind, State):
        name = type(kind).__name__ if isinstance(kind, State) else getattr(kind, "__name__", repr(kind))
        raise TypeError(f"states are looked up by their class, a subclass of State; this is {name}")


def _missing(kind: type[State], here: Scope) -> str:
    provided = [found for found in here.states.kinds() if issubclass(found, kind) or issubclass(kind, found)]
    related = (
        f" (there is {', '.join(found.__name__ for found in provided)}, which is another class)" if provided else ""
    )
    return f"no scope here provides {kind.__name__}{related}; the scopes are {here}; {_remedy(kind)}"


def _remedy(kind: type[State]) -> str:
    name = kind.__name__
    return f"give one: `ctx.scope(..., {name}(...))`, or let a disposable of the scope yield one"


def _leaves(name: str, value: object) -> Iterator[tuple[str, AttributeValue]]:
    if isinstance(value, str | bool | int | float):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}", part)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _leaves(f"{name}.{index}", part)
