"""Taking in what programs recorded while no backend ran.

Their exporters left journal segments in the spool of the local destination. Those whose program is dead have no owner
any more: they are taken into the ingest log like any other request, then acknowledged.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from honeyhive.exceptions import JournalError
from honeyhive.journal import AdoptedSegment, Record, adopt
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext, otlp
from honeyhive.server.events import Intake
from honeyhive.server.limits import Limits, Refusal
from honeyhive.server.log import IngestLog
from honeyhive.server.logs import logs_from_protobuf

__all__ = ["Adopter"]

_INTERVAL_S: Final = 1.0

_logger = logging.getLogger("honeyhive.server")


class Adopter:
    """Looks for orphaned segments now and every second, in a thread of its own.

    Args:
        spool: The folder of the local destination.
        log: Where adopted records go.
        intake: Checks REST calls.
        limits: The bounds of one record.
    """

    def __init__(self, spool: Path, *, log: IngestLog, intake: Intake, limits: Limits) -> None:
        self._spool = spool
        self._log = log
        self._intake = intake
        self._limits = limits
        self._stop = threading.Event()
        self._complaints: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="honeyhive-adopter", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop after the record in hand; the rest stays for the next server."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def adopt_once(self) -> int:
        """Take in all that is orphaned now.

        Returns:
            How many spans and calls were taken in.

        Raises:
            JournalError: The spool cannot be read.
            Refusal: The log takes nothing at the moment; what is not taken stays in the spool.
        """
        return sum(self._take(segment) for segment in adopt(self._spool))

    def _run(self) -> None:
        while True:
            try:
                self.adopt_once()
            except (JournalError, Refusal) as error:
                self._complain(error)
            if self._stop.wait(_INTERVAL_S):
                return

    def _take(self, segment: AdoptedSegment) -> int:
        taken = 0
        while records := segment.read():
            for record in records:
                if self._stop.is_set():
                    return taken
                taken += self._take_record(record)
                segment.acknowledge(record.position)
        return taken

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
        if str(error) not in self._complaints and len(self._complaints) < 100:
            self._complaints.add(str(error))
            _logger.warning("The spool of programs that ended could not be taken in whole: %s", error)


def _call(payload: bytes) -> tuple[str, str, object]:
    try:
        call = jsontext.loads(payload)
    except ValueError:
        raise Refusal(400, "A spooled call is not JSON.") from None
    if not isinstance(call, dict):
        raise Refusal(400, "A spooled call is not an object.")
    return str(call.get("method")), str(call.get("path")), call.get("body")
