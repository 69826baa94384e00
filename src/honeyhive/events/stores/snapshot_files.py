"""Snapshots in plain files, beside a store in plain files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from honeyhive.events.snapshots import Snapshot, SnapshotCodec, SnapshotStore, WrittenSnapshot

__all__ = ["FileSnapshotStore"]


class FileSnapshotStore(SnapshotStore):
    """Keeps the newest snapshot of each aggregate in a file of its own. Thread-safe; for one process.

    Args:
        directory: Where; made with mode 0700 when absent.
        types: The classes of the aggregates that may be read.
    """

    def __init__(self, directory: Path | str, *, types: Iterable[type] = ()) -> None:
        self._directory = Path(directory)
        self._codec = SnapshotCodec(types)
        self._lock = threading.Lock()  # the newest one stays
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, snapshot: Snapshot[Any]) -> object:
        written = self._codec.write(snapshot.aggregate)
        text = json.dumps({"aggregate_id": snapshot.aggregate_id, "version": snapshot.version, **asdict(written)})
        path = self._path(snapshot.aggregate_id)
        with self._lock:
            if _version_in(path) <= snapshot.version:
                # A file that a loss of power leaves half-written cannot be read, and then is as good as none.
                fresh = path.with_suffix(".new")
                fresh.write_text(text, encoding="utf-8")
                fresh.replace(path)
        return None

    def load(self, aggregate_id: str) -> Snapshot[Any] | None:
        fields = _fields(self._path(aggregate_id))
        if fields is None:
            return None
        aggregate = self._codec.read(WrittenSnapshot(fields["type"], fields["schema_version"], fields["state"]))
        return None if aggregate is None else Snapshot(aggregate_id, fields["version"], aggregate)

    def discard(self, aggregate_id: str) -> object:
        with self._lock:
            self._path(aggregate_id).unlink(missing_ok=True)
        return None

    def _path(self, aggregate_id: str) -> Path:
        return self._directory / f"{hashlib.sha256(aggregate_id.encode()).hexdigest()}.json"


def _version_in(path: Path) -> int:
    fields = _fields(path)
    return 0 if fields is None else int(fields["version"])


def _fields(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return fields
    return None
