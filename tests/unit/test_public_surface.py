"""Every room says what is public in its `__all__`, and all of it is there and documented."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import honeyhive

SOURCE = Path(honeyhive.__file__).parent
ROOMS = sorted(
    ".".join(path.parent.relative_to(SOURCE.parent).parts)
    for path in SOURCE.rglob("__init__.py")
    if "__all__" in path.read_text(encoding="utf-8")
)


OPTIONAL = ("aiokafka", "fastapi", "sqlalchemy")


def look_up(room: str, name: str) -> object:
    """Return what *room* calls *name*; skip where it needs a library that is not installed here."""
    try:
        return getattr(importlib.import_module(room), name)
    except ModuleNotFoundError as error:
        if error.name in OPTIONAL:
            pytest.skip(f"{error.name} is not installed")
        raise


def public_objects(room: str) -> Iterator[tuple[str, object]]:
    """Yield the classes and functions of *room* that are ours, and the public methods of the classes.

    The tests of a contract are no methods to call; the name of each is its sentence.
    """
    for name in importlib.import_module(room).__all__:
        value = look_up(room, name)
        if not getattr(value, "__module__", "").startswith("honeyhive"):
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            yield f"{room}.{name}", value
        if inspect.isclass(value):
            for member in [member for member in vars(value) if not member.startswith(("_", "test_"))]:
                attribute = getattr(value, member)
                if inspect.isroutine(attribute) or isinstance(attribute, property):
                    yield f"{room}.{name}.{member}", attribute


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists(room: str) -> None:
    module = importlib.import_module(room)

    for name in module.__all__:
        look_up(room, name)


@pytest.mark.parametrize("room", ROOMS)
def test_everything_public_is_documented(room: str) -> None:
    undocumented = [name for name, value in public_objects(room) if not inspect.getdoc(value)]

    assert [] == undocumented
