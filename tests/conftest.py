"""What all tests share: a clean environment, hypothesis profiles, the async backend, databases and brokers."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import engines
from engines import nats_server, postgres_server, rabbitmq_server, redis_server

pytest.register_assert_rewrite("read_models")

# `fast` is for the keyboard, `ci` for the default run of `dev.py test`: HYPOTHESIS_PROFILE=fast pytest ...
settings.register_profile("fast", max_examples=20, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

__all__ = ["nats_server", "postgres_server", "rabbitmq_server", "redis_server"]

FOLDERS = ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")

# Whatever outlives a test, such as the line at exit, finds these and not the developer's own folders.
home_of_the_run = tempfile.TemporaryDirectory(prefix="honeyhive-tests-", ignore_cleanup_errors=True)
os.environ.update({name: str(Path(home_of_the_run.name, name.lower())) for name in FOLDERS})


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the developer's own settings and give each test folders of its own for state and data."""
    for name in [name for name in os.environ if name.startswith(("HH_", "HONEYHIVE_", "OTEL_"))]:
        monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("xdg")
    for name in FOLDERS:
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(autouse=True)
def _no_default_tracer() -> Iterator[None]:
    """Let no test trace with what an earlier one has left behind."""
    yield
    registry = sys.modules.get("honeyhive.tracer.registry")
    if registry is not None:
        registry.set_default_tracer(None)


@pytest.fixture
def anyio_backend() -> str:
    """Run tests marked `anyio` on asyncio; a test for trio asks for it by parametrising."""
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a database or a broker; what breaks or starts real processes may fail once.

    A busy machine can outlast any deadline of theirs. The summary names what was run again.
    """
    engines.mark(items)
    for item in items:
        if item.get_closest_marker("fault") or item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.flaky(reruns=1))
