"""Why no trace shows up: the questions a person would ask one after the other, with answers.

Each check is a function that yields findings and reads what it needs from its
arguments; only :func:`check_backend` uses the network, and only when asked for.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from honeyhive.config import Backend, BackendKind, Resolved, choose_backend, resolve
from honeyhive.config.show import BARE_NAMES, unknown_variables
from honeyhive.exceptions import APIConnectionError, JournalError
from honeyhive.models.wire import ServerFile, server_file_path, spool_root
from honeyhive.utils import wording

if TYPE_CHECKING:
    from honeyhive.api.transport import Reply

__all__ = ["Finding", "Level", "examine"]

Ask = Callable[[str, Mapping[str, str]], "Reply"]
"""Sends an empty export request to an address, with headers."""

_OTHER_SDKS: Final = ("ddtrace", "langfuse", "logfire", "traceloop-sdk", "arize-phoenix-otel", "opik", "weave")
_INSTRUMENTORS: Final = ("openinference-instrumentation-", "opentelemetry-instrumentation-")
_MENDS_SERVICE: Final = (
    "check HH_API_URL, the network and its proxies; until then spans are kept",
    "set HH_API_KEY to a key of this service",
)
_MENDS_OTLP: Final = (
    "check OTEL_EXPORTER_OTLP_ENDPOINT, the network and its proxies; until then spans are kept",
    "set OTEL_EXPORTER_OTLP_HEADERS to what this backend asks for",
)
_NOT_INSTRUMENTORS: Final = ("openinference-instrumentation-utils",)


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    HINT = "hint"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer; ``fix`` says what to do about it."""

    level: Level
    subject: str
    text: str
    fix: str = ""


def examine(environ: Mapping[str, str], *, ask: Ask | None = None) -> Iterator[Finding]:
    """Look at everything that can keep a trace from showing up.

    Args:
        environ: Usually ``os.environ``.
        ask: How to reach a backend; by default through the API's transport.
    """
    resolved = resolve({}, environ)
    backend = choose_backend(resolved.settings, environ)
    yield from check_settings(resolved, environ)
    yield from check_recording(resolved)
    yield from check_backend(backend, ask or _ask)
    yield from check_spool(resolved, backend)
    yield from check_instrumentation(environ)


