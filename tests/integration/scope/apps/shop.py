"""What the three apps have in common: a service, a resource, and what they do with a request. It knows no framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol, runtime_checkable

from honeyhive import State, ctx
from honeyhive.scope import ScopeBlock

OPEN: list[str] = []
"""The connections that are open."""
ENDED: list[str] = []
"""The background tasks that have ended."""


class Request(State):
    """Who asks."""

    user: str


class Connection(State):
    """A connection to a database, of this request alone."""

    name: str


@runtime_checkable
class PriceFetching(Protocol):
    """Finds a price."""

    async def __call__(self, article: str) -> int: ...


class Prices(State):
    """The service."""

    fetching: PriceFetching

    @classmethod
    async def of(cls, article: str) -> int:
        """Return the price of an article."""
        return await ctx.state(cls).fetching(article)


async def fetch_price(article: str) -> int:
    """Look it up, slowly enough that requests overlap."""
    await asyncio.sleep(0.01)
    return len(article)


PRICES = Prices(fetching=fetch_price)


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    """Open a connection for one request."""
    name = f"connection of {ctx.state(Request).user}"
    OPEN.append(name)
    try:
        yield Connection(name=name)
    finally:
        await asyncio.sleep(0)
        OPEN.remove(name)


async def watch(name: str) -> None:
    """Run until the request is over."""
    try:
        await asyncio.sleep(3600)
    finally:
        ENDED.append(name)


def open_scope(user: str) -> ScopeBlock:
    """Return the scope of one request."""
    return ctx.scope("request", Request(user=user), PRICES, disposables=(connection(),))


async def answer(article: str) -> Mapping[str, object]:
    """Do the work of a request, inside its scope."""
    user = ctx.state(Request).user
    background = asyncio.create_task(watch(user))
    prices = await asyncio.gather(*(ctx.spawn(Prices.of, article) for _ in range(3)))
    if article == "broken":
        raise LookupError("no such article")
    assert not background.done()
    return {"user": ctx.state(Request).user, "prices": prices, "connection": ctx.state(Connection).name}
