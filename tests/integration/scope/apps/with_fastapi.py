"""The shop in FastAPI: a dependency opens the scope of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Header
from shop import ENDED, OPEN, Request, answer, open_scope

from honeyhive import ctx

app = FastAPI()


async def scope(user: Annotated[str, Header()]) -> AsyncIterator[None]:
    """Open a scope for the request that depends on it."""
    async with open_scope(user):
        yield


@app.get("/price/{article}", dependencies=[Depends(scope)])
async def price(article: str) -> dict[str, object]:
    """Answer asynchronously."""
    return dict(await answer(article))


@app.get("/user", dependencies=[Depends(scope)])
def user() -> str:
    """Answer from a thread."""
    return ctx.state(Request).user


@app.get("/left")
async def left() -> dict[str, object]:
    """Tell what is open, and what has ended."""
    return {"open": OPEN, "ended": ENDED, "in_scope": ctx.has_state(Request)}
