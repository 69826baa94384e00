"""One trace through two processes: the caller injects its context, the callee extracts it.

The carrier is a plain mapping, such as the headers of a request; here it goes
through a pipe. Trace and session travel in it, in the W3C formats, so that any
OpenTelemetry program can stand at either end.
"""

import json
import subprocess
import sys

from honeyhive import HoneyHiveTracer, trace
from honeyhive.tracer import with_distributed_trace_context

tracer = HoneyHiveTracer.init(project="distributed")


@trace(event_type="chain")
def order(item: str) -> str:
    """Let another process do the work."""
    carrier: dict[str, str] = {}
    tracer.inject_context(carrier)
    request = json.dumps({"headers": carrier, "item": item})
    command = [sys.executable, __file__, "warehouse"]
    return subprocess.run(command, input=request, capture_output=True, text=True, check=True).stdout.strip()


@trace(event_type="tool")
def pick(item: str) -> str:
    return f"{item} is packed"


def warehouse() -> None:
    """The other process: continue the caller's trace."""
    request = json.load(sys.stdin)
    with with_distributed_trace_context(request["headers"], tracer):
        print(pick(request["item"]))


if __name__ == "__main__":
    if sys.argv[1:] == ["warehouse"]:
        warehouse()
    else:
        print(order("lantern"))
