"""Every check of the project, one session each; CI and ``dev.py test`` run the default ones.

``nox`` runs them all, ``nox -s lint`` one, ``nox -s tests -- tests/unit/journal -k torn`` a few tests.
An environment is installed again only when ``pyproject.toml`` or the constraints change.
What cannot run on this machine is skipped with its reason, never silently.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True

ROOT = Path(__file__).parent
REPORTS = ROOT / ".nox" / "reports"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = ("3.11", "3.12", "3.13")
CONSTRAINTS = "constraints.txt"
LOWEST_CONSTRAINTS = "constraints-lowest.txt"


# Interpreters


def candidates(version: str) -> Iterator[str]:
    """Yield everything on this machine that claims to be Python *version*, the running one first."""
    yield sys.executable
    for folder in os.get_exec_path():
        if program := shutil.which(f"python{version}", path=folder):
            yield program
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python")), reverse=True)


@cache
def interpreter(version: str) -> str | None:
    """Return the path of a Python *version* that really runs, or None.

    A name on the path proves nothing: it may be a shim that refuses to start.
    """
    question = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    for program in candidates(version):
        answer = subprocess.run([program, "-c", question], capture_output=True, text=True, check=False)
        found, _, path = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and found == version:
            return path
    return None


MAIN = interpreter(PYTHONS[0]) or sys.executable
OTHERS = tuple(version for version in PYTHONS if interpreter(version) != MAIN)


# Environments


def group(*names: str) -> tuple[str, ...]:
    """Return the requirements of the named dependency groups."""
    return nox.project.dependency_groups(PROJECT, *names)


def install(session: nox.Session, *requirements: str, constraints: str = CONSTRAINTS) -> None:
    """Install *requirements* at the pinned versions, unless this environment has them already."""
    arguments = ["-c", constraints, *requirements]
    inputs = (ROOT / "pyproject.toml", ROOT / constraints)
    digest = hashlib.sha256(b"\0".join([*map(str.encode, arguments), *(path.read_bytes() for path in inputs)]))
    stamp = Path(session.virtualenv.location, "installed")
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest.hexdigest():
        session.log("The environment is up to date.")
        return
    session.install(*arguments)
    stamp.write_text(digest.hexdigest(), encoding="ascii")


def run_pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest and leave a report that ``dev.py test`` sums up. Nothing is run twice: a test that fails now and then fails."""
    session.run("pytest", f"--junitxml={REPORTS / session.name}.xml", *arguments)


def in_parallel() -> tuple[str, ...]:
    """Return pytest's arguments for one worker per core."""
    return ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadgroup")


# Sessions of the default run


@nox.session(python=MAIN)
def lint(session: nox.Session) -> None:
    """Check style, formatting and spelling."""
    install(session, *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")


@nox.session(python=MAIN)
def types(session: nox.Session) -> None:
    """Check the types: ours strictly, and what a user's type checker sees."""
    install(session, "-e", ".[all]", *group("types", "tests"))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=MAIN)
