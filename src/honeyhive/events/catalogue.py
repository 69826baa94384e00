"""Which class a message becomes again when it is read: all message classes by the names they have on the wire."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from honeyhive.exceptions import MessageFormatError
from honeyhive.utils.fork import Renewable, renew_after_fork

if TYPE_CHECKING:
    from honeyhive.events.messages import Message

__all__ = ["Catalogue", "declared_types", "python_name"]

_MOST_FOUND: Final = 10_000


class Catalogue(Renewable):
    """Message classes by name. Keeps none of them alive; safe to use from any thread."""

    def __init__(self) -> None:
        self._by_name: dict[str, weakref.WeakSet[type[Message]]] = {}
        self._found: dict[tuple[str, str | None] | bytes, weakref.ref[type[Message]]] = {}
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Take a fresh lock: a forked child may have inherited a held one."""
        # Keeps a class under all of its names or none while others look.
        self._changing = threading.Lock()

    def add(self, message_type: type[Message], names: Iterable[str]) -> None:
        """Enter *message_type* under *names*. A class of the same module and name replaces the earlier one."""
        with self._changing:
            for name in names:
                known = self._by_name.setdefault(name, weakref.WeakSet())
                for earlier in [each for each in known if python_name(each) == python_name(message_type)]:
                    known.discard(earlier)
                known.add(message_type)
            self._found = {}

    def find(self, name: str, hint: str | None = None) -> type[Message] | None:
        """Return the class called *name*, or ``None`` where no such class is loaded.

        Args:
            name: Its name on the wire, or one that it had before.
            hint: The `python_name` it had when it was written; decides between classes of the same name.

        Raises:
            MessageFormatError: Several classes have that name, and *hint* names none of them.
        """
        known = self.recall((name, hint))
        return self._look_up(name, hint) if known is None else known

    def recall(self, mark: tuple[str, str | None] | bytes) -> type[Message] | None:
        """Return the class noted under *mark*, unless another has been declared since; ``None`` if there is none."""
        known = self._found.get(mark)
        return None if known is None else known()

    def note(self, mark: bytes, name: str, hint: str | None) -> None:
        """Let `recall` tell for *mark* what `find` has told for *name* and *hint*."""
        with self._changing:
            known = self._found.get((name, hint))
            if known is not None and len(self._found) < _MOST_FOUND:
                self._found[mark] = known

    def _look_up(self, name: str, hint: str | None) -> type[Message] | None:
        with self._changing:
            found = list(self._by_name.get(name, ()))
            # Hints come from outside; they must not fill the memory.
            if len(found) == 1 and len(self._found) < _MOST_FOUND:
                self._found[name, hint] = weakref.ref(found[0])
        if len(found) <= 1:
            return found[0] if found else None
        meant = [each for each in found if python_name(each) == hint]
        if len(meant) == 1:
            return meant[0]
        raise MessageFormatError(
            f"{len(found)} message classes are called {name!r}: {', '.join(sorted(map(python_name, found)))}; "
            f'give them names of their own, as class {name}(Event, type="shop.{name}")'
        )


declared_types = Catalogue()
"""Every message class of this process; they enter themselves as they are declared."""


def python_name(message_type: type[Message]) -> str:
    """Return module and qualified name: where Python finds the class."""
    return f"{message_type.__module__}.{message_type.__qualname__}"
