"""Minutes of tracing against a backend that fails in every way: nothing grows, nothing is lost, everything is counted.

SOAK_SECONDS=1800 pytest -m soak tests/integration/soak -s
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest

SECONDS = int(os.environ.get("SOAK_SECONDS", "300"))
SETTLED_S = 40

PROGRAM = """
import asyncio, json, os, sys, threading, time
from honeyhive import HoneyHiveTracer, enrich_span, trace

seconds = float(sys.argv[2])
tracer = HoneyHiveTracer.init(api_key="soak-key-of-no-value", otlp_endpoint=sys.argv[1], project="soak")
CHAT = [{"role": "user", "content": "what shall we do today, and where " * 12} for _ in range(5)]

@trace
def lookup(key, depth=0):
    enrich_span(metrics={"depth": depth})
    if depth < 3:
        return lookup(key, depth + 1)
    if key % 17 == 0:
        raise LookupError(f"no {key}")
    return {"key": key, "rows": list(range(10))}

@trace(event_type="model")
async def ask(messages):
    await asyncio.sleep(0)
    return {"answer": "none " * 50}

@trace
def stream():
    for part in ("a ", "b ", "c"):
        yield part

@trace(event_type="chain")
async def turn(number):
    await ask(CHAT)
    "".join(stream())
    try:
        lookup(number)
    except LookupError:
        pass

def work(end):
    number = 0
    while time.monotonic() < end:
        number += 1
        asyncio.run(turn(number))
        time.sleep(0.05)

def sample():
    status = open("/proc/self/status").read()
    totals = tracer.statistics()
    print(json.dumps({
        "rss_kib": int(status.split("VmRSS:")[1].split()[0]),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "finished": totals.finished, "adopted": totals.adopted, "delivered": totals.delivered, "spooled": totals.spooled,
        "in_memory": totals.in_memory, "dropped": dict(totals.dropped),
    }), flush=True)

end = time.monotonic() + seconds
workers = [threading.Thread(target=work, args=(end,)) for _ in range(3)]
for each in workers:
    each.start()
children = 0
while time.monotonic() < end:
    time.sleep(2)
    sample()
    children += 1
    if children % 15 == 0:
        pid = os.fork()
        if pid == 0:
            lookup(1)
            os._exit(0)
        os.waitpid(pid, 0)
for each in workers:
    each.join()
print("null", flush=True)
sys.stdin.readline()  # until the backend is well again
tracer.flush(60_000)
# What the last child left is taken over once there is nothing of our own to send: no flush waits for that.
patience = time.monotonic() + 30
while tracer.statistics().spooled and time.monotonic() < patience:
    time.sleep(0.1)
sample()
"""


class Moods:
    """What the backend does, for some seconds each: well half of the time, ill in some way otherwise."""

    ILL = ("503", "429", "500 now and then", "hang", "reset", "413", "401", "down", "slow")

    def __init__(self, collector: Any) -> None:
        self.seen: set[int] = set()
        self.repeated = 0
        self._collector = collector
        self._random = random.Random(20)
        self._mood = "well"
        collector.exchanges = deque(maxlen=1)
        collector.behave = self._behave

    def next(self, seconds: float, stop: threading.Event) -> None:
        """Be ill, then well, each for a while."""
        self._mood = self._random.choice(self.ILL)
        if self._mood == "down":
            self._collector.stop()
        stop.wait(seconds)
        if self._mood == "down":
            self._collector.start()
        self._mood = "well"
        stop.wait(seconds)

    def _behave(self, exchange: Any) -> None:
        mood = self._mood
        if mood in {"503", "401"}:
            exchange.answer(int(mood))
        elif mood == "429":
            exchange.answer(429, retry_after="1")
        elif mood == "500 now and then" and self._random.random() < 0.5:
            exchange.answer(500)
        elif mood == "reset":
            exchange.reset()
        elif mood == "413" and len(exchange.body) > 40_000:
            exchange.answer(413)
        elif mood == "hang":
            exchange.stopped.wait(15)
            exchange.handler.close_connection = True
        else:
            if mood == "slow":
                exchange.stopped.wait(1)
            self._accept(exchange)

    def _accept(self, exchange: Any) -> None:
        for span in exchange.spans:
            identity = int.from_bytes(span.trace_id + span.span_id)
            self.repeated += identity in self.seen
            self.seen.add(identity)
        exchange.answer()


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 240)
def test_nothing_grows_and_nothing_is_lost(collector: Any, tmp_path: Path) -> None:
    moods = Moods(collector)
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    stop = threading.Event()
    with subprocess.Popen(
        [sys.executable, str(script), collector.url, str(SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        weather = threading.Thread(target=lambda: [moods.next(8, stop) for _ in range(SECONDS // 16)], daemon=True)
        weather.start()

        samples: list[dict[str, Any]] = []
        while sample := json.loads(program.stdout.readline() or "null"):
            samples.append(sample)
        weather.join(40)
        program.stdin.write("\n")
        program.stdin.flush()
        samples += [json.loads(line) for line in program.stdout]
        assert 0 == program.wait(90)

    settled = samples[min(SETTLED_S, len(samples) // 3) // 2 :]
    final = samples[-1]
    print(json.dumps({"first": settled[0], "last": final, "received": len(moods.seen), "repeated": moods.repeated}))
    lost = sum(final["dropped"].values())
    assert final["finished"] + final["adopted"] == final["delivered"] + final["spooled"] + final["in_memory"] + lost
    assert 0 == lost
    assert 0 == final["spooled"] + final["in_memory"]
    # What forked children left is adopted by their parent, unless they could send it themselves.
    assert 0 <= len(moods.seen) - final["delivered"] <= 4 * (len(samples) // 15 + 1)
    assert max(each["threads"] for each in settled) <= settled[0]["threads"] + 4
    assert max(each["files"] for each in settled) <= settled[0]["files"] + 24
    assert max(each["rss_kib"] for each in settled) <= settled[0]["rss_kib"] + 48 * 1024