def check_settings(resolved: Resolved, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Are the settings what somebody meant?"""
    for problem in resolved.problems:
        yield Finding(Level.FAULT, "settings", problem.text)
    for name, near in unknown_variables(environ):
        meant = f"did you mean {near}?" if near else "`honeyhive config show` lists those that are read"
        yield Finding(Level.HINT, "settings", f"{name} is set, but no setting has that name", meant)
    for name in sorted(BARE_NAMES & set(environ)):
        yield Finding(Level.HINT, "settings", f"{name} is not read", f"set HH_{name} instead")
    if not resolved.problems:
        yield Finding(Level.OK, "settings", "all values can be used")


def check_recording(resolved: Resolved) -> Iterator[Finding]:
    """Is anything recorded at all?"""
    settings = resolved.settings
    if settings.disable_tracing:
        source = resolved.sources["disable_tracing"]
        yield Finding(Level.FAULT, "recording", f"tracing is switched off ({source})", "remove that setting")
    if settings.test_mode:
        yield Finding(Level.FAULT, "recording", "test_mode keeps spans from leaving the process", "unset HH_TEST_MODE")
    if settings.sample_rate is not None and settings.sample_rate < 1:
        level = Level.FAULT if settings.sample_rate == 0 else Level.HINT
        yield Finding(
            level, "sampling", f"{settings.sample_rate:.0%} of the traces are recorded", "raise HH_SAMPLE_RATE"
        )
    if settings.span_name_filters:
        yield Finding(
            Level.HINT, "sampling", "span_name_filters leave out some span names", "unset HH_SPAN_NAME_FILTERS"
        )
    if os.environ.get("OTEL_TRACES_SAMPLER") in {"always_off", "parentbased_always_off"}:
        yield Finding(Level.FAULT, "sampling", "OTEL_TRACES_SAMPLER records nothing", "unset OTEL_TRACES_SAMPLER")
    if not settings.disable_tracing and not settings.test_mode:
        yield Finding(Level.OK, "recording", "spans are recorded")


def check_backend(backend: Backend, ask: Ask) -> Iterator[Finding]:
    """Where do spans go, and is anybody there?"""
    if backend.kind is BackendKind.NONE:
        yield Finding(Level.FAULT, "backend", "nothing is sent; spans are kept", "mend the settings above")
        return
    if backend.kind is BackendKind.LOCAL:
        yield from _check_local(ask)
        return
    if not backend.key and backend.kind is BackendKind.HONEYHIVE:
        yield Finding(Level.HINT, "key", "no API key is set", "set HH_API_KEY")
    mend_address, mend_key = _MENDS_SERVICE if backend.kind is BackendKind.HONEYHIVE else _MENDS_OTLP
    yield from _answer_of(ask, backend.traces_url, backend.headers, mend_address, mend_key)


def _check_local(ask: Ask) -> Iterator[Finding]:
    found = ServerFile.read(server_file_path())
    start = "start it with `honeyhive serve`; what was recorded is in the journal and appears then"
    if found is None:
        yield Finding(Level.FAULT, "backend", "the backend on this machine is not running", start)
        return
    try:
        token = Path(found.token_file).read_text("utf-8").strip()
    except OSError as error:
        yield Finding(
            Level.FAULT, "key", f"the backend's token cannot be read: {error.strerror}", "run as the same user"
        )
        return
    headers = {"authorization": f"Bearer {token}"}
    yield from _answer_of(ask, f"{found.address}/v1/traces", headers, start, start)


def _answer_of(ask: Ask, url: str, headers: Mapping[str, str], mend_address: str, mend_key: str) -> Iterator[Finding]:
    """Say what the backend answers to an export request without spans."""
    try:
        status = ask(url, headers).status
    except APIConnectionError as error:
        yield Finding(Level.FAULT, "backend", f"{url} cannot be reached: {error}", mend_address)
        return
    if status in {401, 403}:
        yield Finding(Level.FAULT, "key", f"{url} refuses the key ({status})", mend_key)
    elif status == 404:
        yield Finding(Level.FAULT, "backend", f"{url} does not take traces (404)", "check the address")
    elif status >= 300 and status != 400:
        yield Finding(Level.FAULT, "backend", f"{url} answers {status}", "look at the backend's own log")
    else:
        yield Finding(Level.OK, "backend", f"{url} takes spans")


def check_spool(resolved: Resolved, backend: Backend) -> Iterator[Finding]:
    """Can spans be kept on disk, and do any wait there?"""
    if not resolved.settings.spool:
        yield Finding(Level.HINT, "journal", "spans are kept in memory only", "unset HH_SPOOL")
        return
    from honeyhive.journal import inspect
    from honeyhive.tracer.export import Destination

    try:
        root = Path(resolved.settings.spool_dir) if resolved.settings.spool_dir else spool_root()
        folder = root / Destination.of(backend).id
        nearest = next((part for part in (folder, *folder.parents) if part.exists()), Path("/"))
        waiting = sum(fact.pending_items for fact in inspect(folder)) if folder.exists() else 0
    except (OSError, RuntimeError, JournalError) as error:
        yield Finding(
            Level.FAULT, "journal", f"the journal cannot be used: {error}", "set HH_SPOOL_DIR to a folder of yours"
        )
        return
    if not os.access(nearest, os.W_OK):
        yield Finding(Level.FAULT, "journal", f"{nearest} cannot be written", "set HH_SPOOL_DIR to a folder of yours")
    elif waiting:
        yield Finding(
            Level.HINT,
            "journal",
            f"{wording.counted(waiting, 'span')} waiting in {folder}",
            "sent when the backend takes spans",
        )
    else:
        yield Finding(Level.OK, "journal", f"{folder} can be used, nothing waits there")


def check_instrumentation(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Is there something that would record model calls, or that gets in the way?"""
    names = {(dist.metadata["Name"] or "").lower() for dist in importlib.metadata.distributions()}
    instrumentors = sorted(name for name in names if name.startswith(_INSTRUMENTORS) and name not in _NOT_INSTRUMENTORS)
    if instrumentors:
        shown = ", ".join(instrumentors[:6]) + (" ..." if len(instrumentors) > 6 else "")
        yield Finding(
            Level.OK,
            "instrumentation",
            f"installed: {shown}",
            "attach one with HoneyHiveTracer.init(instrumentors=[...])",
        )
    else:
        yield Finding(
            Level.HINT,
            "instrumentation",
            "no instrumentor of a model library is installed; only what you decorate is recorded",
            "install for example openinference-instrumentation-openai",
        )
    for name in sorted(names & set(_OTHER_SDKS)):
        yield Finding(
            Level.HINT, "clashes", f"{name} is installed too; it may take the global tracer provider",
            "pass tracer.provider to instrumentors explicitly",
        )  # fmt: skip
    if environ.get("OTEL_PYTHON_CONTEXT"):
        yield Finding(
            Level.HINT, "clashes", "OTEL_PYTHON_CONTEXT replaces OpenTelemetry's context; spans cost more then"
        )


def _ask(url: str, headers: Mapping[str, str]) -> Reply:
    from honeyhive.api.transport import Transport

    transport = Transport()
    try:
        return transport.post(url, b"", {**headers, "content-type": "application/x-protobuf"}, 5.0)
    finally:
        transport.close()
