"""The other end of ``/v1/live``: what the backend of this machine shows, for programs that watch it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from honeyhive.exceptions import APIConnectionError, ConfigurationError
from honeyhive.models.wire import ServerFile, server_file_path

__all__ = ["News", "live_spans"]


@dataclass(frozen=True, slots=True)
class News:
    """Spans that have become readable.

    Attributes:
        spans: Without their payloads; names as in ``/v1/traces/{trace_id}``.
        omitted: How many more there were.
    """

    spans: Sequence[Mapping[str, object]]
    omitted: int


def live_spans(**wanted: str | None) -> Iterator[News]:
    """Yield spans as the backend of this machine shows them, until it stops.

    Args:
        **wanted: ``project``, ``session_id`` and ``trace_id`` that they must have, where not ``None``.

    Raises:
        ConfigurationError: No backend is running here, or a library is missing.
        APIConnectionError: It cannot be reached, or does not let us in.
    """
    try:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake
        from websockets.sync.client import connect
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} is missing. Run: pip install 'honeyhive[server]'") from error
    facts = ServerFile.read(server_file_path())
    if facts is None:
        raise ConfigurationError("No backend is running on this machine. Start one with: honeyhive serve")
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    address = f"{facts.address.replace('http', 'ws', 1)}/v1/live?{query}"
    headers = {"Authorization": f"Bearer {Path(facts.token_file).read_text('utf-8').strip()}"}
    try:
        with connect(address, additional_headers=headers, proxy=None) as socket:
            for text in socket:
                yield News(**json.loads(text))
    except ConnectionClosed:
        # It has been stopped, or we were too slow for it.
        return
    except (InvalidHandshake, OSError) as error:
        raise APIConnectionError(f"the backend at {facts.address} cannot be watched: {error}") from error
