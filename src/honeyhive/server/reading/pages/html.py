"""HTML from function calls: everything that is not already markup is escaped, so there is nothing to forget.

::

    a("next page", href="/traces?cursor=...")
    tr(td("name"), td(7), class_="row")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from html import escape
from typing import Final, TypeAlias

from honeyhive.utils.text import visible

__all__ = ["Child", "Markup", "document", "element", "fragment", "void"]


class Markup(str):
    """Text that is HTML already; only this module makes it."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"
"""What may stand in an element: text, which is escaped; markup; nothing; or several of these."""


def element(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Return an element.

    Args:
        name: The tag.
        children: What is in it.
        attributes: ``class_`` stands for ``class``, other underscores for hyphens; ``None`` and ``False`` leave one out.
    """
    return Markup(f"<{name}{_attributes(attributes)}>{fragment(*children)}</{name}>")


def void(name: str, /, **attributes: str | int | bool | None) -> Markup:
    """Return an element that has no content and no end tag."""
    return Markup(f"<{name}{_attributes(attributes)}>")


def fragment(*children: Child) -> Markup:
    """Return *children* one after the other."""
    return Markup("".join(map(_rendered, children)))


def document(head: Markup, body: Markup) -> bytes:
    """Return a whole page."""
    return f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{head}</head>{body}</html>\n'.encode()


def _rendered(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    if child is None:
        return ""
    if isinstance(child, str | int | float):
        return escape(visible(str(child)))
    return "".join(map(_rendered, child))


def _attributes(attributes: dict[str, str | int | bool | None]) -> str:
    return "".join(
        f" {_attribute_name(name)}" if value is True else f' {_attribute_name(name)}="{escape(visible(str(value)))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )


def _attribute_name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


_Tag: TypeAlias = Callable[..., Markup]

a: Final[_Tag] = partial(element, "a")
code: Final[_Tag] = partial(element, "code")
details: Final[_Tag] = partial(element, "details")
div: Final[_Tag] = partial(element, "div")
h1: Final[_Tag] = partial(element, "h1")
h2: Final[_Tag] = partial(element, "h2")
li: Final[_Tag] = partial(element, "li")
nav: Final[_Tag] = partial(element, "nav")
p: Final[_Tag] = partial(element, "p")
pre: Final[_Tag] = partial(element, "pre")
section: Final[_Tag] = partial(element, "section")
span: Final[_Tag] = partial(element, "span")
summary: Final[_Tag] = partial(element, "summary")
table: Final[_Tag] = partial(element, "table")
td: Final[_Tag] = partial(element, "td")
th: Final[_Tag] = partial(element, "th")
tr: Final[_Tag] = partial(element, "tr")
ul: Final[_Tag] = partial(element, "ul")
