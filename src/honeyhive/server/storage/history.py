"""What the ingest log can answer beyond the read model: a session as it was, and the read model made anew.

Both read the journal without owning it or changing anything in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from honeyhive.events.following import Following
from honeyhive.events.log import DatedRecord, LogSource
from honeyhive.events.steps import run
from honeyhive.exceptions import ConfigurationError, JournalLockedError
from honeyhive.journal import Journal, JournalReader, Position
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.home import INDEX_NAME, JOURNAL_NAME
from honeyhive.server.index.projector import ReadModel
from honeyhive.server.index.queries import Json, Queries
from honeyhive.server.records.marks import LogKind, carried, sayings_of
from honeyhive.server.stores.sqlite import remove_file, replace_file

__all__ = ["PastSession", "Rebuilt", "Records", "past_session", "rebuild", "session_at"]

_UPDATE: Final = b'"PUT"'


class Records(Protocol):
    """What can be read from any position on: a journal's `LogSource`, or a `PostgresLog`."""

    def read(self, after: Position | None, /) -> Sequence[DatedRecord]:
        """Return the next batch behind *after*."""
        ...


class PastSession(NamedTuple):
    """A session as it was at a moment."""

    session: Json | None
    """As `Queries.session` gives it; ``None`` when there was none yet."""
    undated: int
    """How many records of it are from before records had dates; they are taken to be older than any moment."""


class Rebuilt(NamedTuple):
    """A read model that was made anew."""

    records: int
    path: Path


def session_at(data: Path, session_id: str, moment_ns: int) -> PastSession:
    """Return a session as it was: made of what the backend had accepted by *moment_ns*, and of nothing later.

    Works beside a running backend and without one. Reads the whole journal, but decodes only what may be of the session.

    Args:
        data: The data directory.
        session_id: The session.
        moment_ns: In nanoseconds since 1970, included.

    Raises:
        JournalError: The journal cannot be read.
        FileNotFoundError: There is none.
    """
    journal = data / JOURNAL_NAME
    if not journal.is_dir():
        raise FileNotFoundError(journal)
    return past_session(LogSource(JournalReader(journal)), session_id, moment_ns)


def past_session(log: Records, session_id: str, moment_ns: int) -> PastSession:
    """Return a session as it was, made of the records of *log*; see `session_at`."""
    source = _OfSession(log, session_id, moment_ns)
    with tempfile.TemporaryDirectory(prefix="honeyhive-") as folder:
        index = Path(folder, INDEX_NAME)
        _project(Following(source, ReadModel(index)))
        return PastSession(Queries(index, longest_s=60).session(session_id), source.undated)


def rebuild(data: Path, *, tell: Callable[[int], None] | None = None) -> Rebuilt:
    """Make the read model of *data* anew from the journal; the old one answers until the new one is complete.

    Args:
        data: The data directory.
        tell: Told now and then how many records are projected.

    Raises:
        ConfigurationError: A backend is running on it, or there is nothing.
        JournalError: The journal cannot be read.
    """
    if not (data / JOURNAL_NAME).is_dir():
        raise ConfigurationError(f"There is no journal in {data}. Name the data directory with --data.")
    try:
        journal = Journal(data / JOURNAL_NAME, keep=True, max_bytes=None, max_disk_share=None)
    except JournalLockedError as error:
        raise ConfigurationError(
            f"A backend is running on {data}. Stop it first, or start it with: honeyhive serve --rebuild"
        ) from error
    with journal:
        fresh = data / f"{INDEX_NAME}.new"
        remove_file(fresh)
        records = _project(Following(LogSource(journal), ReadModel(fresh)), tell)
        replace_file(data / INDEX_NAME, fresh)
    return Rebuilt(records, data / INDEX_NAME)


class _OfSession:
    """The records of a log that may say something of one session, up to a moment: a source of the engine."""

    def __init__(self, source: Records, session_id: str, moment_ns: int) -> None:
        self._source = source
        self._moment_ns = moment_ns
        self._marks = {session_id.encode(), jsontext.dumps(session_id)[1:-1]}
        self.undated = 0

    def read(self, after: Position | None) -> Sequence[DatedRecord]:
        while records := self._source.read(after):
            wanted = [part for record in records if (part := self._wanted(record)) is not None]
            if wanted:
                self.undated += sum(record.recorded_ns is None for record in wanted)
                return wanted
            after = records[-1].position
        return []

    def _wanted(self, record: DatedRecord) -> DatedRecord | None:
        """Return what of *record* is wanted. What is forgotten is so for every moment, whenever that was decided."""
        if record.kind == LogKind.FORGOTTEN:
            return record
        if record.kind == LogKind.CARRIED:
            return self._carried(record)
        if record.recorded_ns is not None and record.recorded_ns > self._moment_ns:
            return None
        if record.kind == RecordKind.REST and _UPDATE in record.payload:
            return record  # an update names its event, and not the session
        return record if any(mark in record.payload for mark in self._marks) else None

    def _carried(self, record: DatedRecord) -> DatedRecord | None:
        """What was carried over is as old as it was before."""
        sayings = [saying for saying in sayings_of(record.payload) if saying.recorded_ns <= self._moment_ns]
        return record._replace(payload=carried(sayings)) if sayings else None


def _project(following: Following[DatedRecord, Position], tell: Callable[[int], None] | None = None) -> int:
    done = 0
    try:
        run(following.begin())
        while count := run(following.advance()):
            done += count
            if tell is not None:
                tell(done)
    finally:
        run(following.end())
    return done
