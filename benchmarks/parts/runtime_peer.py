"""The application of `runtime_apps` for jararaca, to be run by a Python that has it; used from outside only.

python runtime_peer.py bare|five PORT    serves it until killed
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from jararaca import AppInterceptor, HttpMicroservice, Microservice, Post, RestController, create_http_server
from pydantic import BaseModel


class Order(BaseModel):
    """What is asked for."""

    customer: str
    lines: list[str]


class Receipt(BaseModel):
    """What is answered."""

    customer: str
    total: int


class Around(AppInterceptor):
    """Does nothing, at the usual place."""

    @asynccontextmanager
    async def intercept(self, app_context: Any) -> AsyncIterator[None]:
        """Do nothing before and after."""
        yield


def bare() -> FastAPI:
    """The route, and nothing around it."""
    app = FastAPI()

    @app.post("/orders/{shop}")
    async def place(shop: str, order: Order) -> Receipt:
        return Receipt(customer=order.customer, total=len(order.lines))

    return app


@RestController("/orders")
class Orders:
    """The same route."""

    @Post("/{shop}")
    async def place(self, shop: str, order: Order) -> Receipt:
        """Answer what it comes to."""
        return Receipt(customer=order.customer, total=len(order.lines))


def five() -> Any:
    """The route within five interceptors that do nothing."""
    service = Microservice(providers=[], controllers=[Orders], interceptors=[Around() for _ in range(5)])
    return create_http_server(HttpMicroservice(app=service, factory=lambda lifespan: FastAPI(lifespan=lifespan)))


if __name__ == "__main__":
    _, which, port = sys.argv
    uvicorn.run({"bare": bare, "five": five}[which](), port=int(port), log_level="warning", access_log=False)
