"""Where a process listens."""

from __future__ import annotations

import socket

import pytest

from honeyhive.exceptions import ConfigurationError
from honeyhive.runtime.serving import listen


def test_answers_do_not_wait_for_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as listeners:
        # What asyncio looks at before it sets TCP_NODELAY.
        assert {listener.proto for listener in listeners} == {socket.IPPROTO_TCP}


def test_localhost_is_reached_by_either_of_its_addresses() -> None:
    with listen("127.0.0.1", 0) as listeners:
        ports = {listener.getsockname()[1] for listener in listeners}

        assert len(ports) == 1
        with socket.create_connection(("localhost", ports.pop()), timeout=5):
            pass


def test_a_port_in_use_is_told_with_the_fix() -> None:
    with listen("127.0.0.1", 0) as [listener, *_]:
        port = listener.getsockname()[1]

        with pytest.raises(ConfigurationError, match="--port 0"), listen("127.0.0.1", port):
            pass
