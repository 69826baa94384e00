"""How the arguments of a call get the names of their parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from operator import attrgetter
from typing import Any, Final

__all__ = ["Signature"]

_POSITIONAL: Final = frozenset({Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD})
_STARRED: Final = frozenset({Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD})
_UNTOLD: Final = frozenset({"tracer"})
"""Parameters that are ours and no input of the function."""

_kind: Final = attrgetter("kind")

Named = tuple[Sequence[str], tuple[Any, ...]]
"""Names, and a value for each."""


class Signature:
    """The parameters of one function.

    Attributes:
        names: What is captured of a call, by name; without ``self`` and ``cls``.
        skips_first: Whether the first positional argument is one of these two.
        plain_count: So many positional arguments and no other ones are the values of ``names`` as they are; -1 where
            that is never so.
    """

    __slots__ = ("_bind", "_parameters", "_starred", "names", "plain_count", "skips_first")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._parameters = parameters = _parameters(function)
        self._bind: Callable[..., tuple[Any, ...]] | None = None
        names = [each.name for each in parameters]
        self.skips_first = names[:1] in (["self"], ["cls"]) and parameters[0].kind in _POSITIONAL
        self.names = tuple([name for name in names[self.skips_first :] if name not in _UNTOLD])
        self._starred = frozenset([each.name for each in parameters if each.kind in _STARRED])
        is_plain = _POSITIONAL.issuperset(map(_kind, parameters)) and _UNTOLD.isdisjoint(names)
        self.plain_count = len(parameters) if is_plain and parameters else -1

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Named:
        """Return what the parameters are bound to in one call; defaults included, starred ones only if they took any."""
        bind = self._bind
        if bind is None:
            bind = self._bind = _binder(self._parameters, self.names)
        try:
            values = bind(*args, **kwargs)
        except TypeError:  # the function itself will refuse them, or take what its signature does not tell
            return ("args", *kwargs), (args, *kwargs.values())
        if not self._starred:
            return self.names, values
        taken = [
            (name, value) for name, value in zip(self.names, values, strict=True) if value or name not in self._starred
        ]
        return [name for name, _ in taken], tuple([value for _, value in taken])


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # builtins without a signature take what they take
        return []


def _binder(parameters: Sequence[Parameter], names: Sequence[str]) -> Callable[..., tuple[Any, ...]]:
    """Return a function that takes what *parameters* say and returns the values of *names*.

    So the interpreter itself does the binding, several times faster than :meth:`inspect.Signature.bind`.
    """
    shape = inspect.Signature(
        [each.replace(annotation=Parameter.empty, default=_stand_in(each)) for each in parameters]
    )
    source = f"lambda {str(shape)[1:-1]}: ({''.join([f'{name}, ' for name in names])})"
    bind = eval(source, {})  # noqa: S307 -- of identifiers only: inspect takes no others for names
    given = [each for each in parameters if each.default is not Parameter.empty]
    bind.__defaults__ = tuple([each.default for each in given if each.kind in _POSITIONAL])
    bind.__kwdefaults__ = {each.name: each.default for each in given if each.kind is Parameter.KEYWORD_ONLY}
    return bind  # type: ignore[no-any-return]


def _stand_in(parameter: Parameter) -> object:
    return parameter.empty if parameter.default is parameter.empty else None
