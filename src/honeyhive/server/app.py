"""The web application beneath the backend's routes: the gate before them, and how refusals and our own faults are answered."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from honeyhive.runtime.declaring import RouteFacts, facts_of
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.admission.security import Access, Gate, access_of
from honeyhive.server.config import BackendConfig
from honeyhive.server.ingest.routes import Ingest, retry_headers
from honeyhive.server.reading.pages.routes import is_public, unauthorised

__all__ = ["gated_app", "web_app"]

_INGEST: Final = frozenset(facts.path for _, facts in facts_of(Ingest) if isinstance(facts, RouteFacts))

_logger = logging.getLogger("honeyhive.server")


def web_app(config: BackendConfig) -> FastAPI:
    """Return an application without routes, behind the gate that *config* opens.

    Raises:
        ConfigurationError: The token cannot be read.
    """
    return gated_app(access_of(config))


def gated_app(access: Access) -> FastAPI:
    """Return an application without routes, behind the gate that *access* opens."""
    app = _GatedApp(
        openapi_url=None,
        exception_handlers={Refusal: _refused, HTTPException: _no_route, Exception: _failed},
    )
    app.access = access
    app.router.redirect_slashes = False
    return app


class _GatedApp(FastAPI):
    """FastAPI behind a gate; as a middleware the gate would stand behind the one that answers 500."""

    access: Access

    def build_middleware_stack(self) -> ASGIApp:
        return Gate(
            super().build_middleware_stack(),
            access=self.access,
            public=is_public,
            ingest=_INGEST,
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
