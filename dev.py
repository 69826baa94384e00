"""The two commands of this project, from a bare machine with Python 3.11 or newer.

    python3 dev.py demo    start a backend, run a traced agent against it, show the trace
    python3 dev.py test    run every check; `dev.py test lint tests` runs only those sessions

Standard library only. It makes an environment of its own in `.dev/`, installs nox
there and calls the sessions of `noxfile.py`; nothing else. The environments are kept,
so that a second run starts at once.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("honeyhive needs Python 3.11 or newer; this is Python {}.{}.".format(*sys.version_info[:2]))

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import time
import venv
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".dev"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CONSTRAINTS = ROOT / "constraints.txt"
REPORTS = ROOT / ".nox" / "reports"
SESSIONS_REPORT = REPORTS / "sessions.json"


def main(arguments: list[str]) -> int:
    """Run one of the two commands and return its exit code."""
    match arguments:
        case ["demo", *rest]:
            return demo(rest)
        case ["test", *sessions]:
            return test(sessions)
        case _:
            print(__doc__)
            return 2


def demo(arguments: list[str]) -> int:
    """Install the demo's environment with nox, then run the program itself, so that Ctrl-C is the program's."""
    prepare()
    installed = nox("-s", "demo", "--install-only")
    if installed != 0:
        return installed
    python = ROOT / ".nox" / "demo" / PYTHON.relative_to(ENVIRONMENT)
    program = subprocess.Popen([python, ROOT / "examples" / "demo.py", *arguments])
    while True:
        try:
            return program.wait()
        except KeyboardInterrupt:
            continue  # the program got the same signal and is closing


def test(sessions: list[str]) -> int:
    """Run the default sessions, or those named, and sum up."""
    prepare()
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    started = time.monotonic()
    code = nox("--report", str(SESSIONS_REPORT), *(["-s", *sessions] if sessions else []))
    summarise(time.monotonic() - started)
    return code


def prepare() -> None:
    """Make `.dev/` with nox in it, unless it is there and made for these pins and this Python."""
    stamp = ENVIRONMENT / "installed"
    digest = hashlib.sha256(CONSTRAINTS.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    print(f"Making an environment in {ENVIRONMENT} ...", flush=True)
    run(*make_environment(), "install", "--quiet", "--disable-pip-version-check", "-c", str(CONSTRAINTS), "nox")
    stamp.write_text(digest, encoding="ascii")


def make_environment() -> list[str]:
    """Create the empty environment and return the pip command that installs into it."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    if importlib.util.find_spec("ensurepip"):
        venv.create(ENVIRONMENT, with_pip=True)
        return [str(PYTHON), "-m", "pip"]
    if importlib.util.find_spec("pip"):
        venv.create(ENVIRONMENT, with_pip=False)
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    sys.exit("This Python has neither ensurepip nor pip. On Debian and Ubuntu: apt install python3-venv")


def nox(*arguments: str) -> int:
    """Call nox in our environment and return its exit code."""
    try:
        return subprocess.call([PYTHON, "-m", "nox", *arguments], cwd=ROOT)
    except KeyboardInterrupt:
        return 130


def run(*command: str) -> None:
    """Run *command*; leave with its exit code if it fails."""
    code = subprocess.call(command, cwd=ROOT)
    if code != 0:
        sys.exit(code)


def summarise(seconds: float) -> None:
    """Print what was skipped and why, what failed, and one closing line with the totals.

    A session that runs no tests of its own counts as one check.
    """
    totals: Counter[str] = Counter()
    skips: Counter[str] = Counter()
    failures: list[str] = []
    for session in read_sessions():
        name, result, report = session["name"], session["result"], REPORTS / f"{session['name']}.xml"
        if result == "skipped":
            skips[f"session {name}: {session.get('reason') or 'skipped'}"] += 1
            totals["skipped"] += 1
            continue
        tested = read_tests(report) if report.exists() else []
        for outcome, what in tested:
            totals[outcome] += 1
            if outcome == "skipped":
                skips[what] += 1
            elif outcome == "failed":
                failures.append(f"{name}: {what}")
        if result != "success" and not any(outcome == "failed" for outcome, _ in tested):
            totals["failed"] += 1
            failures.append(f"session {name}")
        elif not tested:
            totals["passed"] += 1
    print(f"\nNot run here: {totals['skipped']}")
    for reason, times in sorted(skips.items()):
        print(f"  {times} x {reason}")
    for failure in failures:
        print(f"FAILED {failure}")
    outcomes = ", ".join(
        f"{totals[outcome]} {outcome}" for outcome in ("failed", "passed", "skipped") if totals[outcome]
    )
    print(f"===== {outcomes or 'nothing ran'} in {seconds:.2f}s =====")


def read_sessions() -> list[dict[str, str]]:
    """Return what nox reported of each session: name, result and reason."""
    if not SESSIONS_REPORT.exists():
        return []
    sessions: list[dict[str, str]] = json.loads(SESSIONS_REPORT.read_text(encoding="utf-8"))["sessions"]
    return sessions


def read_tests(report: Path) -> list[tuple[str, str]]:
    """Return (outcome, test name or reason to skip) for each test of a pytest report."""
    return [read_test(case) for case in ET.parse(report).iter("testcase")]


def read_test(case: ET.Element) -> tuple[str, str]:
    """Return the outcome of one test and, depending on it, its name or the reason to skip it."""
    skipped = case.find("skipped")
    if skipped is not None:
        return "skipped", skipped.get("message", "no reason given")
    broken = case.find("failure") is not None or case.find("error") is not None
    return "failed" if broken else "passed", f"{case.get('classname')}::{case.get('name')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
