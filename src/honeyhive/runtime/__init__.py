"""How a process gets work: executions, interceptors, hooks, and one declaration for all processes of a program.

::

    service = Service("shop", providers=[...], controllers=[Orders], interceptors=[Tracing(), ...], config=Config)

    http_app(service)  # an ASGI application
    await run_worker(service)  # handles messages
    await run_scheduler(service)  # keeps time

Names are looked up on first use, so that a program pays for what it uses only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from honeyhive.utils.rooms import lookup

if TYPE_CHECKING:
    from honeyhive.runtime.configuration import Configuration, read_config
    from honeyhive.runtime.cron import Cron
    from honeyhive.runtime.declaring import controller, delete, every, get, on_message, patch, post, put, websocket
    from honeyhive.runtime.execution import (
        Execution,
        HttpExecution,
        MessageExecution,
        ScheduleExecution,
        WebsocketExecution,
    )
    from honeyhive.runtime.hooks import hook, use_config, use_execution, use_publisher, use_session, use_ws_manager
    from honeyhive.runtime.http import http_app
    from honeyhive.runtime.interceptors import EdgeInterceptor, Interceptor, intercepted
    from honeyhive.runtime.ledgers import Claim, MemoryTickLedger, RedisTickLedger, SqlTickLedger, TickLedger
    from honeyhive.runtime.limiting import RateLimit
    from honeyhive.runtime.outbox import Once, OutboxPublishing
    from honeyhive.runtime.providers import Provider, Token
    from honeyhive.runtime.scheduler import Scheduler
    from honeyhive.runtime.service import HttpSettings, SchedulerSettings, Service, WorkerSettings
    from honeyhive.runtime.sockets import LocalRelay, SocketManager, Sockets
    from honeyhive.runtime.sql import Crud, SqlSession
    from honeyhive.runtime.tracing import Tracing

_HOMES = {
    "Claim": "ledgers",
    "Configuration": "configuration",
    "Cron": "cron",
    "Crud": "sql",
    "EdgeInterceptor": "interceptors",
    "Execution": "execution",
    "HttpExecution": "execution",
    "HttpSettings": "service",
    "Interceptor": "interceptors",
    "LocalRelay": "sockets",
    "MemoryTickLedger": "ledgers",
    "MessageExecution": "execution",
    "Once": "outbox",
    "OutboxPublishing": "outbox",
    "Provider": "providers",
    "Publishing": "publishing",
    "RateLimit": "limiting",
    "RedisTickLedger": "ledgers",
    "ScheduleExecution": "execution",
    "Scheduler": "scheduler",
    "SchedulerSettings": "service",
    "Service": "service",
    "SocketManager": "sockets",
    "Sockets": "sockets",
    "SqlSession": "sql",
    "SqlTickLedger": "ledgers",
    "TickLedger": "ledgers",
    "Token": "providers",
    "Tracing": "tracing",
    "WebsocketExecution": "execution",
    "WorkerSettings": "service",
    "controller": "declaring",
    "delete": "declaring",
    "every": "declaring",
    "get": "declaring",
    "hook": "hooks",
    "http_app": "http",
    "intercepted": "interceptors",
    "on_message": "declaring",
    "patch": "declaring",
    "post": "declaring",
    "put": "declaring",
    "read_config": "configuration",
    "use_config": "hooks",
    "use_execution": "hooks",
    "use_publisher": "hooks",
    "use_session": "hooks",
    "use_ws_manager": "hooks",
    "websocket": "declaring",
}
__all__ = [
    "Claim",
    "Configuration",
    "Cron",
    "Crud",
    "EdgeInterceptor",
    "Execution",
    "HttpExecution",
    "HttpSettings",
    "Interceptor",
    "LocalRelay",
    "MemoryTickLedger",
    "MessageExecution",
    "Once",
    "OutboxPublishing",
    "Provider",
    "Publishing",
    "RateLimit",
    "RedisTickLedger",
    "ScheduleExecution",
    "Scheduler",
    "SchedulerSettings",
    "Service",
    "SocketManager",
    "Sockets",
    "SqlSession",
    "SqlTickLedger",
    "TickLedger",
    "Token",
    "Tracing",
    "WebsocketExecution",
    "WorkerSettings",
    "controller",
    "delete",
    "every",
    "get",
    "hook",
    "http_app",
    "intercepted",
    "on_message",
    "patch",
    "post",
    "put",
    "read_config",
    "use_config",
    "use_execution",
    "use_publisher",
    "use_session",
    "use_ws_manager",
    "websocket",
]


__getattr__ = lookup(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
