"""The front door of a room: names on first use, and what to install when a library is missing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from honeyhive.utils.rooms import lookup


@pytest.fixture
def room(tmp_path, monkeypatch):
    folder = tmp_path / "a_room"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "shelf.py").write_text("book = object()\n")
    (folder / "bus.py").write_text("import aiokafka.nowhere\n")
    (folder / "broken.py").write_text("import no_such_library_of_theirs\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "aiokafka", ModuleType("aiokafka"))
    module = __import__("a_room")
    yield module
    for name in [name for name in sys.modules if name.partition(".")[0] == "a_room"]:
        del sys.modules[name]


def test_a_name_is_imported_once_and_kept(room):
    get = lookup("a_room", {"book": "shelf"})

    book = get("book")

    assert room.book is book


def test_what_is_not_there_is_an_attribute_error(room):
    with pytest.raises(AttributeError, match="module 'a_room' has no attribute 'lamp'"):
        lookup("a_room", {})("lamp")


def test_a_missing_optional_library_names_the_extra(room):
    with pytest.raises(ModuleNotFoundError, match=r"a_room\.Bus needs aiokafka.* pip install 'honeyhive\[kafka\]'"):
        lookup("a_room", {"Bus": "bus"})("Bus")


def test_any_other_missing_library_is_told_as_python_tells_it(room):
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_library_of_theirs'$"):
        lookup("a_room", {"Odd": "broken"})("Odd")
