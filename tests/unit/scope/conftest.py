"""What the tests of scopes share: both event loops, and the states they put in scopes."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each test marked `anyio` on both; one for asyncio alone says so by parametrising."""
    return request.param
