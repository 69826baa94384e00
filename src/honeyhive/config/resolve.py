"""From keywords, config objects and the environment to one frozen :class:`Settings`.

Two kinds of mistakes are told apart. A programmer's (an unknown keyword, a value of the
wrong type) raises. One made at deploy time (a URL, a key, a number in the environment)
must not take the program down: it becomes a :class:`Problem`, is logged once with the
setting and the fix, and the default is used; ``strict`` turns it into an error.
"""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, get_args, get_origin

from honeyhive.config.settings import REFUSED, Settings
from honeyhive.exceptions import ConfigurationError

__all__ = ["Problem", "Resolved", "Source", "resolve"]

_TRUE: Final = frozenset({"true", "1", "yes", "on", "enabled"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "disabled"})
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_URL: Final = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)
_UNSAFE_PROJECT: Final = re.compile(r"[/\\?#&]")
_TYPED_KEY: Final = re.compile(r"hh_(?:ingst|fgdp)_[A-Za-z0-9]{24}_[A-Za-z0-9_-]{64}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from: ``kind`` is keyword, config, environment or default."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that cannot be used, said so that it can be mended. Never holds the value of a secret."""

    setting: str
    text: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings, and for each where its value came from."""

    settings: Settings
    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


def resolve(keywords: Mapping[str, Any], environ: Mapping[str, str], *, configs: Sequence[object] = ()) -> Resolved:
    """Resolve every setting.

    Args:
        keywords: What the program passed; ``None`` counts as passed, blank text as absent.
        environ: Usually ``os.environ``.
        configs: Config objects in order of precedence; only fields set on them count.

    Raises:
        ConfigurationError: An unknown keyword, one that has no meaning here, or a
            value of the wrong type; or, with ``strict``, any problem.
    """
    reader = _Reader(keywords, environ, configs)
    return reader.read()


class _Reader:
    """Reads one setting after the other; lives for one call of :func:`resolve`."""

    def __init__(self, keywords: Mapping[str, Any], environ: Mapping[str, str], configs: Sequence[object]) -> None:
        self._keywords = _checked_names(keywords)
        self._environ = environ
        self._configs = [_as_mapping(config) for config in configs if config is not None]
        self._problems: list[Problem] = []
        self._sources: dict[str, Source] = {}

    def read(self) -> Resolved:
        hints = typing.get_type_hints(Settings)
        values = {declared.name: self._value(declared, hints[declared.name]) for declared in fields(Settings)}
        self._check(values)
        settings = Settings(**values)
        if settings.strict and self._problems:
            raise ConfigurationError("; ".join(problem.text for problem in self._problems))
        return Resolved(settings, self._sources, tuple(self._problems))

    def _value(self, declared: Any, hint: Any) -> Any:
        name = declared.name
        for kind, given in (("keyword", self._keywords), *(("config", config) for config in self._configs)):
            if name in given and not _is_blank(given[name]):
                if given[name] is None and not _allows_none(hint):
                    continue
                self._sources[name] = Source(kind)
                return _checked_type(name, given[name], hint)
        for group in ("env", "old_env", "otel_env"):
            for variable in declared.metadata[group]:
                text = self._environ.get(variable, "").strip()
                if not text:
                    continue
                try:
                    value = _parse(text, hint)
                except ValueError as error:
                    self._problem(name, f"{variable} cannot be read: {error}")
                    continue
                self._sources[name] = Source("environment", variable)
                return value
        self._sources[name] = Source("default")
        return declared.default

    def _problem(self, name: str, text: str) -> None:
        self._problems.append(Problem(name, text))

    def _check(self, values: dict[str, Any]) -> None:
        """Hold values against what they must look like; an unusable one becomes its default."""
        for name in ("server_url", "otlp_endpoint"):
            url = values[name]
            if url is not None and not _URL.fullmatch(url):
                self._problem(name, f"{name} is not an http(s) address; give one such as http://127.0.0.1:4580")
                values[name] = None
                values["otlp_enabled"] = False
            elif url is not None:
                values[name] = url.rstrip("/")
        for name in ("api_key", "ingestion_api_key"):
            key = values[name]
            if key is not None and (key != key.strip() or not key.isprintable() or not key.isascii()):
                self._problem(name, f"{name} has blanks or characters that no key has; copy it again")
                values[name] = "".join(c for c in key if c.isascii() and c.isprintable() and not c.isspace()) or None
            elif key is not None and key.startswith(("hh_ingst_", "hh_fgdp_")) and not _TYPED_KEY.fullmatch(key):
                self._problem(name, f"{name} is not whole: it begins like a typed key but does not end like one")
        project = values["project"]
        if project is not None and _UNSAFE_PROJECT.search(project):
            self._problem("project", "project may not contain / \\ ? # or &; choose another name")
            values["project"] = _UNSAFE_PROJECT.sub("-", project)
        session_id = values["session_id"]
        if session_id is not None and not _UUID.fullmatch(session_id):
            self._problem("session_id", "session_id is not a UUID; a new session is started instead")
            values["session_id"] = None
        elif session_id is not None:
            values["session_id"] = session_id.lower()
        self._check_ranges(values)

    def _check_ranges(self, values: dict[str, Any]) -> None:
        defaults = {declared.name: declared.default for declared in fields(Settings)}
        for name in ("sample_rate", "tail_sample_rate"):
            rate = values[name]
            if rate is not None and not 0 <= rate <= 1:
                self._problem(name, f"{name} must lie between 0 and 1, not {rate!r}; all is recorded")
                values[name] = None
        slow_ms = values["tail_slow_ms"]
        if slow_ms is not None and slow_ms <= 0:
            self._problem("tail_slow_ms", f"tail_slow_ms must be positive, not {slow_ms!r}; it is ignored")
            values["tail_slow_ms"] = None
        elif slow_ms is not None and values["tail_sample_rate"] is None:
            self._problem("tail_slow_ms", "tail_slow_ms needs tail_sample_rate, without which every trace is kept")
        for name in (
            "max_attributes", "max_events", "max_links", "max_span_size", "max_export_batch_size", "flush_interval",
            "export_timeout", "timeout", "max_queue_bytes", "spool_max_bytes",
        ):  # fmt: skip
            if values[name] <= 0:
                self._problem(name, f"{name} must be positive, not {values[name]!r}; {defaults[name]} is used")
                values[name] = defaults[name]
        for name, choices in (("pressure", ("drop", "block")), ("spool_sync", ("interval", "always"))):
            if values[name] not in choices:
                self._problem(name, f"{name} must be one of {', '.join(choices)}; {defaults[name]} is used")
                values[name] = defaults[name]
        protocol = {"http/json": "http/protobuf"}.get(values["otlp_protocol"], values["otlp_protocol"])
        if protocol not in {"http/protobuf", "grpc"}:
            self._problem("otlp_protocol", "otlp_protocol must be http/protobuf or grpc; http/protobuf is used")
            protocol = "http/protobuf"
        values["otlp_protocol"] = protocol
        if values["run_id"] and values["dataset_id"] and values["datapoint_id"]:
            values["is_evaluation"] = True


def _checked_names(keywords: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {declared.name for declared in fields(Settings)}
    for name in keywords:
        if name in REFUSED:
            raise ConfigurationError(f"{name} is not supported: {REFUSED[name]}")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; `honeyhive config show` lists all settings"
            raise ConfigurationError(f"unknown setting {name!r}{hint}")
    return keywords


def _as_mapping(config: object) -> Mapping[str, Any]:
    """Return the fields that were set on a config object, whatever class it has."""
    if isinstance(config, Mapping):
        return _checked_names(config)
    given = getattr(config, "given", None)
    if callable(given):
        return typing.cast("Mapping[str, Any]", given())
    raise ConfigurationError(
        f"a config of type {type(config).__name__} cannot be read; pass honeyhive.config.models.TracerConfig or a dict"
    )


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {typing.Union, types.UnionType} else (hint,)


def _allows_none(hint: Any) -> bool:
    return hint is Any or type(None) in _choices(hint)


def _checked_type(name: str, value: Any, hint: Any) -> Any:
    """Return *value* if it has the declared type; a whole number does for a float."""
    for choice in _choices(hint):
        origin = get_origin(choice) or choice
        if choice is Any or value is None:
            return value
        if origin is typing.Literal:
            if isinstance(value, str):
                return value
        elif origin is float and type(value) in {int, float}:
            return float(value)
        elif origin is int and type(value) is int:
            return value
        elif origin in {bool, str} and isinstance(value, origin):
            return str(value) if origin is str else value
        elif origin is Sequence and isinstance(value, Sequence) and not isinstance(value, str):
            return tuple(value)
        elif (
            isinstance(origin, type) and origin not in {int, float, bool, str, Sequence} and isinstance(value, origin)
        ) or (not isinstance(origin, type) and callable(value)):
            return value
    raise ConfigurationError(f"{name} must be {_spelled(hint)}, not {type(value).__name__}")


def _spelled(hint: Any) -> str:
    names = [getattr(get_origin(c) or c, "__name__", str(c)) for c in _choices(hint) if c is not type(None)]
    return " or ".join(names)


def _parse(text: str, hint: Any) -> Any:
    """Read *text* of the environment as *hint* says.

    Raises:
        ValueError: It cannot be read so; the message never repeats the text.
    """
    wanted = {get_origin(choice) or choice for choice in _choices(hint)}
    if bool in wanted:
        return _parse_bool(text)
    if int in wanted:
        return _parse_number(text, int, "a whole number")
    if float in wanted:
        return _parse_number(text, float, "a number")
    if Mapping in wanted:
        return _parse_mapping(text)
    if Sequence in wanted:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint is Any:
        return _parse_mapping(text)
    return text


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("give true or false")


def _parse_number(text: str, kind: type[int | float], wanted: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"give {wanted}") from None


def _parse_mapping(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError("give a JSON object") from None
    if not isinstance(value, dict):
        raise ValueError("give a JSON object")
    return value
