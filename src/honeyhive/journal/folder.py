"""The directory of a journal: its safety, the names in it, the quarantine beside it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from honeyhive.exceptions import JournalError, JournalFullError, JournalUnsafeError
from honeyhive.journal.files import Files
from honeyhive.journal.records import last_cursor, pack_cursor

__all__ = ["Folder", "SegmentName", "as_journal_error", "check_prefix", "told_as_journal_error"]

_SEGMENT = ".seg"
_CURSOR = ".ack"
_OWNER = "owner.lock"
_NAME = re.compile(r"(?:(?P<prefix>[A-Za-z0-9._-]+)-)?(?P<number>[0-9]{10,})")
_PREFIX = re.compile(r"[A-Za-z0-9._-]*")
_QUARANTINE = "quarantine"
_QUARANTINE_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 4096
_OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def told_as_journal_error(doing: str) -> Iterator[None]:
    """Turn an `OSError` into a `JournalError` that says what was being done.

    Raises:
        JournalFullError: The disk, a quota or the largest file size is reached.
        JournalError: Any other reason.
    """
    try:
        yield
    except OSError as error:
        raise as_journal_error(doing, error) from error


def as_journal_error(doing: str, error: OSError) -> JournalError:
    """The `JournalError` for *error*; a `JournalFullError` when the disk, a quota or a file is at its limit."""
    kind = JournalFullError if error.errno in _OUT_OF_ROOM else JournalError
    return kind(f"cannot {doing}: {error.strerror or error}")


class SegmentName(NamedTuple):
    """The parts of a segment's name; ``1234-ab12-0000000007`` is number 7 of the prefix ``1234-ab12``."""

    prefix: str
    number: int

    @property
    def text(self) -> str:
        """The name as it stands in a `Position`; names of one prefix sort as their numbers do."""
        return f"{self.prefix}-{self.number:010d}" if self.prefix else f"{self.number:010d}"

    @classmethod
    def parse(cls, text: str) -> SegmentName | None:
        """The parts of *text*, or ``None`` when no journal gave this name."""
        match = _NAME.fullmatch(text)
        return None if match is None else cls(match["prefix"] or "", int(match["number"]))


