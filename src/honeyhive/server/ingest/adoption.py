"""Taking in what programs recorded while no backend ran.

Their exporters left journal segments in the spool of the local destination. Those whose program is dead have no owner
any more: they are taken into the ingest log like any other request, then acknowledged.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from honeyhive.exceptions import JournalError
from honeyhive.journal import AdoptedSegment, Record, adopt
from honeyhive.models.wire import RecordKind
from honeyhive.runtime.declaring import every
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.chores import Chore, Complaints
from honeyhive.server.records import otlp
from honeyhive.server.records.events import Intake
from honeyhive.server.records.logs import logs_from_protobuf
from honeyhive.server.storage.interface import Log

__all__ = ["Adopter", "Adoption"]


class Adopter:
    """Takes orphaned segments in; for one thread at a time.

    Args:
        spool: The folder of the local destination.
        log: Where adopted records go.
        intake: Checks REST calls.
        limits: The bounds of one record.
    """

    def __init__(self, spool: Path, *, log: Log, intake: Intake, limits: Limits) -> None:
        self._spool = spool
        self._log = log
        self._intake = intake
        self._limits = limits
        self._complaints = Complaints()

    def adopt(self) -> Generator[int, None, None]:
        """Take in what is orphaned now, record by record, and yield how many spans and calls each has brought.

        What is not taken in when the iterator is closed, or when the log takes nothing, stays in the spool.
        """
        try:
            with closing(adopt(self._spool)) as segments:
                for segment in segments:
                    yield from self._take(segment)
        except (JournalError, Refusal) as error:
            self._complain(error)

    def _take(self, segment: AdoptedSegment) -> Iterator[int]:
        while records := segment.read():
            for record in records:
                taken = self._take_record(record)
                segment.acknowledge(record.position)
                yield taken

    def _take_record(self, record: Record) -> int:
        """Check *record* as if it had come over HTTP; what can never be accepted is said once and passed over."""
        try:
            payload = self._checked(record)
        except Refusal as refusal:
            self._complain(refusal)
            return 0
        self._log.append(RecordKind(record.kind), payload, record.items)
        return record.items

    def _checked(self, record: Record) -> bytes:
        if record.kind == RecordKind.SPANS:
            otlp.from_protobuf(record.payload, self._limits)
            return record.payload
        if record.kind == RecordKind.LOGS:
            logs_from_protobuf(record.payload, self._limits)
            return record.payload
        if record.kind == RecordKind.REST:
            return jsontext.dumps(self._intake.submit(*_call(record.payload)).call)
        raise Refusal(400, f"Spooled records of kind {record.kind} are not known.")

    def _complain(self, error: Exception) -> None:
        self._complaints.make(f"The spool of programs that ended could not be taken in whole: {error}")


class Adoption:
    """Has the spool of this machine looked at every second.

    Args:
        adopter: Takes in what is there.
    """

    def __init__(self, adopter: Adopter) -> None:
        self._chore = Chore(adopter.adopt)

    @every("* * * * * *", missed="skip")
    async def adopt(self) -> None:
        """Take in what programs have left."""
        await self._chore.do()


def _call(payload: bytes) -> tuple[str, str, object]:
    try:
        call = jsontext.loads(payload)
    except ValueError:
        raise Refusal(400, "A spooled call is not JSON.") from None
    if not isinstance(call, dict):
        raise Refusal(400, "A spooled call is not an object.")
    return str(call.get("method")), str(call.get("path")), call.get("body")
