"""``set_global=True``: the first provider of a process stays; whoever comes later is told what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

THEIRS_FIRST = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from honeyhive import HoneyHiveTracer

theirs = TracerProvider()
trace.set_tracer_provider(theirs)
HoneyHiveTracer(test_mode=True, set_global=True)
print(trace.get_tracer_provider() is theirs)
"""
OURS_FIRST = """
from opentelemetry import trace
from honeyhive import HoneyHiveTracer

tracer = HoneyHiveTracer(test_mode=True, set_global=True)
print(trace.get_tracer_provider() is tracer.provider)
"""


@pytest.mark.parametrize("program, advice", [(THEIRS_FIRST, "HoneyHiveSpanProcessor"), (OURS_FIRST, "")])
def test_the_first_provider_stays_global(program: str, advice: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "True\n"
    assert advice in done.stderr
    assert "Overriding" not in done.stderr
    assert bool(advice) == bool(done.stderr)
