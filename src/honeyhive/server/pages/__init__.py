"""The pages for people: plain HTML made on the server, safe by construction."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from honeyhive.server.queries import Queries
from honeyhive.server.reading import Reading
from honeyhive.server.security import Access

__all__ = ["Pages", "is_public", "unauthorised"]


def is_public(path: str) -> bool:
    """Tell whether *path* needs no token."""
    return path in {"/healthz", "/login"} or path.startswith("/static/")


def unauthorised(headers: Headers) -> Response:
    """Return the answer to a request without a valid token."""
    return JSONResponse({"error": "unauthorised"}, 401, {"WWW-Authenticate": "Bearer"})


class Pages:
    """Pages."""

    def __init__(self, *, queries: Queries, reading: Reading, access: Access) -> None:
        self._queries = queries

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this module."""
        return []
