"""A service that has been checked, and a process that runs it.

`assemble` turns declarations into an `Assembly`: configuration read, every constructor's needs matched with providers,
every handler found. `Assembly.opened` makes a `Process` of it: values made, interceptors entered. Whatever runtime a
process has, all its executions go through `Process.perform`, or where much lies between the two halves of it through `Process.run`
and `Process.handle`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import anyio.to_thread
from opentelemetry.trace import get_current_span
from pydantic import BaseModel

from honeyhive.exceptions import DeclarationError, DoneBeforeError
from honeyhive.runtime.checking import check, refuse_twins
from honeyhive.runtime.container import Container, Recipe, Recipes
from honeyhive.runtime.declaring import (
    ControllerFacts,
    Facts,
    MessageFacts,
    RouteFacts,
    ScheduleFacts,
    SocketFacts,
    controller_facts,
    facts_of,
)
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.hooks import Configured
from honeyhive.runtime.interceptors import (
    NO_STATES,
    AnyInterceptor,
    Call,
    EdgeInterceptor,
    Interceptor,
    Own,
    Way,
    here,
    in_order,
    leave,
    openers,
    scope_of,
    way_through,
)
from honeyhive.runtime.providers import Key, as_provider
from honeyhive.runtime.service import Service
from honeyhive.scope.current import current_scope

__all__ = ["AnyHandler", "Assembly", "Handler", "Process", "assemble"]

F = TypeVar("F", bound=Facts)


@dataclass(frozen=True, slots=True, eq=False)
class Handler(Generic[F]):
    """A method of a controller, with what it is declared to do.

    Attributes:
        controller: The class.
        method: The method's name.
        facts: What it does.
        common: What holds for all methods of the class.
        label: ``Class.method``.
        function: The method as a function that takes the controller first.
        is_async: Whether it is a coroutine function; others run in a thread.
    """

    controller: type
    method: str
    facts: F
    common: ControllerFacts
    label: str = field(init=False)
    function: Callable[..., Any] = field(init=False, repr=False)
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        function = getattr(self.controller, self.method)
        object.__setattr__(self, "label", f"{self.controller.__name__}.{self.method}")
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "is_async", inspect.iscoroutinefunction(function))


AnyHandler: TypeAlias = Handler[Any]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A checked service, of which any number of processes can be opened.

    Attributes:
        service: What was declared.
        config: The configuration, ``None`` if the service has none.
        recipes: How values are made.
        interceptors: Instances, and recipes of those that are made when a process opens.
        controllers: How each controller is made.
        handlers: Every handler, in the order of declaration.
    """

    service: Service
    config: BaseModel | None
    recipes: Recipes
    interceptors: tuple[AnyInterceptor | Recipe, ...]
    controllers: Mapping[type, Recipe]
    handlers: tuple[AnyHandler, ...]

    def routes(self) -> list[Handler[RouteFacts]]:
        """Return the handlers of requests."""
        return self._declared(RouteFacts)

    def sockets(self) -> list[Handler[SocketFacts]]:
        """Return the handlers of WebSocket connections."""
        return self._declared(SocketFacts)

    def subscriptions(self) -> list[Handler[MessageFacts]]:
        """Return the handlers of messages."""
        return self._declared(MessageFacts)

    def schedules(self) -> list[Handler[ScheduleFacts]]:
        """Return the handlers that run on time."""
        return self._declared(ScheduleFacts)

    @asynccontextmanager
    async def opened(self, does: Callable[[AnyHandler], bool] = lambda _: True) -> AsyncGenerator[Process]:
        """Make what lives as long as the process; on leaving it ends in reverse order.

        Args:
            does: Tells what the process does: a controller that has nothing to do in it is not made.
        """
        async with AsyncExitStack() as stack:
            container = Container(self.recipes, stack)
            interceptors = [await _opened(each, container, stack) for each in self.interceptors]
            instances = {}
            for controller in dict.fromkeys(handler.controller for handler in self.handlers if does(handler)):
                recipe = self.controllers[controller]
                if recipe.lifetime == "process":
                    instances[controller] = await container.make(recipe)
                else:
                    await container.prepare(recipe.needs)
            yield Process(self, container, interceptors, instances)

    def _declared(self, kind: type[F]) -> list[Handler[F]]:
        return [handler for handler in self.handlers if isinstance(handler.facts, kind)]


