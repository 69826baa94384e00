r"""For users' own tests: what their code records, without network, disk or luck.

::

    def test_the_agent_asks_the_tool(capture_spans):  # a pytest fixture that comes with the package
        answer("Rain in Oslo?")

        assert "answer [chain]\n  weather [tool]" == capture_spans.tree()

`TestableTracer` and `TracerFactory` make tracers for tests; `CountingIds` and
`ManualClock` make what they record predictable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from honeyhive.utils.rooms import lookup

if TYPE_CHECKING:
    from honeyhive.testing.bus_contracts import BusContract
    from honeyhive.testing.clock import ManualClock
    from honeyhive.testing.exporter import MemoryExporter, RecordedError, RecordedSpan
    from honeyhive.testing.fake_kafka import FakeKafka
    from honeyhive.testing.ids import CountingIds
    from honeyhive.testing.store_contracts import EventLogContract, EventStoreContract, SnapshotStoreContract
    from honeyhive.testing.tracers import SpanCapture, TestableTracer, TracerFactory

_HOMES = {
    "BusContract": "bus_contracts",
    "CountingIds": "ids",
    "EventLogContract": "store_contracts",
    "EventStoreContract": "store_contracts",
    "FakeKafka": "fake_kafka",
    "ManualClock": "clock",
    "MemoryExporter": "exporter",
    "RecordedError": "exporter",
    "RecordedSpan": "exporter",
    "SnapshotStoreContract": "store_contracts",
    "SpanCapture": "tracers",
    "TestableTracer": "tracers",
    "TracerFactory": "tracers",
}
__all__ = [
    "BusContract",
    "CountingIds",
    "EventLogContract",
    "EventStoreContract",
    "FakeKafka",
    "ManualClock",
    "MemoryExporter",
    "RecordedError",
    "RecordedSpan",
    "SnapshotStoreContract",
    "SpanCapture",
    "TestableTracer",
    "TracerFactory",
]


__getattr__ = lookup(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
