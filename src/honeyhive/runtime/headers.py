"""The headers of a request as the carrier of its execution: decoded when somebody reads them, and then once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar, overload

__all__ = ["Headers"]

T = TypeVar("T")

_name = itemgetter(0)


class Headers(Mapping[str, str]):
    """Headers by their names in lower case; of those that come more than once the last.

    Args:
        raw: Names and values as ASGI has them.
    """

    __slots__ = ("_raw", "_texts")

    def __init__(self, raw: Iterable[Sequence[bytes]]) -> None:
        self._raw = raw
        self._texts: dict[str, str] | None = None

    def names_any_of(self, names: frozenset[bytes]) -> bool:
        """Tell whether there is a header with one of *names*, without decoding any."""
        return not names.isdisjoint(map(_name, self._raw))

    def __getitem__(self, name: str) -> str:
        return self._decoded()[name]

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...
    def get(self, name: str, /, default: Any = None) -> Any:
        """Return the header of that name, or *default*; what this is inherited from raises and catches an error."""
        return self._decoded().get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._decoded()

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __repr__(self) -> str:
        return repr(self._decoded())

    def _decoded(self) -> dict[str, str]:
        if self._texts is None:
            self._texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._raw}
        return self._texts
