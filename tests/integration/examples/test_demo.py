"""``examples/demo.py`` as a newcomer runs it: from a pipe, on a terminal, and when something is broken."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

DEMO = Path(__file__).resolve().parents[3] / "examples" / "demo.py"
LIMIT_S = 60
LOGIN = re.compile(r"(http://127\.0\.0\.1:\d+)/traces/[0-9a-f]{32}#token=[\w-]{32,}")

Start = Callable[..., "Screen"]

pytestmark = pytest.mark.timeout(150)  # two whole demos in one test, on a machine that is busy with others


def test_away_from_a_terminal_it_shows_the_trace_and_ends(tmp_path: Path) -> None:
    """The whole tree, the address, exit code 0, and nothing left running or lying about."""
    done = subprocess.run(
        [sys.executable, DEMO],
        env={**os.environ, "TMPDIR": str(tmp_path), "HH_API_KEY": "never-used", "OPENAI_API_KEY": "never-used"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("session A jacket for Bergen ") for line in lines)
    for name in ("assistant", "Shop.search_catalogue", "CreateEmbeddings", "ChatCompletion", "Shop.convert_currency"):
        assert any(name in line for line in lines), name
    found = LOGIN.search(done.stdout)
    assert found is not None
    assert not answers(found.group(1))
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_serves_until_ctrl_c(start: Start) -> None:
    """The address works while the demo runs, and no longer than that."""
    demo = start()
    screen = demo.read_until("Ctrl-C ends the demo.")

    found = LOGIN.search(screen)
    assert found is not None
    assert answers(found.group(1))
    os.killpg(demo.process.pid, signal.SIGINT)

    assert demo.process.wait(LIMIT_S) == 0
    assert not answers(found.group(1))


def test_it_takes_its_children_along_when_it_is_terminated(start: Start) -> None:
    """SIGTERM to the demo alone ends the backend too."""
    demo = start()
    found = LOGIN.search(demo.read_until("Ctrl-C ends the demo."))
    assert found is not None

    demo.process.terminate()

    demo.process.wait(LIMIT_S)
    assert not answers(found.group(1))


def test_data_in_a_folder_of_ones_own_stays(tmp_path: Path) -> None:
    """A second demo on the folder shows its own, newer trace; the first is still there."""
    command = [sys.executable, DEMO, "--data", tmp_path / "kept"]

    runs = [
        subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False).returncode
        for _ in range(2)
    ]

    assert runs == [0, 0]
    assert (tmp_path / "kept" / "data" / "honeyhive" / "journal").is_dir()


def test_a_failing_program_is_told_and_ends_the_demo(tmp_path: Path) -> None:
    """Exit code 1, with the program's own error and one sentence of the demo's."""
    (tmp_path / "openai.py").write_text("raise ImportError('openai is broken')")

    done = subprocess.run(
        [sys.executable, DEMO],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 1
    assert "openai is broken" in done.stderr
    assert done.stderr.endswith("The demo stopped: agent.py ended with exit code 1; its error stands above.\n")


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Exit code 1, no traceback."""
    (tmp_path / "file").write_text("")

    done = subprocess.run(
        [sys.executable, DEMO, "--data", tmp_path / "file"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == f"\nThe demo stopped: the folder {tmp_path / 'file'} cannot be used: File exists\n"


def answers(address: str) -> bool:
    """Whether a backend answers there."""
    try:
        return httpx.get(f"{address}/healthz", timeout=5, trust_env=False).is_success
    except httpx.ConnectError:
        return False


class Screen:
    """A program on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self.terminal = terminal

    def read_until(self, text: str) -> str:
        """What stands on the screen once *text* does."""
        seen, deadline = "", monotonic() + LIMIT_S
        while text not in seen:
            assert monotonic() < deadline, seen
            if select.select([self.terminal], [], [], 0.2)[0]:
                seen += self._read(seen)
        return seen

    def _read(self, seen: str) -> str:
        """What is new on the screen; a closed one means that the program has ended."""
        try:
            return os.read(self.terminal, 65_536).decode(errors="replace")
        except OSError:
            pytest.fail(f"it ended early, with this on the screen:\n{seen}")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the demo on a terminal; it is killed if it is still there after the test."""
    screens: list[Screen] = []

    def start_demo() -> Screen:
        terminal, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, DEMO], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        screens.append(Screen(process, terminal))
        return screens[-1]

    yield start_demo
    for screen in screens:
        os.close(screen.terminal)
        if screen.process.poll() is None:
            os.killpg(screen.process.pid, signal.SIGKILL)
            screen.process.wait()
