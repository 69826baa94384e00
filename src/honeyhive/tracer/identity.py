"""Who a span belongs to and where it comes from: the tracer's identity, the call site, what both say as attributes."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

__all__ = ["CallSite", "Identity", "identity_attributes", "narrowed"]


class Identity:
    """Who a tracer is, as far as its spans must know: the part that outlives the tracer object.

    ``statics`` are the attributes that every span of the tracer carries. The object is
    compared by identity; ``key`` names it inside a context.
    """

    __slots__ = ("__weakref__", "_tracer", "capture_inputs", "capture_outputs", "core", "core_of", "enabled", "key",
                 "prepare", "project", "session_id", "source", "statics")  # fmt: skip

    core: Any
    """The OpenTelemetry tracer that starts the spans."""

    core_of: Callable[[str], Any]
    """Returns the OpenTelemetry tracer that starts the spans of the instrumentation scope of that name."""

    prepare: Callable[..., Any]
    """The method of that name of ``core``."""

    def __init__(
        self,
        *,
        key: str,
        project: str | None = None,
        source: str | None = None,
        session_id: str | None = None,
        statics: Mapping[str, AttributeValue] | None = None,
        capture_inputs: bool = True,
        capture_outputs: bool = True,
    ) -> None:
        self.key = key
        self.project = project
        self.source = source
        self.session_id = session_id
        self.statics: Mapping[str, AttributeValue] = dict(statics or {})
        self.capture_inputs = capture_inputs
        self.capture_outputs = capture_outputs
        self.core = None
        self.enabled = True
        self._tracer: weakref.ref[Any] | None = None

    def start_through(self, core: Any, core_of: Callable[[str], Any]) -> None:
        """Have *core* start the spans, and *core_of* say who does for others; said once, by whoever builds the tracer."""
        self.core = core
        self.core_of = core_of
        self.prepare = core.prepare

    def bind(self, tracer: object) -> None:
        """Name the tracer whose identity this is; it is held weakly."""
        self._tracer = weakref.ref(tracer)

    @property
    def tracer(self) -> Any:
        """The tracer, or ``None`` once it is gone."""
        return None if self._tracer is None else self._tracer()


class CallSite:
    """What one decorated function, or one kind of span, says of all its spans."""

    __slots__ = ("name", "statics")

    def __init__(self, name: str, statics: Mapping[str, AttributeValue] | None = None) -> None:
        self.name = name
        self.statics: Mapping[str, AttributeValue] = dict(statics or {})


@functools.lru_cache(maxsize=256)
def narrowed(site: CallSite, name: str, facts: tuple[tuple[str, AttributeValue], ...]) -> CallSite:
    """Return the site of those spans of *site* that are called *name* and have *facts* in common too."""
    return CallSite(name, {**site.statics, **dict(facts)})


def identity_attributes(
    identity: Identity, session_id: str | None, baggage: Mapping[str, object] | None
) -> dict[str, AttributeValue]:
    """Return what a tracer says of each of its spans: project, source, session, run, baggage."""
    out: dict[str, AttributeValue] = dict(identity.statics)
    if session_id:
        out["honeyhive.session_id"] = out["traceloop.association.properties.session_id"] = session_id
    if baggage:
        _add_baggage(out, baggage)
    return out


def _add_baggage(out: dict[str, AttributeValue], baggage: Mapping[str, object]) -> None:
    """Turn baggage into attributes: evaluation ids as metadata, the rest as ``baggage.<key>``."""
    for key, value in baggage.items():
        if key in {"run_id", "dataset_id", "datapoint_id"}:
            out.setdefault(f"honeyhive_metadata.{key}", str(value))
        elif key == "parent_id":
            out["honeyhive.parent_id"] = out["traceloop.association.properties.parent_id"] = str(value)
        elif key not in {"session_id", "project", "source", "honeyhive_tracer_id", "session_name"}:
            out[f"baggage.{key}"] = str(value)
