"""Secrets are replaced before a value leaves the process's memory.

Two signs give a secret away: the name of the key it stands under, at any depth and also in JSON inside text, and its own
form (API keys of many vendors, bearer tokens, JWTs, private keys, passwords in URLs, cookies); `secret_forms` has both.
Values are cut first and redacted second, so patterns of secrets also match one that the cut has opened, up to the end
of what is left.

Runs on the export thread. Patterns are matched by RE2, in time linear in the text whatever the text is; a first look
at many texts together that finds no sign at all, the usual case, costs two nanoseconds a byte. Whatever goes wrong, the
value is withheld.

Not found: secrets of unknown form under innocent names, personal data in prose, binary data. For these there are own
keys, own patterns and the *mask* function.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

from honeyhive.exceptions import ConfigurationError
from honeyhive.utils.guard import guard
from honeyhive.utils.linear_patterns import compiled, pattern_error
from honeyhive.utils.masking import Mask, MaskError, MaskRunner
from honeyhive.utils.render import json_text
from honeyhive.utils.secret_forms import CUT_URL, FORMS, LONG_FORMS, TEXT_END, Form, KeyNames

__all__ = ["MASKING_FAILED", "REDACTED", "Redactor"]

REDACTED: Final = "[REDACTED]"
"""Stands for a secret."""

_REDACTED: Final = REDACTED.encode()

MASKING_FAILED: Final = "<masking failed>"
"""Stands for a value that could not be checked and is therefore withheld."""

_MAX_HITS: Final = 5_000
_MAX_PASSES: Final = 4
_MAX_NESTED_JSON: Final = 4
_MAX_KEY: Final = 256
_LONGEST_TAIL: Final = 64
_SHORTEST_SECRET: Final = 4

_CUT_MARKER: Final = re.compile("(<capture budget exceeded[^<>]*>)")
_KEY_CHARACTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"


class Redactor:
    """Replaces secrets in names, keys, values and messages.

    Applying it twice is applying it once. Safe to use from several threads; the counts are then approximate.

    Args:
        keys: More key names whose values are secret, in any spelling: ``"customer-pin"``.
        patterns: More patterns of secrets, in RE2 syntax; whole matches are replaced.
        mask: Sees each attribute first and returns what to keep of it. If it raises, takes longer than a second or
            returns nothing usable, the value is withheld.

    Raises:
        ConfigurationError: A pattern is not valid, or matches the empty text.
    """

    def __init__(self, *, keys: Iterable[str] = (), patterns: Iterable[str] = (), mask: Mask | None = None) -> None:
        self._names = KeyNames(tuple(keys))
        self._own_patterns = [_own_pattern(pattern) for pattern in patterns]
        self._mask = None if mask is None else MaskRunner(mask)
        self._counts: Counter[str] = Counter()
        self.is_secret_key = lru_cache(maxsize=4_096)(self._is_secret_key)
        self._gives_away = lru_cache(maxsize=4_096)(self._may_be_secret)

    def attribute(self, key: str, value: object) -> Any:
        """Return the value to keep for an attribute: a scalar, a text (JSON or not) or a sequence of these.

        Never raises; withholds what it cannot check.
        """
        with guard("redact"):
            try:
                return self._attribute(key, value if self._mask is None else self._mask(key, value))
            except MaskError:
                self._counts["mask_failed"] += 1
                return MASKING_FAILED
        return self._withhold()

    @property
    def sees_everything(self) -> bool:
        """Whether each value must be shown to it, because somebody's mask or pattern decides."""
        return self._mask is not None or bool(self._own_patterns)

    def suspects(self, texts: Sequence[bytes]) -> Sequence[int]:
        """Return, after one look at all of them, the places of those *texts*, in UTF-8, that have any sign of a secret.

        `attribute` would change none of the others, unless it stands under a secret key. Never raises.
        """
        if self.sees_everything:
            return range(len(texts))
        with guard("redact"):
            return self._suspects(texts)
        return range(len(texts))

    def text(self, text: str) -> str:
        """Return *text*, a name or a message, without secrets; never raises."""
        with guard("redact"):
            return self._scrub(text)
        return self._withhold()

    def tree(self, plain: object) -> object:
        """Return plain data (scalars, lists, tuples, dictionaries) without secrets; never raises."""
        with guard("redact"):
            return self._tree(plain, 0)
        return self._withhold()

    def statistics(self) -> Mapping[str, int]:
        """Return how often something was replaced: by ``key``, by ``pattern``, ``mask_failed`` or ``withheld``."""
        return dict(self._counts)

    def _withhold(self) -> str:
        self._counts["withheld"] += 1
        return MASKING_FAILED

    def _is_secret_key(self, key: str) -> bool:
        return self._names.has_secret(key[:_MAX_KEY])

    def _attribute(self, key: str, value: object) -> object:
        if self.is_secret_key(key):
            return self._under_secret_key(value)
        return self._tree(value, 0)

    def _under_secret_key(self, value: object) -> object:
        if value is None or value is True or value is False or value in ("", REDACTED):
            return value
        self._counts["key"] += 1
        return REDACTED

    def _tree(self, plain: object, nested: int) -> object:
        if isinstance(plain, str):
            return self._value_text(plain, nested)
        if isinstance(plain, Mapping):
            return {self._scrub(str(key)): self._item(str(key), item, nested) for key, item in plain.items()}
        if isinstance(plain, list | tuple):
            return [self._tree(item, nested) for item in plain]
        return plain

    def _item(self, key: str, item: object, nested: int) -> object:
        return self._under_secret_key(item) if self.is_secret_key(key) else self._tree(item, nested)

    def _value_text(self, text: str, nested: int) -> str:
        """Redact text that may be JSON: inside, keys are exact and the text must stay JSON."""
        if not self._is_suspicious(text):
            return text
        plain = _parsed(text) if nested < _MAX_NESTED_JSON else None
        if plain is None:
            return self._scrub(text)
        redacted = self._tree(plain, nested + 1)
        return text if redacted == plain else json_text(redacted)

    def _is_suspicious(self, text: str) -> bool:
        if len(text) < _SHORTEST_SECRET:
            return False
        if self._next_sign(text.encode(errors="replace"), 0) is not None:
            return True
        return any(compiled(own).search(text) is not None for own in self._own_patterns)

    def _suspects(self, texts: Sequence[bytes]) -> list[int]:
        data = TEXT_END.join(texts)
        sign = self._next_sign(data, 0)
        found: list[int] = []
        if sign is None:
            return found
        ends = list(accumulate(len(text) + len(TEXT_END) for text in texts))
        while sign is not None:
            found.append(bisect_right(ends, sign))
            sign = self._next_sign(data, ends[found[-1]])
        return found

    def _next_sign(self, data: bytes, offset: int) -> int | None:
        """Find the next thing in *data* that looks like a secret, or like a pair whose key names one.

        Some keys only look as if they named a secret; they are passed over here, where it is cheap.
        """
        signs = compiled(self._names.sign)
        for _ in range(_MAX_HITS):
            match = signs.search(data, offset)
            if match is None:
                return None
            start: int = match.start()
            quote = data.rfind(b'"', max(0, start - _MAX_KEY), start) + 1
            if self._gives_away(data[quote or max(0, start - _LONGEST_TAIL) : start], match.group()):
                return start
            # The next sign may begin within this one.
            offset = start + 1
        return offset

    def _may_be_secret(self, before: bytes, sign: bytes) -> bool:
        """Judge a sign by itself and by what stands before it: the rest of its key, up to a quote if there is one."""
        pair = compiled(self._names.sign_key).match(sign)
        if pair is None:
            return True
        key = before + sign[: pair.end()]
        whole = self.is_secret_key(key.decode(errors="replace"))
        return whole or self.is_secret_key(_key_tail(before, 0, len(before)) + sign[: pair.end()].decode())

    def _scrub(self, text: str) -> str:
        """Redact text as text, until nothing more is found: one replacement may uncover another."""
        for _ in range(_MAX_PASSES):
            if not self._is_suspicious(text):
                return text
            scrubbed = self._scrub_once(text)
            if scrubbed == text:
                return text
            self._counts["pattern"] += 1
            text = scrubbed
        raise ValueError("the text does not settle under redaction")

    def _scrub_once(self, text: str) -> str:
        # A secret that the cut has opened ends where the marker of the cut begins.
        parts = _CUT_MARKER.split(text)
        last = len(parts) - 1
        return "".join(
            part if number % 2 else self._scrub_part(part, is_cut=number < last) for number, part in enumerate(parts)
        )

    def _scrub_part(self, text: str, *, is_cut: bool) -> str:
        data = _replace_all(LONG_FORMS, text.encode(errors="replace"))
        data = _replace_all((*FORMS, CUT_URL) if is_cut else FORMS, self._scrub_pairs(data))
        text = data.decode()
        for own in self._own_patterns:
            text, hits = compiled(own).subn(REDACTED, text)
            _check_budget(hits)
        return text

    def _scrub_pairs(self, data: bytes) -> bytes:
        """Redact ``password=hunter2`` and its like: the key is judged exactly, then the value replaced."""
        parts: list[bytes] = []
        end = 0
        for hits, match in enumerate(compiled(self._names.pair).finditer(data)):
            _check_budget(hits)
            start, match_end = match.start(), match.end()
            value_start = _value_start(data, start, match_end)
            key = _key_tail(data, end, start) + data[start:value_start].decode(errors="replace")
            if self.is_secret_key(key):
                parts += data[end:value_start], _opening(data[value_start:match_end]), _REDACTED
                end = match_end
        return b"".join([*parts, data[end:]])


