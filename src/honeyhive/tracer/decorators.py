"""The front of the tracer: ``@trace`` and its kin, and the free functions beside them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, overload

from honeyhive.tracer.attributes import NAMESPACES
from honeyhive.tracer.blocks import Enrichment
from honeyhive.tracer.calls import TraceOptions
from honeyhive.tracer.enrichment import enrich_current_span
from honeyhive.tracer.identity import Identity
from honeyhive.tracer.registry import discover_tracer, get_all_tracers, get_default_tracer
from honeyhive.tracer.span import Span
from honeyhive.tracer.unrecorded import UnrecordedSpan
from honeyhive.tracer.wrapping import decorate

if TYPE_CHECKING:
    from honeyhive.models import EventType
    from honeyhive.tracer.export.statistics import FlushResult
    from honeyhive.tracer.interfaces import NeedsIdentity, TracerLifecycleInterface

__all__ = [
    "atrace",
    "enrich_session",
    "enrich_span",
    "enrich_span_context",
    "flush",
    "graceful_shutdown_all",
    "shutdown_tracer",
    "trace",
    "trace_class",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

_OPTION_NAMES = frozenset(TraceOptions.__dataclass_fields__) - {"namespaces", "event_type", "event_name"}


class Decorator(Protocol):
    """Gives back what it is given, traced: to a type checker it is the same function."""

    def __call__(self, function: F, /) -> F: ...


class AsyncDecorator(Protocol):
    """Gives back a coroutine function with the same parameters."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...


class ClassDecorator(Protocol):
    """Gives back the class it is given."""

    def __call__(self, cls: type[T], /) -> type[T]: ...


@overload
def trace(event_type: F, /) -> F: ...
@overload
def trace(
    event_type: EventType | str | None = None,
    event_name: str | None = None,
    *,
    tracer: NeedsIdentity | None = None,
    capture: bool | None = None,
    capture_inputs: bool | None = None,
    capture_outputs: bool | None = None,
    **declared: Any,
) -> Decorator: ...
def trace(
    event_type: Any = None, event_name: str | None = None, *, tracer: NeedsIdentity | None = None, **declared: Any
) -> Any:
    """Trace a function: plain, coroutine, generator, async generator, method, partial or callable object.

    Works bare (``@trace``) and with arguments (``@trace(event_type="model")``). Each call
    becomes a span with its arguments, its result and an exception it raises; the call
    itself is not changed in any way.

    Args:
        event_type: ``model``, ``tool`` (default), ``chain``, or any other text.
        event_name: Name of the span; by default module and qualified name of the function.
        tracer: The tracer to use; otherwise the one of the context, otherwise the default
            one. Where there is none the function runs untraced.
        **declared: ``capture``, ``capture_inputs``, ``capture_outputs`` (whether arguments
            and results are copied); ``event_id``, ``source``, ``project``, ``session_id``,
            ``user_id``, ``session_name``; the namespaces ``metadata``, ``metrics``,
            ``feedback``, ``inputs``, ``outputs``, ``config`` (or ``span_config``) and
            ``user_properties``; ``error``. Anything else becomes metadata.
    """
    return _decorator(event_type, event_name, tracer, declared, as_coroutine=False)