def layers(session: nox.Session) -> None:
    """Check who imports whom."""
    install(session, *group("layers"))
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": "src"})


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Build the pages strictly and run their code."""
    install(session, "-e", ".[all]", *group("docs", "tests", "testclient", "examples", "frameworks"))
    site = Path(session.create_tmp(), "site")
    session.run("mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site), env={"NO_MKDOCS_2_WARNING": "true"})
    run_pytest(session, "tests/docs")


@nox.session(python=MAIN)
def tests(session: nox.Session) -> None:
    """Run the unit, integration and example tests, and hold the coverage."""
    install(session, "-e", ".[all]", *group("tests", "testclient", "examples", "frameworks", "hosts"))
    if session.posargs:
        run_pytest(session, *session.posargs)
        return
    run_pytest(
        session,
        *in_parallel(),
        "--cov",
        "--cov-report=",
        "--cov-fail-under=0",
        "--ignore=tests/docs",
        "-m",
        "not soak",
    )
    session.run("coverage", "report")
    remind_of_the_ratchet(session)


def remind_of_the_ratchet(session: nox.Session) -> None:
    """Say so when coverage has outgrown the committed floor by a point or more."""
    floor = PROJECT["tool"]["coverage"]["report"]["fail_under"]
    total = float(str(session.run("coverage", "report", "--format=total", "--fail-under=0", silent=True)))
    if total >= floor + 1:
        session.warn(f"Coverage is {total}: raise fail_under in pyproject.toml from {floor} to {int(total)}.")


def unit_on(version: str) -> None:
    """Declare the session that runs the unit and typing tests on Python *version*."""
    path = interpreter(version)

    @nox.session(name=f"unit-{version}", python=path or False)
    def unit(session: nox.Session) -> None:
        if path is None:
            session.skip(f"no Python {version} runs on this machine")
        install(session, "-e", ".[all]", *group("tests", "testclient"), "mypy")
        run_pytest(session, *in_parallel(), *(session.posargs or ["tests/unit"]))
        session.run("mypy", f"--python-version={version}", "tests/typing")


for other in OTHERS:
    unit_on(other)


@nox.session(python=MAIN)
def ends(session: nox.Session) -> None:
    """Run the unit tests on the lowest versions that the dependency ranges allow."""
    install(session, "-e", ".[server]", *lowest(), *group("tests"), constraints=LOWEST_CONSTRAINTS)
    run_pytest(session, *in_parallel(), *(session.posargs or ["tests/unit"]))


@nox.session(python=MAIN, reuse_venv=False)
def weight(session: nox.Session) -> None:
    """Install the wheel into an empty environment; weigh it and time the import."""
    wheels = Path(session.create_tmp(), "wheels")
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), ".")
    (wheel,) = wheels.glob("*.whl")
    session.install("-c", CONSTRAINTS, str(wheel))
    session.run("python", "benchmarks/weight.py", "core")
    session.run("python", "benchmarks/imports.py")
    session.install("-c", CONSTRAINTS, f"{wheel}[server]")
    session.run("python", "benchmarks/weight.py", "server")


@nox.session(python=MAIN)
def instructions(session: nox.Session) -> None:
    """Count the instructions of a traced call on its own thread, and hold the limits that were promised."""
    if shutil.which("valgrind") is None:
        session.skip("instructions are counted by valgrind, which is not installed")
    install(session, "-e", ".")
    session.run("python", "benchmarks/instructions.py")


@nox.session(python=MAIN)
def soak(session: nox.Session) -> None:
    """Trace for five minutes against a backend that fails in every way; in CI only."""
    if not os.environ.get("CI"):
        session.skip("takes five minutes; runs where CI is set")
    install(session, "-e", ".[all]", *group("tests"))
    run_pytest(session, "-m", "soak", "tests/integration/soak", *session.posargs)


# Sessions on request


@nox.session(python=MAIN, default=False)
def demo(session: nox.Session) -> None:
    """Start a backend, run a traced agent against it, and show the trace."""
    install(session, "-e", ".[server]", *group("examples"))
    session.run("python", "examples/demo.py", *session.posargs, interrupt_timeout=None)


@nox.session(python=MAIN, default=False)
def bench(session: nox.Session) -> None:
    """Measure what the docs promise in numbers."""
    install(session, "-e", ".[server]", *group("tests", "examples"))
    for script in session.posargs or sorted(map(str, Path("benchmarks").glob("*.py"))):
        session.run("python", script)


@nox.session(python=MAIN, default=False)
def acceptance(session: nox.Session) -> None:
    """Write docs/acceptance.md anew from the tests."""
    session.run("python", "tests/acceptance.py")


@nox.session(python=MAIN, default=False, reuse_venv=False)
def pin(session: nox.Session) -> None:
    """Write the constraints anew: the newest and the lowest versions that are tested."""
    session.install(".[all]", *group("dev"))
    write_constraints(session, CONSTRAINTS)
    session.run(sys.executable, "-m", "virtualenv", "--clear", "--quiet", session.virtualenv.location, external=True)
    session.install(".[server]", *lowest(), *group("tests"))
    write_constraints(session, LOWEST_CONSTRAINTS)


def lowest() -> list[str]:
    """Return each run-time requirement at the lower end of its range: ``httpx>=0.25,<1`` -> ``httpx==0.25.*``."""
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["server"]]
    return [re.sub(r"^([\w.-]+)>=([\d.]+).*$", r"\1==\2.*", requirement) for requirement in declared]


def write_constraints(session: nox.Session, name: str) -> None:
    """Write what is installed as ``name==version`` lines."""
    frozen = session.run("pip", "freeze", "--exclude", "honeyhive", silent=True)
    pins = [line for line in str(frozen).splitlines() if re.fullmatch(r"[\w.-]+==\S+", line)]
    header = "# The versions that `nox` tests with. Written by `nox -s pin`."
    Path(name).write_text("\n".join([header, *pins, ""]), encoding="utf-8")
