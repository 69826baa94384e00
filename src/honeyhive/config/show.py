"""The settings as a person reads them: value, source, meaning; secrets masked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from honeyhive.config.resolve import Resolved
from honeyhive.config.settings import Settings, declared_env

__all__ = ["BARE_NAMES", "SettingRow", "masked", "setting_rows", "unknown_variables"]

BARE_NAMES = frozenset(
    {"SESSION_NAME", "SESSION_ID", "RUN_ID", "DATASET_ID", "DATAPOINT_ID", "IS_EVALUATION", "INPUTS"}
)
"""Variables that the public SDK reads without a prefix; here they mean nothing."""

_OTHER_VARIABLES = frozenset({"HH_DATA_PLANE_API_KEY", "HH_PATTERNS"})
_OF_THE_BACKEND = "HH_SERVER_"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting: ``value`` is text to be shown, ``variables`` those it can be set with."""

    name: str
    value: str
    source: str
    meaning: str
    variables: tuple[str, ...]


def setting_rows(resolved: Resolved) -> Iterator[SettingRow]:
    """Yield every setting in the order of its declaration."""
    for declared in fields(Settings):
        value = getattr(resolved.settings, declared.name)
        shown = masked(value) if declared.metadata["secret"] else _shown(value)
        variables = (*declared.metadata["env"], *declared.metadata["otel_env"])
        source = str(resolved.sources.get(declared.name, ""))
        yield SettingRow(declared.name, shown, source, declared.metadata["meaning"], variables)


def masked(value: object) -> str:
    """Return what may be shown of a secret: its first letters if it is long, else only that there is one."""
    if value is None or value == "":
        return "not set"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: ***" for name in value) + "}"
    text = str(value)
    return f"{text[:4]}*** ({len(text)} characters)" if len(text) >= 16 else "***"


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return getattr(value, "__qualname__", None) or str(value)


def unknown_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each ``HH_`` variable that no setting has, with the nearest one that exists; the backend's are its own affair."""
    known = {*declared_env(), *_OTHER_VARIABLES}
    for name in sorted(environ):
        if name.startswith("HH_") and not name.startswith(_OF_THE_BACKEND) and name not in known:
            yield name, next(iter(difflib.get_close_matches(name, known, n=1)), None)
