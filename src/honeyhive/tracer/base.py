"""The tracer's state: all of it, built once, from settings and parts.

The base provides what the mixins need and has no verbs of its own. A subclass may
override ``_create_api_client`` and ``_create_span_processor``; ``Components`` does the
same without subclassing.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack
from uuid import uuid4

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from honeyhive.tracer.attributes import identity_statics
from honeyhive.tracer.components import Components, NoOutbox
from honeyhive.tracer.core import Tracer
from honeyhive.tracer.identity import Identity
from honeyhive.tracer.interfaces import (
    NeedsCore,
    NeedsIdentity,
    NeedsOutbox,
    NeedsPropagator,
    NeedsSettings,
    NeedsSpanProcessor,
    Outbox,
)
from honeyhive.tracer.provider import TracerProvider
from honeyhive.tracer.registry import register_tracer
from honeyhive.tracer.scopes import serve_scopes
from honeyhive.utils.guard import guard
from honeyhive.utils.ids import new_session_id

if TYPE_CHECKING:
    from honeyhive.api import HoneyHive
    from honeyhive.config import Backend, Resolved, Settings, TracerSettings
    from honeyhive.config.models import BaseHoneyHiveConfig

__all__ = ["HoneyHiveTracerBase"]

_logger = logging.getLogger("honeyhive")

_POSITIONAL = (
    "api_key", "project", "session_name", "source", "server_url", "session_id", "disable_http_tracing",
    "disable_batch", "verbose", "inputs", "is_evaluation", "run_id", "dataset_id", "datapoint_id", "link_carrier",
    "tags",
)  # fmt: skip
"""The order of positional arguments in the first SDK generation."""


class HoneyHiveTracerBase(NeedsCore, NeedsIdentity, NeedsOutbox, NeedsPropagator, NeedsSettings, NeedsSpanProcessor):
    """Everything a tracer holds.

    Args:
        *positional: Config objects (:mod:`honeyhive.config.models`), or the positional
            arguments of the first SDK generation, which begin with the API key.
        config: Settings as an object or a mapping; keywords win over it.
        session_config: Those of the session.
        evaluation_config: Those of the evaluation.
        components: Parts to use instead of the usual ones.
        **settings: Any of :class:`honeyhive.config.Settings`.

    Raises:
        ConfigurationError: An unknown keyword or a value of the wrong type; with
            ``strict``, also a bad address, key or id.
    """

    def __init__(
        self,
        *positional: Any,
        config: BaseHoneyHiveConfig | Mapping[str, Any] | None = None,
        session_config: BaseHoneyHiveConfig | Mapping[str, Any] | None = None,
        evaluation_config: BaseHoneyHiveConfig | Mapping[str, Any] | None = None,
        components: Components | None = None,
        **settings: Unpack[TracerSettings],
    ) -> None:
        from honeyhive.config import choose_backend, resolve

        configs, keywords = _sorted_out(positional, dict(settings))
        resolved = resolve(keywords, os.environ, configs=(*configs, session_config, evaluation_config, config))
        _report(resolved)
        chosen = resolved.settings
        self._resolved = resolved
        self._components = Components.offline(components) if chosen.test_mode else components or Components()
        self._backend = choose_backend(chosen, os.environ)
        self._identity = _identity_of(chosen)
        self._provider = self._create_provider()
        self._core: Tracer = self._provider.get_tracer("honeyhive", _version())
        self._identity.start_through(self._core, functools.cache(self._provider.get_tracer))
        self._identity.bind(self)
        self._span_processor = self._create_span_processor()
        if self._span_processor is not None:
            self._provider.add_span_processor(self._span_processor)
        if _wants_console(self.settings, self._backend):
            self._provider.add_span_processor(_console(self.settings))
        self._outbox = self._create_outbox()
        self._finish_setting_up()
        register_tracer(self)
        serve_scopes()

    @classmethod
    def init(
        cls,
        *positional: Any,
        config: BaseHoneyHiveConfig | Mapping[str, Any] | None = None,
        session_config: BaseHoneyHiveConfig | Mapping[str, Any] | None = None,
        evaluation_config: BaseHoneyHiveConfig | Mapping[str, Any] | None = None,
        components: Components | None = None,
        **settings: Unpack[TracerSettings],
    ) -> Self:
        """Make a tracer: reads the environment, begins a session, does no network I/O.

        Takes what the constructor takes.
        """
        return cls(
            *positional,
            config=config,
            session_config=session_config,
            evaluation_config=evaluation_config,
            components=components,
            **settings,
        )

    # -- the parts a subclass may replace -------------------------------------------------------

    def _create_api_client(self) -> Any:
        """Make the client of the REST API; called once, when ``client`` is first read."""
        from honeyhive.api import HoneyHive

        settings = self.settings
        return HoneyHive(
            api_key=settings.api_key,
            project=settings.project,
            ingestion_api_key=settings.ingestion_api_key,
            server_url=self._backend.base_url or None,
            timeout=settings.timeout,
            verbose=settings.verbose,
            strict=settings.strict,
            test_mode=settings.test_mode,
        )

    def _create_span_processor(self) -> Any:
        """Make the processor that spans leave through; ``None`` records them for nobody."""
        if self._components.span_processor is not None or self._components.is_offline:
            return self._components.span_processor
        from honeyhive.tracer.leaving import span_processor_for

        return span_processor_for(self.settings, self._backend)

    def _create_outbox(self) -> Outbox:
        if self._components.outbox is not None:
            return self._components.outbox
        if self._components.is_offline or not self._backend.speaks_rest:
            return NoOutbox()
        from honeyhive.tracer.leaving import outbox_of

        return outbox_of(self._span_processor, self.settings) or NoOutbox()

    def _create_provider(self) -> TracerProvider:
        settings, clock = self.settings, self._components.clock
        return TracerProvider(
            sampler=_sampler(settings),
            resource=_resource(settings),
            shutdown_on_exit=False,
            id_generator=self._components.ids,
            span_limits=SpanLimits(
                max_span_attributes=settings.max_attributes,
                max_events=settings.max_events,
                max_links=settings.max_links,
            ),
            identity=self._identity,
            allows=_allowed_names(settings),
            wall_ns=time.time_ns if clock is None else clock.time_ns,
            monotonic_ns=time.monotonic_ns if clock is None else lambda: int(clock.monotonic() * 1e9) + 1,
        )

    def _finish_setting_up(self) -> None:
        """Begin the session and attach what the settings ask for; nothing here may fail the program."""
        settings = self.settings
        if (
            settings.session_id is None
            and not settings.skip_backend_session_creation
            and settings.disable_tracing is False
        ):
            from honeyhive.tracer.sessions import announcement

            with guard("session_start"):
                body = announcement(settings, self._identity.session_id or "")
                self._outbox.tell("POST", "/session/start", body, at_once=False)
        with guard("init"):
            from honeyhive.tracer.attaching import attach

            attach(self, settings)

    # -- what the mixins need -------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """Who the tracer is, for its spans and for the context."""
        return self._identity

    @property
    def tracer(self) -> Tracer:
        """The OpenTelemetry tracer that starts the spans."""
        return self._core

    @property
    def settings(self) -> Settings:
        """The settings, frozen."""
        return self._resolved.settings

    @property
    def span_processor(self) -> Any:
        """The processor that spans leave through; ``None`` in test mode."""
        return self._span_processor

    @property
    def outbox(self) -> Outbox:
        """Where calls of the REST API go."""
        return self._outbox

    @functools.cached_property
    def propagator(self) -> Any:
        """How trace and baggage are written to carriers: W3C headers."""
        from honeyhive.tracer.baggage import w3c_headers

        return w3c_headers()

    # -- what programs read ---------------------------------------------------------------------

    @property
    def provider(self) -> TracerProvider:
        """The OpenTelemetry provider, to hand to instrumentors."""
        return self._provider

    @property
    def config(self) -> Settings:
        """The settings, under the name the public SDK gives them."""
        return self.settings

    @property
    def resolved(self) -> Resolved:
        """The settings with where each came from and what was wrong with them."""
        return self._resolved

    @property
    def backend(self) -> Backend:
        """Where spans go."""
        return self._backend

    @functools.cached_property
    def client(self) -> HoneyHive | None:
        """A client of the REST API; made when first read, ``None`` where there is no such API."""
        if self._components.client is not None:
            return self._components.client  # type: ignore[no-any-return]
        return self._create_api_client()  # type: ignore[no-any-return]

    @property
    def session_id(self) -> str | None:
        """The tracer's own session, for spans whose context names none."""
        return self._identity.session_id

    @session_id.setter
    def session_id(self, value: str | None) -> None:
        self._identity.session_id = value

    @property
    def session_name(self) -> str:
        """The session's name: as set, or that of the running script."""
        from honeyhive.tracer.sessions import default_session_name

        return self.settings.session_name or default_session_name()

    @property
    def server_url(self) -> str:
        """Address of the service; empty for any other backend."""
        return self._backend.base_url

    @property
    def otlp_exporter(self) -> None:
        """Always ``None``: spans leave through ``span_processor``, which needs no exporter object."""
        return None

    @classmethod
    def reset(cls) -> None:
        """Do nothing: tracers keep no state in the class. Shut a tracer down to end it."""

    @staticmethod
    def flush_all(timeout_millis: float = 30_000) -> bool:
        """Deliver what all tracers of the process have finished; true if none of it can be lost any more."""
        from honeyhive.tracer.export import flush_all

        return bool(flush_all(timeout_millis))

    @property
    def is_initialized(self) -> bool:
        """Whether it records."""
        return self._identity.enabled

    @property
    def is_main_provider(self) -> bool:
        """Whether its provider is OpenTelemetry's global one."""
        from opentelemetry import trace as otel_trace

        return otel_trace.get_tracer_provider() is self._provider

    def __getattr__(self, name: str) -> Any:
        """Read a setting: ``tracer.project``, ``tracer.source``, ``tracer.run_id``, ..."""
        from honeyhive.config import Settings

        resolved = self.__dict__.get("_resolved")
        wanted = {"project_name": "project", "source_environment": "source", "is_test_mode": "test_mode"}.get(
            name, name
        )
        if resolved is not None and wanted in Settings.__slots__:
            return getattr(resolved.settings, wanted)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(project={self.settings.project!r}, backend={self._backend.kind.value!r})"


