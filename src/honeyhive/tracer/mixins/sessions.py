"""Grouping traces into sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import get_current

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.attributes import NAMESPACES
from honeyhive.tracer.interfaces import NeedsIdentity, NeedsOutbox, NeedsSettings, TracerSessionInterface
from honeyhive.tracer.sessions import announcement
from honeyhive.utils.guard import guard
from honeyhive.utils.ids import is_uuid, new_session_id

__all__ = ["TracerSessionMixin"]


class TracerSessionMixin(TracerSessionInterface, NeedsIdentity, NeedsOutbox, NeedsSettings):
    """Offers sessions: of the tracer, of a context, of a block."""

    def session_start(self) -> str:
        session_id = new_session_id()
        self.identity.session_id = session_id
        self._announce(session_id, at_once=False)
        return session_id

    def _announce(self, session_id: str, *, at_once: bool = True, **fields: Any) -> None:
        with guard("session_start"):
            body = announcement(self.settings, session_id, **fields)
            self.outbox.tell("POST", "/session/start", body, at_once=at_once)

    def create_session(
        self,
        session_name: str | None = None,
        session_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_properties: Mapping[str, Any] | None = None,
        source: str | None = None,
        skip_api_call: bool = False,
    ) -> str | None:
        chosen = _usable(session_id)
        if chosen is None:
            return None
        with guard("create_session"):
            hh_context.attach(self._context_of(chosen))
        if not skip_api_call:
            self._announce(
                chosen,
                session_name=session_name,
                inputs=inputs,
                metadata=metadata,
                user_properties=user_properties,
                source=source,
            )
        return chosen

    async def acreate_session(self, session_name: str | None = None, **fields: Any) -> str | None:
        """Do what :meth:`create_session` does; it never waits, so the two differ in form only."""
        return self.create_session(session_name, **fields)

    def _context_of(self, session_id: str) -> Any:
        context = hh_context.with_session(get_current(), self.identity, session_id)
        return hh_context.with_tracer(context, self.identity)

    @contextmanager
    def with_session(
        self,
        session_name: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_properties: Mapping[str, Any] | None = None,
        source: str | None = None,
        session_id: str | None = None,
    ) -> Iterator[str]:
        chosen = _usable(session_id) or new_session_id()
        self._announce(
            chosen,
            session_name=session_name,
            inputs=inputs,
            metadata=metadata,
            user_properties=user_properties,
            source=source,
        )
        token = hh_context.attach(self._context_of(chosen))
        try:
            yield chosen
        finally:
            hh_context.detach(token)

    def enrich_session(
        self,
        first: Mapping[str, Any] | str | None = None,
        /,
        *,
        metadata: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        **named: Any,
    ) -> bool:
        accepted = False
        with guard("enrich_session"):
            if isinstance(first, str):  # the form of the first SDK generation: the id comes first
                session_id = first
            elif first is not None:
                metadata = {**(metadata or {}), **first}
            target = session_id or hh_context.current_session_of(self.identity)
            if target:
                body = _update(target, metadata, named)
                accepted = self.outbox.tell("PUT", "/events", body)
        return accepted


def _usable(session_id: str | None) -> str | None:
    if session_id is None:
        return new_session_id()
    return session_id.lower() if is_uuid(session_id) else None


def _update(session_id: str, metadata: Mapping[str, Any] | None, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that adds to a session; what has no namespace of its own is metadata."""
    body: dict[str, Any] = {"event_id": session_id, "end_time": time.time_ns() / 1e6}
    extra = dict(metadata or {})
    for key, value in named.items():
        if value is None:
            continue
        if key in NAMESPACES or key in {"duration", "error"}:
            body[key] = value
        else:
            extra[key] = value
    return {**body, "metadata": extra} if extra else body
