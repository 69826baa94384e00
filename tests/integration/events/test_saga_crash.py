"""Workers are killed in the middle of their sagas, again and again; the money is all there in the end."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from honeyhive.events import EventLog, SagaState, SagaStatus, SQLiteEventStore
from honeyhive.utils import SystemClock

PROGRAM = Path(__file__).with_name("transfers.py")
KILLS = 50


@pytest.mark.fault
@pytest.mark.timeout(180)
def test_a_worker_killed_at_random_points_of_sagas_leaves_them_consistent(tmp_path: Path) -> None:
    seed, database = secrets.randbits(32), tmp_path / "bank.db"
    print(f"seed {seed}")

    kill_again_and_again(database, random.Random(seed))

    with closing(SQLiteEventStore(database)) as store:
        interrupted = sum(not facts.last_type.endswith(("completed", "undone")) for facts in store.streams("saga:"))
        print(f"{store.head()} events, {interrupted} sagas interrupted by the last kill")
        finish(store)
        states = [SagaState.from_events(store.load(facts.aggregate_id)) for facts in store.streams("saga:")]
        assert effects(store) == sum((owed(state) for state in states), Counter())
        assert {SagaStatus.COMPLETED, SagaStatus.UNDONE} == {state.status for state in states}
        assert all((state.status is SagaStatus.UNDONE) == (state.data["to"] == "closed") for state in states)


def kill_again_and_again(database: Path, luck: random.Random) -> None:
    clock = SystemClock()
    with subprocess.Popen(
        [sys.executable, PROGRAM, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for _ in range(KILLS):
            program.stdin.write("\n")
            program.stdin.flush()
            worker = int(program.stdout.readline())
            clock.sleep(luck.uniform(0.0, 0.25))
            os.kill(worker, signal.SIGKILL)
        program.stdin.close()


def finish(store: EventLog) -> None:
    """Take up the last interrupted saga, as the next worker would."""
    import importlib.util

    found = importlib.util.spec_from_file_location("transfers", PROGRAM)
    assert found is not None
    assert found.loader is not None
    program = importlib.util.module_from_spec(found)
    sys.modules["transfers"] = program
    found.loader.exec_module(program)
    program.transfers(store).resume()


def effects(store: EventLog) -> Counter[tuple[str, str]]:
    """What has happened to the accounts, in money."""
    counted: Counter[tuple[str, str]] = Counter()
    for facts in store.streams("account:"):
        for event in store.load(facts.aggregate_id):
            counted[facts.aggregate_id.removeprefix("account:"), event.type] += getattr(event, "amount", 0)
    return counted


def owed(state: SagaState) -> Counter[tuple[str, str]]:
    """What one saga should have done: all of it, or what undoing it leaves."""
    amount, payer = state.data["amount"], state.data["from"]
    if state.status is SagaStatus.COMPLETED:
        return Counter({(payer, "transfer.debited"): amount, (state.data["to"], "transfer.credited"): amount})
    return Counter({(payer, "transfer.debited"): amount, (payer, "transfer.refunded"): amount})