class Folder:
    """One directory that holds segments, their cursors, and what was damaged."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self.files = files

    def prepare(self) -> Sequence[Path]:
        """Make the directory if need be and check that it is safe.

        Returns:
            The directories that got a new name in them and are to be synced.

        Raises:
            JournalUnsafeError: It is a link or no directory, belongs to somebody else, or others can write to it.
            JournalError: It cannot be made or looked at.
        """
        with told_as_journal_error(f"make the journal directory {self.path}"):
            changed = list(self._make(self.path))
            facts = self.files.lstat(self.path)
        self._check(facts)
        return changed

    def exists(self) -> bool:
        """Whether there is such a directory.

        Raises:
            JournalUnsafeError: As with `prepare`.
        """
        try:
            facts = self.files.lstat(self.path)
        except FileNotFoundError:
            return False
        self._check(facts)
        return True

    def is_log(self) -> bool:
        """Whether a keeping journal has been at work here."""
        return _OWNER in self.files.list(self.path)

    def has_live_keeper(self) -> bool:
        """Whether a keeping journal is at work here now."""
        try:
            fd = self.files.open_read(self.owner_lock())
        except FileNotFoundError:
            return False
        try:
            return not self.files.lock(fd)
        finally:
            self.files.close(fd)

    def written_at_s(self, name: str) -> float:
        """When the segment *name* was last written, in seconds of the Unix epoch; 0 when it is gone."""
        try:
            return self.files.lstat(self.segment(name)).st_mtime
        except FileNotFoundError:
            return 0.0

    def names(self, prefix: str | None = None) -> list[str]:
        """The names of the segments here, of *prefix* if given, in order; empty when there is no directory."""
        return sorted(name for name in self._stems(_SEGMENT) if prefix is None or _prefix_of(name) == prefix)

    def next_number(self, prefix: str) -> int:
        """A number above every one that *prefix* uses here, be it for a segment or for a cursor left behind."""
        used = (SegmentName.parse(name) for name in self._stems(_SEGMENT, _CURSOR))
        return 1 + max((name.number for name in used if name and name.prefix == prefix), default=0)

    def segment(self, name: str) -> Path:
        """The path of the segment *name*."""
        return self.path / f"{name}{_SEGMENT}"

    def cursor(self, name: str) -> Path:
        """The path of the cursor of the segment *name*."""
        return self.path / f"{name}{_CURSOR}"

    def owner_lock(self) -> Path:
        """The file whose lock says that a keeping journal is at work here."""
        return self.path / _OWNER

    def size_bytes(self, leave_out: Iterable[str] = ()) -> int:
        """Bytes of all segments here but those in *leave_out*, each rounded up to a block.

        Rounding bounds the number of files too: ten thousand tiny segments count as 40 MB.
        """
        left_out = frozenset(leave_out)
        return sum(self._size_on_disk(name) for name in self._stems(_SEGMENT) if name not in left_out)

    def write_cursor(self, name: str, offset: int) -> None:
        """Note that the segment *name* is acknowledged up to *offset*."""
        fd = self.files.open_append(self.cursor(name))
        try:
            self.files.write(fd, (pack_cursor(offset),))
        finally:
            self.files.close(fd)

    def read_cursor(self, name: str) -> int:
        """The offset up to which the segment *name* is acknowledged; 0 without a cursor."""
        try:
            fd = self.files.open_read(self.cursor(name))
        except FileNotFoundError:
            return 0
        try:
            return last_cursor(self.files.pread(fd, self.files.fstat(fd).st_size, 0))
        finally:
            self.files.close(fd)

    def remove(self, name: str) -> None:
        """Unlink the segment *name*, then its cursor.

        In this order a crash in between leaves a cursor without a segment, whose name is never
        given again; the other order would bring delivered records back.
        """
        for path in (self.segment(name), self.cursor(name)):
            with suppress(FileNotFoundError):
                self.files.unlink(path)

    def is_ours(self, facts: os.stat_result) -> bool:
        """Whether *facts* tell of a plain file of this user that still has a name."""
        return stat.S_ISREG(facts.st_mode) and facts.st_nlink > 0 and facts.st_uid == os.geteuid()

    def quarantine(self, name: str, offset: int, chunks: Iterable[bytes]) -> None:
        """Keep damaged bytes of the segment *name* for a person to look at; silently not when there is no room.

        The quarantine holds at most 16 MB; the same bytes are kept once.
        """
        place = self.path / _QUARANTINE
        with suppress(OSError):
            with suppress(FileExistsError):
                self.files.mkdir(place)
            room = _QUARANTINE_BYTES - sum(self.files.lstat(place / kept).st_size for kept in self.files.list(place))
            self._copy(place / f"{name}-{offset}.bad", chunks, room)

    def _copy(self, path: Path, chunks: Iterable[bytes], room: int) -> None:
        if room <= 0:
            return
        fd = self.files.create(path)
        try:
            for chunk in chunks:
                if room <= 0:
                    return
                room -= self.files.write(fd, (chunk[:room],))
        finally:
            self.files.close(fd)

    def _make(self, path: Path) -> Iterator[Path]:
        try:
            self.files.mkdir(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            yield from self._make(path.parent)
            with suppress(FileExistsError):
                self.files.mkdir(path)
        yield path.parent

    def _check(self, facts: os.stat_result) -> None:
        if not stat.S_ISDIR(facts.st_mode):
            raise JournalUnsafeError(f"{self.path} is not a directory; remove it or choose another place")
        if facts.st_uid != os.geteuid():
            raise JournalUnsafeError(f"{self.path} belongs to user {facts.st_uid}; choose a directory of your own")
        if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise JournalUnsafeError(f"others can write to {self.path}; run: chmod 700 {self.path}")

    def _stems(self, *suffixes: str) -> Iterator[str]:
        try:
            names = self.files.list(self.path)
        except FileNotFoundError:
            return
        for file_name in names:
            stem, suffix = os.path.splitext(file_name)
            if suffix in suffixes and SegmentName.parse(stem):
                yield stem

    def _size_on_disk(self, name: str) -> int:
        try:
            size = self.files.lstat(self.segment(name)).st_size
        except FileNotFoundError:
            return 0
        return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


def check_prefix(prefix: str) -> str:
    """Return *prefix* if it can stand in a file name.

    Raises:
        ValueError: It has other characters than letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"a journal prefix has only letters, digits, '.', '_' and '-': {prefix!r}")
    return prefix


def _prefix_of(name: str) -> str | None:
    parsed = SegmentName.parse(name)
    return None if parsed is None else parsed.prefix
