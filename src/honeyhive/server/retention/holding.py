"""What a data directory holds, and forgetting in it while no backend runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from honeyhive.events.following import Following
from honeyhive.events.log import DatedRecord, DatedSegments, DurableLog, LogSource
from honeyhive.events.steps import run
from honeyhive.exceptions import ConfigurationError, JournalLockedError
from honeyhive.journal import Journal, JournalReader, Position
from honeyhive.server.home import INDEX_NAME, JOURNAL_NAME
from honeyhive.server.index.projector import ReadModel
from honeyhive.server.index.removal import Age, age_of
from honeyhive.server.retention.forgetting import JournalForgetter
from honeyhive.server.stores import IndexMissingError, SQLiteDatabase
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["Going", "Holding", "forget", "going", "holding"]

_READING_S = 60.0


class Holding(NamedTuple):
    """What a data directory holds."""

    journal_bytes: int
    index_bytes: int
    age: Age | None
    """``None`` where there is no index, or nothing in it."""
    is_in_use: bool
    """Whether a backend runs on it."""


class Going(NamedTuple):
    """What goes when everything before a moment is forgotten."""

    spans: int
    log_records: int
    journal_bytes: int
    """Of the files of the journal in which everything is older; their rest goes later."""


def holding(data: Path) -> Holding:
    """Tell what *data* holds; works beside a running backend and without one.

    Raises:
        ConfigurationError: There is nothing.
        JournalError: The journal cannot be read.
        StoreUnavailableError: The index cannot be read.
    """
    journal = _reader(data)
    index = data / INDEX_NAME
    return Holding(
        sum(extent.bytes for extent in journal.extents()),
        sum(path.stat().st_size for path in index.parent.glob(f"{INDEX_NAME}*")),
        _age(data),
        journal.has_keeper(),
    )


def going(data: Path, before_ns: int, *, clock: Clock | None = None) -> Going:
    """Tell what would go if everything that was accepted before *before_ns* were forgotten; errors as with `holding`."""
    _require_past(before_ns, clock or SystemClock())
    segments = DatedSegments(_reader(data)).read()
    freed = sum(segment.bytes for segment in segments if segment.newest_ns < before_ns)
    try:
        with SQLiteDatabase(data / INDEX_NAME).reading(longest_s=_READING_S) as connection:
            spans, logs = (
                int(row[0])
                for table in ("spans", "logs")
                for row in connection.rows(
                    f"SELECT count(*) FROM {table} WHERE recorded_ns < ?",  # noqa: S608 - our own names
                    (before_ns,),
                )
            )
    except IndexMissingError:
        return Going(0, 0, freed)
    return Going(spans, logs, freed)


def forget(data: Path, before_ns: int, *, clock: Clock | None = None) -> Going:
    """Forget everything that was accepted before *before_ns*, and tell what has gone.

    Raises:
        ConfigurationError: A backend is running on it, there is nothing, or the moment is still to come.
        JournalError: The journal cannot be read or written.
        StoreUnavailableError: The index cannot be read or written.
    """
    clock = clock or SystemClock()
    _reader(data)
    _require_past(before_ns, clock)
    try:
        journal = Journal(data / JOURNAL_NAME, keep=True, max_bytes=None, max_disk_share=None)
    except JournalLockedError as error:
        raise ConfigurationError(
            f"A backend is running on {data}. Stop it first, or let it forget by itself:"
            " honeyhive serve --keep-days or --keep-gb"
        ) from error
    with journal:
        following = Following(LogSource(journal), ReadModel(data / INDEX_NAME))
        try:
            return _forget(data, journal, following, before_ns, clock)
        finally:
            run(following.end())


def _forget(
    data: Path, journal: Journal, following: Following[DatedRecord, Position], before_ns: int, clock: Clock
) -> Going:
    run(following.begin())

    def settle(position: Position | None = None) -> Iterator[None]:
        while (position is None or following.position is None or following.position < position) and run(
            following.advance()
        ):
            yield

    for _ in settle():  # what goes is counted in an index that is up to date
        pass
    gone = going(data, before_ns, clock=clock)
    database = SQLiteDatabase(data / INDEX_NAME)
    forgetter = JournalForgetter(journal, DurableLog(journal, clock=clock).append, database, settle=settle)
    for _ in forgetter.forget_before(before_ns):
        pass
    return gone


def _require_past(moment_ns: int, clock: Clock) -> None:
    if moment_ns > clock.time_ns():
        raise ConfigurationError(
            "That moment is still to come: what is accepted until then would be lost. Name a past one."
        )


def _reader(data: Path) -> JournalReader:
    if not (data / JOURNAL_NAME).is_dir():
        raise ConfigurationError(f"There is no journal in {data}. Name the data directory with --data.")
    return JournalReader(data / JOURNAL_NAME)


def _age(data: Path) -> Age | None:
    try:
        with SQLiteDatabase(data / INDEX_NAME).reading(longest_s=_READING_S) as connection:
            return age_of(connection)
    except IndexMissingError:
        return None
