"""The treaty of exporter and backend: what lies in a spool, and how the local backend is found.

Neither side imports the other; both import this.

A spool is a folder of journal segments for one destination,
``<state>/spool/<destination id>/``. Each record's payload is complete in itself:

================ ==================================================================
kind             payload
================ ==================================================================
``SPANS``        an OTLP ``ExportTraceServiceRequest``; joining payloads is a
                 valid request too (protobuf concatenates repeated fields)
``LOGS``         an OTLP ``ExportLogsServiceRequest``, likewise
``REST``         a JSON object ``{"method", "path", "body"}`` for the REST API
================ ==================================================================

The destination id of the backend on this machine is ``LOCAL``, so that a starting
backend finds what waits for it. Otherwise it is a hash of address and key:
neither can be read from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

__all__ = [
    "DEFAULT_PORT",
    "LOCAL",
    "RecordKind",
    "ServerFile",
    "destination_id",
    "server_file_path",
    "spool_root",
    "state_home",
]

LOCAL = "local"
DEFAULT_PORT = 4580

BACKEND_HEADER = "x-honeyhive-backend"
"""Header of every answer of our backend: who sees it may tell it what got lost (``POST /v1/client-reports``)."""
BACKEND_HEADER_VALUE = "1"


class RecordKind(IntEnum):
    """What a journal record of the spool holds."""

    SPANS = 1
    LOGS = 2
    REST = 3


def destination_id(address: str, key: str) -> str:
    """Name the spool folder of *address* and *key*: 32 hex digits of a SHA-256."""
    return hashlib.sha256(f"{address}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def state_home() -> Path:
    """``$XDG_STATE_HOME/honeyhive``; without the variable ``~/.local/state/honeyhive``.

    Raises:
        RuntimeError: There is no home directory to start from.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "honeyhive"


def spool_root() -> Path:
    """The folder that holds one spool folder for each destination."""
    return state_home() / "spool"


def server_file_path() -> Path:
    """The discovery file of the backend that runs on this machine."""
    return state_home() / "server.json"


@dataclass(frozen=True, slots=True)
class ServerFile:
    """What a running backend says of itself in its discovery file.

    The token itself is in *token_file* (mode 0600), never here.
    """

    address: str
    """Base URL, such as ``http://127.0.0.1:4580``."""
    token_file: str
    pid: int
    data: str = ""
    """Its data directory, for commands that read it without asking the backend."""

    def write(self, path: Path) -> None:
        """Replace *path* in one step, readable by its owner only."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)
        os.replace(draft, path)

    @classmethod
    def read(cls, path: Path) -> ServerFile | None:
        """Read *path*; ``None`` when it is absent, not ours or not whole."""
        try:
            fields = json.loads(path.read_text("utf-8"))
            return cls(
                str(fields["address"]), str(fields["token_file"]), int(fields["pid"]), str(fields.get("data", ""))
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
