"""A dictionary whose keys can be read as attributes, as programs for the public SDK use it."""

from __future__ import annotations

from typing import Any

__all__ = ["DotDict"]


class DotDict(dict[str, Any]):
    """``DotDict({"a": {"b": 1}}).a.b`` is 1; ``get("a.b")`` finds it too.

    Nested plain dictionaries become of this kind when they are put in.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, DotDict(value) if type(value) is dict else value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take over the items of another mapping."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, entering *default* where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*; one with dots walks down, unless it is there as it stands."""
        if key in self:
            return self[key]
        found: Any = self
        for part in key.split("."):
            if not isinstance(found, dict) or part not in found:
                return default
            found = found[part]
        return found

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no key {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"there is no key {name!r}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain dictionaries."""
        return {key: value.to_dict() if isinstance(value, DotDict) else value for key, value in self.items()}
