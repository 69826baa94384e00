"""A program's log lines and losses, as its backend shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging
from honeyhive import HoneyHiveTracer
from honeyhive.tracer.export import DropReason
tracer = HoneyHiveTracer.init(project="shop", capture_logs=True)
with tracer.start_span("work") as span:
    logging.getLogger("app").warning("<b>three</b> items are left")
tracer.span_processor.pipeline.refuse(2, DropReason.QUEUE_FULL)
print(f"{span.get_span_context().trace_id:032x}")
"""


def test_lines_and_losses_of_a_program_are_shown(server: Any, eventually: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ, capture_output=True, text=True, timeout=25, check=True
    )
    trace_id = done.stdout.strip()

    with server.client() as client:
        logs = client.get(f"/v1/traces/{trace_id}/logs", params={"wait": 1}).json()["logs"]
        # What a program could not say any more before it ended waits in its journal, which the backend adopts.
        reports = eventually(lambda: client.get("/v1/client-reports", params={"wait": 1}).json()["client_reports"])
        page = client.get(f"/traces/{trace_id}").text
        traces = client.get("/traces").text

    assert [log["body"] for log in logs] == ["<b>three</b> items are left"]
    assert [report["dropped"] for report in reports] == [{"queue_full": 2}]
    assert "&lt;b&gt;three&lt;/b&gt; items are left" in page
    assert "lost 2 spans: 2 queue_full" in traces
