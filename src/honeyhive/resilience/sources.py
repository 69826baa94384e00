"""Where items come from: iterables and async iterables, asked for one item at a time and closed when nobody asks on."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

__all__ = ["Items", "close", "close_generator", "iterate"]

T = TypeVar("T")

Items: TypeAlias = Iterable[T] | AsyncIterable[T]


def iterate(items: Items[T], helper: str) -> Iterator[T] | AsyncIterator[T]:
    """Return an iterator over *items*.

    Raises:
        TypeError: They are no iterable of either kind.
    """
    if isinstance(items, AsyncIterable):
        return aiter(items)
    if isinstance(items, Iterable):
        return iter(items)
    raise TypeError(f"{helper}() takes its items from an iterable or an async iterable, not {type(items).__name__}")


def close_generator(iterator: object) -> None:
    """Close *iterator* if it is a generator: what it holds open is closed now, not when it is collected."""
    if inspect.isgenerator(iterator):
        iterator.close()


async def close(iterator: Iterator[Any] | AsyncIterator[Any]) -> None:
    """Close *iterator* if it is a generator, of either kind, or can be closed as one."""
    if hasattr(iterator, "aclose"):
        await iterator.aclose()
    else:
        close_generator(iterator)
