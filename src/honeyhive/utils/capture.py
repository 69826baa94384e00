"""A point-in-time copy of any value, cheap and bounded, made without running a line of the value's own code.

`capture` runs on the caller's thread in the middle of the host's work. It therefore only copies; turning the copy into
text, cutting and redacting happen later on another thread (`honeyhive.utils.render`). Four ways, cheapest first:

1. Scalars are immutable and are kept as they are.
2. Rows, which are flat dictionaries of scalars, one or a list of them as in a chat, are built anew: their texts need not
   be copied, and a flat dictionary is nothing for the garbage collector.
3. Other plain containers (``dict`` with ``str`` keys, ``list``, ``tuple``, of the same and scalars) are first measured
   and then marshalled: the fastest true copy that Python has of what nests, and one object for the garbage collector.
4. Everything else is copied piece by piece into plain containers as `honeyhive.utils.shapes` describes.

No way calls ``repr``, ``len``, ``__eq__``, ``__getattr__``, properties, ``model_dump`` or any other code that belongs to
the class of a value.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, TypeAlias

from honeyhive.utils import shapes
from honeyhive.utils.guard import guard
from honeyhive.utils.shapes import Branch, Budget, exceeded

__all__ = [
    "DEFAULT_LIMITS",
    "CaptureLimits",
    "CutText",
    "Snapshot",
    "bounded_copy",
    "capture",
    "captured",
    "captured_all",
    "captured_bytes",
]

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_OBJECT_BYTES: Final = 64
_PUNCTUATION_BYTES: Final = 2
_NUMBER_BYTES: Final = 16
_OBJECT_NODES: Final = 8

_ROW_BYTES: Final = 256
_MOST_ROWS: Final = 256
_WIDEST_ROW: Final = 100
_LARGEST: Final = 2**30 - 1
_SMALLEST: Final = -_LARGEST
"""Python compares integers in between more cheaply than others."""

_dumps: Final[Callable[[object], bytes]] = marshal.dumps  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """How much of one value is captured; what lies beyond is replaced by ``<capture budget exceeded: ...>``.

    Attributes:
        max_bytes: Size of the text of the whole value, in bytes.
        max_depth: Levels of nesting.
        max_nodes: Items of all containers together; one that is not plain data counts for eight. A container with
            more items than are left keeps as many as a hundredth of what is left.
    """

    max_bytes: int = 1 << 20
    max_depth: int = 64
    max_nodes: int = 100_000


DEFAULT_LIMITS: Final = CaptureLimits()
_MOST_TEXT: Final = DEFAULT_LIMITS.max_bytes


Snapshot: TypeAlias = bytes
"""A captured container, marshalled. Nothing else is captured as bytes, so these come from `capture` and are safe to load."""

Rows: TypeAlias = list[dict[str, object]] | dict[str, object]
"""Captured rows: dictionaries of scalars, which belong to nobody else."""


class CutText:
    """The beginning of a text that was too long to keep."""

    __slots__ = ("length", "text")

    def __init__(self, text: str, length: int) -> None:
        self.text = text
        self.length = length


def capture(value: object, limits: CaptureLimits = DEFAULT_LIMITS) -> object:
    """Return what is needed to render *value* later as it is now.

    Never raises, never runs code of the value's class, never consumes an iterator, and takes a time that depends on
    *limits* and not on the value.

    Returns:
        A scalar, a `CutText`, `Rows` or a `Snapshot` (bytes): to be handed to `honeyhive.utils.render.render` and otherwise opaque.
    """
    return captured(value, 0, limits)[0]


def captured(value: Any, weight: int, limits: CaptureLimits = DEFAULT_LIMITS) -> tuple[object, int]:
    """Return what `capture` returns, and *weight* increased by about the bytes of memory it occupies."""
    kind = type(value)
    if kind is str:
        length = len(value)
        if length <= limits.max_bytes:
            return value, weight + length
        return CutText(value[: limits.max_bytes], length), weight + limits.max_bytes
    if kind is list or kind is dict or kind is tuple:
        try:
            rows = _rows(value, kind) if limits is DEFAULT_LIMITS else None
            if rows is not None:
                return rows[0], weight + rows[1]
            if _is_plain(value, limits):
                snapshot = _dumps(value)
                return snapshot, weight + len(snapshot)
        except (RuntimeError, ValueError):
            # Another thread changed the value in between; the slower way copies each container in one step.
            pass
    elif value is None or kind is bool or kind is float or (kind is int and _INT64_MIN <= value <= _INT64_MAX):
        return value, weight
    copy = _capture_slowly(value, limits)
    return copy, weight + captured_bytes(copy)


def captured_all(values: tuple[Any, ...], weight: int) -> tuple[Sequence[object], int]:
    """Return what `capture` returns for each of *values*, and *weight* increased by about the bytes of all of them."""
    if len(values) == 1:
        copy, weight = captured(values[0], weight)
        return (copy,), weight
    texts = weight
    for value in values:
        kind = type(value)
        if kind is str:
            texts += len(value)
        elif kind is int:
            if value > _LARGEST or value < _SMALLEST:
                break
        elif value is not None and kind is not bool and kind is not float:
            break
    else:
        if texts <= _MOST_TEXT:
            return values, texts
    copies = []
    for value in values:
        copy, weight = captured(value, weight)
        copies.append(copy)
    return copies, weight


def captured_bytes(captured: Any) -> int:
    """Return about how many bytes of memory *captured* occupies, for the accounting of a queue."""
    kind = type(captured)
    if kind is str or kind is bytes:
        return _OBJECT_BYTES + len(captured)
    if kind is list:
        return sum(map(captured_bytes, captured))
    if kind is dict:
        return _ROW_BYTES + sum([len(item) for item in captured.values() if type(item) is str])
    if kind is CutText:
        return 2 * _OBJECT_BYTES + len(captured.text)
    return _OBJECT_BYTES


def bounded_copy(value: object, limits: CaptureLimits = DEFAULT_LIMITS) -> object:
    """Return *value* as plain JSON-like data: scalars, lists, and dictionaries with text keys, within *limits*."""
    return _Walk(limits).copy(value)


def _rows(value: Any, kind: type) -> tuple[Rows, int] | None:  # noqa: C901, PLR0912 - flat on purpose, as `_is_plain`
    """Return the rows of *value*, copied, and their size; ``None`` if it is anything else, or large."""
    text, type_of = str, type  # as locals they are quicker to come by
    if kind is dict:
        rows = [value]
    elif len(value) <= _MOST_ROWS:
        rows = [*value]
    else:
        return None
    size = at = 0
    for row in rows:
        if type_of(row) is not dict or len(row) > _WIDEST_ROW:
            return None
        rows[at] = copy = row.copy()
        at += 1
        for key in copy:
            if type_of(key) is not text:
                return None
            item = copy[key]  # takes fewer steps than to iterate over pairs
            item_kind = type_of(item)
            if item_kind is text:
                size += len(item)
            elif item_kind is int:
                if item > _LARGEST or item < _SMALLEST:
                    return None
            elif item_kind is float:
                if item - item != 0.0:  # NaN or infinite: JSON has no number for it
                    return None
            elif item is not None and item_kind is not bool:
                return None
    if size > _MOST_TEXT:
        return None
    return rows[0] if kind is dict else rows, size + _ROW_BYTES * at


def _is_plain(value: object, limits: CaptureLimits) -> bool:  # noqa: C901, PLR0912 - flat on purpose, see below
    """Tell whether *value* can be marshalled as it is: nothing but plain data, and within *limits*.

    One function without calls, level by level, text first: it runs for every captured container.
    """
    nodes_left, bytes_left, levels_left = limits.max_nodes, limits.max_bytes, limits.max_depth
    level: list[Any] = [value]
    while levels_left > 0:
        levels_left -= 1
        below: list[Any] = []
        for container in level:
            nodes_left -= len(container)
            if nodes_left < 0:
                return False
            if type(container) is dict:
                for key, item in container.items():
                    if type(key) is not str:
                        return False
                    kind = type(item)
                    if kind is str:
                        bytes_left -= len(key) + len(item)
                        continue
                    bytes_left -= len(key)
                    if kind is dict or kind is list or kind is tuple:
                        below.append(item)
                    elif kind is int:
                        if not _INT64_MIN <= item <= _INT64_MAX:
                            return False
                    elif kind is float:
                        if item - item != 0.0:  # NaN or infinite: JSON has no number for it
                            return False
                    elif item is not None and kind is not bool:
                        return False
            else:
                for item in container:
                    kind = type(item)
                    if kind is str:
                        bytes_left -= len(item)
                    elif kind is dict or kind is list or kind is tuple:
                        below.append(item)
                    elif kind is float:
                        if item - item != 0.0:
                            return False
                    elif kind is int:
                        if not _INT64_MIN <= item <= _INT64_MAX:
                            return False
                    elif item is not None and kind is not bool:
                        return False
            if bytes_left < 0:
                return False
        if not below:
            return True
        level = below
    return False


def _capture_slowly(value: object, limits: CaptureLimits) -> object:
    with guard("capture"):
        plain = bounded_copy(value, limits)
        kind = type(plain)
        return _dumps(plain) if kind is dict or kind is list else plain
    return shapes.unserialisable(type(value))


class _Frame:
    """A container being copied: where its items come from and where they go."""

    __slots__ = ("branch", "children", "identity", "output")

    def __init__(self, branch: Branch, identity: int) -> None:
        self.branch = branch
        keys = repeat(None) if branch.keys is None else branch.keys
        self.children: Iterator[tuple[object, object]] = zip(keys, branch.values, strict=False)
        self.identity = identity
        self.output: dict[str, object] | list[object] = [] if branch.keys is None else {}

    def put(self, key: object, plain: object) -> None:
        if isinstance(self.output, list):
            self.output.append(plain)
        else:
            self.output[self._unused(key)] = plain

    def _unused(self, key: object) -> str:
        text = str(key)
        while text in self.output:
            text = f"{text}#{len(self.output) + 1}"
        return text


class _Walk:
    """One bounded copy. Iterative: the depth of a value must not be the depth of our stack."""

    __slots__ = ("_budget", "_frames", "_max_depth", "_open")

    def __init__(self, limits: CaptureLimits) -> None:
        # A part is set aside for the markers and the escapes that the text will need.
        self._budget = Budget(limits.max_bytes - limits.max_bytes // 16, limits.max_nodes)
        self._max_depth = limits.max_depth
        self._frames: list[_Frame] = []
        self._open: set[int] = set()

    def copy(self, root: object) -> object:
        plain = self._enter(root)
        while self._frames:
            frame = self._frames[-1]
            for key, child in frame.children:
                if self._budget.is_spent:
                    self._close(frame, cut=True)
                    break
                frame.put(self._key(frame, key), self._enter(child))
                if self._frames[-1] is not frame:
                    break
            else:
                self._close(frame, cut=frame.branch.is_cut)
        return plain

    def _enter(self, value: object) -> object:
        """Return the copy of a leaf, or open a container and return its copy, still empty."""
        budget = self._budget
        budget.nodes -= 1
        budget.bytes -= _PUNCTUATION_BYTES
        kind = type(value)
        if kind is str:
            return budget.text(value)  # type: ignore[arg-type]
        if value is None or kind is bool:
            return value
        if (kind is int and _INT64_MIN <= value <= _INT64_MAX) or (kind is float and value - value == 0.0):  # type: ignore[operator]
            budget.bytes -= _NUMBER_BYTES
            return value
        if kind is not dict and kind is not list:
            budget.nodes -= _OBJECT_NODES
        inside_object = bool(self._frames) and self._frames[-1].branch.is_object
        piece = shapes.piece(value, budget, inside_object=inside_object)
        if not isinstance(piece, Branch):
            return piece
        if id(value) in self._open:
            return "<cycle>"
        if len(self._frames) >= self._max_depth:
            return exceeded(f"depth {self._max_depth}")
        piece.is_object = piece.is_object or inside_object
        frame = _Frame(piece, id(value))
        self._open.add(frame.identity)
        self._frames.append(frame)
        return frame.output

    def _key(self, frame: _Frame, key: object) -> object:
        return shapes.key_text(key, self._budget) if frame.branch.keys is not None else None

    def _close(self, frame: _Frame, *, cut: bool) -> None:
        if cut:
            frame.put(exceeded(), exceeded(f"{frame.branch.total} items"))
        self._open.discard(frame.identity)
        self._frames.pop()
