"""What every text passes before it is encoded: it is cut to its limit first and redacted second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from honeyhive.utils.capture import CaptureLimits
from honeyhive.utils.render import render

if TYPE_CHECKING:
    from honeyhive.utils.redact import Redactor

__all__ = ["Cleaner", "EncodeCounts", "EncodeLimits"]


@dataclass(frozen=True, slots=True)
class EncodeLimits:
    """How large things may get, in bytes of UTF-8 or protobuf."""

    longest_value: int = 1 << 20
    longest_span: int = 10 << 20


@dataclass(slots=True)
class EncodeCounts:
    """What happened to spans that could not go as they were."""

    official: int = 0
    """Spans that the official encoder had to take."""
    marked: int = 0
    """Spans that went without their attributes."""
    truncated: int = 0
    """Attribute values cut to their limit."""
    shrunk: int = 0
    """Spans beyond the span limit, encoded again with shorter values."""
    redacted: int = 0
    """Values, names and messages in which something was replaced or withheld."""


class Cleaner:
    """Cuts and redacts; counts what it cuts.

    Args:
        redactor: Sees every name, key, value, message and description. Without one nothing is looked for.
        longest_value: Bytes of UTF-8 beyond which a text is cut.
    """

    __slots__ = ("_limits", "_redactor", "counts", "longest", "short_enough")

    def __init__(self, redactor: Redactor | None, longest_value: int) -> None:
        self._redactor = redactor
        self._limits = CaptureLimits(max_bytes=longest_value)
        self.counts = EncodeCounts()
        self.longest = longest_value
        """Bytes that a value may have."""
        self.short_enough = longest_value >> 2
        """Characters that are certain to be no more bytes than that."""

    def text(self, text: str) -> str:
        """Return *text*, a name or a message, as it may leave."""
        text = self.cut(text)
        return text if self._redactor is None else self._redactor.text(text)

    def cut(self, text: str) -> str:
        """Return *text*, or its beginning and how long it was."""
        if len(text) <= self.short_enough:
            return text
        shorter = self.cut_captured(text)
        self.counts.truncated += len(shorter) != len(text)
        return shorter

    def cut_captured(self, captured: object) -> str:
        """Return something captured as text within the limit."""
        return str(render(captured, self._limits))

    def value(self, key: str, value: object) -> Any:
        """Return the *value* of an attribute, within its limit, as it may leave."""
        return value if self._redactor is None else self._redactor.attribute(key, value)

    def mapping(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return all of *attributes* as they may leave; nothing is cut."""
        if self._redactor is None:
            return dict(attributes or {})
        return {self.text(key): self._redactor.attribute(key, value) for key, value in (attributes or {}).items()}

    def trusts(self, key: str) -> bool:
        """Tell whether numbers under *key* may leave as they are, and texts that are no `suspects` as well."""
        redactor = self._redactor
        return redactor is None or not (redactor.sees_everything or redactor.is_secret_key(key))

    def suspects(self, texts: Sequence[bytes]) -> Sequence[int]:
        """Return the places of those *texts* that may not leave as they are."""
        return () if self._redactor is None or not texts else self._redactor.suspects(texts)

    def redactions(self) -> int:
        """Return how much the redactor has replaced for all who share it."""
        return 0 if self._redactor is None else sum(self._redactor.statistics().values())
