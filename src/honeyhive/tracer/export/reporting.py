"""What the export tells people: losses by reason, outages and their end, missing disks. Never a key, never a payload.

Our own backend is told of losses too, so that whoever looks at traces there knows what is missing. Everything else
goes to logger ``honeyhive``, from the export's own threads, each cause once and then at most once a minute.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from honeyhive.tracer.export.statistics import DELIBERATE
from honeyhive.utils import wording
from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.tracer.export.intake import Outlet

__all__ = ["Reporter", "client_report", "losses_since", "say_what_is_left"]

_logger = logging.getLogger("honeyhive")
_QUIET_S = 60.0


class Reporter:
    """Says each thing once about one destination. For the export's threads.

    Args:
        where: The destination for people, without credentials.
        kept_in: Where its spans wait, for people.
        clock: Measures the quiet minutes and the length of outages.
    """

    def __init__(self, where: str, kept_in: str, clock: Clock) -> None:
        self._where = where
        self.kept_in = kept_in
        self._clock = clock
        self._reported: dict[str, int] = {}
        self._quiet_until = 0.0
        self._out_since: float | None = None
        self._delivered_before = 0
        self._complaint = ""
        self._unwanted: set[tuple[str, str]] = set()
        self._diskless = False

    def losses(self, dropped: Mapping[str, int]) -> None:
        """Warn of spans lost since the last warning: of a new reason at once, of known ones once a minute."""
        lost = {reason: count for reason, count in dropped.items() if reason not in DELIBERATE}
        if lost == self._reported:
            return
        now = self._clock.monotonic()
        if lost.keys() <= self._reported.keys() and now < self._quiet_until:
            return
        self._reported = lost
        self._quiet_until = now + _QUIET_S
        totals = ", ".join(f"{count} {reason}" for reason, count in sorted(lost.items()))
        _warn("honeyhive has lost spans for %s so far: %s.", self._where, totals)

    def outage(self, reason: str, delivered: int) -> None:
        """Warn that requests fail; a further failure of the same outage says nothing."""
        if self._out_since is not None:
            return
        self._out_since = self._clock.monotonic()
        self._delivered_before = delivered
        _warn("honeyhive cannot deliver to %s (%s). Spans are kept in %s and sent when it works again.",
              self._where, reason, self.kept_in)  # fmt: skip

    def mend(self, reason: str) -> None:
        """Warn of what only a person can mend; the same complaint is made once until something was delivered."""
        if self._complaint == reason:
            return
        self._complaint = reason
        _warn("honeyhive: %s refuses what is sent (%s): check its address and key. Spans are kept in %s.",
              self._where, reason, self.kept_in)  # fmt: skip

    def unwanted(self, what: str, reason: str) -> None:
        """Warn that *what* is refused and dropped, although spans are not; once for each reason."""
        if (what, reason) not in self._unwanted:
            self._unwanted.add((what, reason))
            _warn("honeyhive: %s takes no %s (%s); spans are not affected.", self._where, what, reason)

    def works(self, delivered: int) -> None:
        """Note that a request was accepted; ends an outage with one line."""
        self._complaint = ""
        if self._out_since is None:
            return
        lasted_s, self._out_since = self._clock.monotonic() - self._out_since, None
        _warn("honeyhive delivers to %s again after %.0f s; the first request took %s.",
              self._where, lasted_s, wording.counted(delivered - self._delivered_before, "span"))  # fmt: skip

    def diskless(self, reason: str) -> None:
        """Warn that spans are in memory only; once, until the disk was usable again."""
        if self._diskless:
            return
        self._diskless = True
        _warn("honeyhive keeps spans in memory only, a crash would lose them: %s", reason)

    def disk_back(self) -> None:
        """Note that the disk takes records again."""
        if self._diskless:
            self._diskless = False
            _warn("honeyhive keeps spans on disk again, in %s.", self.kept_in)

    def unsynced(self, reason: str) -> None:
        """Warn that records on disk may not survive a loss of power."""
        if self._complaint != reason:
            self._complaint = reason
            _warn("honeyhive could not make spans safe against loss of power: %s", reason)


def say_what_is_left(outlets: Sequence[Outlet]) -> None:
    """Say, as the process ends, how many spans are kept and how many are lost; nothing if all were delivered."""
    kept: Counter[tuple[str, str]] = Counter()
    lost = 0
    for outlet in outlets:
        statistics = outlet.statistics()
        kept[outlet.keeps_in, outlet.leaves_by] += statistics.spooled
        lost += statistics.lost + statistics.in_memory
    for (place, then), spans in kept.items():
        if spans:
            _warn("honeyhive: %s kept in %s; %s.", wording.counted(spans, "span"), place, then)
    if lost:
        _warn("honeyhive: %s lost in this process.", wording.counted(lost, "span"))


def losses_since(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return how many spans more are lost *now*, by reason; what somebody asked for is no loss."""
    more = {reason: count - before.get(reason, 0) for reason, count in now.items() if reason not in DELIBERATE}
    return {reason: count for reason, count in more.items() if count > 0}


def client_report(lost: Mapping[str, int], time_ns: int) -> bytes:
    """Return the call of the REST API that tells our backend of *lost* spans of this process."""
    body = {
        "report_id": str(uuid4()),
        "process": Path(sys.argv[0]).name if sys.argv else "",
        "pid": os.getpid(),
        "time": time_ns / 1e6,
        "dropped": dict(lost),
    }
    return json.dumps({"method": "POST", "path": "/v1/client-reports", "body": body}).encode()


def _warn(message: str, *values: object) -> None:
    # A host's logging filters and handlers may raise; their trouble is not to stop the export.
    with guard("write a log line"):
        _logger.warning(message, *values)
