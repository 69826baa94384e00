"""The journal on disk: the one writer of a series of segments in a directory."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from honeyhive.exceptions import JournalError, JournalLockedError
from honeyhive.journal.files import Files
from honeyhive.journal.folder import Folder, SegmentName, as_journal_error, check_prefix, told_as_journal_error
from honeyhive.journal.interface import JournalInterface
from honeyhive.journal.recent import Recent
from honeyhive.journal.records import HEADER_BYTES, Draft, Position, Record
from honeyhive.journal.room import Room
from honeyhive.journal.segment import Batch, Corruption, Extent, Segment

__all__ = ["Journal"]

_MIB = 1024 * 1024


class Journal(JournalInterface):
    """Writes segments ``<prefix>-<number>.seg`` into one directory and reads them back.

    Opening makes the directory; the first append makes the first segment, always a new one.
    Its lock, and that of every later segment, is held until the segment is dealt with, so that
    `honeyhive.journal.adopt` in another process takes only what nobody owns any more.

    With *keep* the journal is a log: segments are unlinked by `forget` alone, those of earlier lives
    are part of it, and a lock on the whole directory keeps a second writer out.

    Args:
        directory: Where; made with mode 0700 when absent.
        prefix: Goes before the segment numbers; with *keep* usually empty. Processes that share
            a directory have prefixes of their own, such as ``<pid>-<boot id>``.
        segment_bytes: Size at which a new segment begins.
        max_bytes: Bound on all segments in the directory; ``None`` for none.
        max_disk_share: Bound on the same as a share of the disk's free space; ``None`` for none.
        keep: Be a log.
        recent_bytes: How many bytes of records to keep in memory until they are acknowledged, so that reading them
            costs nothing; what is in memory is not read from the disk.
        files: The file layer.

    Raises:
        JournalUnsafeError: The directory is not ours alone.
        JournalLockedError: With *keep*: another journal is at work on this directory.
        JournalError: The directory cannot be used, or the platform cannot do it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        prefix: str = "",
        segment_bytes: int = 8 * _MIB,
        max_bytes: int | None = 256 * _MIB,
        max_disk_share: float | None = 0.2,
        keep: bool = False,
        recent_bytes: int = 0,
        files: Files | None = None,
    ) -> None:
        self._recent_bytes = recent_bytes
        self._forget()
        self._files = files or Files()
        if not self._files.supported:
            raise JournalError("this platform has no journal on disk; use MemoryJournal")
        self._folder = Folder(directory, self._files)
        self._prefix = check_prefix(prefix)
        self._segment_bytes = segment_bytes
        self._room = Room(self._folder, max_bytes, max_disk_share, alone=keep)
        self._keep = keep
        self._unsynced_directories.update(self._folder.prepare())
        if keep:
            self._take_over()

    def _forget(self) -> None:
        self._lock = threading.RLock()  # the list of segments, their ends, and every figure
        self._sync_lock = threading.Lock()  # one sync at a time
        self._acknowledge_lock = threading.Lock()  # cursors on disk only move forward
        self._segments: list[Segment] = []
        self._recent = Recent(self._recent_bytes)
        self._number: int | None = None
        self._last: Position | None = None
        self._appends = 0
        self._synced_appends = 0
        self._unsynced_directories: set[Path] = set()
        self._past_corruption = Corruption()
        self._owner_fd: int | None = None
        self._closed = False

    # -- appending ---------------------------------------------------------------------------

    def append(self, kind: int, payload: bytes, items: int = 1) -> Position:
        return self.append_many((Draft(kind, payload, items),))[0]

    def append_many(self, drafts: Sequence[Draft]) -> list[Position]:
        if not drafts:
            return []
        size = len(drafts) * HEADER_BYTES + sum([len(draft.payload) for draft in drafts])
        with self._lock:
            segment = self._writable(size)
            try:
                positions = segment.append(drafts)
            except OSError as error:
                raise as_journal_error(f"append to {self._folder.segment(segment.name)}", error) from error
            self._room.own_bytes += size
            self._appends += 1
            self._last = positions[-1]
            for draft, position in zip(drafts, positions, strict=True):
                end = position.offset + HEADER_BYTES + len(draft.payload)
                self._recent.keep(Record(draft.kind, draft.items, draft.payload, position, end))
        return positions

    def _writable(self, size: int) -> Segment:
        """The segment that takes the next *size* bytes; the caller holds the lock."""
        self._check_open()
        active = self._segments[-1] if self._segments else None
        if active is None or active.sealed or (active.end and active.end + size > self._segment_bytes):
            self._room.check(size, self._segment_names())
            active = self._begin_segment()
        elif not self._room.fits(size):
            self._room.check(size, self._segment_names())
        return active

    def _segment_names(self) -> Iterator[str]:
        return (segment.name for segment in self._segments)

    def _begin_segment(self) -> Segment:
        with told_as_journal_error(f"begin a segment in {self._folder.path}"):
            segment = self._create_segment()
        if self._segments:
            self._seal(self._segments[-1])
        self._segments.append(segment)
        self._unsynced_directories.add(self._folder.path)
        return segment

    def _create_segment(self) -> Segment:
        while True:
            name = self._next_name()
            try:
                fd = self._files.create(self._folder.segment(name))
            except FileExistsError:
                continue
            # Between the two lines an adopter may have taken the empty file for an orphan.
            if self._owns(fd):
                return Segment(self._folder, name, fd, fresh=True)
            self._files.close(fd)

    def _next_name(self) -> str:
        if self._number is None:
            self._number = self._folder.next_number(self._prefix)
        else:
            self._number += 1
        return SegmentName(self._prefix, self._number).text

    def _owns(self, fd: int) -> bool:
        try:
            return self._files.lock(fd) and self._folder.is_ours(self._files.fstat(fd))
        except OSError:
            self._files.close(fd)
            raise

    def _seal(self, segment: Segment) -> None:
        segment.sealed = True
        self._settle(segment)

    # -- syncing -----------------------------------------------------------------------------

    def sync(self) -> None:
        with self._lock:
            self._check_open()
            wanted = self._appends
        with self._sync_lock:  # whoever waits here is mostly served by the one before
            with self._lock:
                self._check_certain()
                if self._synced_appends >= wanted:
                    return
                covered = self._appends
                targets = [(segment, segment.end) for segment in self._segments if segment.synced < segment.end]
                for segment, _ in targets:
                    self._borrow(segment)
            try:
                self._sync_to_disk(targets)
            finally:
                with self._lock:
                    for segment, _ in targets:
                        self._give_back(segment)
            with self._lock:
                self._synced_appends = covered

    def _sync_to_disk(self, targets: Sequence[tuple[Segment, int]]) -> None:
        certain = False
        try:
            with told_as_journal_error(f"sync {self._folder.path}"):
                for segment, _ in targets:
                    self._files.sync(segment.open_fd)
                self._sync_names()
            certain = True
        finally:
            with self._lock:
                for segment, end in targets:
                    if certain:
                        segment.synced = end
                    else:
                        segment.doubtful = segment.sealed = True

    def _sync_names(self) -> None:
        """Make the names of all segments survive a loss of power; the caller holds the sync lock."""
        with self._lock:  # taken away first: a segment that begins meanwhile puts its directory in again
            directories, self._unsynced_directories = self._unsynced_directories, set()
        try:
            for directory in directories:
                self._files.sync_directory(directory)
        except OSError:
            with self._lock:
                self._unsynced_directories |= directories
            raise

    def _check_certain(self) -> None:
        if any(segment.doubtful for segment in self._segments):
            raise JournalError(f"an earlier sync of {self._folder.path} failed; its records may not be on the disk")

    # -- reading -----------------------------------------------------------------------------

    def read(
        self,
        after: Position | None = None,
        *,
        max_bytes: int = 4 * _MIB,
        max_items: int = 2**31,
    ) -> list[Record]:
        with self._lock:
            self._check_open()
            # Ends and segments are taken together: a record appended later is left for the next call,
            # none before it is missed when a new segment begins meanwhile.
            steps = [(segment, segment.end) for segment in self._from(after)]
        batch = Batch(max_bytes, max_items)
        for segment, end in steps:
            self._read_segment(segment, after, end, batch)
            if batch.full:
                break
        return batch.records

    def _read_segment(self, segment: Segment, after: Position | None, end: int, batch: Batch) -> None:
        with told_as_journal_error(f"read {self._folder.segment(segment.name)}"), self._use(segment) as there:
            if not there:
                return
            # A log is read from wherever one likes, a spool only from what is still to be dealt with.
            start = 0 if self._keep and after is not None else segment.acknowledged
            if after is not None and after.segment == segment.name:
                start = max(start, segment.after(after.offset, end))
            with self._lock:
                start = self._recent.read(segment.name, start, batch)
            damaged = [] if batch.full else segment.read(start, end, batch)
            if damaged:
                with self._lock:
                    segment.note_damage(damaged)

    def payload(self, position: Position) -> bytes:
        with self._lock:
            self._check_open()
            segment = self._find(position.segment)
        if segment is None:
            raise JournalError(f"there is no segment {position.segment!r} in {self._folder.path}")
        with told_as_journal_error(f"read {self._folder.segment(segment.name)}"), self._use(segment) as there:
            record = segment.record_at(position.offset) if there else None
        if record is not None:
            return record.payload
        raise JournalError(f"there is no whole record at {position.offset} of {self._folder.segment(segment.name)}")

    def _from(self, after: Position | None) -> list[Segment]:
        if after is None:
            return [segment for segment in self._segments if segment.acknowledged < segment.end]
        return self._segments[bisect_left(self._segments, after.segment, key=_name) :]

    def _find(self, name: str) -> Segment | None:
        at = bisect_left(self._segments, name, key=_name)
        return self._segments[at] if at < len(self._segments) and self._segments[at].name == name else None

    # -- acknowledging -----------------------------------------------------------------------

    def acknowledge(self, position: Position) -> int:
        passed = 0
        with self._acknowledge_lock:
            with self._lock:
                self._check_open()
                self._recent.forget(position)
                upto = [
                    segment
                    for segment in self._segments
                    if segment.name <= position.segment and segment.acknowledged < segment.end
                ]
            for segment in upto:
                through = None if segment.name < position.segment else position.offset
                passed += self._acknowledge_segment(segment, through)
        return passed

    def _acknowledge_segment(self, segment: Segment, offset: int | None) -> int:
        with told_as_journal_error(f"read {self._folder.segment(segment.name)}"), self._use(segment) as there:
            if not there:
                return 0
            with self._lock:
                before = segment.acknowledged
                passed = segment.acknowledge(segment.end if offset is None else segment.index.end_of(offset))
                cursor = segment.acknowledged
            if cursor > before:
                # On a full disk the cursor cannot be written. The segment can still be unlinked, which
                # says the same; if it is not whole yet, a crash brings records twice, and none is lost.
                with suppress(OSError):
                    self._folder.write_cursor(segment.name, cursor)
        with self._lock:
            self._settle(segment)
        return passed

    # -- forgetting --------------------------------------------------------------------------

    def extents(self) -> list[Extent]:
        """How much each segment holds, oldest first."""
        with self._lock:
            self._check_open()
            return [Extent(segment.name, segment.end, segment.sealed) for segment in self._segments]

    def ends(self, segment: str) -> tuple[Record, Record] | None:
        """The first and the last whole record of *segment*; ``None`` when it has none, or is gone.

        Raises:
            JournalError: It cannot be read.
        """
        with self._lock:
            self._check_open()
            found = self._find(segment)
        if found is None:
            return None
        with told_as_journal_error(f"read {self._folder.segment(segment)}"), self._use(found) as there:
            return found.ends() if there else None

    def forget(self, segments: Collection[str]) -> int:
        """Unlink whole *segments* of a log for good, oldest first, and return how many bytes they held.

        When it returns, they stay forgotten whatever happens, a loss of power included, and their names are never given
        again: where the newest segment goes, the next one is begun before. Whoever is reading one of them may finish.

        Args:
            segments: Their names; those that are gone already are passed over.

        Raises:
            ValueError: One of them is still being written; `begin_afresh` ends it.
            JournalError: This journal is no log, or one cannot be unlinked. Those before it are forgotten, and the
                others are as they were.
        """
        with self._lock:
            self._check_open()
            doomed = self._doomed(segments)
            if doomed and doomed[-1] is self._segments[-1]:
                self._begin_segment()
        if not doomed:
            return 0
        with self._sync_lock, told_as_journal_error(f"forget segments of {self._folder.path}"):
            self._sync_names()  # a name above all that go must be there to stay before the first one goes
            freed = sum(map(self._unlink, doomed))
            self._files.sync_directory(self._folder.path)
        return freed

    def _doomed(self, names: Collection[str]) -> list[Segment]:
        if not self._keep:
            raise JournalError(f"{self._folder.path} is no log: its segments go when they are acknowledged")
        doomed = [segment for segment in self._segments if segment.name in names]
        if doomed and not doomed[-1].sealed:
            raise ValueError(f"the segment {doomed[-1].name} is still being written; call begin_afresh first")
        return doomed

    def _unlink(self, segment: Segment) -> int:
        with self._lock:
            if segment.retired:
                return 0
            self._folder.remove(segment.name)
            self._recent.drop(segment.name)
            self._let_go(segment)
            return segment.end

    # -- the life of a segment ---------------------------------------------------------------

    @contextmanager
    def _use(self, segment: Segment) -> Iterator[bool]:
        """Keep the segment's file open for the block; ``False`` when the segment is gone."""
        with self._lock:
            there = not segment.retired
            if there:
                self._borrow(segment)
        try:
            yield there
        finally:
            if there:
                with self._lock:
                    self._give_back(segment)

    def _borrow(self, segment: Segment) -> None:
        if segment.fd is None:
            segment.fd = self._files.open_read(self._folder.segment(segment.name))
        segment.users += 1

    def _give_back(self, segment: Segment) -> None:
        segment.users -= 1
        self._settle(segment)

    def _settle(self, segment: Segment) -> None:
        """Unlink or close *segment* if nothing needs it any more; the caller holds the lock."""
        if segment.users or not segment.sealed:
            return
        if segment.retired:
            segment.close()
        elif not self._keep and segment.acknowledged >= segment.end:
            self._remove(segment)
        elif self._closed or (self._keep and (segment.synced >= segment.end or segment.doubtful)):
            segment.close()

    def _remove(self, segment: Segment) -> None:
        # Unlinked while the lock is held: nobody adopts what is delivered. What cannot be unlinked
        # has its cursor at its end, and its adopter finds nothing to do.
        with suppress(OSError):
            self._folder.remove(segment.name)
        self._let_go(segment)

    def _let_go(self, segment: Segment) -> None:
        """Own *segment* no more; a call that is using it goes on, and closes it."""
        segment.retired = True
        self._segments.remove(segment)
        self._room.own_bytes -= segment.end
        self._past_corruption = self._past_corruption.plus(segment.damage.total)
        self._settle(segment)

    def begin_afresh(self) -> None:
        with self._lock:
            self._check_open()
            if self._segments:
                self._seal(self._segments[-1])

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for segment in tuple(self._segments):
                segment.sealed = True
                self._settle(segment)  # or the call that is using it does, when it is through
            if self._owner_fd is not None:
                with suppress(OSError):
                    self._files.close(self._owner_fd)

    def abandon_after_fork(self) -> None:
        descriptors = [segment.fd for segment in self._segments] + [self._owner_fd]
        # The locks may be held by threads that do not exist in this process.
        self._forget()
        self._room.own_bytes = 0
        self._closed = True
        for fd in descriptors:
            if fd is not None:
                with suppress(OSError):
                    self._files.close(fd)

    def _take_over(self) -> None:
        """Become the one writer of a kept log and take in the segments of earlier lives."""
        with told_as_journal_error(f"open the log {self._folder.path}"), ExitStack() as unless_done:
            fd = self._files.open_append(self._folder.owner_lock())
            unless_done.callback(self._files.close, fd)
            if not self._files.lock(fd):
                raise JournalLockedError(f"another process is writing the log in {self._folder.path}")
            self._segments = [self._earlier_segment(name) for name in self._folder.names(self._prefix)]
            self._room.own_bytes = sum(segment.end for segment in self._segments)
            self._owner_fd = fd
            unless_done.pop_all()

    def _earlier_segment(self, name: str) -> Segment:
        segment = Segment(self._folder, name, None, end=self._files.lstat(self._folder.segment(name)).st_size)
        segment.acknowledged = min(self._folder.read_cursor(name), segment.end)
        return segment

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError(f"the journal in {self._folder.path} is closed")

    # -- figures -----------------------------------------------------------------------------

    @property
    def durable(self) -> bool:
        return True

    @property
    def dirty(self) -> bool:
        with self._lock:
            return self._synced_appends < self._appends

    @property
    def last(self) -> Position | None:
        return self._last

    @property
    def pending_items(self) -> int:
        return self._over_segments(lambda segment: segment.pending_items)

    @property
    def pending_bytes(self) -> int:
        return self._over_segments(lambda segment: segment.pending_bytes)

    def _over_segments(self, figure: Callable[[Segment], int]) -> int:
        total = 0
        with self._lock, told_as_journal_error(f"count what is in {self._folder.path}"):
            for segment in tuple(self._segments):
                with self._use(segment):
                    total += figure(segment)
        return total

    @property
    def segment_bytes(self) -> int:
        """Size at which a new segment begins."""
        return self._segment_bytes

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return self._room.own_bytes

    @property
    def corruption(self) -> Corruption:
        """What was found damaged since the journal was opened."""
        with self._lock:
            total = self._past_corruption
            for segment in self._segments:
                total = total.plus(segment.damage.total)
            return total


def _name(segment: Segment) -> str:
    return segment.name
