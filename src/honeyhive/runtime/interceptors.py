"""Interceptors: what is set up around every execution, entered in order and left in reverse.

An interceptor is an object with one method that returns an async context manager. What the manager yields, a state or
several, is the state of the scope for everything inside; what it raises stops the execution; an exception of the
handler passes through it on the way out::

    class Transactions:
        @asynccontextmanager
        async def intercept(self, execution):
            async with self.pool.connection() as connection, connection.transaction():
                yield Database(connection=connection)

They need no service: `intercepted` runs them around any block of any program.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import Token
from types import FunctionType, MethodType, TracebackType
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from honeyhive.exceptions import DeclarationError
from honeyhive.models.state import State
from honeyhive.runtime.execution import Execution
from honeyhive.scope.current import Scope, current_scope, innermost, require_scope
from honeyhive.scope.states import States

__all__ = [
    "NOTHING",
    "NO_STATES",
    "AnyInterceptor",
    "Call",
    "EdgeInterceptor",
    "Given",
    "Held",
    "Interceptor",
    "Own",
    "Way",
    "here",
    "in_order",
    "intercepted",
    "leave",
    "openers",
    "scope_of",
    "way_through",
]


T = TypeVar("T")


@runtime_checkable
class Interceptor(Protocol):
    """Set up around every handler.

    It sees the execution with its handler, and every exception that the handler raises; a request that reaches no
    handler (404, 422) does not reach it either. If it is an async context manager itself, it is entered when the
    process starts and left when it ends.
    """

    def intercept(self, execution: Execution, /) -> AbstractAsyncContextManager[object]:
        """Return a context manager for one execution.

        It yields a ``State``, several, or ``None``.
        """


@runtime_checkable
class EdgeInterceptor(Protocol):
    """Set up around everything the runtime does with an execution, also with what is refused before any handler.

    All edge interceptors of a service come before the others. For HTTP they are left when the answer has been sent.
    """

    def surround(self, execution: Execution, /) -> AbstractAsyncContextManager[object]:
        """Return a context manager for one execution; it yields as `Interceptor.intercept` does."""


AnyInterceptor: TypeAlias = Interceptor | EdgeInterceptor
Opener: TypeAlias = Callable[[Execution], AbstractAsyncContextManager[object]]
"""The method of an interceptor."""

Own: TypeAlias = dict[type, Any]
"""What a scope provides, by class."""

Call: TypeAlias = Callable[[], Awaitable[Any]]
Way: TypeAlias = Callable[[Execution, Own, Call], Awaitable[Any]]
"""Returns what a call returns inside some interceptors, which provide to the scope whose states it is given."""


class Given(Generic[T]):
    """What an interceptor returns that only provides something: a way through need not enter and leave it.

    Args:
        value: A state, or what else there is one of in an execution; it is found under its class.
        settle: Called with it, and awaited, when all that is inside has succeeded.
    """

    __slots__ = ("kind", "settle", "value")

    def __init__(self, value: T, settle: Callable[[T], Awaitable[object]] | None = None) -> None:
        self.kind = type(value)
        self.value = value
        self.settle = settle

    async def __aenter__(self) -> State | None:
        if self.value is None or isinstance(self.value, State):
            return self.value
        here()[self.kind] = self.value
        return None

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.settle is not None:
            await self.settle(self.value)


class Held:
    """What an interceptor returns that provides nothing and waits for nothing: a way through holds it as a plain block."""

    __slots__ = ()

    # Abstract, both of them, and not marked so: whether a block is held is asked of each, which is dear of an ABC.
    def __enter__(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how it is entered")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how it is left")

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.__exit__(kind, error, traceback)


NOTHING: Final = Given(None)
"""What an interceptor returns that has nothing to do."""
NO_STATES: Final[Mapping[type, Any]] = {}

_ENDED: Final = object()


@asynccontextmanager
async def intercepted(execution: Execution, interceptors: Sequence[AnyInterceptor] = ()) -> AsyncGenerator[None]:
    """Open a scope for *execution* and enter *interceptors* in order; they are left in reverse.

    The scope provides state. To start tasks that end with the block, open one of your own inside.

    Raises:
        DeclarationError: An edge interceptor comes after another one.
    """
    edge, inner = in_order(interceptors)
    scope = scope_of(execution, NO_STATES, parent=innermost())
    token = current_scope.set(scope)
    try:
        async with AsyncExitStack() as stack:
            for opener in openers((*edge, *inner)):
                provided = await stack.enter_async_context(opener(execution))
                if provided is not None:
                    _provide(provided, opener)
            yield
    finally:
        leave(scope, token)


_OF_GENERATOR: Final = intercepted.__code__
"""What runs in every function that ``asynccontextmanager`` has made of a generator function."""


def way_through(around: Sequence[Opener], call: Way) -> Way:
    """Return what opens *around* in order, makes *call* inside, and leaves in reverse; worked out once for many calls.

    It returns ``None`` where an interceptor has swallowed an error.
    """
    for opener in reversed(around):
        call = _inside(opener, call)
    return call


def _inside(opener: Opener, inner: Way) -> Way:
    # Neither this nor what it returns is a coroutine function: one more for each interceptor is what every request pays.
    generate = _generator_behind(opener)
    if generate is not None:
        return lambda execution, _, call: _generated(generate(execution), opener, inner, execution, call)

    def run(execution: Execution, own: Own, call: Call) -> Awaitable[Any]:
        block = opener(execution)
        if isinstance(block, Held):
            return _holding(block, inner, execution, own, call)
        if type(block) is not Given:
            return _entered(block, opener, inner, execution, call)
        if block.value is not None:
            own[block.kind] = block.value
        result = inner(execution, own, call)
        return result if block.settle is None else _settled(result, block.settle, block.value)

    return run


def _generator_behind(opener: Opener) -> Callable[[Execution], AsyncGenerator[object]] | None:
    """Return the generator function that ``asynccontextmanager`` has made *opener* of, ``None`` if it has not."""
    made = opener.__func__ if type(opener) is MethodType else opener
    # Whoever is wrapped around a function may pass for one, but for its type.
    if type(made) is not FunctionType or made.__code__ is not _OF_GENERATOR:
        return None
    function: Callable[..., AsyncGenerator[object]] = made.__wrapped__  # type: ignore[attr-defined]  # set by contextlib
    return MethodType(function, opener.__self__) if type(opener) is MethodType else function


async def _settled(result: Awaitable[Any], settle: Callable[[T], Awaitable[object]], value: T) -> Any:
    done = await result
    await settle(value)
    return done


async def _holding(block: Held, inner: Way, execution: Execution, own: Own, call: Call) -> Any:
    with block:
        return await inner(execution, own, call)


async def _entered(
    block: AbstractAsyncContextManager[object], opener: Opener, inner: Way, execution: Execution, call: Call
) -> Any:
    async with block as provided:
        if provided is not None:
            _provide(provided, opener)
        return await inner(execution, here(), call)
    return None


async def _generated(
    generator: AsyncGenerator[object], opener: Opener, inner: Way, execution: Execution, call: Call
) -> Any:
    """Do what entering and leaving the context manager of *generator* does, for half of what those cost."""
    provided = await anext(generator, _ENDED)
    if provided is _ENDED:
        raise RuntimeError(f"generator didn't yield: {opener.__qualname__}")
    try:
        if provided is not None:
            _provide(provided, opener)
        result = await inner(execution, here(), call)
    except BaseException as error:  # contextlib knows all that a generator may make of it
        block = asynccontextmanager(lambda: generator)()
        if await block.__aexit__(type(error), error, error.__traceback__):
            return None
        raise
    if await anext(generator, _ENDED) is not _ENDED:
        await generator.aclose()
        raise RuntimeError(f"generator didn't stop: {opener.__qualname__}")
    return result


def openers(interceptors: Iterable[AnyInterceptor]) -> tuple[Opener, ...]:
    """Return what opens *interceptors*, looked up once: asking an object for its protocol is dear."""
    return tuple(each.surround if isinstance(each, EdgeInterceptor) else each.intercept for each in interceptors)


def scope_of(execution: Execution, states: Mapping[type, Any], *, parent: Scope | None = None) -> Scope:
    """Return the scope of an execution: state without tasks, which costs a request next to nothing.

    Args:
        execution: Whose scope; it is found there under `Execution`.
        states: What is provided from the beginning, by class.
        parent: The scope around it; ``None`` for an execution that must not see whose work it came from.
    """
    return Scope(
        execution.name, parent, States({Execution: execution, **states}, None if parent is None else parent.states)
    )


def leave(scope: Scope, token: Token[Scope | None]) -> None:
    """End *scope*, which was made the current one with *token*."""
    scope.is_open = False
    current_scope.reset(token)


def here() -> Own:
    """Return what the current scope provides itself."""
    return require_scope("an interceptor").states.own


def in_order(interceptors: Sequence[AnyInterceptor]) -> tuple[tuple[EdgeInterceptor, ...], tuple[Interceptor, ...]]:
    """Return the edge interceptors and the others.

    Raises:
        DeclarationError: An edge interceptor comes after another one.
    """
    edge = tuple(each for each in interceptors if isinstance(each, EdgeInterceptor))
    inner = tuple(each for each in interceptors if not isinstance(each, EdgeInterceptor))
    if tuple(interceptors) != (*edge, *inner):
        raise DeclarationError(
            f"{type(edge[-1]).__name__} surrounds whole executions, so it must come before "
            f"{type(inner[0]).__name__} and all others that wrap the handler only"
        )
    return edge, inner


def _provide(provided: object, opener: Opener) -> None:
    """Add what *opener* has yielded to the current scope, where the next ones find it."""
    states = provided if isinstance(provided, (tuple, list)) else (provided,)
    own = here()
    for state in states:
        if not isinstance(state, State):
            raise TypeError(
                f"{opener.__qualname__} yielded {provided!r}; an interceptor yields a State, several, or None"
            )
        own[type(state)] = state
