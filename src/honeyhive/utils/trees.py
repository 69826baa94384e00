"""Trees without recursion: one may be ten thousand deep, have orphans, and go round in circles."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["Node", "Row", "drawn", "preorder"]

K = TypeVar("K", bound=Hashable)

_DEEPEST_INDENT: Final = 40


@dataclass(frozen=True, slots=True)
class Node(Generic[K]):
    """One place in a tree.

    Attributes:
        key: Whose place it is.
        depth: 0 for roots.
        children: Keys of the children, in order.
        is_orphan: It names a parent that is not there, or that is below it.
    """

    key: K
    depth: int
    children: Sequence[K]
    is_orphan: bool


def preorder(parents: Mapping[K, K | None]) -> Iterator[Node[K]]:
    """Yield every key of *parents* once, each parent before its children.

    Args:
        parents: The parent of each key, in the order in which siblings are wanted. A parent that is not a key makes an
            orphan, which is shown as a root; a circle is cut at its first key.
    """
    children: dict[K, list[K]] = {key: [] for key in parents}
    tops: list[K] = []
    for key, parent in parents.items():
        if parent is None or parent not in children:
            tops.append(key)
        else:
            children[parent].append(key)
    seen: set[K] = set()
    yield from _walk(tops, parents, children, seen)
    for key in parents:
        if key not in seen:
            yield from _walk([key], parents, children, seen)


def _walk(
    tops: Sequence[K], parents: Mapping[K, K | None], children: Mapping[K, Sequence[K]], seen: set[K]
) -> Iterator[Node[K]]:
    stack = [(key, 0) for key in reversed(tops)]
    while stack:
        key, depth = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        below = [child for child in children[key] if child not in seen]
        yield Node(key, depth, below, is_orphan=depth == 0 and parents[key] is not None)
        stack.extend((child, depth + 1) for child in reversed(below))


class Row(NamedTuple):
    """One line of a tree that is to be drawn: how deep, with how many children, saying what."""

    depth: int
    children: int
    text: str


def drawn(rows: Iterable[Row]) -> Iterator[str]:
    """Draw *rows*, parents before their children, with lines that lead from parent to child.

    Deeper than 40 levels the lines stop moving to the right and say their depth.
    """
    rails: list[bool] = []
    open_children: list[int] = []
    for depth, children, text in rows:
        del rails[max(0, depth - 1) :], open_children[depth:]
        is_last = True
        if depth:
            open_children[depth - 1] -= 1
            is_last = open_children[depth - 1] == 0
        yield _branch(rails, depth, is_last=is_last) + text
        if depth:
            rails.append(not is_last)
        open_children.append(children)


def _branch(rails: list[bool], depth: int, *, is_last: bool) -> str:
    if depth == 0:
        return ""
    if depth > _DEEPEST_INDENT:
        return f"{'   ' * _DEEPEST_INDENT}({depth}) "
    return "".join("│  " if goes_on else "   " for goes_on in rails) + ("└─ " if is_last else "├─ ")