@functools.cache
def _version() -> str:
    from honeyhive import __version__

    return __version__


def _sorted_out(positional: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Tell config objects from the plain values of the old positional form."""
    plain = [value for value in positional if value is None or isinstance(value, str | bool | dict)]
    if positional and len(plain) == len(positional) and not isinstance(positional[0], Mapping):
        if len(positional) > len(_POSITIONAL):
            raise TypeError(f"at most {len(_POSITIONAL)} positional arguments; pass settings by name")
        return [], {**{k: v for k, v in zip(_POSITIONAL, positional, strict=False) if v is not None}, **keywords}
    return list(reversed(positional)), keywords


def _report(resolved: Resolved) -> None:
    if resolved.settings.verbose:
        _logger.setLevel(logging.DEBUG)
    for problem in resolved.problems:
        _logger.error("honeyhive: %s", problem.text)


def _identity_of(settings: Settings) -> Identity:
    run = {
        "run_id": settings.run_id,
        "dataset_id": settings.dataset_id,
        "datapoint_id": settings.datapoint_id,
    }
    experiment = {
        "experiment_id": settings.experiment_id,
        "experiment_name": settings.experiment_name,
        "experiment_variant": settings.experiment_variant,
        "experiment_group": settings.experiment_group,
        **(settings.experiment_metadata or {}),
    }
    identity = Identity(
        key=f"honeyhive-{uuid4().hex}",
        project=settings.project,
        source=settings.source,
        session_id=settings.session_id or new_session_id(),
        statics=identity_statics(project=settings.project, source=settings.source, metadata=run, experiment=experiment),
        capture_inputs=settings.capture and settings.capture_inputs,
        capture_outputs=settings.capture and settings.capture_outputs,
    )
    identity.enabled = not settings.disable_tracing
    return identity


def _wants_console(settings: Settings, backend: Backend) -> bool:
    """Traces are printed when asked for, and by default for a person who tries things out at a terminal."""
    from honeyhive.config import BackendKind

    if settings.console is not None:
        return settings.console
    return backend.kind is BackendKind.LOCAL and sys.stderr is not None and sys.stderr.isatty()


def _console(settings: Settings) -> SpanProcessor:
    from honeyhive.tracer.leaving import redactor_of
    from honeyhive.tracer.processing.console import ConsoleSpanProcessor

    redactor = redactor_of(settings)
    return ConsoleSpanProcessor() if redactor is None else ConsoleSpanProcessor(clean=redactor.text)


def _resource(settings: Settings) -> Resource:
    named = {"service.name": settings.service_name, "service.version": settings.service_version}
    return Resource.create({key: value for key, value in named.items() if value is not None})


def _sampler(settings: Settings) -> Sampler | None:
    """Return the sampler the settings ask for; ``None`` leaves it to OpenTelemetry's environment."""
    if settings.sampler is not None:
        return settings.sampler  # type: ignore[no-any-return]
    if settings.sample_rates:
        from honeyhive.tracer.processing.sampling import EventTypeSampler

        return EventTypeSampler(dict(settings.sample_rates), default_rate=settings.sample_rate)
    if settings.sample_rate is not None:
        return ParentBased(TraceIdRatioBased(settings.sample_rate))
    return None


def _allowed_names(settings: Settings) -> Callable[[str], bool] | None:
    if settings.span_name_filters is None:
        return None
    from honeyhive.config.models import SpanNameFilters

    filters = SpanNameFilters.of(settings.span_name_filters)
    return None if filters is None else filters.allows
