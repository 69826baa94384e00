"""Where the backend keeps its data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from honeyhive.models.wire import ServerFile, server_file_path

__all__ = ["INDEX_NAME", "JOURNAL_NAME", "current_data", "data_home"]

INDEX_NAME: Final = "index.sqlite"
JOURNAL_NAME: Final = "journal"


def data_home() -> Path:
    """Return ``$XDG_DATA_HOME/honeyhive``; without the variable ``~/.local/share/honeyhive``.

    Raises:
        RuntimeError: There is no home directory to start from.
    """
    base = os.environ.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return root / "honeyhive"


def current_data() -> Path:
    """Return the data directory of the running backend; of none, `data_home`."""
    running = ServerFile.read(server_file_path())
    return Path(running.data) if running is not None and running.data else data_home()
