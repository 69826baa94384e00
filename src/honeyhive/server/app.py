"""The web application: its routes, the gate before them, and how refusals and our own faults are answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from honeyhive.server.ingest import LOG_PATHS, OTLP_PATHS, REST_CALLS, retry_headers
from honeyhive.server.limits import Refusal
from honeyhive.server.pages import is_public, unauthorised
from honeyhive.server.security import Access, Gate

__all__ = ["create_app"]

_logger = logging.getLogger("honeyhive.server")


def create_app(routes: Sequence[BaseRoute], access: Access) -> ASGIApp:
    """Return the application with *routes* behind the gate that *access* opens."""
    app = Starlette(
        routes=list(routes),
        exception_handlers={Refusal: _refused, HTTPException: _no_route, Exception: _failed},
    )
    app.router.redirect_slashes = False
    return Gate(
        app,
        access=access,
        public=is_public,
        ingest=frozenset({*OTLP_PATHS, *LOG_PATHS, *REST_CALLS}),
        unauthorised=unauthorised,
    )


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return JSONResponse({"error": error.reason}, error.status, retry_headers(error))


async def _no_route(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    _logger.error("A request failed: %s", type(error).__name__)
    return JSONResponse({"error": "The backend failed at this request; its log says why."}, 500)
