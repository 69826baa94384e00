"""A program of jararaca that publishes and handles messages through RabbitMQ, for a Python that has it; from outside only.

    jararaca worker parts.messages_peer:app --broker-url ... --backend-url ...    handles messages
    python -m parts.messages_peer PORT                                            publishes as many as a request asks for

Its worker writes down, in the file that the environment names, when it has handled those of the warm-up, and all.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time, time
from typing import Any, ClassVar

import uvicorn
from fastapi import FastAPI
from jararaca import (
    AIOPikaConnectionFactory,
    AppInterceptor,
    HttpMicroservice,
    Message,
    MessageBusController,
    MessageBusPublisherInterceptor,
    MessageHandler,
    MessageOf,
    Microservice,
    Post,
    RestController,
    create_http_server,
    use_publisher,
)

EXCHANGE = os.environ["BENCH_NAME"]


class Placed(Message):
    """What is published."""

    MESSAGE_TOPIC: ClassVar[str] = "placed"
    MESSAGE_TYPE: ClassVar[Any] = "event"

    order: str


class Around(AppInterceptor):
    """Does nothing, at the usual place."""

    @asynccontextmanager
    async def intercept(self, app_context: Any) -> AsyncIterator[None]:
        """Do nothing before and after."""
        yield


NOTED = {int(os.environ["BENCH_WARM_UP"]), int(os.environ["BENCH_MESSAGES"])}


def note() -> None:
    """Write down what time it is, and how long this process has worked."""
    with Path(os.environ["BENCH_DONE"]).open("a") as done:
        print(time(), process_time(), file=done)


@MessageBusController()
@RestController("/orders")
class Orders:
    """Publishes and handles."""

    handled: ClassVar[int] = 0

    @Post("/{count}")
    async def publish(self, count: int) -> int:
        """Publish so many."""
        for _ in range(count):
            await use_publisher().publish(Placed(order="tea"), topic="placed")
        return count

    @MessageHandler(Placed)
    async def count(self, _: MessageOf[Placed]) -> None:
        """Count one."""
        Orders.handled += 1
        if Orders.handled in NOTED:
            note()


app = Microservice(
    providers=[],
    controllers=[Orders],
    interceptors=[
        MessageBusPublisherInterceptor(
            connection_factory=AIOPikaConnectionFactory(url=os.environ["BENCH_BROKER"], exchange=EXCHANGE),
            open_connection_at_end_of_transaction=True,
        ),
        *(Around() for _ in range(4)),
    ],
)


if __name__ == "__main__":
    http = create_http_server(HttpMicroservice(app=app, factory=lambda lifespan: FastAPI(lifespan=lifespan)))
    uvicorn.run(http, port=int(sys.argv[1]), log_level="warning", access_log=False)
