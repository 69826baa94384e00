"""The same small application: bare FastAPI, and services without interceptors, with five plain ones, with five of ours.

python runtime_apps.py bare|empty|plain|five PORT    serves it until killed
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Order(BaseModel):
    """What is asked for."""

    customer: str
    lines: list[str]


class Receipt(BaseModel):
    """What is answered."""

    customer: str
    total: int


def bare() -> FastAPI:
    """The route, and nothing around it."""
    app = FastAPI()

    @app.post("/orders/{shop}")
    async def place(shop: str, order: Order) -> Receipt:
        return Receipt(customer=order.customer, total=len(order.lines))

    return app


def of_ours(interceptors: list[Any]) -> FastAPI:
    """The same route in a service."""
    from honeyhive.runtime import Service, controller, http_app, post

    @controller("/orders")
    class Orders:
        @post("/{shop}")
        async def place(self, shop: str, order: Order) -> Receipt:
            return Receipt(customer=order.customer, total=len(order.lines))

    return http_app(Service("orders", controllers=[Orders], interceptors=interceptors), environ={})


def usual() -> dict[str, Any]:
    """Five interceptors: a span that is exported, a limit, sockets, a publisher, and one of the user's own."""
    from honeyhive import HoneyHiveTracer, State
    from honeyhive.events import AsyncMessageBus
    from honeyhive.runtime import Execution, Publishing, RateLimit, Sockets, Tracing

    class Tenant(State):
        name: str

    class Tenants:
        @asynccontextmanager
        async def intercept(self, execution: Execution) -> AsyncIterator[Tenant]:
            yield Tenant(name=execution.carrier.get("x-tenant", ""))

    return {
        "Tracing": Tracing(HoneyHiveTracer(project="bench")),
        "RateLimit": RateLimit(rate=1_000_000),
        "Sockets": Sockets(),
        "Publishing": Publishing(AsyncMessageBus()),
        "the user's own, with a state": Tenants(),
    }


def five() -> FastAPI:
    """All of them."""
    return of_ours(list(usual().values()))


def plain() -> FastAPI:
    """Five interceptors that do nothing."""
    from honeyhive.runtime import Execution

    class Around:
        @asynccontextmanager
        async def intercept(self, execution: Execution) -> AsyncIterator[None]:
            yield

    return of_ours([Around() for _ in range(5)])


def main(which: str, port: str) -> None:
    """Serve one of them."""
    apps = {"bare": bare, "empty": lambda: of_ours([]), "plain": plain, "five": five}
    uvicorn.run(apps[which](), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
