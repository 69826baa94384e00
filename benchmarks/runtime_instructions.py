"""Instructions that a service costs its server's thread for each request, beside the same FastAPI route bare.

    python benchmarks/runtime_instructions.py    fails above the promised limit; needs valgrind

Requests go through uvicorn's protocol and the whole application, without a network, one after the other in one process;
callgrind counts, as in `benchmarks/instructions.py`. What the threads of the export do is not in it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from typing import Any

from fastapi import FastAPI
from parts.callgrind import counted
from parts.promises import kept
from parts.runtime_apps import bare, five, of_ours, plain, usual
from runtime import REQUEST
from uvicorn import Config
from uvicorn.server import ServerState

CHILD = "--counted"
REQUESTS = 200
WARM_UP = 100

BARE = "bare"
NONE = "no interceptors"
PLAIN = "five that do nothing"
FIVE = "five of ours, with a span"
PARTS = ("Tracing", "RateLimit", "Sockets", "Publishing", "the user's own, with a state")
CASES = (BARE, NONE, PLAIN, FIVE, *PARTS)

PROMISED = {PLAIN: 1.15}
"""At most this many times the instructions of the bare route."""


class Connection(asyncio.Transport):
    """A connection that takes every answer, and is asked as often as wanted.

    Args:
        app: What answers.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__()
        config = Config(app, log_level="warning", access_log=False, timeout_keep_alive=10_000)
        config.load()
        kind: Any = config.http_protocol_class
        self._protocol = kind(config, ServerState(), {}, _loop=asyncio.get_running_loop())
        self._protocol.connection_made(self)
        self._answered = asyncio.Event()

    async def ask(self, times: int) -> None:
        """Make *times* requests."""
        for _ in range(times):
            self._answered.clear()
            self._protocol.data_received(REQUEST)
            await self._answered.wait()
            await asyncio.sleep(0)

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Take a part of an answer."""
        assert not data.startswith(b"HTTP/1.1") or data.startswith(b"HTTP/1.1 200"), data
        if data.startswith(b"{"):
            self._answered.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell where the connection comes from."""
        return ("127.0.0.1", 50_000) if name in {"peername", "sockname"} else default

    def is_closing(self) -> bool:
        """Tell that it stays."""
        return False


def applications() -> dict[str, FastAPI]:
    """Return the application of every case."""
    alone = {name: of_ours([interceptor]) for name, interceptor in usual().items()}
    return {BARE: bare(), NONE: of_ours([]), PLAIN: plain(), FIVE: five(), **alone}


async def run() -> None:
    """Make the requests of every case, and end at once without sending a span."""
    async with AsyncExitStack() as stack:
        connections = {}
        for case, app in applications().items():
            await stack.enter_async_context(app.router.lifespan_context(app))
            connections[case] = Connection(app)
            await connections[case].ask(WARM_UP)
        for case in CASES:
            await asyncio.sleep(0.5)  # lets the export catch up
            gc.collect()
            gc.freeze()
            os.getppid()
            await connections[case].ask(REQUESTS)
            os.getppid()
        os._exit(0)


def counts_of_cases() -> list[float]:
    """Return the instructions for each request in each case, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        return [count / REQUESTS for count in counted(__file__, [CHILD], folder, len(CASES))]


def main(arguments: list[str]) -> int:
    """Count and print a table; return 1 where the promise is broken."""
    if arguments == [CHILD]:
        asyncio.run(run())
    if shutil.which("valgrind") is None:
        print("NOT MEASURED: instructions are counted by valgrind, which is not installed")
        return 0
    counts = dict(zip(CASES, counts_of_cases(), strict=True))
    print(
        f"{BARE}: {counts[BARE]:,.0f} instructions; {NONE}: {counts[NONE] - counts[BARE]:,.0f} more, and on top of it"
    )
    for part in PARTS:
        print(f"    {part:30} {counts[part] - counts[NONE]:9,.0f}")
    return int(not kept({case: counts[case] / counts[BARE] for case in (NONE, PLAIN, FIVE)}, PROMISED))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
