"""A worker that projects in small steps until its standard input ends: ``projecting_worker.py URL SCHEMA``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from honeyhive.events.log import DatedRecord
from honeyhive.events.projector import Projector
from honeyhive.journal import Position
from honeyhive.server.index.projector import ReadModel
from honeyhive.server.storage.postgres_log import PostgresLog
from honeyhive.server.stores import PostgresDatabase


class FewAtOnce:
    """A log that gives out few records at once, so that a worker can be killed in the middle."""

    def __init__(self, log: PostgresLog) -> None:
        self._log = log

    def read(self, after: Position | None) -> Sequence[DatedRecord]:
        return self._log.read(after)[:5]


class Telling(ReadModel):
    """A read model that tells when it is open."""

    def open(self) -> None:
        super().open()
        print("open", flush=True)


database = PostgresDatabase(sys.argv[1], schema=sys.argv[2])
Projector(FewAtOnce(PostgresLog(database.pool)), Telling(database)).start()
sys.stdin.read()
