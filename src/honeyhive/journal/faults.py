"""A file system that fails on purpose, for tests of whatever stands on a journal.

::

    files = FaultyFiles(Fault.NO_SPACE, at=7)
    journal = Journal(tmp_path, files=files)  # its seventh file operation finds the disk full

Run the same work for ``at=1, 2, 3, ...`` until `FaultyFiles.fired` stays false, and every
operation has failed once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path

from honeyhive.journal.files import DiskSpace, Files

__all__ = ["Fault", "FaultyFiles", "SimulatedDeath"]


class SimulatedDeath(BaseException):
    """The process has died; nothing after it happens. Not an `Exception`: nobody handles his own death."""


class Fault(Enum):
    """What happens to the chosen operation."""

    NO_SPACE = "no space"
    """It fails with ``ENOSPC`` and does nothing."""
    IO_ERROR = "I/O error"
    """It fails with ``EIO`` and does nothing."""
    NO_DESCRIPTOR = "no descriptor"
    """It fails with ``EMFILE`` and does nothing."""
    CUT_WRITE = "cut write"
    """A write takes half of the bytes and says so; other operations work."""
    FULL_MIDWAY = "full midway"
    """A write takes half of the bytes and says so, and the next one finds no space; other operations work."""
    DEATH = "death"
    """The process dies; a write has taken half of the bytes."""
    POWER_LOSS = "power loss"
    """As ``DEATH``, and what was not synced is undone: bytes and names are gone, names that were taken away are back."""


_ERRNO: dict[Fault | None, int] = {
    Fault.NO_SPACE: errno.ENOSPC,
    Fault.IO_ERROR: errno.EIO,
    Fault.NO_DESCRIPTOR: errno.EMFILE,
}
_CUTS = frozenset({Fault.CUT_WRITE, Fault.FULL_MIDWAY, Fault.DEATH, Fault.POWER_LOSS})


class FaultyFiles(Files):
    """The real file system with a fault in it; for one thread.

    Args:
        fault: What happens; ``None`` for nothing.
        at: To which operation, counted from 1.

    Attributes:
        operations: The names of the operations so far, in order; they are the names of the methods.
        fired: Whether the chosen operation was reached.
        dead: Whether the simulated process is dead; its descriptors are closed, its locks free.
    """

    def __init__(self, fault: Fault | None = None, *, at: int = 1) -> None:
        self._planned = {} if fault is None else {at: fault}
        self._next: dict[str, Fault] = {}
        self._open: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}
        self._unnamed: set[Path] = set()
        self._unlinked: dict[Path, bytes] = {}
        self._lost: list[tuple[Path, int, int]] = []
        self.operations: list[str] = []
        self.fired = False
        self.dead = False

    def fail_next(self, operation: str, fault: Fault) -> None:
        """Let *fault* happen to the next *operation*, such as ``"write"``."""
        self._next[operation] = fault

    @property
    def has_plans(self) -> bool:
        """Whether an operation is still to fail because of `fail_next`."""
        return bool(self._next)

    def create(self, path: Path) -> int:
        self._step("create")
        return self._opened(super().create(path), path, fresh=True)

    def open_append(self, path: Path) -> int:
        self._step("open_append")
        fresh = not path.exists()
        return self._opened(super().open_append(path), path, fresh=fresh)

    def open_read(self, path: Path) -> int:
        self._step("open_read")
        fd = super().open_read(path)
        # Not in the books of what is synced: what its writer appends later is not this process's to lose.
        self._open[fd] = path
        return fd

    def close(self, fd: int) -> None:
        try:
            self._step("close")
        finally:  # a close that fails has closed all the same
            if self._open.pop(fd, None) is not None:
                super().close(fd)

    def write(self, fd: int, parts: Sequence[bytes]) -> int:
        data = b"".join(parts)
        fault = self._fault("write")
        if fault in _CUTS:
            data = data[: len(data) // 2]
        if fault not in _ERRNO:
            super().write(fd, (data,))
        self._happen(fault)
        return len(data)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._step("pread")
        return super().pread(fd, size, offset)

    def sync(self, fd: int) -> None:
        path, size = self._open[fd], os.fstat(fd).st_size
        try:
            self._step("sync")
        except OSError:
            # The kernel reports a failed write-back once and then takes the pages for clean.
            self._lost.append((path, self._synced.get(path, size), size))
            raise
        finally:
            self._synced[path] = size

    def sync_directory(self, path: Path) -> None:
        self._step("sync_directory")
        self._unnamed = {name for name in self._unnamed if name.parent != path}
        self._unlinked = {name: content for name, content in self._unlinked.items() if name.parent != path}

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        content = path.read_bytes()
        super().unlink(path)
        self._unlinked[path] = content

    def list(self, path: Path) -> Sequence[str]:
        self._step("list")
        return super().list(path)

    def mkdir(self, path: Path) -> None:
        self._step("mkdir")
        super().mkdir(path)

    def lstat(self, path: Path) -> os.stat_result:
        self._step("lstat")
        return super().lstat(path)

    def fstat(self, fd: int) -> os.stat_result:
        self._step("fstat")
        return super().fstat(fd)

    def lock(self, fd: int) -> bool:
        self._step("lock")
        return super().lock(fd)

    def disk(self, path: Path) -> DiskSpace:
        self._step("disk")
        return super().disk(path)

    def die(self, *, power_loss: bool = False) -> None:
        """Let the simulated process die here: descriptors close, and with *power_loss* unsynced data is gone."""
        self.dead = True
        for fd in tuple(self._open):
            del self._open[fd]
            super().close(fd)
        if power_loss:
            self._lose_power()

    def _step(self, operation: str) -> None:
        self._happen(self._fault(operation))

    def _fault(self, operation: str) -> Fault | None:
        """What is to happen to this operation, which is hereby counted."""
        if self.dead:
            raise SimulatedDeath
        self.operations.append(operation)
        fault = self._planned.get(len(self.operations))
        self.fired = self.fired or fault is not None
        return fault or self._next.pop(operation, None)

    def _happen(self, fault: Fault | None) -> None:
        if fault is Fault.FULL_MIDWAY:
            self._next["write"] = Fault.NO_SPACE
        elif fault in (Fault.DEATH, Fault.POWER_LOSS):
            self.die(power_loss=fault is Fault.POWER_LOSS)
            raise SimulatedDeath
        elif fault in _ERRNO:
            raise OSError(_ERRNO[fault], os.strerror(_ERRNO[fault]))

    def _opened(self, fd: int, path: Path, *, fresh: bool) -> int:
        self._open[fd] = path
        self._synced.setdefault(path, 0 if fresh else os.fstat(fd).st_size)
        if fresh:
            self._unnamed.add(path)
            self._unlinked.pop(path, None)
        return fd

    def _lose_power(self) -> None:
        for path, content in self._unlinked.items():
            path.write_bytes(content)
        for path, size in self._synced.items():
            with suppress(FileNotFoundError):
                if path.stat().st_size > size:
                    os.truncate(path, size)
        for path, start, end in self._lost:
            with suppress(FileNotFoundError), path.open("r+b") as file:
                file.seek(start)
                file.write(bytes(end - start))
        for path in self._unnamed:
            path.unlink(missing_ok=True)
