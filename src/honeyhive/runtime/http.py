"""The HTTP runtime: a FastAPI application made from a service.

::

    server -> edge interceptors -> FastAPI: routing, validation -> other interceptors -> handler
                    |                                                      |
        sees 404, 405, 422 and the sent answer          leaves before the answer is sent: a commit that fails is a 500
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import StatusCode
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from honeyhive.exceptions import DeclarationError, RefusedError
from honeyhive.runtime.assembly import AnyHandler, Assembly, Handler, Process
from honeyhive.runtime.declaring import RouteFacts, SocketFacts
from honeyhive.runtime.execution import Execution, HttpExecution, WebsocketExecution
from honeyhive.runtime.headers import Headers
from honeyhive.runtime.providers import hints_of, name_of, needs_of
from honeyhive.runtime.service import Service
from honeyhive.runtime.sharing import check_sharing
from honeyhive.tracer import context as hh_context
from honeyhive.tracer.span import Span

__all__ = ["answers", "app_of", "http_app"]


def http_app(service: Service, *, environ: Mapping[str, str] | None = None) -> FastAPI:
    """Return the ASGI application of *service*, on top of the one that its ``http.app`` makes.

    Its values are made when the server starts it (ASGI's lifespan), and end when the server stops it.

    Args:
        service: What to serve.
        environ: Where the configuration is read; the process's environment by default.

    Raises:
        DeclarationError: A declaration cannot work; the message names class and parameter.
        ConfigurationError: The environment does not make the configuration.
    """
    assembly = service.build(environ)
    running = _Running(service.name)
    app = _app(assembly, running)
    app.router.lifespan_context = running.opening(assembly, app.router.lifespan_context)
    return app


def app_of(process: Process) -> FastAPI:
    """Return the ASGI application of a process that is open already."""
    return _app(process.assembly, _Running(process.assembly.service.name, process))


def _app(assembly: Assembly, running: _Running) -> FastAPI:
    app = _made_app(assembly)
    for handler in assembly.routes():
        _add_route(app, handler, running.endpoint(handler))
    for socket in assembly.sockets():
        _add_socket(app, socket, running.endpoint(socket))
    app.add_exception_handler(RefusedError, _refused)
    app.add_middleware(_Edge, running=running)
    return app


class _Running:
    """Knows the process, once it is open."""

    def __init__(self, name: str, process: Process | None = None) -> None:
        self._name = name
        self._process = process

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError(
                f"the application of {self._name!r} was not started; run it with a server that "
                "speaks ASGI's lifespan, or in a test with starlette's TestClient as a context manager"
            )
        return self._process

    def opening(self, assembly: Assembly, inner: Lifespan[Any]) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
        """Return a lifespan that opens the process before *inner* starts, and ends it afterwards."""

        @asynccontextmanager
        async def run(app: Any) -> AsyncGenerator[Any]:
            async with assembly.opened(answers) as process, inner(app) as state:
                await check_sharing(process, ["http"])
                self._process = process
                yield state
                self._process = None

        return run

    def endpoint(self, handler: AnyHandler) -> Callable[..., Any]:
        """Return a function that FastAPI takes for the method of *handler*, without its ``self``."""
        route, label = f"{handler.common.prefix}{handler.facts.path}", handler.label

        async def endpoint(*, honeyhive_connection: HTTPConnection, **arguments: Any) -> Any:
            process = self.process
            execution = _execution(honeyhive_connection.scope, route, label)
            if not process.has_edge:
                return await process.perform(execution, handler, **arguments)
            return await process.handle(execution, handler, **arguments)

        endpoint.__name__ = handler.method
        endpoint.__qualname__ = handler.label
        endpoint.__doc__ = handler.function.__doc__
        endpoint.__signature__ = _signature(handler)  # type: ignore[attr-defined]  # what inspect.signature looks for
        return endpoint


def answers(handler: AnyHandler) -> bool:
    """Whether *handler* is one of a process that serves HTTP."""
    return isinstance(handler.facts, RouteFacts | SocketFacts)


def _made_app(assembly: Assembly) -> FastAPI:
    factory = assembly.service.http.app
    if factory is None or factory is FastAPI:
        return FastAPI(title=assembly.service.name)
    needs = needs_of(factory, config=assembly.service.config)
    if not needs:
        return factory()
    if len(needs) > 1 or not _is(assembly.config, needs[0].key.type):
        raise DeclarationError(f"{name_of(factory)} makes the application, and may take the configuration only")
    return factory(**{needs[0].parameter: assembly.config})


def _is(value: object, kind: Any) -> bool:
    return isinstance(kind, type) and isinstance(value, kind)


def _add_route(app: FastAPI, handler: Handler[RouteFacts], endpoint: Callable[..., Any]) -> None:
    with _in_router(app, handler) as router:
        try:
            path = handler.common.prefix + handler.facts.path
            router.add_api_route(path, endpoint, methods=[handler.facts.method], **handler.facts.options)
        except (TypeError, ValueError, AssertionError) as error:
            raise DeclarationError(f"{handler.label} cannot be a route: {error}") from error


def _add_socket(app: FastAPI, handler: Handler[SocketFacts], endpoint: Callable[..., Any]) -> None:
    with _in_router(app, handler) as router:
        router.add_api_websocket_route(handler.common.prefix + handler.facts.path, endpoint)


@contextmanager
def _in_router(app: FastAPI, handler: AnyHandler) -> Iterator[FastAPI | APIRouter]:
    """Yield what a route is added to: the application, or where its class has options a router that it then includes."""
    if not handler.common.options:
        yield app
        return
    try:
        router = APIRouter(**handler.common.options)
    except TypeError as error:
        raise DeclarationError(f"{handler.controller.__name__} cannot be a controller: {error}") from error
    yield router
    app.include_router(router)


def _signature(handler: AnyHandler) -> inspect.Signature:
    """Return the method's signature without ``self``, its annotations looked up where the method lives.

    And with the connection, which FastAPI passes to whoever asks for it.
    """
    function = handler.function
    hints = hints_of(function, handler.label)
    _, *parameters = inspect.signature(function).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter("honeyhive_connection", keyword, annotation=HTTPConnection),
            *(
                parameter.replace(annotation=hints.get(parameter.name, parameter.annotation), kind=keyword)
                for parameter in parameters
            ),
        ],
        return_annotation=hints.get("return", inspect.Signature.empty),
    )


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    headers = {} if error.retry_after_s is None else {"Retry-After": f"{max(1, round(error.retry_after_s))}"}
    return JSONResponse({"detail": str(error)}, error.status_code, headers)


class _Edge:
    """Stands before the application: one execution for each request and each connection."""

    def __init__(self, app: ASGIApp, running: _Running) -> None:
        self._app = app
        self._running = running

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in _KINDS or not (process := self._running.process).has_edge:
            return self._app(scope, receive, send)
        execution = scope[_EXECUTION] = _execution(scope)
        return process.run(execution, partial(self._answer, scope, receive, send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        span: Any = hh_context.current().get(hh_context.SPAN_KEY)
        if span is None or not span.is_recording():
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, span)
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            # Starlette answers it with a 500, outside of us.
            answer.tell(500)
            raise


class _Answer:
    """Passes on what is sent, and tells the span what it learns on the way: route and status."""

    def __init__(self, scope: Scope, send: Send, span: ApiSpan) -> None:
        self._scope = scope
        self._send = send
        self._span = span

    def send(self, message: Message) -> Awaitable[None]:
        if message["type"] in _FIRST_WORDS:
            self.tell(message.get("status"))
        return self._send(message)

    def tell(self, status: int | None) -> None:
        """Put the route that was found and *status* on the span."""
        scope, span = self._scope, self._span
        route = getattr(scope.get("route"), "path", "")
        if route:
            name = f"{scope.get('method', 'WEBSOCKET')} {route}"
            function = getattr(scope.get("endpoint"), "__qualname__", "")
            facts = (("http.route", route), ("code.function.name", function))
            if type(span) is Span:
                span.narrow(name, facts)
            else:
                span.update_name(name)
                span.set_attributes(dict(facts))
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)


_new: Final = object.__new__
"""Calling a class with keywords puts them into a dictionary, which every request would pay for."""

_FIRST_WORDS: Final = frozenset(
    {"http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start"}
)


_KINDS: Final = frozenset({"http", "websocket"})


_EXECUTION: Final = "honeyhive.execution"
"""Where an ASGI scope has the facts that the edge knew."""


def _execution(scope: Scope, route: str | None = None, handler: str = "") -> Execution:
    """Return the facts of a request or a connection; with *route* and *handler* when it has arrived there."""
    known: Execution | None = scope.get(_EXECUTION)
    carrier = Headers(scope["headers"]) if known is None else known.carrier
    client = scope.get("client")
    address = client[0] if client else ""
    if scope["type"] == "websocket":
        name = "WEBSOCKET" if route is None else f"WEBSOCKET {route}"
        return WebsocketExecution(
            name=name, path=scope["path"], carrier=carrier, client=address, route=route, handler=handler
        )
    method = scope["method"]
    execution = _new(HttpExecution)
    HttpExecution.__init__(
        execution,
        name=method if route is None else f"{method} {route}",
        method=method,
        path=scope["path"],
        carrier=carrier,
        client=address,
        route=route,
        handler=handler,
    )
    return execution
