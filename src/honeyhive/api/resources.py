"""The resources of the REST interface: what each call says, and what comes back.

Every request can be given as its model, as a plain dict, or as keywords. Ids that are left out are made here, so that
repeating a request after a lost answer records nothing twice; that is why all of these calls may be retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from honeyhive.api.answers import read_as
from honeyhive.api.endpoint import Ask, Asking, Call, Performer, Resource, awaited, endpoint
from honeyhive.api.flow import Flow
from honeyhive.exceptions import InvalidRequestError
from honeyhive.models.base import Model
from honeyhive.models.events import (
    MOST_EVENTS_OF_A_PAGE,
    CreateEventRequest,
    Event,
    EventExportRequest,
    EventExportResponse,
    EventFilter,
    FilterOperator,
    GetEventsResponse,
    PostEventBatchRequest,
    PostEventBatchResponse,
    PostEventRequest,
    PostEventResponse,
    UpdateEventRequest,
)
from honeyhive.models.sessions import PostSessionStartResponse, SessionStartRequest

__all__ = ["EventsAPI", "SessionsAPI"]

M = TypeVar("M", bound=Model)
E = TypeVar("E", bound=EventExportResponse)


class _ProjectResource(Resource):
    def __init__(self, performer: Performer, project: str | None, new_id: Callable[[], str]) -> None:
        super().__init__(performer)
        self._project = project
        self._new_id = new_id


class SessionsAPI(_ProjectResource):
    """Sessions of a project."""

    @endpoint
    def start(
        self, /, data: SessionStartRequest | Mapping[str, Any] | None = None, **fields: Any
    ) -> Call[PostSessionStartResponse]:
        """Start a session.

        Args:
            data: The session; a plain dict will do, with or without the envelope ``{"session": ...}``.
            **fields: Fields of ``SessionStartRequest``, instead of or in addition to *data*.

        Returns:
            The session. When the service fails and the client is not strict, one with the id that the session has
            anyway: spans that name it arrive in it later.

        Raises:
            InvalidRequestError: The fields cannot be sent.
        """
        given = _as_model(SessionStartRequest, data, fields)
        session_id = given.session_id or self._new_id()
        session = given.model_copy(update={"session_id": session_id, "project": given.project or self._project})
        fallback = PostSessionStartResponse(session_id=session_id, event_id=session_id)
        body = b'{"session":%b}' % _json(session)
        return _one_exchange(
            "sessions.start", Ask("POST", "/session/start", body, "ingestion"), fallback, empty_means=fallback
        )

    start_async = awaited(start)
    create_session = start
    create_session_async = awaited(start)
    start_session = start
    start_session_async = awaited(start)


class EventsAPI(_ProjectResource):
    """Events of a project: write, change, find."""

    @endpoint
    def create(
        self, /, request: CreateEventRequest | PostEventRequest | Mapping[str, Any] | None = None, **fields: Any
    ) -> Call[PostEventResponse]:
        """Record an event.

        Args:
            request: The event; a plain dict will do, with or without the envelope ``{"event": ...}``.
            **fields: Fields of ``CreateEventRequest``, instead of or in addition to *request*.

        Returns:
            The event's id. When the service fails and the client is not strict: the same with ``success=False``.

        Raises:
            InvalidRequestError: The fields cannot be sent.
        """
        event = self._completed(_as_model(CreateEventRequest, _without_envelope(request), fields))
        body = b'{"event":%b}' % _json(event)
        return _one_exchange(
            "events.create",
            Ask("POST", "/events", body, "ingestion"),
            PostEventResponse(success=False, event_id=event.event_id),
            empty_means=PostEventResponse(success=True, event_id=event.event_id),
        )

    @endpoint
    def update(self, /, data: UpdateEventRequest | Mapping[str, Any] | None = None, **fields: Any) -> Call[bool]:
        """Change an event; what is left out stays as it is.

        Args:
            data: What to change, with the ``event_id``.
            **fields: Fields of ``UpdateEventRequest``, instead of or in addition to *data*.

        Returns:
            Whether the service took the change: always true, unless it failed and the client is not strict.

        Raises:
            InvalidRequestError: The fields cannot be sent.
        """
        ask = Ask("PUT", "/events", _json(_as_model(UpdateEventRequest, data, fields)), "ingestion")
        return Call("events.update", partial(_acknowledged, ask), fallback=False)

    @endpoint
    def create_batch(
        self, /, data: PostEventBatchRequest | Mapping[str, Any] | None = None, **fields: Any
    ) -> Call[PostEventBatchResponse]:
        """Record many events in one request.

        Args:
            data: The events, and whether they make one session.
            **fields: Fields of ``PostEventBatchRequest``, instead of or in addition to *data*.

        Returns:
            The ids in the order of the events. When the service fails and the client is not strict: the same with
            ``success=False``.

        Raises:
            InvalidRequestError: The fields cannot be sent.
        """
        given = _as_model(PostEventBatchRequest, data, fields)
        batch = given.model_copy(update={"events": tuple(map(self._completed, given.events))})
        ids = tuple(event.event_id for event in batch.events)
        return _one_exchange(
            "events.create_batch",
            Ask("POST", "/events/batch", _json(batch), "ingestion"),
            PostEventBatchResponse.model_validate({"event_ids": ids, "success": False}),
            empty_means=PostEventBatchResponse.model_validate({"event_ids": ids, "success": True}),
        )

    @endpoint
    def export(
        self,
        project: str | None = None,
        filters: Iterable[EventFilter | Mapping[str, Any]] | None = None,
        *,
        date_range: Mapping[str, Any] | None = None,
        projections: Iterable[str] | None = None,
        limit: int = 1000,
        page: int = 1,
    ) -> Call[EventExportResponse]:
        """Return the events that meet all *filters*, newest first.

        Args:
            project: Its name; the client's own by default.
            filters: Conditions; none for all events.
            date_range: ``{"$gte": start, "$lte": end}`` in ISO 8601.
            projections: Names of the fields to return.
            limit: The most events to return. Above 7,500 they are fetched in several requests, from the first page on.
            page: Which page of *limit* events, counted from 1.

        Returns:
            The events and how many meet the filters in all. When the service fails and the client is not strict: none.

        Raises:
            InvalidRequestError: The question cannot be asked.
        """
        fields = {
            "project": project,
            "filters": tuple(filters or ()),
            "date_range": date_range,
            "projections": projections and tuple(projections),
            "limit": min(limit, MOST_EVENTS_OF_A_PAGE),
            "page": page,
        }
        question = self._question(_as_model(EventExportRequest, None, fields))
        if limit > MOST_EVENTS_OF_A_PAGE and page != 1:
            raise InvalidRequestError(f"page counts pages of at most {MOST_EVENTS_OF_A_PAGE:,} events; lower the limit")
        return _search("events.export", question, limit, EventExportResponse)

    @endpoint
    def list_events(
        self,
        /,
        query: EventExportRequest | Mapping[str, Any] | None = None,
        *,
        data: EventExportRequest | Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Call[GetEventsResponse]:
        """Return one page of events; as ``export``, with the question in one value.

        Args:
            query: The question, as a model or a plain dict.
            data: Another name for *query*.
            **fields: Fields of ``EventExportRequest``, instead of or in addition to *query*.

        Raises:
            InvalidRequestError: The question cannot be asked.
        """
        question = self._question(_as_model(EventExportRequest, data if query is None else query, fields))
        return _search("events.list", question, question.limit, GetEventsResponse)

    @endpoint
    def get_by_session_id(
        self, session_id: str, project: str | None = None, *, limit: int = 1000
    ) -> Call[GetEventsResponse]:
        """Return the events of a session, newest first; *project* and *limit* as in ``export``.

        Raises:
            InvalidRequestError: The question cannot be asked.
        """
        condition = EventFilter(field="session_id", operator=FilterOperator.IS, value=session_id)
        fields = {"project": project, "filters": [condition], "limit": min(limit, MOST_EVENTS_OF_A_PAGE)}
        question = self._question(_as_model(EventExportRequest, None, fields))
        return _search("events.get_by_session_id", question, limit, GetEventsResponse)

    create_async = awaited(create)
    create_event = create
    create_event_async = awaited(create)
    update_async = awaited(update)
    update_event = update
    update_event_async = awaited(update)
    create_batch_async = awaited(create_batch)
    export_async = awaited(export)
    list_events_async = awaited(list_events)
    list = list_events
    list_async = awaited(list_events)
    get_events = list_events
    get_events_async = awaited(list_events)
    get_by_session_id_async = awaited(get_by_session_id)

    def _completed(self, event: CreateEventRequest) -> CreateEventRequest:
        update = {"event_id": event.event_id or self._new_id(), "project": event.project or self._project}
        return event.model_copy(update=update)

    def _question(self, question: EventExportRequest) -> EventExportRequest:
        return question.model_copy(update={"project": question.project or self._project})


def _one_exchange(operation: str, ask: Ask, fallback: M, *, empty_means: M) -> Call[M]:
    """Describe a call of one exchange whose answer is a model, or empty where the model is known beforehand."""

    def steps(exchange: Asking) -> Flow[M]:
        answer = yield from exchange(ask)
        return empty_means if answer is None else read_as(type(fallback), operation, answer)

    return Call(operation, steps, fallback)


def _acknowledged(ask: Ask, exchange: Asking) -> Flow[bool]:
    yield from exchange(ask)
    return True


def _search(operation: str, question: EventExportRequest, limit: int, kind: type[E]) -> Call[E]:
    """Describe a search that goes on through the pages until it has *limit* events or there are no more."""

    def steps(exchange: Asking) -> Flow[E]:
        found: tuple[Event, ...] = ()
        page = question
        while True:
            answer = yield from exchange(Ask("POST", "/v1/events/export", _json(page)))
            part = read_as(kind, operation, answer)
            found += part.events
            if len(found) >= limit or len(part.events) < page.limit:
                return part.model_copy(update={"events": found[:limit]})
            page = page.model_copy(update={"page": page.page + 1})

    return Call(operation, steps, kind.model_validate({"events": ()}))


def _as_model(model: type[M], given: Model | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> M:
    """Return *given* with *fields* over it as *model*."""
    if isinstance(given, model) and not fields:
        return given
    known = given.model_dump(by_alias=False, exclude_unset=True) if isinstance(given, Model) else dict(given or {})
    try:
        return model.model_validate({**known, **fields})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or model.__name__
        raise InvalidRequestError(f"{model.__name__} cannot be made of this: {place}: {first['msg']}") from None


def _without_envelope(
    request: CreateEventRequest | PostEventRequest | Mapping[str, Any] | None,
) -> Model | Mapping[str, Any] | None:
    if isinstance(request, PostEventRequest):
        return request.event
    if isinstance(request, Mapping) and set(request) == {"event"}:
        inner: Mapping[str, Any] = request["event"]
        return inner
    return request


def _json(model: Model) -> bytes:
    try:
        return model.to_json()
    except ValueError as error:
        raise InvalidRequestError(f"{type(model).__name__} cannot be sent as JSON: {error}") from error
