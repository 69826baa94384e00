"""What waits in the spools of this machine, for people at a command line: to look at, prove, send and give up.

None of it touches the segments of a process that is alive: those are locked by it, and it sends them itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from honeyhive.config import Backend, Settings
from honeyhive.exceptions import ConfigurationError, JournalError
from honeyhive.journal import AdoptedSegment, Corruption, SegmentFacts, adopt, inspect
from honeyhive.models.wire import RecordKind, spool_root
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.tracer.export.delivery import Delivery, DeliveryLimits
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.rules import Reply
from honeyhive.tracer.export.sender import HttpSender, LocalSender, Muted, Sender, Transport
from honeyhive.tracer.export.spool import DeadJournal, Spool
from honeyhive.tracer.export.statistics import Ledger, Statistics
from honeyhive.tracer.export.storage import MemoryStorage
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["DestinationSpool", "give_up", "look", "send_leftovers", "spool_folder"]

_SHORTEST_REQUEST_S = 0.05
_chance = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class DestinationSpool:
    """The spool of one destination, as it lies on the disk."""

    id: str
    segments: Sequence[SegmentFacts]

    @property
    def waiting(self) -> int:
        """Spans that are not delivered yet, those of living processes included."""
        return sum(segment.pending_items for segment in self.segments)

    @property
    def orphaned(self) -> int:
        """Spans of dead processes that are not delivered yet."""
        return sum(segment.pending_items for segment in self.segments if not segment.owner_alive)

    @property
    def corruption(self) -> Corruption:
        """What is damaged in it, as far as it was looked for."""
        total = Corruption()
        for segment in self.segments:
            total = total.plus(segment.corruption)
        return total


def spool_folder(settings: Settings) -> Path:
    """Return the folder of all spools.

    Raises:
        ConfigurationError: There is no home directory, and no other folder is set.
    """
    if settings.spool_dir is not None:
        return Path(settings.spool_dir)
    try:
        return spool_root()
    except RuntimeError as error:
        raise ConfigurationError("there is no home directory for the spool; set XDG_STATE_HOME") from error


def look(root: Path, *, verify: bool = False) -> list[DestinationSpool]:
    """Return the spool of every destination under *root* that has segments; changes nothing.

    Args:
        root: The folder of all spools.
        verify: Read every record and prove its checksum, instead of the headers only.

    Raises:
        JournalError: A spool cannot be read.
    """
    try:
        folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalError(f"cannot read {root}: {error}") from error
    spools = (DestinationSpool(folder.name, inspect(folder, verify=verify)) for folder in folders)
    return [spool for spool in spools if spool.segments]


def give_up(root: Path, destination_id: str) -> int:
    """Delete the segments of dead processes for one destination, and return how many spans are lost by that.

    Raises:
        JournalError: The spool cannot be read.
    """
    return sum(segment.discard() for segment in adopt(root / destination_id))


def send_leftovers(
    source_id: str,
    backend: Backend,
    settings: Settings,
    *,
    timeout_s: float,
    transport: Transport,
    clock: Clock | None = None,
    draw: Callable[[], float] = _chance.random,
) -> Statistics:
    """Send what dead processes left for one destination to where the settings say now.

    Args:
        source_id: Whose spool; another one than the backend's own after a change of keys or addresses.
        backend: Where to.
        settings: Those of now: spool folder, size of requests, how long one may take.
        timeout_s: When to stop; what is not sent by then stays.
        transport: Exchanges requests for replies.
        clock: Measures.
        draw: Draws numbers from 0 up to 1, for jitter.

    Returns:
        What became of the spans that were looked at: delivered, dropped with reasons, or still spooled.

    Raises:
        ConfigurationError: There is nothing to send with.
        JournalError: The spool cannot be read.
    """
    if backend.protocol == "grpc" and backend.traces_url:
        raise ConfigurationError("a spool is sent over HTTP; set HH_OTLP_PROTOCOL=http/protobuf and an address for it")
    clock = clock or SystemClock()
    deadline = clock.monotonic() + timeout_s
    folder = spool_folder(settings) / source_id
    leftovers = _Leftovers(adopt(folder))
    ledger = Ledger()
    reporter = Reporter(backend.traces_url or "the backend on this machine", str(folder), clock)
    spool = Spool(leftovers, ledger=ledger, reporter=reporter, charge=_cost_nothing, clock=clock)
    delivery = Delivery(
        spool,
        _sender(backend, transport, lambda: min(settings.export_timeout, deadline - clock.monotonic()), clock),
        ledger=ledger,
        reporter=reporter,
        breaker=CircuitBreaker(timeout=1.0, clock=clock),
        limits=DeliveryLimits(max_spans=settings.max_export_batch_size),
        clock=clock,
        random=draw,
    )
    with closing(leftovers):
        _deliver_all(delivery, spool, clock, deadline)
    return ledger.snapshot()


def _deliver_all(delivery: Delivery, spool: Spool, clock: Clock, deadline: float) -> None:
    """Take step after step until nothing is left, nobody is there, or time is up."""
    while (left := deadline - clock.monotonic()) > 0:
        if not delivery.step(hasty=True):
            if not spool.adopt():
                return
        elif delivery.absent:
            return
        pause = delivery.not_before - clock.monotonic()
        if pause > 0:
            clock.sleep(min(pause, left))


def _sender(backend: Backend, transport: Transport, timeout_s: Callable[[], float], clock: Clock) -> Sender:
    destination = Destination.of(backend)
    if not destination.usable:
        return Muted()

    def patience_s() -> float:
        return max(_SHORTEST_REQUEST_S, timeout_s())

    if destination.is_local:
        return LocalSender(lambda: transport, patience_s, clock)
    sender = HttpSender(destination, lambda: transport, patience_s)
    return sender if destination.rest_url else _SpansOnly(sender)


def _cost_nothing(_: int) -> None:
    """Records stay on disk here, so none is charged to memory."""


class _Leftovers(MemoryStorage):
    """A storage that holds nothing but what the dead left."""

    def __init__(self, segments: Generator[AdoptedSegment, None, None]) -> None:
        self._segments = segments

    def left_by_the_dead(self) -> Iterator[DeadJournal]:
        return self._segments

    def close(self) -> None:
        """Let go of the segment in hand, for whoever comes next."""
        self._segments.close()


@dataclass(frozen=True, slots=True)
class _NoSuchCall:
    """The answer of a backend without a REST API."""

    status: int = 404
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class _SpansOnly:
    """A sender to a backend that has no REST API: calls of it are answered as it would answer them."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def ready(self) -> bool:
        return self._sender.ready()

    def send(self, kind: RecordKind, payload: bytes) -> Reply:
        return _NoSuchCall() if kind is RecordKind.REST else self._sender.send(kind, payload)
