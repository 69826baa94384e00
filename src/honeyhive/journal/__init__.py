"""Append-only checksummed segment files: what must survive a crash goes through here.

One implementation lies under the exporter's spool (many processes, a segment is unlinked when
it is acknowledged), the backend's ingest log and the file event store (one process, segments
are kept until they are forgotten, positions are addresses).

::

    records    the bytes of a record, their checksums; positions
    files      every touch of the file system; `faults` is the one that fails on purpose
    folder     the directory: safety, names, cursors, quarantine
    scan       finding records in bytes, whatever state they are in
    segment    one file: append, read, cursor
    room       how much may still be written
    recent     records just appended, kept in memory for who reads them next
    writer     Journal: the series of segments one process writes
    adoption   taking over the segments of dead processes, and looking at them
    follower   JournalReader: reading what another process is writing
    memory     MemoryJournal: the same without a disk

On the disk nothing is ever changed in place and nothing is renamed over anything::

    <prefix>-<number>.seg   records; the writer holds the file's lock
    <prefix>-<number>.ack   how far the segment is acknowledged
    owner.lock              the lock of a kept log as a whole
    quarantine/             copies of damaged bytes, at most 16 MB
"""

from __future__ import annotations

from honeyhive.journal.adoption import AdoptedSegment, SegmentFacts, adopt, inspect
from honeyhive.journal.files import DiskSpace, Files
from honeyhive.journal.follower import JournalReader
from honeyhive.journal.interface import JournalInterface
from honeyhive.journal.memory import MemoryJournal
from honeyhive.journal.records import HEADER_BYTES, Draft, Position, Record
from honeyhive.journal.segment import Corruption, Extent
from honeyhive.journal.writer import Journal

__all__ = [
    "HEADER_BYTES",
    "AdoptedSegment",
    "Corruption",
    "DiskSpace",
    "Draft",
    "Extent",
    "Files",
    "Journal",
    "JournalInterface",
    "JournalReader",
    "MemoryJournal",
    "Position",
    "Record",
    "SegmentFacts",
    "adopt",
    "inspect",
]
