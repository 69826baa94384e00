"""Importing the package does nothing but import it, in every mode of the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import sys
touched = []
def audit(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        touched.append((event, arguments[0]))
    elif event.split(".")[0] == "socket" and event != "socket.gethostname" or event in ("os.mkdir", "subprocess.Popen"):
        touched.append((event, arguments))
sys.addaudithook(audit)
"""
IMPORT = """
import threading, honeyhive
from honeyhive import HoneyHiveTracer, enrich_span, flush, trace
call = trace(lambda: 1)
assert call() == 1
assert threading.active_count() == 1, threading.enumerate()
assert not touched, touched
"""


def outcome(code: str, *options: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "options", [("-O",), ("-OO",), ("-I",), ("-X", "dev", "-W", "error"), ("-B", "-s")], ids="".join
)
def test_an_import_starts_no_thread_and_touches_no_file_or_network(options: tuple[str, ...]) -> None:
    assert (0, "") == outcome(WATCH + IMPORT, "-B", *options)


@pytest.mark.parametrize(
    "library", ["re2", "orjson", "httpx", "pydantic", "wrapt", "anyio", "click", "starlette", "numpy"]
)
def test_a_library_that_is_missing_is_missed_by_those_who_need_it_only(library: str) -> None:
    missing = f"import sys; sys.modules[{library!r}] = None\n"

    assert (0, "") == outcome(missing + WATCH + IMPORT, "-B")


def test_a_disabled_sdk_records_nothing_and_starts_nothing(tmp_path: Path) -> None:
    code = f"""{WATCH}
import threading
from honeyhive import HoneyHiveTracer, trace
tracer = HoneyHiveTracer.init(api_key="hh_key", project="p", server_url="http://127.0.0.1:9")
assert trace(lambda: 1)() == 1
with tracer.start_span("nothing") as span:
    assert not span.is_recording()
assert threading.active_count() == 1, threading.enumerate()
assert not touched, touched
"""

    assert (0, "") == outcome(code, "-B", OTEL_SDK_DISABLED="true", XDG_STATE_HOME=str(tmp_path))
    assert [] == list(tmp_path.iterdir())