@overload
def atrace(event_type: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
@overload
def atrace(event_type: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
@overload
def atrace(
    event_type: EventType | str | None = None,
    event_name: str | None = None,
    *,
    tracer: NeedsIdentity | None = None,
    **declared: Any,
) -> AsyncDecorator: ...
def atrace(
    event_type: Any = None, event_name: str | None = None, *, tracer: NeedsIdentity | None = None, **declared: Any
) -> Any:
    """Do what :func:`trace` does; a plain function becomes a coroutine function."""
    return _decorator(event_type, event_name, tracer, declared, as_coroutine=True)


def _decorator(
    event_type: Any,
    event_name: str | None,
    tracer: NeedsIdentity | None,
    declared: Mapping[str, Any],
    *,
    as_coroutine: bool,
) -> Any:
    explicit = _identity_of(tracer)
    target = event_type if _is_target(event_type) else None
    options = _options(None if target is not None else event_type, event_name, declared)

    def decorator(function: Any) -> Any:
        return decorate(function, options, explicit, as_coroutine=as_coroutine)

    return decorator if target is None else decorator(target)


def _is_target(value: object) -> bool:
    """Tell the use without parentheses; what cannot be traced is for :func:`decorate` to refuse."""
    from enum import Enum

    return value is not None and not isinstance(value, str | Enum)


def _identity_of(tracer: NeedsIdentity | None) -> Identity | None:
    if tracer is None:
        return None
    identity = getattr(tracer, "identity", None)
    if not isinstance(identity, Identity):
        raise TypeError(f"tracer must be a HoneyHiveTracer, not {type(tracer).__name__}")
    return identity


def _options(event_type: Any, event_name: str | None, declared: Mapping[str, Any]) -> TraceOptions:
    given = dict(declared)
    if "span_config" in given:
        given["config"] = {**(given.get("config") or {}), **(given.pop("span_config") or {})}
    namespaces = {name: given.pop(name) for name in NAMESPACES if given.get(name) is not None}
    own = {name: given.pop(name) for name in _OPTION_NAMES if name in given}
    extra = {name: value for name, value in given.items() if value is not None and name not in NAMESPACES}
    if extra:
        namespaces["metadata"] = {**namespaces.get("metadata", {}), **extra}
    return TraceOptions(event_type=event_type or "tool", event_name=event_name, namespaces=namespaces, **own)


@overload
def trace_class(cls: type[T], /) -> type[T]: ...
@overload
def trace_class(
    cls: None = None,
    *,
    include: tuple[str, ...] | list[str] | None = None,
    exclude: tuple[str, ...] | list[str] = (),
    inherited: bool = False,
    private: bool = False,
    properties: bool = False,
    event_type: EventType | str | None = None,
    tracer: NeedsIdentity | None = None,
    **declared: Any,
) -> ClassDecorator: ...
def trace_class(
    cls: Any = None,
    *,
    include: tuple[str, ...] | list[str] | None = None,
    exclude: tuple[str, ...] | list[str] = (),
    inherited: bool = True,
    private: bool = False,
    properties: bool = False,
    event_type: Any = None,
    tracer: NeedsIdentity | None = None,
    **declared: Any,
) -> Any:
    """Trace the methods of a class; works bare and with arguments.

    Static methods, class methods and methods of base classes stay what they are; a method
    that is traced already is left alone, and base classes are not changed. Spans are called
    ``Class.method``.

    Args:
        cls: The class, when used bare.
        include: Names to trace, all others are left alone; also private ones and properties.
        exclude: Names to leave alone.
        inherited: Trace methods that base classes define, for this class only.
        private: Trace names that begin with one underscore.
        properties: Trace properties.
        event_type: As for :func:`trace`.
        tracer: As for :func:`trace`.
        **declared: As for :func:`trace`.
    """
    explicit = _identity_of(tracer)

    def decorator(target: type) -> type:
        if not isinstance(target, type):
            raise TypeError(f"@trace_class takes a class, not {type(target).__name__}; decorate functions with @trace")
        for name, member in _members(target, inherited):
            if _is_wanted(name, member, include, exclude, private, properties):
                options = _options(event_type, f"{target.__name__}.{name}", declared)
                setattr(target, name, decorate(member, options, explicit))
        return target

    return decorator if cls is None else decorator(cls)


def _members(target: type, inherited: bool) -> Iterator[tuple[str, Any]]:
    """Walk what *target* has, as it stands in the class bodies: descriptors, not what they return."""
    seen: set[str] = set()
    for owner in target.__mro__ if inherited else (target,):
        if owner is object or owner.__module__ == "builtins":
            continue
        for name, member in list(vars(owner).items()):
            if name not in seen:
                seen.add(name)
                yield name, member


def _is_wanted(
    name: str,
    member: object,
    include: tuple[str, ...] | list[str] | None,
    exclude: tuple[str, ...] | list[str],
    private: bool,
    properties: bool,
) -> bool:
    if isinstance(member, property):
        fitting = properties or (include is not None and name in include)
    else:
        inner = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        fitting = inspect.isroutine(inner) and not hasattr(inner, "__honeyhive_traced__")
    if not fitting or name in exclude:
        return False
    if include is not None:
        return name in include
    return not name.startswith("__") and (private or not name.startswith("_"))


# -- free functions ----------------------------------------------------------------------------


def enrich_span(attributes: Mapping[str, Any] | None = None, *, tracer: Any = None, **named: Any) -> Enrichment:
    """Add to the current span, in any of the documented shapes.

    ``enrich_span({"k": "v"})``, ``enrich_span(metadata=..., metrics=..., outputs=...)``,
    ``with enrich_span(event_type="tool"): ...``. The keywords are those of
    :meth:`honeyhive.HoneyHiveTracer.enrich_span`; no span is opened.

    Returns:
        An object that is true if there was a span to add to.
    """
    chosen = tracer if tracer is not None else named.pop("tracer_instance", None)
    named.pop("tracer_instance", None)
    if chosen is None and named.get("event_id") is not None:
        chosen = discover_tracer()
    applied = enrich_current_span(
        attributes,
        named,
        identity=_identity_of(chosen),
        outbox=None if chosen is None else chosen.outbox,
    )
    return Enrichment(applied)


def enrich_session(
    session_id: Any = None, metadata: Any = None, *, tracer: Any = None, tracer_instance: Any = None, **named: Any
) -> bool:
    """Add to a session; by default the one of the current context.

    Args:
        session_id: The session, or the metadata itself when it is a mapping.
        metadata: What is worth knowing of it.
        tracer: The tracer to use; otherwise the one of the context or the default one.
        tracer_instance: The same under its other documented name.
        **named: ``inputs``, ``outputs``, ``config``, ``feedback``, ``metrics``,
            ``user_properties``; anything else is metadata.

    Returns:
        Whether it was accepted; it is sent in the background.
    """
    if isinstance(session_id, Mapping):
        session_id, metadata = None, {**session_id, **(metadata or {})}
    chosen = discover_tracer(tracer if tracer is not None else tracer_instance)
    if chosen is None:
        return False
    return bool(chosen.enrich_session(metadata, session_id=session_id, **named))


@contextmanager
def enrich_span_context(
    event_name: str,
    *,
    attributes: Mapping[str, Any] | None = None,
    session_id: str | None = None,
    project: str | None = None,
    source: str | None = None,
    tracer_instance: Any = None,
    **named: Any,
) -> Iterator[Span | UnrecordedSpan | None]:
    """Open a child span called *event_name*, enriched from the start; yields it.

    The keywords are those of :func:`enrich_span`. Without any tracer it yields ``None``.
    """
    tracer = discover_tracer(tracer_instance)
    if tracer is None:
        yield None
        return
    with tracer.start_span(event_name) as span:
        own = {"session_id": session_id, "project": project, "source": source}
        for name, value in own.items():
            if value is not None:
                span.set_attribute(f"honeyhive_{name}", value)
        tracer.enrich_span(attributes, **named)
        yield span


def flush(tracer: TracerLifecycleInterface | None = None, timeout_millis: float = 30_000) -> FlushResult | bool:
    """Deliver what has finished: of *tracer*, else of every tracer there is.

    Returns:
        True only if everything finished before the call is delivered or safe on disk;
        true as well where there is no tracer.
    """
    if tracer is not None:
        return tracer.flush(timeout_millis)
    results = [each.flush(timeout_millis) for each in get_all_tracers()]
    if not results:
        return True
    joined: FlushResult = results[0]
    for result in results[1:]:
        joined += result
    return joined


def shutdown_tracer(
    tracer: TracerLifecycleInterface | None = None, timeout_millis: float = 5_000
) -> FlushResult | bool:
    """Flush a tracer, by default the default one, and let it record nothing from here on."""
    chosen = tracer if tracer is not None else get_default_tracer()
    return True if chosen is None else chosen.shutdown(timeout_millis)


def graceful_shutdown_all(timeout_millis: float = 5_000) -> bool:
    """Shut down every tracer; true if all that finished is delivered or safe on disk."""
    results = [tracer.shutdown(timeout_millis) for tracer in get_all_tracers()]
    return all(results)
