"""Generic states in the syntax of Python 3.12; loaded by test_generic_syntax.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from honeyhive import State

type Names = Sequence[str]
type Json = str | int | Sequence[Json] | Mapping[str, Json]


class Container[Element](State):
    items: Sequence[Element]
    metadata: Mapping[str, Any]


class Named(State):
    names: Names
    data: Json = ""
