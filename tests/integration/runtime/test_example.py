"""The example of a service with everything in one class does what it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from services import Start

EXAMPLE = Path(__file__).parents[3] / "examples" / "task_service.py"


@pytest.mark.acceptance("J25")
@pytest.mark.acceptance("J36")
def test_one_class_serves_requests_messages_ticks_and_connections(
    start: Start, tmp_path: Path, eventually: Any
) -> None:
    """The POST stores, broadcasts, publishes and answers; message and tick use the same session hook."""
    shutil.copy(EXAMPLE, tmp_path / "task_service.py")
    process = start("task_service:service", "all", "--port", "0", OWNER="ann")
    address = process.address()

    with connect(f"ws{address[4:]}/tasks/live") as browser:
        created = httpx.post(f"{address}/tasks/", json={"title": "tea"})
        heard = {browser.recv(timeout=20) for _ in range(3)}

    assert (201, {"id": 1, "title": "tea", "noted_by": None}) == (created.status_code, created.json())
    assert {"ann: new task tea", "1 tasks"} <= heard
    eventually(lambda: httpx.get(f"{address}/tasks/1").json()["noted_by"] == "process TaskCreated")
    assert process.stop() == 0
