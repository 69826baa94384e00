"""Scopes and OpenTelemetry alone: spans of the global provider, where a scope is to be traced."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from honeyhive import ctx

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

async def main():
    async with ctx.scope("silent"):
        pass
    try:
        async with ctx.scope("app", trace=True):
            async with ctx.scope("inner"):
                ctx.log_info("here")
            raise ValueError("theirs")
    except ValueError:
        pass

anyio.run(main, backend=sys.argv[1])
assert not any(name.startswith("honeyhive.tracer") for name in sys.modules)
assert not trace.get_current_span().is_recording()
for span in exporter.get_finished_spans():
    print(span.name, span.parent is not None, span.status.status_code.name, [event.name for event in span.events])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_traced_scope_has_spans_of_the_global_provider_where_there_is_no_tracer_of_ours(backend: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, backend], capture_output=True, text=True, check=True)

    assert ["inner True UNSET ['log']", "app False ERROR ['exception']"] == done.stdout.splitlines()
    assert "" == done.stderr
