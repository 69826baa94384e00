"""Every touch of the file system that a journal makes, in one small class.

Journals take a `Files` through their constructor. The real one is this thin layer over
`os`; `honeyhive.journal.faults` has one that fails the N-th operation on purpose, which is
how the promises of the journal are proved.

Nothing POSIX-only is imported at module level. Where there is no ``flock`` and no ``pread``
(Windows), `Files.supported` is false and only `MemoryJournal` works.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["DiskSpace", "Files"]

_LONGEST_VECTOR = 1024
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
# A planted FIFO must not hang the open.
_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)


class DiskSpace(NamedTuple):
    """The room on the disk below a path, in bytes."""

    free: int
    total: int


class Files:
    """The real file system.

    Every method is one system call (or the portable equivalent of one) and raises `OSError`.
    No method follows a symbolic link in the last part of a path.
    """

    @property
    def supported(self) -> bool:
        """Whether this platform has what a journal on disk needs."""
        return hasattr(os, "pread") and hasattr(os, "writev") and sys.platform != "win32"

    def create(self, path: Path) -> int:
        """Open a new file for appending and reading, mode 0600; it must not exist."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _CLOSE_ON_EXEC, 0o600)

    def open_append(self, path: Path) -> int:
        """Open *path* for appending, creating it with mode 0600."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _CLOSE_ON_EXEC | _NEVER_WAIT, 0o600)

    def open_read(self, path: Path) -> int:
        """Open *path* for reading."""
        return os.open(path, os.O_RDONLY | _CLOSE_ON_EXEC | _NEVER_WAIT)

    def close(self, fd: int) -> None:
        """Close *fd*; a lock taken through it is free when no copy of it remains."""
        os.close(fd)

    def write(self, fd: int, parts: Sequence[bytes]) -> int:
        """Write the joined *parts* in one call and return how many bytes were taken."""
        if len(parts) > _LONGEST_VECTOR:
            return os.write(fd, b"".join(parts))
        return os.writev(fd, parts)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Read *size* bytes at *offset*, fewer only at the end of the file."""
        data = os.pread(fd, size, offset)
        while data and len(data) < size:
            more = os.pread(fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def sync(self, fd: int) -> None:
        """Make the content of *fd* survive a loss of power."""
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            getattr(os, "fdatasync", os.fsync)(fd)

    def sync_directory(self, path: Path) -> None:
        """Make the names in the directory *path* survive a loss of power."""
        # Followed if it is a link: parents of a journal are the user's own to arrange.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
                raise
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file back to *size* bytes."""
        os.ftruncate(fd, size)

    def unlink(self, path: Path) -> None:
        """Remove the name *path*."""
        path.unlink()

    def list(self, path: Path) -> Sequence[str]:
        """The names in the directory *path*, in no order."""
        return os.listdir(path)

    def mkdir(self, path: Path) -> None:
        """Make the directory *path*, mode 0700."""
        path.mkdir(mode=0o700)

    def lstat(self, path: Path) -> os.stat_result:
        """What *path* itself is."""
        return path.lstat()

    def fstat(self, fd: int) -> os.stat_result:
        """What *fd* is."""
        return os.fstat(fd)

    def lock(self, fd: int) -> bool:
        """Take the exclusive lock of the file behind *fd*, or return ``False`` when it is held elsewhere.

        The lock is free when the last copy of *fd* is closed, at the latest when its process dies.
        """
        import fcntl

        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def disk(self, path: Path) -> DiskSpace:
        """The room on the disk below *path*, as far as this user may use it."""
        facts = os.statvfs(path)
        return DiskSpace(free=facts.f_bavail * facts.f_frsize, total=facts.f_blocks * facts.f_frsize)
