"""A backend that keeps little: under load, killed at any moment, and as a real server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from honeyhive.journal import JournalReader
from honeyhive.server.home import INDEX_NAME, JOURNAL_NAME
from honeyhive.server.index.queries import Listing, Queries
from kept_data import Busy, project, tables_of

Make = Callable[..., dict[str, object]]


def numbers_in(data: Path) -> list[int]:
    return sorted(int(str(span["name"])) for span in Queries(data / INDEX_NAME).every_span())


def check_that_a_new_index_is_the_same(data: Path) -> None:
    reader = JournalReader(data / JOURNAL_NAME)
    project(reader, data / INDEX_NAME)
    project(reader, data / "fresh.sqlite")
    assert tables_of(data / "fresh.sqlite") == tables_of(data / INDEX_NAME)
    for path in data.glob("fresh.sqlite*"):
        path.unlink()


def name_of_the_running_session(data: Path) -> object:
    session = Queries(data / INDEX_NAME).session("running")
    return session and session["name"]


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_a_backend_under_load_stays_within_its_bound_and_loses_nothing_young(tmp_path: Path) -> None:
    backend = Busy(tmp_path)
    largest = 0

    with backend.at_work():
        backend.begin_session()
        for number in range(2_500):
            backend.accept(number)
            if number % 10 == 0:  # comes to less than a segment
                largest = max(largest, backend.size_on_disk())
                backend.wait_for_a_sweep()
    kept = numbers_in(tmp_path)

    assert backend.failures == []
    assert largest <= Busy.KEEP_BYTES + Busy.SEGMENT_BYTES
    assert kept == list(range(kept[0], 2_500))
    assert kept[0] > 1_500
    assert name_of_the_running_session(tmp_path) == "the long one"
    check_that_a_new_index_is_the_same(tmp_path)


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_readers_see_whole_traces_while_rows_go(tmp_path: Path) -> None:
    """What a summary says of a trace and what is read of it in the same view agree; nobody is told of a lock."""
    backend = Busy(tmp_path)
    queries = Queries(tmp_path / INDEX_NAME)
    failures: list[BaseException] = []
    done = threading.Event()
    seen: set[str] = set()

    def until_done(look: Callable[[], None]) -> None:
        try:
            while not done.is_set():
                look()
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    def read() -> None:
        for summary in queries.traces(Listing(limit=20)).items:
            trace = queries.trace(str(summary["trace_id"]))
            if trace is not None:  # gone since it was listed
                spans = trace["span_list"]
                assert isinstance(spans, list)
                assert trace["spans"] == len(spans)
                seen.add(str(summary["trace_id"]))

    def export() -> None:
        names = [span["name"] for span in queries.every_span()]
        assert len(names) == len(set(names))

    with backend.at_work():
        readers = [threading.Thread(target=until_done, args=[look]) for look in (read, read, export)]
        for reader in readers:
            reader.start()
        for number in range(2_500):
            backend.accept(number, trace=number // 10 + 1)
        done.set()
        for reader in readers:
            reader.join()

    assert failures == []
    assert backend.failures == []
    assert len(seen) > 20
    assert numbers_in(tmp_path)[0] > 0


_PROGRAM: Final = """
import sys
from pathlib import Path
from kept_data import Busy

backend = Busy(Path(sys.argv[1]))
number = int(sys.argv[2])
with backend.at_work():
    if number == 0:
        backend.begin_session()
    while not backend.failures:
        backend.accept(number)
        print(number, flush=True)
        number += 1
"""


def killed_after(data: Path, first: int, reports: int) -> int:
    """Let a backend accept spans from *first* on, kill it after so many, and return the first number it did not tell."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(data), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(reports)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
    return max((int(line) + 1 for line in lines if line.endswith("\n")), default=first)


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_a_backend_killed_while_it_forgets_has_one_story(tmp_path: Path) -> None:
    """Log and index agree after each death; of what was accepted only the oldest is gone; sessions that run have names."""
    dice = random.Random(7)
    untold: set[int] = set()
    first = 0
    for _ in range(6):
        # What was being accepted when it died may be there or not; its number is not used again.
        untold.add(killed_after(tmp_path, first, dice.randint(200, 900)))
        first = max(untold) + 1

        check_that_a_new_index_is_the_same(tmp_path)

        kept = numbers_in(tmp_path)
        assert set(range(kept[0], max(untold))) - set(kept) <= untold
        assert name_of_the_running_session(tmp_path) == "the long one"
    assert numbers_in(tmp_path)[0] > 0


@pytest.mark.fault
@pytest.mark.timeout(60)
def test_a_server_forgets_what_is_too_old_and_shows_the_rest(
    stopped_server: Any, span: Make, request_of: Make, eventually: Callable[..., object]
) -> None:
    """Two seconds are kept, so what was sent first goes while later spans are there."""
    server = stopped_server
    server.start("--keep-days", str(2 / 86_400))
    with server.client() as client:

        def names() -> set[str]:
            return {trace["name"] for trace in client.get("/v1/traces").json()["traces"]}

        client.post("/v1/traces", json=request_of(span("first", trace_id=f"{1:032x}")), params={"wait": 1})
        assert names() == {"first"}

        def sent_until_first_is_gone() -> bool:
            client.post("/v1/traces", json=request_of(span("later", trace_id=f"{2:032x}")), params={"wait": 1})
            assert "later" in names()
            return "first" not in names()

        eventually(sent_until_first_is_gone)
    assert server.stop() == 0
    assert "WARNING" not in server.output()


@pytest.mark.fault
@pytest.mark.timeout(60)
def test_a_server_that_is_given_little_room_keeps_to_it(
    stopped_server: Any, span: Make, request_of: Make, eventually: Callable[..., object]
) -> None:
    server = stopped_server
    server.start("--keep-gb", "0.016")
    with server.client() as client:
        for number in range(150):
            spans = [
                span("x" * 100, trace_id=f"{number * 100 + n + 1:032x}", attributes={"text": "x" * 1_000})
                for n in range(100)
            ]
            assert client.post("/v1/traces", json=request_of(*spans)).status_code == 200

        eventually(lambda: size_on_disk(server.data) < 16_000_000)

        assert client.get("/v1/traces", params={"limit": 1_000}).json()["traces"]
    assert server.stop() == 0


def size_on_disk(data: Path) -> int:
    return sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
