"""The config objects of the public SDK's documented surface, thin over :class:`Settings`.

``HoneyHiveTracer(config=TracerConfig(...), session_config=SessionConfig(...))`` equals the
same values as keywords. Only what was set counts; an unknown field raises at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from honeyhive.config.resolve import _checked_names
from honeyhive.exceptions import ConfigurationError

__all__ = [
    "APIClientConfig",
    "BaseHoneyHiveConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "HTTPClientConfig",
    "OTLPConfig",
    "SessionConfig",
    "SpanNameFilter",
    "SpanNameFilters",
    "TracerConfig",
]


class BaseHoneyHiveConfig:
    """A set of given values under the names of :class:`honeyhive.config.Settings`.

    Attributes read back what was given, and raise ``AttributeError`` for what was not.
    """

    _renamed: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **values: Any) -> None:
        named = {self._renamed.get(name, name): value for name, value in values.items()}
        self._values = dict(_checked_names(named))

    def given(self) -> Mapping[str, Any]:
        """Return what was given, by the name of the setting."""
        return self._values

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][self._renamed.get(name, name)]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} was not given {name!r}") from None

    def __repr__(self) -> str:
        shown = {name: "***" if "key" in name or "headers" in name else value for name, value in self._values.items()}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class TracerConfig(BaseHoneyHiveConfig):
    """Any setting of a tracer."""


class SessionConfig(BaseHoneyHiveConfig):
    """The session's settings: session_id, skip_backend_session_creation, inputs, link_carrier."""


class EvaluationConfig(BaseHoneyHiveConfig):
    """The evaluation's settings: is_evaluation, run_id, dataset_id, datapoint_id."""


class APIClientConfig(BaseHoneyHiveConfig):
    """Settings of the API client: api_key, server_url, timeout."""

    _renamed: ClassVar[Mapping[str, str]] = {"base_url": "server_url"}


class HTTPClientConfig(BaseHoneyHiveConfig):
    """Settings of HTTP calls: timeout."""


class OTLPConfig(BaseHoneyHiveConfig):
    """Settings of the export under the names that the public SDK gives them."""

    _renamed: ClassVar[Mapping[str, str]] = {"batch_size": "max_export_batch_size", "endpoint": "otlp_endpoint", "headers": "otlp_headers",
                "protocol": "otlp_protocol", "enabled": "otlp_enabled"}  # fmt: skip


class ExperimentConfig(BaseHoneyHiveConfig):
    """The experiment that every span belongs to: id, name, variant, group, metadata."""


@dataclass(frozen=True, slots=True)
class SpanNameFilter:
    """One rule on span names: the name equals, starts with or contains *value*."""

    value: str
    type: Literal["prefix", "exact", "contains"] = "prefix"

    def __post_init__(self) -> None:
        if self.type not in {"prefix", "exact", "contains"}:
            raise ConfigurationError(f"a span name filter is prefix, exact or contains, not {self.type!r}")

    def matches(self, name: str) -> bool:
        """Whether the rule holds for *name*."""
        if self.type == "prefix":
            return name.startswith(self.value)
        return name == self.value if self.type == "exact" else self.value in name


@dataclass(frozen=True, slots=True)
class SpanNameFilters:
    """Which span names are recorded: those some *include* names (all, if empty) and no *exclude* does."""

    include: tuple[SpanNameFilter, ...] = ()
    exclude: tuple[SpanNameFilter, ...] = ()

    @classmethod
    def of(cls, value: object) -> SpanNameFilters | None:
        """Read filters from their object form, from ``{"include": [...], "exclude": [...]}``, or ``None``.

        Raises:
            ConfigurationError: The shape is another; the message shows the right one.
        """
        if value is None or isinstance(value, SpanNameFilters):
            return value
        if not isinstance(value, Mapping) or set(value) - {"include", "exclude"}:
            raise ConfigurationError(_SHAPE)
        return cls(_rules(value.get("include")), _rules(value.get("exclude")))

    def allows(self, name: str) -> bool:
        """Whether a span of that name is recorded."""
        if self.include and not any(rule.matches(name) for rule in self.include):
            return False
        return not any(rule.matches(name) for rule in self.exclude)


_SHAPE = 'span_name_filters looks like {"include": [{"type": "prefix", "value": "app."}], "exclude": ["db."]}'


def _rules(value: object) -> tuple[SpanNameFilter, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(_SHAPE)
    return tuple(_rule(each) for each in value)


def _rule(value: object) -> SpanNameFilter:
    if isinstance(value, SpanNameFilter):
        return value
    if isinstance(value, str):
        return SpanNameFilter(value)
    if isinstance(value, Mapping) and isinstance(value.get("value"), str) and set(value) <= {"type", "value"}:
        return SpanNameFilter(value["value"], value.get("type", "prefix"))
    raise ConfigurationError(_SHAPE)
