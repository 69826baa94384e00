"""Flows and their two drivers: no network, no clock."""

from __future__ import annotations

import anyio
import httpx
import pytest

from honeyhive.api.flow import Send, Wait, run, run_async
from honeyhive.api.pool import ConnectionPool
from honeyhive.api.rate import RateLimit
from honeyhive.api.transport import Request, Transport
from honeyhive.exceptions import APIConnectionError
from honeyhive.testing import ManualClock

ASK = Send(Request("GET", "http://service/", {}), 1.0, 1000)


def transport(handler):
    mock = httpx.MockTransport(handler)
    return Transport(ConnectionPool(transport=lambda _: mock, async_transport=lambda _: mock))


@pytest.fixture(params=["run", "run_async"])
def drive(request):
    if request.param == "run":
        return lambda flow, transport: run(flow, transport, ManualClock())
    return lambda flow, transport: anyio.run(run_async, flow, transport)


def test_a_flow_gets_the_replies_and_returns_its_result(drive):
    def flow():
        first = yield ASK
        yield Wait(0.001)
        second = yield ASK
        return first.body + second.body

    bodies = iter([b"one", b"two"])

    assert drive(flow(), transport(lambda _: httpx.Response(200, content=next(bodies)))) == b"onetwo"


def test_a_flow_sees_the_transport_fail_and_may_go_on(drive):
    def handler(request):
        raise httpx.ConnectError("refused")

    def flow():
        try:
            yield ASK
        except APIConnectionError as error:
            return str(error)

    assert drive(flow(), transport(handler)) == "cannot reach http://service: refused"


def test_what_a_flow_raises_reaches_the_caller_as_it_is(drive):
    error = APIConnectionError("mine")

    def flow():
        yield ASK
        raise error

    with pytest.raises(APIConnectionError) as caught:
        drive(flow(), transport(lambda _: httpx.Response(200)))

    assert caught.value is error


def test_a_flow_is_closed_when_its_driver_is_stopped(drive):
    closed = []

    def flow():
        try:
            yield ASK
        finally:
            closed.append(True)

    def handler(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(flow(), transport(handler))

    assert closed == [True]


def test_no_window_holds_more_starts_than_the_limit():
    limit = RateLimit(3, 10.0, ManualClock())

    assert [limit.reserve() for _ in range(7)] == [0, 0, 0, 10, 10, 10, 20]
