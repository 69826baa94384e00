"""Flat attributes back into nested values: dotted keys and JSON inside text.

A span can only carry scalars and lists of them, so every vocabulary flattens:
``honeyhive_outputs.result.rows.0`` is one leaf of a nested result, and
``gen_ai.input.messages`` holds a whole conversation as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NoReturn

__all__ = ["nested", "parsed", "rows"]

_DEEPEST_KEY = 32
_DEEPEST_JSON = 64
_OPENINGS = ("{", "[", '"')


def parsed(value: object, *, longest: int = 8 << 20) -> object:
    """What JSON text says; anything else, broken JSON included, as it is.

    Only text that opens like an object, a list or a string is read, so that ``"12"`` stays
    text. Not-a-number literals and more than 64 levels make the text stay text too.
    """
    if not isinstance(value, str) or len(value) > longest or not value.lstrip()[:1].startswith(_OPENINGS):
        return value
    try:
        found: object = json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return value
    return value if _is_too_deep(value, found) else found


def nested(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Build nested values from dotted keys: ``a.b.0`` and ``a.b.1`` make ``{"a": {"b": [.., ..]}}``.

    Keys ``0`` to ``n - 1`` without a gap make a list. Where a key is both a value and a
    prefix of others, its own value is found under the empty name: nothing is lost.
    """
    tree = _Branch()
    for key, value in pairs:
        _plant(tree, key, value)
    return {name: _listed(child) for name, child in tree.items()}


def rows(pairs: Iterable[tuple[str, object]]) -> list[dict[str, object]]:
    """Read ``N.rest`` keys as the fields of numbered rows, in order of their numbers; gaps are closed."""
    table: dict[int, list[tuple[str, object]]] = {}
    for key, value in pairs:
        number, _, rest = key.partition(".")
        if number.isdecimal() and len(number) <= _DEEPEST_KEY:
            table.setdefault(int(number), []).append((rest, value))
    return [nested(table[number]) for number in sorted(table)]


class _Branch(dict[str, object]):
    """A mapping that stands for dotted keys, as opposed to one that is a value itself."""


def _plant(tree: _Branch, key: str, value: object) -> None:
    *path, leaf = key.split(".", _DEEPEST_KEY)
    for step in path:
        there = tree.get(step)
        if not isinstance(there, _Branch):
            there = tree[step] = _Branch() if there is None else _Branch({"": there})
        tree = there
    branch = tree.get(leaf)
    if isinstance(branch, _Branch):
        branch[""] = value
    else:
        tree[leaf] = value


def _listed(value: object) -> object:
    if not isinstance(value, _Branch):
        return value
    children = {name: _listed(child) for name, child in value.items()}
    if _counts_up(children):
        return [children[str(number)] for number in range(len(children))]
    return children


def _counts_up(children: Mapping[str, object]) -> bool:
    return "0" in children and all(str(number) in children for number in range(len(children)))


def _is_too_deep(text: str, value: object) -> bool:
    if text.count("[") + text.count("{") <= _DEEPEST_JSON:
        return False
    level = [value]
    for _ in range(_DEEPEST_JSON):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