def _key_tail(data: bytes, earliest: int, end: int) -> str:
    """Return the beginning of a key whose telling words stand at *end*."""
    before = data[max(earliest, end - _LONGEST_TAIL) : end]
    return before[len(before.rstrip(_KEY_CHARACTERS)) :].decode()


def _value_start(data: bytes, start: int, end: int) -> int:
    """Return where the value begins in the pair from *start* to *end*; no key has a separator in it."""
    separators = [found for sign in (b"=", b":") if (found := data.find(sign, start, end)) >= 0]
    separator = min(separators)
    return separator + (2 if data.startswith(b"=>", separator) else 1)


def _replace_all(forms: Iterable[Form], data: bytes) -> bytes:
    for form in forms:
        data = _replace(form, data)
    return data


def _replace(form: Form, data: bytes) -> bytes:
    parts: list[bytes] = []
    end = 0
    for hits, match in enumerate(compiled(form.pattern.encode()).finditer(data)):
        _check_budget(hits)
        start, found = match.start(), match.group()
        kept = found.index(form.kept_through) + len(form.kept_through)
        parts += data[end : start + kept], _space(found[kept : kept + 8]), _REDACTED, form.ending
        end = match.end()
    return b"".join([*parts, data[end:]])


def _space(start: bytes) -> bytes:
    return start[: len(start) - len(start.lstrip())]


def _opening(value: bytes) -> bytes:
    """Return what stands before the secret itself: spaces and the opening quote."""
    stripped = value.lstrip(b" \t\r\n\\\"'=>:")
    return value[: len(value) - len(stripped)]


def _check_budget(hits: int) -> None:
    if hits > _MAX_HITS:
        raise ValueError(f"more than {_MAX_HITS} secrets in one value")


def _parsed(text: str) -> dict[str, object] | list[object] | None:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        plain = json.loads(text, parse_constant=str)
    except ValueError:
        return None
    return plain if isinstance(plain, dict | list) else None


def _own_pattern(pattern: str) -> str:
    try:
        own = compiled(pattern)
    except pattern_error() as problem:
        raise ConfigurationError(f"redaction pattern {pattern!r} is not valid: {problem}; use RE2 syntax") from problem
    if own.search("") is not None:
        raise ConfigurationError(f"redaction pattern {pattern!r} matches the empty text; make it match the secret only")
    return pattern
