"""The bus on Kafka, as far as a Kafka in memory can tell."""

from __future__ import annotations

import functools

import pytest

pytest.importorskip("aiokafka", reason="aiokafka is not installed: pip install honeyhive[kafka]")

from honeyhive.events import KafkaMessageBus
from honeyhive.testing import BusContract, FakeKafka


class TestKafkaMessageBus(BusContract):
    @pytest.fixture
    def open_bus(self):
        return functools.partial(KafkaMessageBus, "kafka://nowhere", partitions=4, lease_s=1, clients=FakeKafka())
