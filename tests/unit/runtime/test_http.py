"""The HTTP runtime: routes, WebSockets, what the span tells, and what happens before the answer leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse
from opentelemetry.trace import get_current_span
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from honeyhive import trace
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime import (
    Execution,
    HttpSettings,
    Service,
    Sockets,
    Tracing,
    controller,
    delete,
    get,
    http_app,
    patch,
    post,
    put,
    use_execution,
    use_ws_manager,
    websocket,
)
from honeyhive.testing import SpanCapture, TracerFactory


class Naming(BaseModel):
    title: str = "none"


class NewTask(BaseModel):
    title: str


class Task(NewTask):
    id: int


@controller("/tasks", tags=["tasks"])
class Tasks:
    @post("/", status_code=201)
    async def create(self, task: NewTask) -> Task:
        await use_ws_manager().broadcast(f"new task {task.title}")
        return Task(id=1, title=task.title)

    @get("/{task_id}")
    async def read(self, task_id: int, upper: Annotated[bool, Query()] = False) -> Task:
        return Task(id=task_id, title="TEA" if upper else "tea")

    @put("/{task_id}")
    def replace(self, task_id: int, task: NewTask) -> Task:
        """Synchronous on purpose: it runs in a thread, in the same scope."""
        return Task(id=task_id, title=f"{task.title} by {use_execution().name}")

    @patch("/{task_id}")
    async def change(self, task_id: int) -> Task:
        raise HTTPException(409, "somebody else was faster")

    @delete("/{task_id}")
    async def remove(self, task_id: int) -> Task:
        raise ZeroDivisionError("a bug")

    @websocket("/live")
    async def live(self, socket: WebSocket) -> None:
        async with use_ws_manager().connected(socket, rooms=["tasks"]) as connection:
            async for text in socket.iter_text():
                connection.send(f"echo {text}")


@contextmanager
def running(service: Service) -> Iterator[TestClient]:
    with TestClient(http_app(service, environ={}), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client() -> Iterator[TestClient]:
    with running(Service("shop", controllers=[Tasks], interceptors=[Tracing(), Sockets])) as client:
        yield client


@pytest.mark.acceptance("J2")
def test_controllers_answer_requests(client: TestClient) -> None:
    created = client.post("/tasks/", json={"title": "tea"})
    read = client.get("/tasks/7", params={"upper": "true"})
    replaced = client.put("/tasks/7", json={"title": "milk"})

    assert (201, {"id": 1, "title": "tea"}) == (created.status_code, created.json())
    assert {"id": 7, "title": "TEA"} == read.json()
    assert {"id": 7, "title": "milk by PUT /tasks/{task_id}"} == replaced.json()


@pytest.mark.acceptance("J2")
def test_controllers_hold_websocket_connections(client: TestClient) -> None:
    with client.websocket_connect("/tasks/live") as socket:
        socket.send_text("hello")

        assert socket.receive_text() == "echo hello"


@pytest.mark.acceptance("J35")
def test_a_request_reaches_the_connected_clients(client: TestClient) -> None:
    with client.websocket_connect("/tasks/live") as one, client.websocket_connect("/tasks/live") as other:
        client.post("/tasks/", json={"title": "tea"})

        assert ["new task tea", "new task tea"] == [one.receive_text(), other.receive_text()]


def test_routes_are_described_as_any_fastapi_route_is(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]

    assert {"get", "put", "patch", "delete"} == set(described["/tasks/{task_id}"])
    assert described["/tasks/"]["post"]["tags"] == ["tasks"]


@pytest.mark.parametrize(
    "method, path, name, status, failed",
    [
        ("GET", "/tasks/7", "GET /tasks/{task_id}", 200, False),
        ("GET", "/tasks/seven", "GET /tasks/{task_id}", 422, False),
        ("GET", "/nothing", "GET", 404, False),
        ("PATCH", "/tasks/7", "PATCH /tasks/{task_id}", 409, False),
        ("DELETE", "/tasks/7", "DELETE /tasks/{task_id}", 500, True),
    ],
)
def test_whatever_is_asked_leaves_a_span_with_route_and_status(
    capture_spans: SpanCapture, client: TestClient, method: str, path: str, name: str, status: int, failed: bool
) -> None:
    answer = client.request(method, path)

    (span,) = capture_spans.spans
    assert status == answer.status_code
    assert (name, status) == (span.name, span.attributes["http.response.status_code"])
    assert ("error" if failed else "unset") == span.status
    assert span.attributes["url.path"] == path
    assert span.attributes.get("code.function.name", "nobody").startswith("Tasks." if "tasks" in path else "nobody")


def test_the_span_of_a_request_says_all_its_facts_once(capture_spans: SpanCapture, client: TestClient) -> None:
    client.get("/tasks/7")

    (span,) = capture_spans.spans
    assert {
        "honeyhive.execution.kind": "http",
        "honeyhive_event_type": "chain",
        "http.request.method": "GET",
        "url.path": "/tasks/7",
        "client.address": "testclient",
        "http.route": "/tasks/{task_id}",
        "code.function.name": "Tasks.read",
        "http.response.status_code": 200,
    }.items() <= span.attributes.items()


@pytest.mark.parametrize("reads_it", [False, True])
def test_what_a_handler_says_of_its_span_stays_beside_the_facts(capture_spans: SpanCapture, reads_it: bool) -> None:
    @controller("/")
    class Saying:
        @get("said")
        async def say(self) -> None:
            span: Any = get_current_span()
            span.set_attributes({"honeyhive_event_type": "tool", "http.route": "mine", "own": 1})
            assert not reads_it or "mine" == span.attributes["http.route"]

    with running(Service("saying", controllers=[Saying], interceptors=[Tracing()])) as client:
        client.get("/said")

    (span,) = capture_spans.spans
    assert "GET /said" == span.name
    assert {
        "honeyhive_event_type": "tool",
        "own": 1,
        "http.route": "/said",
        "code.function.name": "Saying.say",
        "http.response.status_code": 200,
    }.items() <= span.attributes.items()


def test_what_is_mounted_and_has_no_route_of_its_own_is_named_by_its_method(capture_spans: SpanCapture) -> None:
    def with_mounted() -> FastAPI:
        app = FastAPI()
        app.mount("/old", Starlette(routes=[Mount("/", PlainTextResponse("old"))]))
        return app

    service = Service(
        "shop", controllers=[Tasks], interceptors=[Tracing(), Sockets], http=HttpSettings(app=with_mounted)
    )
    with running(service) as client:
        client.get("/old/page")

    (span,) = capture_spans.spans
    assert (span.name, None) == ("GET", span.attributes.get("http.route"))


def test_a_connection_leaves_a_span_too(capture_spans: SpanCapture) -> None:
    # Older clients of Starlette hang up and do not wait; the end of the application does.
    service = Service("shop", controllers=[Tasks], interceptors=[Tracing(), Sockets])
    with running(service) as client, client.websocket_connect("/tasks/live"):
        pass

    assert capture_spans.named("WEBSOCKET /tasks/live").attributes["http.route"] == "/tasks/live"


def test_a_request_continues_the_trace_and_the_session_of_its_caller(
    capture_spans: SpanCapture, client: TestClient
) -> None:
    caller = TracerFactory.create_basic_tracer()
    with caller.with_session(session_id="6b0f4c1d-7b23-4e8e-8f5a-6a0f4c1d7b23"), caller.start_span("caller") as span:
        headers = caller.inject_context({})
    caller.shutdown()

    client.get("/tasks/7", headers=headers)

    served = capture_spans.named("GET /tasks/{task_id}")
    assert span.get_span_context().trace_id == served.trace_id
    assert span.get_span_context().span_id == served.parent_id
    assert served.session_id == "6b0f4c1d-7b23-4e8e-8f5a-6a0f4c1d7b23"


def test_the_carrier_of_a_request_is_its_headers() -> None:
    seen: list[dict[str, str]] = []

    @controller("/")
    class Reading:
        @get("")
        async def read(self) -> None:
            carrier = use_execution().carrier
            assert "x-tenant" in carrier
            assert "x-absent" not in carrier
            assert carrier.get("x-absent") is None
            assert len(list(carrier)) == len(carrier)
            seen.append(dict(carrier))

    service = Service("headers", controllers=[Reading], interceptors=[Tracing()])
    with TestClient(http_app(service, environ={})) as client:
        client.get("/", headers=[("X-Tenant", "first"), ("X-Tenant", "last"), ("X-Name", "Ann")])

    assert {"x-tenant": "last", "x-name": "Ann"}.items() <= seen[0].items()


def test_a_parameter_may_have_any_name() -> None:
    @controller("/")
    class Naming:
        @get("async")
        async def asynchronous(self, handler: str, execution: str, method: str) -> list[str]:
            return [handler, execution, method]

        @get("plain")
        def plain(self, handler: str, execution: str, method: str) -> list[str]:
            return [handler, execution, method]

    with TestClient(http_app(Service("names", controllers=[Naming]), environ={})) as client:
        answers = [client.get(f"/{kind}?handler=a&execution=b&method=c").json() for kind in ("async", "plain")]

    assert [["a", "b", "c"]] * 2 == answers


def test_what_a_handler_traces_stands_below_its_execution(capture_spans: SpanCapture) -> None:
    @trace(event_name="look up")
    async def look_up() -> str:
        return "found"

    class Searches:
        @get("/search")
        async def search(self) -> str:
            return await look_up()

    with running(Service("shop", controllers=[Searches], interceptors=[Tracing()])) as client:
        client.get("/search")

    assert capture_spans.named("look up").parent == "GET /search"


def test_the_answer_leaves_after_the_interceptors_did() -> None:
    """What fails on the way out, such as a commit, is an error for the client too."""

    class CannotCommit:
        @asynccontextmanager
        async def intercept(self, _: Execution) -> AsyncIterator[None]:
            yield
            raise OSError("disk full")

    with running(Service("shop", controllers=[Tasks], interceptors=[CannotCommit()])) as client:
        assert client.get("/tasks/7").status_code == 500


@pytest.mark.acceptance("J8")
def test_controllers_take_middleware_and_dependencies() -> None:
    log: list[str] = []

    class Guarding:
        @asynccontextmanager
        async def intercept(self, execution: Execution) -> AsyncIterator[None]:
            log.append(execution.handler)
            yield

    def require_key(key: str) -> None:
        if key != "secret":
            raise HTTPException(401)

    @controller("/admin", interceptors=[Guarding()], dependencies=[Depends(require_key)])
    class Admin:
        @get("/report")
        async def report(self) -> PlainTextResponse:
            return PlainTextResponse("a" * 2000)

    def compressed() -> FastAPI:
        return FastAPI(middleware=[Middleware(GZipMiddleware)])

    with running(Service("shop", controllers=[Admin, Tasks], http=HttpSettings(app=compressed))) as client:
        refused = client.get("/admin/report?key=guess")
        report = client.get("/admin/report?key=secret")
        client.get("/tasks/7")

    assert refused.status_code == 401
    assert (200, "gzip") == (report.status_code, report.headers["content-encoding"])
    assert ["Admin.report"] == log


@pytest.mark.acceptance("J20")
def test_the_application_stands_on_the_users_own() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.append("start")
        yield
        log.append("stop")

    def my_app() -> FastAPI:
        app = FastAPI(title="Mine", lifespan=lifespan)
        app.add_api_route("/mine", lambda: "mine")
        return app

    with running(Service("shop", controllers=[Tasks], http=HttpSettings(app=my_app))) as client:
        answers = [client.get("/mine").json(), client.get("/tasks/7").json()["title"]]
        title = client.get("/openapi.json").json()["info"]["title"]

    assert ["mine", "tea"] == answers
    assert title == "Mine"
    assert ["start", "stop"] == log


def test_the_users_application_may_be_made_from_the_configuration() -> None:
    def named(naming: Naming) -> FastAPI:
        return FastAPI(title=naming.title)

    service = Service("shop", controllers=[Tasks], config=Naming, http=HttpSettings(app=named))

    assert http_app(service, environ={"TITLE": "Shop"}).title == "Shop"


def test_the_users_application_can_ask_for_nothing_else() -> None:
    def named(title: str) -> FastAPI:
        return FastAPI(title=title)

    with pytest.raises(DeclarationError, match=r"named makes the application, and may take the configuration only"):
        http_app(Service("shop", controllers=[Tasks], http=HttpSettings(app=named)), environ={})


def test_an_application_has_the_name_of_its_service() -> None:
    assert http_app(Service("shop", controllers=[Tasks]), environ={}).title == "shop"


def test_an_application_that_was_not_started_says_so() -> None:
    app = http_app(Service("shop", controllers=[Tasks]), environ={})

    with pytest.raises(RuntimeError, match="'shop' was not started"):
        TestClient(app).get("/tasks/7")


class UnknownAnnotation:
    @get("/")
    async def read(self, value: Nowhere) -> None: ...  # noqa: F821 - the point of the test


class Streams:
    @get("/")
    async def read(self) -> AsyncIterator[str]:
        yield "part"


class BadOption:
    @get("/", no_such_option=True)
    async def read(self) -> None: ...


class NoSlash:
    @get("tasks")
    async def read(self) -> None: ...


class NoConnection:
    @websocket("/live")
    async def live(self, room: str) -> None: ...


def greet(socket: WebSocket) -> str:
    return socket.url.path


class InjectedConnection:
    @websocket("/live")
    async def live(self, greeting: Annotated[str, Depends(greet)]) -> None: ...


def test_a_socket_may_be_injected() -> None:
    assert http_app(Service("shop", controllers=[InjectedConnection]), environ={})


@pytest.mark.parametrize(
    "cls, words",
    [
        (NoConnection, r"NoConnection.live takes no connection.*live\(self, socket: WebSocket\)"),
        (UnknownAnnotation, "UnknownAnnotation.read: the annotation 'Nowhere' of parameter 'value'"),
        (Streams, "Streams.read is a generator"),
        (BadOption, "BadOption.read cannot be a route: .*no_such_option"),
        (NoSlash, "NoSlash.read: its path 'tasks' must start with '/'"),
    ],
)
def test_a_route_that_cannot_work_is_refused_when_the_application_is_built(cls: type, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        http_app(Service("shop", controllers=[cls]), environ={})


def test_leaving_the_socket_ends_the_connection() -> None:
    class Once:
        @websocket("/once")
        async def once(self, socket: WebSocket) -> None:
            async with use_ws_manager().connected(socket) as connection:
                connection.send("only this")

    with (
        running(Service("shop", controllers=[Once], interceptors=[Sockets])) as client,
        client.websocket_connect("/once") as socket,
    ):
        assert socket.receive_text() == "only this"
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_only_the_connections_of_a_room_are_told() -> None:
    class Rooms:
        @websocket("/{room}")
        async def live(self, socket: WebSocket, room: str) -> None:
            async with use_ws_manager().connected(socket, rooms=[room]):
                async for _ in socket.iter_text():
                    await use_ws_manager().broadcast(b"for tea", room="tea")
                    await use_ws_manager().broadcast("for all")

    with (
        running(Service("shop", controllers=[Rooms], interceptors=[Sockets])) as client,
        client.websocket_connect("/tea") as tea,
        client.websocket_connect("/milk") as milk,
    ):
        milk.send_text("go")

        assert (b"for tea", "for all") == (tea.receive_bytes(), tea.receive_text())
        assert milk.receive_text() == "for all"


def until_disconnected(socket: Any) -> int:
    """Read from *socket* until it is closed, and return the code."""
    while True:
        try:
            socket.receive_text()
        except WebSocketDisconnect as error:
            return error.code


def test_a_client_that_does_not_keep_up_is_disconnected() -> None:
    ended: list[Any] = []

    class Slow:
        @websocket("/")
        async def live(self, socket: WebSocket) -> None:
            manager = use_ws_manager()
            async with manager.connected(socket) as connection:
                for number in range(10):
                    connection.send(str(number))
                await socket.receive_text()
            ended.append(manager.connections)

    with (
        running(Service("shop", controllers=[Slow], interceptors=[Sockets(backlog=2)])) as client,
        client.websocket_connect("/") as socket,
    ):
        assert until_disconnected(socket) == 1013

    assert [frozenset()] == ended
