"""Compiled patterns that match in time linear in the text: RE2's, or those of ``re`` on platforms that have no RE2."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from honeyhive.utils.fork import Renewable, renew_after_fork

__all__ = ["Pattern", "compiled", "pattern_error"]

Pattern: TypeAlias = Any  # re.Pattern or its RE2 twin, which has no type of its own


class _Patterns(Renewable):
    """All compiled patterns, each made at first use.

    In a forked child they are made anew. Those of RE2 have locks inside, and a thread of
    the parent may have held one while it forked: whoever used it in the child would wait
    for ever. The old ones are kept, for to destroy them is to use them.
    """

    def __init__(self) -> None:
        self._made: dict[str | bytes, Pattern] = {}
        self._left_behind: list[object] = []
        self._life = 0
        renew_after_fork(self)

    def compiled(self, pattern: str | bytes) -> Pattern:
        found = self._made.get(pattern)
        if found is None:
            found = self._made[pattern] = _engine(self._life)[0](pattern)
        return found

    def renew(self) -> None:
        self._left_behind.append(self._made)
        self._made = {}
        self._life += 1


_patterns: Final = _Patterns()


def compiled(pattern: str | bytes) -> Pattern:
    """Return *pattern* compiled: for text if it is a text, else for bytes. Not to be kept, for a fork makes it unusable.

    Raises:
        Exception: It is not valid; of the type that `pattern_error` returns.
    """
    return _patterns.compiled(pattern)


def pattern_error() -> type[Exception]:
    """Return the type of error that a pattern raises which is not valid."""
    return _engine()[1]


@cache
def _engine(life: int = 0) -> tuple[Callable[[Any], Pattern], type[Exception]]:
    """Return how to compile patterns, and what an invalid one raises.

    RE2's module hands out what it compiled before for equal patterns and options. So the
    options differ, by a few bytes of memory, from one *life* of the process to the next.
    """
    try:
        import re2  # type: ignore[import-untyped]
    except ImportError:
        return re.compile, re.error
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True  # without captures, a match costs one pass of the automaton
    options.max_mem += life
    return lambda pattern: re2.compile(pattern, options), re2.error
