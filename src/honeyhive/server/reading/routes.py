"""The routes that give data out, as JSON.

=====  ================================  ==================================================================
GET    ``/v1/traces``                    ``{"traces": [...], "next_cursor"}``; ``?project= &session_id=
                                         &errors=1 &limit= &cursor=``
GET    ``/v1/traces/{trace_id}``         the trace, its spans parents first with ``depth`` and ``children``
GET    ``/v1/traces/{id}/spans/{id}``    one span
GET    ``/v1/traces/{trace_id}/logs``    ``{"logs": [...]}``, oldest first
GET    ``/v1/client-reports``            ``{"client_reports": [...]}``: what programs have lost, newest first
GET    ``/v1/sessions``                  ``{"sessions": [...], "next_cursor"}``; parameters as above
GET    ``/v1/sessions/{session_id}``     the session with nested events, as the public API has it
GET    ``/v1/events/{event_id}``         one event; for the id of a session the session's event
POST   ``/v1/events/export``             ``{"events": [...], "totalEvents"}``; filters as the public API has them
GET    ``/healthz``                      ``{"status": "ok"}``; needs no token
=====  ================================  ==================================================================

With ``?wait=1`` everything that was accepted before the request is in the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from honeyhive.exceptions import StoreUnavailableError
from honeyhive.runtime.declaring import get, post
from honeyhive.server import jsontext
from honeyhive.server.admission.body import read_body
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.index.queries import MAX_LIMIT, Cursor, Listing, Queries, nested_session
from honeyhive.server.reading.filters import event_filters
from honeyhive.server.records.reports import CLIENT_REPORTS
from honeyhive.server.storage.interface import Storage, readable
from honeyhive.server.stores import IndexMissingError, QueryTooLongError

__all__ = ["Asking", "Reading", "found", "listing_of"]

T = TypeVar("T")


class Asking:
    """Runs queries for requests.

    Args:
        storage: What is asked.
        limits: The bounds of one request.
    """

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self.queries = storage.queries
        self._progress = storage.progress
        self._limits = limits
        self._threads = CapacityLimiter(limits.queries)

    async def ask(self, request: Request, query: Callable[[Queries], T]) -> T:
        """Run *query* in a worker thread, after what the request wants to wait for, and in its turn.

        Raises:
            Refusal: 503 when the query takes too long or there is no index yet.
        """
        if request.query_params.get("wait") == "1":
            await readable(self._progress.caught_up(), self._limits)
        return await to_thread.run_sync(_answered, query, self.queries, limiter=self._threads)


class Reading:
    """Answers queries.

    Args:
        asking: Runs them.
        limits: The bounds of one request.
    """

    def __init__(self, asking: Asking, limits: Limits) -> None:
        self._ask = asking.ask
        self._limits = limits

    @get("/v1/traces")
    async def list_traces(self, request: Request) -> Response:
        """List traces, newest first."""
        listing = listing_of(request)
        page = await self._ask(request, lambda queries: queries.traces(listing))
        return _json({"traces": page.items, "next_cursor": page.next_cursor})

    @get("/v1/sessions")
    async def list_sessions(self, request: Request) -> Response:
        """List sessions, newest first."""
        listing = listing_of(request)
        page = await self._ask(request, lambda queries: queries.sessions(listing))
        return _json({"sessions": page.items, "next_cursor": page.next_cursor})

    @get("/v1/traces/{trace_id}")
    async def show_trace(self, request: Request) -> Response:
        """Show one trace."""
        trace_id = request.path_params["trace_id"].lower()
        return _json(found(await self._ask(request, lambda queries: queries.trace(trace_id)), "trace"))

    @get("/v1/traces/{trace_id}/spans/{span_id}")
    async def show_span(self, request: Request) -> Response:
        """Show one span."""
        ids = request.path_params["trace_id"].lower(), request.path_params["span_id"].lower()
        return _json(found(await self._ask(request, lambda queries: queries.span(*ids)), "span"))

    @get("/v1/traces/{trace_id}/logs")
    async def list_logs(self, request: Request) -> Response:
        """List the log records of one trace, oldest first."""
        trace_id = request.path_params["trace_id"].lower()
        return _json({"logs": await self._ask(request, lambda queries: queries.logs(trace_id))})

    @get(CLIENT_REPORTS)
    async def list_client_reports(self, request: Request) -> Response:
        """List what programs said they have lost, newest first."""
        return _json({"client_reports": await self._ask(request, lambda queries: queries.client_reports())})

    @get("/v1/sessions/{session_id}")
    async def show_session(self, request: Request) -> Response:
        """Show one session, its events nested."""
        session_id = request.path_params["session_id"]
        session = found(await self._ask(request, lambda queries: queries.session(session_id)), "session")
        return _json(await to_thread.run_sync(nested_session, session))

    @get("/v1/events/{event_id}")
    async def show_event(self, request: Request) -> Response:
        """Show one event."""
        event_id = request.path_params["event_id"]
        return _json(found(await self._ask(request, lambda queries: queries.event(event_id)), "event"))

    @post("/v1/events/export")
    async def export_events(self, request: Request) -> Response:
        """Give out the events that pass some filters, a page at a time."""
        body, _ = await read_body(request, self._limits)
        try:
            filters = event_filters(jsontext.loads(body))
        except ValueError:
            raise Refusal(400, "The body is not JSON.") from None
        events, total = await self._ask(request, lambda queries: queries.events(filters))
        return _json({"events": events, "totalEvents": total})

    @get("/healthz")
    async def health(self) -> Response:
        """Say that the server is up."""
        return _json({"status": "ok"})


def listing_of(request: Request) -> Listing:
    """Read the parameters that lists have in common.

    Raises:
        Refusal: 400 when one of them makes no sense.
    """
    given = request.query_params
    limit = given.get("limit", "50")
    if not limit.isascii() or not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= MAX_LIMIT:
        raise Refusal(400, f"limit is not a number from 1 to {MAX_LIMIT}.")
    return Listing(
        project=given.get("project") or None,
        session_id=given.get("session_id") or None,
        errors_only=given.get("errors") in {"1", "true"},
        limit=int(limit),
        cursor=Cursor.parse(given["cursor"]) if given.get("cursor") else None,
    )


def found(value: T | None, noun: str) -> T:
    """Return *value*, or refuse with 404 when there is none."""
    if value is None:
        raise Refusal(404, f"There is no such {noun}.")
    return value


def _answered(query: Callable[[Queries], T], queries: Queries) -> T:
    try:
        return query(queries)
    except IndexMissingError:
        raise Refusal(503, "The index is being built.", retry_after_s=1) from None
    except QueryTooLongError:
        raise Refusal(503, "The query took too long.", retry_after_s=1) from None
    except StoreUnavailableError:
        raise Refusal(503, "The index cannot be read just now.", retry_after_s=1) from None


def _json(value: object) -> Response:
    return Response(jsontext.dumps(value), media_type="application/json")
