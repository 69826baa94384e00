"""One piece of work that reached a process, as facts: where it came from, what travelled with it.

::

    Execution
    ├── HttpExecution        a request
    ├── WebsocketExecution   a connection, from its handshake to its end
    ├── MessageExecution     one delivery of a message to one handler
    └── ScheduleExecution    one tick of one schedule

Interceptors are given it, handlers find it with `honeyhive.runtime.use_execution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

from honeyhive.utils.frozen import FrozenDict
from honeyhive.utils.values import value

__all__ = ["Execution", "ExecutionKind", "HttpExecution", "MessageExecution", "ScheduleExecution", "WebsocketExecution"]

ExecutionKind: TypeAlias = Literal["http", "websocket", "message", "schedule"]

_NO_HEADERS: Final[Mapping[str, str]] = FrozenDict()


@value
class Execution:
    """What is known of one piece of work before it is done.

    Attributes:
        name: What it is called in traces: low in cardinality, such as ``GET /tasks/{id}``.
        id: The same for every attempt at the same work: a message's id, a schedule's name and tick. Empty for
            requests and connections, of which nobody knows whether they were tried before.
        carrier: What travelled with it: HTTP headers in lower case, headers of a message.
        handler: The method that will do it, as ``Class.method``; empty as long as none was found.
    """

    kind: ClassVar[ExecutionKind]

    name: str
    id: str = ""
    carrier: Mapping[str, str] = field(default=_NO_HEADERS, repr=False)
    handler: str = ""

    def attributes(self) -> dict[str, str | int | float]:
        """Return the facts as span attributes, named by OpenTelemetry's conventions where those have a name."""
        return {"honeyhive.execution.kind": self.kind, **self.own_attributes()}

    def own_attributes(self) -> dict[str, str | int | float]:
        """Return what `attributes` says beside the kind, in a dictionary that is the caller's."""
        handler = self.handler
        return {"code.function.name": handler} if handler else {}


@value
class HttpExecution(Execution):
    """A request.

    Attributes:
        method: ``GET``, ``POST``, ...
        path: The path that was asked for.
        route: The template that it matched, ``None`` as long as none did.
        client: Address of the peer, empty if unknown.
    """

    kind: ClassVar[ExecutionKind] = "http"

    method: str
    path: str
    route: str | None = None
    client: str = ""

    def own_attributes(self) -> dict[str, str | int | float]:
        """Return the facts as span attributes."""
        found = Execution.own_attributes(self)
        found["http.request.method"] = self.method
        found["url.path"] = self.path
        if (route := self.route) is not None:
            found["http.route"] = route
        if client := self.client:
            found["client.address"] = client
        return found


@value
class WebsocketExecution(Execution):
    """A WebSocket connection, from its handshake to its end.

    Attributes:
        path: The path that was asked for.
        route: The template that it matched, ``None`` as long as none did.
        client: Address of the peer, empty if unknown.
    """

    kind: ClassVar[ExecutionKind] = "websocket"

    path: str
    route: str | None = None
    client: str = ""

    def own_attributes(self) -> dict[str, str | int | float]:
        """Return the facts as span attributes."""
        found = Execution.own_attributes(self)
        found["url.path"] = self.path
        found["network.protocol.name"] = "websocket"
        if (route := self.route) is not None:
            found["http.route"] = route
        if client := self.client:
            found["client.address"] = client
        return found


@value
class MessageExecution(Execution):
    """One delivery of a message to one handler.

    Attributes:
        message_type: Name of the message's type.
        message_id: Its id, the same at every handler.
        attempt: 1 for the first try; more where the handler has failed before, or a process has died over the message.
        queued_s: Seconds between its making and its delivery, by the two machines' clocks.
    """

    kind: ClassVar[ExecutionKind] = "message"

    message_type: str
    message_id: str
    attempt: int = 1
    queued_s: float = 0.0

    def own_attributes(self) -> dict[str, str | int | float]:
        """Return the facts as span attributes."""
        return {
            **self.delivery_attributes(),
            "messaging.operation.type": "process",
            "messaging.message.id": self.message_id,
            "cloudevents.event_type": self.message_type,
        }

    def delivery_attributes(self) -> dict[str, str | int | float]:
        """Return what a bus does not know that has put a span around the handler, beside the kind."""
        found = Execution.own_attributes(self)
        found["honeyhive.execution.attempt"] = self.attempt
        found["honeyhive.execution.queue_delay_s"] = self.queued_s
        return found


@value
class ScheduleExecution(Execution):
    """One tick of one schedule.

    Attributes:
        schedule: The schedule's name, ``Class.method``.
        cron: Its expression.
        tick: The moment it was due, UTC.
        attempt: 1 for the first run of this tick; more where a process has died over it.
        late_s: Seconds between the tick and its run.
    """

    kind: ClassVar[ExecutionKind] = "schedule"

    schedule: str
    cron: str
    tick: datetime
    attempt: int = 1
    late_s: float = 0.0

    def own_attributes(self) -> dict[str, str | int | float]:
        """Return the facts as span attributes."""
        return {
            **Execution.own_attributes(self),
            "honeyhive.schedule.name": self.schedule,
            "honeyhive.schedule.cron": self.cron,
            "honeyhive.schedule.tick": self.tick.isoformat(),
            "honeyhive.execution.attempt": self.attempt,
            "honeyhive.execution.queue_delay_s": self.late_s,
        }