class Process:
    """One process of a service: what all its executions share.

    Args:
        assembly: The service.
        container: The values of the process.
        interceptors: In the order in which they are entered.
        instances: The controllers that live as long as the process.

    Attributes:
        has_edge: Whether there are edge interceptors.
    """

    def __init__(
        self,
        assembly: Assembly,
        container: Container,
        interceptors: Sequence[AnyInterceptor],
        instances: Mapping[type, object],
    ) -> None:
        self.assembly = assembly
        self._container = container
        self._instances = instances
        self._states: Mapping[type, Any] = NO_STATES
        if assembly.config is not None:
            self._states = {Configured: Configured(config=assembly.config)}
        edge, inner = in_order(interceptors)
        self.has_edge = bool(edge)
        self._edge = way_through(openers(edge), _call)
        self._inner = {
            controller: _until_done(way_through(openers((*inner, *controller_facts(controller).interceptors)), _call))
            for controller in assembly.controllers
        }
        self._whole = {controller: way_through(openers(edge), way) for controller, way in self._inner.items()}
        self._calls = {handler: self._call_of(handler) for handler in assembly.handlers}

    async def find(self, kind: Any) -> Any:
        """Return the value of the process that is provided for the type *kind*, or ``None``."""
        return await self._container.get(Key(kind))

    def made(self, kind: Any) -> Any:
        """Return the value for the type *kind* if something in the process has needed it so far, else ``None``."""
        return self._container.made(Key(kind))

    def perform(
        self, execution: Execution, handler: AnyHandler, /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Any]:
        """Call *handler* inside all interceptors, as `run` and `handle` do together."""
        return self._in_scope(
            execution, self._whole[handler.controller], partial(self._calls[handler], *args, **kwargs)
        )

    def run(self, execution: Execution, call: Call) -> Coroutine[Any, Any, Any]:
        """Return what *call* returns inside the edge interceptors, in a scope that is the execution's own."""
        return self._in_scope(execution, self._edge, call)

    def handle(self, execution: Execution, handler: AnyHandler, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Call *handler* inside the other interceptors; its result and its exceptions are passed on.

        Only within `run`, where *execution*, which knows more, takes the place of the one that is running.
        """
        own = here()
        own[Execution] = execution
        return self._inner[handler.controller](execution, own, partial(self._calls[handler], *args, **kwargs))

    async def _in_scope(self, execution: Execution, way: Way, call: Call) -> Any:
        scope = scope_of(execution, self._states)
        token = current_scope.set(scope)
        try:
            return await way(execution, scope.states.own, call)
        finally:
            leave(scope, token)

    def _call_of(self, handler: AnyHandler) -> Callable[..., Awaitable[Any]]:
        """Return what is called for *handler*."""
        if handler.controller not in self._instances:
            return partial(self._make_and_call, handler)
        return _method_of(self._instances[handler.controller], handler)

    async def _make_and_call(self, handler: AnyHandler, /, *args: Any, **kwargs: Any) -> Any:
        async with AsyncExitStack() as stack:
            recipe = self.assembly.controllers[handler.controller]
            method = _method_of(await self._container.make_here(recipe, stack), handler)
            return await method(*args, **kwargs)


def assemble(service: Service, config: BaseModel | None) -> Assembly:
    """Check *service*, which has the configuration *config*.

    Raises:
        DeclarationError: A declaration cannot work.
    """
    if config is not None and (service.config is None or not isinstance(config, service.config)):
        raise DeclarationError(f"the service {service.name!r} is configured by {service.config}, not by {type(config)}")
    recipes = Recipes(
        [as_provider(each) for each in service.providers],
        {} if config is None or service.config is None else {Key(service.config): config},
        service.config,
    )
    handlers = tuple(handler for controller in service.controllers for handler in _handlers(controller))
    for handler in handlers:
        check(handler)
    refuse_twins(handlers)
    return Assembly(
        service,
        config,
        recipes,
        tuple(_interceptor(each, recipes) for each in service.interceptors),
        {controller: recipes.recipe_for(controller) for controller in service.controllers},
        handlers,
    )


def _handlers(controller: object) -> Iterator[AnyHandler]:
    if not isinstance(controller, type):
        raise DeclarationError(f"{controller!r} is no class; give the controller's class, the service makes it")
    common = controller_facts(controller)
    for interceptor in common.interceptors:
        if not isinstance(interceptor, Interceptor):
            raise DeclarationError(
                f"{controller.__name__}: {type(interceptor).__name__} has no intercept(execution), "
                "and only such interceptors can be a controller's own"
            )
    found = [Handler(controller, method, facts, common) for method, facts in facts_of(controller)]
    if not found:
        raise DeclarationError(f"{controller.__name__} handles nothing; mark a method with @get, @on_message or @every")
    yield from found


def _interceptor(declared: Any, recipes: Recipes) -> AnyInterceptor | Recipe:
    if not isinstance(declared, type) and isinstance(declared, Interceptor | EdgeInterceptor):
        return declared
    if not callable(declared):
        raise DeclarationError(f"{declared!r} is no interceptor: it has neither intercept nor surround")
    return recipes.recipe_for(declared)


async def _opened(declared: AnyInterceptor | Recipe, container: Container, stack: AsyncExitStack) -> AnyInterceptor:
    made = await container.make(declared) if isinstance(declared, Recipe) else declared
    if not isinstance(made, Interceptor | EdgeInterceptor):
        raise DeclarationError(f"{type(made).__name__} is no interceptor: it has neither intercept nor surround")
    if isinstance(made, AbstractAsyncContextManager):
        await stack.enter_async_context(made)
    return made


def _method_of(instance: object, handler: AnyHandler) -> Callable[..., Awaitable[Any]]:
    """Return the method to be awaited; a plain function runs in a thread."""
    method = getattr(instance, handler.method)
    return method if handler.is_async else partial(_in_thread, method)


async def _in_thread(method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return await anyio.to_thread.run_sync(partial(method, *args, **kwargs))


def _call(_: Execution, __: Own, call: Call) -> Awaitable[Any]:
    """Where all interceptors have been entered."""
    return call()


def _until_done(way: Way) -> Way:
    """Return what takes *way* and counts an execution that was done before as a success."""

    async def run(execution: Execution, own: Own, call: Call) -> Any:
        try:
            return await way(execution, own, call)
        except DoneBeforeError:
            get_current_span().add_event("done before")
            return None

    return run
