"""What a type checker knows of the client. Checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

from honeyhive.api import HoneyHive
from honeyhive.models import EventExportResponse, EventFilter, FilterOperator, PostEventResponse
from honeyhive.resilience import RetryPolicy

client = HoneyHive(api_key="key", project="typing", retry_config=RetryPolicy(max_attempts=2), strict=True)


def methods_return_models() -> None:
    condition = EventFilter(field="event_type", operator=FilterOperator.IS, value="model")
    assert_type(client.events.create({"event_type": "tool"}), PostEventResponse)
    assert_type(client.events.update(event_id="e", feedback={"rating": 5}), bool)
    assert_type(client.events.export("typing", [condition], limit=3), EventExportResponse)
    client.events.export(limt=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def each_has_a_twin_to_be_awaited() -> None:
    session = await client.sessions.start_async(session_name="s")
    assert_type(session.session_id, str)
    assert_type(await client.events.export_async(), EventExportResponse)
