"""The shop in Flask: each async view runs in an event loop of its own, and so does its scope."""

from __future__ import annotations

from flask import Flask, request
from shop import ENDED, OPEN, Request, answer, open_scope

from honeyhive import ctx

app = Flask(__name__)


@app.get("/price/<article>")
async def price(article: str) -> dict[str, object]:
    """Answer asynchronously."""
    async with open_scope(request.headers["user"]):
        return dict(await answer(article))


@app.get("/left")
async def left() -> dict[str, object]:
    """Tell what is open, and what has ended."""
    return {"open": OPEN, "ended": ENDED, "in_scope": ctx.has_state(Request)}
