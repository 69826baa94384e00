"""The other end of ``/v1/live``: what the backend of this machine shows, for programs that watch it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from honeyhive.exceptions import APIConnectionError, ConfigurationError
from honeyhive.models.wire import ServerFile, server_file_path

__all__ = ["TRY_AGAIN_LATER", "News", "live_spans"]

TRY_AGAIN_LATER: Final = 1013
"""The code with which the backend hangs up on those it has no room for, and on those that do not keep up."""


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
        ConfigurationError: No backend is running here, its token cannot be read, or a library is missing.
        APIConnectionError: It cannot be reached, does not let us in, or hangs up because too many watch or we are too slow.
    """
    try:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake
        from websockets.sync.client import connect

        from honeyhive.server.admission.security import read_token
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} is missing. Run: pip install 'honeyhive[server]'") from error
    facts = ServerFile.read(server_file_path())
    if facts is None:
        raise ConfigurationError("No backend is running on this machine. Start one with: honeyhive serve")
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    address = f"{facts.address.replace('http', 'ws', 1)}/v1/live?{query}"
    headers = {"Authorization": f"Bearer {read_token(Path(facts.token_file))}"}
    try:
        with connect(address, additional_headers=headers, proxy=None) as socket:
            for text in socket:
                yield News(**json.loads(text))
    except ConnectionClosed as closed:
        if closed.rcvd is not None and closed.rcvd.code == TRY_AGAIN_LATER:
            reason = closed.rcvd.reason or "spans come faster than they are read here"
            raise APIConnectionError(f"the backend at {facts.address} has hung up: {reason}") from closed
    except (InvalidHandshake, OSError) as error:
        raise APIConnectionError(f"the backend at {facts.address} cannot be watched: {error}") from error
