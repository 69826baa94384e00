"""Configuration: a model whose fields are read from the environment, once for each process."""

from __future__ import annotations

import json
import os
import types
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from honeyhive.exceptions import ConfigurationError
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.hooks import Configured
from honeyhive.runtime.interceptors import Given

__all__ = ["Configuration", "environment_name", "read_config"]

M = TypeVar("M", bound=BaseModel)


class Configuration:
    """The interceptor behind `use_config` for programs without a service; a service with ``config=`` needs it not.

    The environment is read once, when it is made.

    Args:
        model: What to read.
        environ: Where it is read; the process's environment by default.
        prefix: Put before the names of environment variables.

    Raises:
        ConfigurationError: The environment does not make the configuration.
    """

    def __init__(self, model: type[BaseModel], environ: Mapping[str, str] | None = None, *, prefix: str = "") -> None:
        config = read_config(model, os.environ if environ is None else environ, prefix=prefix)
        self._given = Given(Configured(config=config))

    def intercept(self, _: Execution) -> AbstractAsyncContextManager[object]:
        """Let the execution find the configuration."""
        return self._given


def read_config(model: type[M], environ: Mapping[str, str], *, prefix: str = "") -> M:
    """Return *model* with its fields from *environ*.

    The field ``redis_url`` is read from ``REDIS_URL``, after *prefix*; an alias of the field is taken as it is. Models,
    lists and mappings are written as JSON. A field that the environment does not name keeps its default.

    Raises:
        ConfigurationError: A value is missing or wrong; the message names each variable, and shows no value.
    """
    given = {
        name: _value(environ[variable], model.model_fields[name])
        for name in model.model_fields
        if (variable := environment_name(model, name, prefix)) in environ
    }
    try:
        return model.model_validate(
            {model.model_fields[name].alias or name: value for name, value in given.items()}, strict=False
        )
    except ValidationError as error:
        raise ConfigurationError(_explanation(model, error, prefix)) from None


def environment_name(model: type[BaseModel], field: str, prefix: str = "") -> str:
    """Return the name of the environment variable for *field* of *model*."""
    return model.model_fields[field].alias or (prefix + field).upper()


def _value(text: str, field: FieldInfo) -> object:
    if not _is_structured(field.annotation):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_structured(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return any(_is_structured(member) for member in get_args(annotation))
    if origin is Literal:
        return False
    kind = origin or annotation
    if not isinstance(kind, type) or issubclass(kind, (str, bytes)):
        return False
    return issubclass(kind, (BaseModel, Mapping, Collection))


def _explanation(model: type[BaseModel], error: ValidationError, prefix: str) -> str:
    names = {field.alias or name: environment_name(model, name, prefix) for name, field in model.model_fields.items()}
    lines = [
        f"{names.get(str(each['loc'][0]), each['loc'][0]) if each['loc'] else model.__name__}: {each['msg']}"
        for each in error.errors(include_input=False, include_url=False)
    ]
    return f"The environment does not make a {model.__name__}:\n  " + "\n  ".join(lines)
