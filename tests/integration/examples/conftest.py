"""What the example tests share: one private backend, and a way to run a program as a user would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
sys.path.append(str(EXAMPLES))

if TYPE_CHECKING:
    from local_backend import LocalBackend

RUN_LIMIT_S = 30


@dataclass(frozen=True)
class Story:
    """A stored trace, for reading in tests."""

    trace: Any

    @property
    def spans(self) -> list[Any]:
        """All spans, parents first."""
        return list(self.trace["span_list"])

    @property
    def lines(self) -> list[str]:
        """The tree in indented lines: name, event type, and ``!`` where it failed."""
        return [
            f"{'  ' * span['depth']}{span['name']} {span['event_type']}{' !' if span['status'] == 'error' else ''}"
            for span in self.spans
        ]

    def named(self, name: str) -> list[Any]:
        """The spans called *name*, in tree order."""
        return [span for span in self.spans if span["name"] == name]


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """One backend for all examples; each has its own project."""
    from local_backend import LocalBackend

    with LocalBackend(tmp_path_factory.mktemp("backend")) as running:
        yield running


@pytest.fixture
def run(backend: LocalBackend) -> Callable[..., str]:
    """Run an example to its end, silent on stderr, and return what it printed."""

    def run_example(name: str, **environment: str) -> str:
        return run_program(EXAMPLES / name, {**backend.environment, **environment})

    return run_example


@pytest.fixture(scope="session")
def run_once(backend: LocalBackend) -> Callable[[str], str]:
    """Like ``run``, but an example that several tests read runs only once."""

    @cache
    def run_example(name: str) -> str:
        return run_program(EXAMPLES / name, backend.environment)

    return run_example


def run_program(program: Path, environment: dict[str, str]) -> str:
    """Run *program* to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.fixture
def story(backend: LocalBackend) -> Callable[[str], Story]:
    """The first whole trace of a project, waited for, with every span's details."""

    def read(project: str) -> Story:
        trace = backend.wait_for_trace(project=project)
        for span in trace["span_list"]:
            span.update(backend.get(f"/v1/traces/{span['trace_id']}/spans/{span['span_id']}"))
        return Story(trace)

    return read
