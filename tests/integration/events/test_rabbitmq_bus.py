"""A bus on a real RabbitMQ."""

from __future__ import annotations

import functools

import pytest

from honeyhive.events import RabbitMQMessageBus
from honeyhive.testing import BusContract


class TestRabbitMQMessageBus(BusContract):
    @pytest.fixture
    def open_bus(self, rabbitmq_server):
        return functools.partial(RabbitMQMessageBus, rabbitmq_server.url, partitions=2, lease_s=1)

    @pytest.fixture
    def restart_engine(self, rabbitmq_server):
        def restart() -> None:
            # Not killed: RabbitMQ 3.10 forgets the name of a quorum queue that is less than three minutes old.
            rabbitmq_server.stop()
            rabbitmq_server.start()

        return restart
