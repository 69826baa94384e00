"""How far consumers of an event store have come that keep no position of their own beside what they do."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Protocol

__all__ = ["AsyncCheckpoints", "Checkpoints", "FileCheckpoints", "InMemoryCheckpoints"]


class Checkpoints(Protocol):
    """Positions by the names of consumers. Thread-safe."""

    def load(self, name: str) -> int | None:
        """Return the position of *name*, or ``None`` when it has none yet."""
        ...

    def save(self, name: str, position: int | None) -> object:
        """Keep the position of *name*; ``None`` forgets it."""


class AsyncCheckpoints(Protocol):
    """`Checkpoints` to be awaited."""

    async def load(self, name: str) -> int | None:
        """Return the position of *name*, or ``None`` when it has none yet."""
        ...

    async def save(self, name: str, position: int | None) -> object:
        """Keep the position of *name*; ``None`` forgets it."""


class InMemoryCheckpoints(Checkpoints):
    """Keeps positions as long as the process lives: each new process begins at the first event."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}

    def load(self, name: str) -> int | None:
        return self._positions.get(name)

    def save(self, name: str, position: int | None) -> object:
        if position is None:
            self._positions.pop(name, None)
        else:
            self._positions[name] = position
        return None


class FileCheckpoints(Checkpoints):
    """Keeps positions in a file; for one process. A loss of power may take the newest back, which repeats some work.

    Args:
        path: The file; made when absent.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()  # one change of the file at a time

    def load(self, name: str) -> int | None:
        return self._read().get(name)

    def save(self, name: str, position: int | None) -> object:
        with self._lock:
            positions = self._read()
            if position is None:
                positions.pop(name, None)
            else:
                positions[name] = position
            fresh = self._path.with_name(f"{self._path.name}.new")
            fresh.write_text(json.dumps(positions), encoding="utf-8")
            fresh.replace(self._path)
        return None

    def _read(self) -> dict[str, int]:
        try:
            positions: dict[str, int] = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return positions
