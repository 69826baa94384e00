"""The plugin offers its fixture, and costs nothing until a test asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USES_IT = """
from honeyhive import trace

@trace(event_name="greet")
def greet(name):
    return f"Hello {name}"

def test_greeting(capture_spans):
    greet("Ada")
    assert "greet [tool]" == capture_spans.tree()
    assert {"name": "Ada"} == capture_spans.named("greet").inputs

def test_each_test_begins_empty(capture_spans):
    assert [] == capture_spans.spans
"""

IS_INERT = """
import sys

def test_nothing_was_loaded():
    assert not {"honeyhive.tracer.tracer", "opentelemetry.sdk.trace", "httpx"} & set(sys.modules)
"""


def run(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    plugins = ["-p", "honeyhive.testing.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:anyio"]
    arguments = ["-q", "--rootdir", str(folder), "-c", "/dev/null", *plugins, str(folder)]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_the_fixture_captures_what_a_user_s_code_traces(tmp_path: Path) -> None:
    done = run(tmp_path, USES_IT)

    assert 0 == done.returncode, done.stdout


def test_the_plugin_is_inert_until_its_fixture_is_used(tmp_path: Path) -> None:
    done = run(tmp_path, IS_INERT)

    assert 0 == done.returncode, done.stdout
