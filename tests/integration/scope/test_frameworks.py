"""One small shop in three web frameworks, each served by a real server: every request has a scope of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

APPS = Path(__file__).with_name("apps")
REQUESTS = 20


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of the app that the test names."""
    pytest.importorskip(request.param.removeprefix("with_"))
    server = subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", str(APPS / "serve.py"), request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=APPS,
    )
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    if not port:
        pytest.fail(server.communicate()[1][-2000:])
    # Servers close a connection on which an error has left the app, at a moment of their own.
    each_alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20, limits=each_alone) as client:
        yield client
    server.terminate()
    server.communicate(timeout=20)


def each_request_has_its_own_scope(shop: httpx.Client) -> None:
    """Ask many times at once, also for what fails, and see what is left."""

    def ask(number: int) -> httpx.Response:
        return shop.get("/price/broken" if number % 5 == 0 else "/price/tea", headers={"user": f"user {number}"})

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(ask, range(REQUESTS)))

    for number, response in enumerate(responses):
        if number % 5 == 0:
            assert 500 == response.status_code
        else:
            expected = {"user": f"user {number}", "prices": [3, 3, 3], "connection": f"connection of user {number}"}
            assert expected == response.json()
    left = shop.get("/left").json()
    assert ([], False) == (left["open"], left["in_scope"])
    assert {f"user {number}" for number in range(REQUESTS)} == set(left["ended"])


@pytest.mark.acceptance("H37")
@pytest.mark.parametrize("shop", ["with_fastapi"], indirect=True)
def test_in_fastapi_a_dependency_opens_the_scope_of_a_request(shop: httpx.Client) -> None:
    each_request_has_its_own_scope(shop)


@pytest.mark.parametrize("shop", ["with_fastapi"], indirect=True)
def test_in_fastapi_a_handler_in_a_thread_sees_the_scope_too(shop: httpx.Client) -> None:
    assert "ada" == shop.get("/user", headers={"user": "ada"}).json()


@pytest.mark.acceptance("H38")
@pytest.mark.parametrize("shop", ["with_django"], indirect=True)
def test_in_django_a_decorator_opens_the_scope_of_an_async_view(shop: httpx.Client) -> None:
    each_request_has_its_own_scope(shop)


@pytest.mark.acceptance("H39")
@pytest.mark.parametrize("shop", ["with_flask"], indirect=True)
def test_in_flask_an_async_view_opens_its_scope(shop: httpx.Client) -> None:
    each_request_has_its_own_scope(shop)
