"""Ctrl-C in a program that is inside a scope: tasks end, resources are closed, the program is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import signal, sys, anyio
from contextlib import asynccontextmanager
from honeyhive import ctx

# A program that is started in the background may have inherited a shell's wish to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

@asynccontextmanager
async def database():
    print("open", flush=True)
    try:
        yield
    finally:
        await anyio.sleep(0.05)
        print("closed", flush=True)

async def forever(name):
    try:
        await anyio.sleep_forever()
    finally:
        print(name, "ended", flush=True)

async def main():
    async with ctx.scope("app", disposables=(database(),)):
        ctx.spawn(forever, "spawned")
        if sys.argv[1] == "asyncio":
            import asyncio
            asyncio.create_task(forever("background"))
        await anyio.sleep(0.05)
        print("ready", flush=True)
        await anyio.sleep_forever()

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.fault
@pytest.mark.parametrize(
    "backend, ended", [("asyncio", ["background ended", "spawned ended"]), ("trio", ["spawned ended"])]
)
def test_everything_is_closed_in_order(backend: str, ended: list[str]) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert ["open", "ready"] == [program.stdout.readline().strip() for _ in range(2)]

    os.kill(program.pid, signal.SIGINT)
    output, errors = program.communicate(timeout=20)

    lines = output.split("\n")[:-1]
    assert ended == sorted(lines[:-1])
    assert "closed" == lines[-1]
    assert "KeyboardInterrupt" in errors.splitlines()[-1]
