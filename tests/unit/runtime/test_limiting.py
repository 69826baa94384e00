"""The rate limit: requests beyond it are refused, messages and ticks wait for their turn."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from honeyhive.exceptions import RefusedError
from honeyhive.runtime import Execution, HttpExecution, MessageExecution, RateLimit, Service, get, http_app, intercepted
from honeyhive.testing import ManualClock

REQUEST = HttpExecution(name="GET /", method="GET", path="/")


async def admitted(limit: RateLimit, execution: Execution) -> bool:
    try:
        async with intercepted(execution, [limit]):
            return True
    except RefusedError:
        return False


@pytest.mark.anyio
async def test_requests_beyond_the_rate_are_refused_until_time_has_passed() -> None:
    clock = ManualClock()
    limit = RateLimit(rate=2, clock=clock)

    at_once = [await admitted(limit, REQUEST) for _ in range(3)]
    clock.advance(0.5)
    later = [await admitted(limit, REQUEST) for _ in range(2)]

    assert [True, True, False] == at_once
    assert [True, False] == later


@pytest.mark.anyio
async def test_everybody_has_a_share_of_their_own() -> None:
    limit = RateLimit(rate=1, key=lambda execution: execution.carrier["user"], clock=ManualClock())
    ann, bob = (HttpExecution(name="GET /", method="GET", path="/", carrier={"user": user}) for user in ("ann", "bob"))

    assert [True, True, False] == [await admitted(limit, each) for each in (ann, bob, ann)]


@pytest.mark.anyio
async def test_of_too_many_keys_the_one_that_was_quiet_longest_is_forgotten() -> None:
    limit = RateLimit(rate=1, key=lambda execution: execution.carrier["user"], max_keys=2, clock=ManualClock())
    executions = {user: HttpExecution(name="x", method="GET", path="/", carrier={"user": user}) for user in "abc"}

    found = [await admitted(limit, executions[user]) for user in "abacab"]

    # When c comes, b has been quiet longest: it begins anew, and a does not.
    assert [True, True, False, True, False, True] == found


@pytest.mark.anyio
async def test_messages_wait_for_their_turn() -> None:
    limit = RateLimit(rate=1000, burst=1)
    message = MessageExecution(name="process Placed", message_type="Placed", message_id="1")

    assert [True, True, True] == [await admitted(limit, message) for _ in range(3)]


def test_a_refused_request_is_told_when_to_come_back() -> None:
    class Reads:
        @get("/")
        async def read(self) -> None: ...

    service = Service("shop", controllers=[Reads], interceptors=[RateLimit(rate=0.1, clock=ManualClock())])

    with TestClient(http_app(service, environ={})) as client:
        answers = [client.get("/") for _ in range(2)]

    assert [200, 429] == [answer.status_code for answer in answers]
    assert answers[1].headers["retry-after"] == "10"


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": 1, "burst": 0}])
def test_a_limit_that_lets_nothing_through_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive rate and burst"):
        RateLimit(**settings)
