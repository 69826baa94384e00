"""JSON as the backend reads and writes it: strict, UTF-8, with orjson where it is installed."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping

__all__ = ["dumps", "is_deeper_than", "loads", "object_of"]

_FAST = importlib.util.find_spec("orjson") is not None


def loads(text: bytes | str) -> object:
    """Parse *text*; refuse what is not JSON to the letter, such as ``NaN`` and half a surrogate pair.

    Raises:
        ValueError: The text is not JSON, or nests so deep that no parser follows.
    """
    try:
        if _FAST:
            import orjson

            return orjson.loads(text)
        return _encodable(json.loads(text, parse_constant=_refuse_constant, parse_float=_finite))
    except RecursionError:
        raise ValueError("JSON nests too deep") from None


def dumps(value: object) -> bytes:
    """Write *value* as compact JSON; keys must be strings."""
    if _FAST:
        import orjson

        try:
            return orjson.dumps(value)
        except TypeError:  # integers beyond 64 bits, which the standard library can write
            pass
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def object_of(text: str) -> dict[str, object]:
    """Return the object that *text*, which is JSON, holds; empty when it is something else."""
    value = loads(text)
    return value if isinstance(value, dict) else {}


def is_deeper_than(value: object, levels: int) -> bool:
    """Tell whether lists and objects in *value* nest deeper than *levels*; does not recurse."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [child for node in layer for child in _children(node)]
        if not layer:
            return False
    return True


def _children(node: object) -> Iterator[object]:
    if isinstance(node, Mapping):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _encodable(value: object) -> object:
    # The standard library reads "\ud800", which no UTF-8 text can hold: refuse it here, not when it is stored.
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a string holds half a surrogate pair") from None
    return value


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is beyond the range of a double")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
