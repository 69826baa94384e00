"""The attribute vocabulary the tracer writes: namespaces, flattening, what a decorator declares.

Identity stands under ``honeyhive.``, payload under ``honeyhive_``, as HoneyHive's backend
reads them. Pure functions; nothing here knows a tracer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from opentelemetry.util.types import AttributeValue

__all__ = ["NAMESPACES", "declared", "enrichment", "event_type_name", "flatten", "flattened", "identity_statics"]

NAMESPACES: Final = ("metadata", "metrics", "feedback", "inputs", "outputs", "config", "user_properties")
"""The payload namespaces, each ``honeyhive_<name>.`` on a span."""

_MOST_LEAVES: Final = 256
_DEEPEST: Final = 16
_SCALARS: Final = frozenset({str, int, float, bool})


def event_type_name(event_type: object) -> str:
    """Return the name of an event type: an ``EventType`` or any free text."""
    return str(event_type.value) if isinstance(event_type, Enum) else str(event_type)


def flattened(attributes: Mapping[str, object]) -> Mapping[str, AttributeValue]:
    """Return *attributes* as `flatten` writes each of them; those that are scalars all as they are."""
    if _SCALARS.issuperset(map(type, attributes.values())):
        return attributes  # type: ignore[return-value]  # scalars
    out: dict[str, AttributeValue] = {}
    for key, value in attributes.items():
        flatten(key, value, out)
    return out


def flatten(prefix: str, value: object, out: dict[str, AttributeValue]) -> None:
    """Write *value* to *out* under *prefix*: containers as dotted keys, scalars as they are.

    ``None`` is left out. What nests deeper than 16 levels or comes after 256 leaves is
    written as one JSON text, as is every object that is no plain container.
    """
    room = _MOST_LEAVES
    waiting: list[tuple[str, object, int]] = [(prefix, value, 0)]
    while waiting:
        key, item, depth = waiting.pop()
        kind = type(item)
        if item is None:
            continue
        if kind in _SCALARS:
            out[key] = item  # type: ignore[assignment]
            room -= 1
            continue
        rows: list[tuple[str, object]] | None = None
        if kind is dict:
            rows = [(f"{key}.{name}", part) for name, part in item.items() if type(name) is str and name]  # type: ignore[attr-defined]
            rows = rows if len(rows) == len(item) else None  # type: ignore[arg-type]
        elif kind in {list, tuple}:
            rows = [(f"{key}.{index}", part) for index, part in enumerate(item)]  # type: ignore[var-annotated, arg-type]
        if rows and depth < _DEEPEST and len(rows) + len(waiting) <= room:
            waiting.extend((name, part, depth + 1) for name, part in reversed(rows))
        else:
            out[key] = as_text(item)
            room -= 1


def as_text(value: object) -> AttributeValue:
    """Return any value as an attribute: a scalar, or bounded JSON, without running user code."""
    from honeyhive.utils.capture import capture
    from honeyhive.utils.render import render

    rendered = render(capture(value))
    return "null" if rendered is None else rendered


def enrichment(
    attributes: Mapping[str, Any] | None = None,
    *,
    error: object = None,
    event_type: object = None,
    event_name: str | None = None,
    update_event_id: str | None = None,
    more: Mapping[str, Any] | None = None,
    **namespaces: object,
) -> dict[str, AttributeValue]:
    """Return the span attributes of one enrichment.

    Later ones win: ``metadata``, then *attributes*, then the keywords *more*; these last
    two are metadata too. A namespace that is not a mapping is kept whole under its name.
    """
    out: dict[str, AttributeValue] = {}
    for name in NAMESPACES:
        value = namespaces.get(name)
        if isinstance(value, Mapping):
            for key, part in value.items():
                flatten(f"honeyhive_{name}.{key}", part, out)
        elif value is not None:
            flatten(f"honeyhive_{name}", value, out)
    for extra in (attributes, more):
        for key, part in (extra or {}).items():
            flatten(f"honeyhive_metadata.{key}", part, out)
    if error is not None:
        out["honeyhive_error"] = _error_text(error)
        if isinstance(error, BaseException):
            out["honeyhive_error_type"] = type(error).__qualname__
    if event_type is not None:
        out["honeyhive_event_type"] = event_type_name(event_type)
    if event_name is not None:
        out["honeyhive_event_name"] = str(event_name)
    if update_event_id is not None:
        out["honeyhive_event_id"] = str(update_event_id)
    return out


def _error_text(error: object) -> AttributeValue:
    from honeyhive.tracer.errors import error_message

    return error_message(error) if isinstance(error, BaseException) else as_text(error)


def declared(
    *,
    event_type: object,
    event_name: str,
    event_id: str | None = None,
    source: str | None = None,
    project: str | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    session_name: str | None = None,
    error: object = None,
    namespaces: Mapping[str, Any],
) -> dict[str, AttributeValue]:
    """Return the attributes that a decorator declares for all spans of its function."""
    out: dict[str, AttributeValue] = {
        "honeyhive_event_type": event_type_name(event_type),
        "honeyhive_event_name": event_name,
    }
    single = {
        "event_id": event_id,
        "source": source,
        "project": project,
        "session_id": session_id,
        "user_id": user_id,
        "session_name": session_name,
    }
    out.update({f"honeyhive_{name}": str(value) for name, value in single.items() if value is not None})
    out.update(enrichment(error=error, **namespaces))
    return out


def identity_statics(
    *, project: str | None, source: str | None, metadata: Mapping[str, object], experiment: Mapping[str, object]
) -> dict[str, AttributeValue]:
    """Return what every span of a tracer carries: both spellings of project and source, run, experiment."""
    out: dict[str, AttributeValue] = {}
    for name, value in (("project", project), ("source", source)):
        if value:
            out[f"honeyhive.{name}"] = out[f"traceloop.association.properties.{name}"] = value
    for key, part in metadata.items():
        flatten(f"honeyhive_metadata.{key}", part, out)
    for key, part in experiment.items():
        flatten(f"honeyhive.experiment_metadata.{key}", part, out)
    return out
