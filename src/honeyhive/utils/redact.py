"""Secrets are replaced before a value leaves the process's memory.

Two signs give a secret away: the name of the key it stands under, at any depth and also in JSON inside text, and its own
form (API keys of many vendors, bearer tokens, JWTs, private keys, passwords in URLs, cookies). Values are cut first and
redacted second, so patterns of secrets also match one that the cut has opened, up to the end of what is left.

Runs on the export thread. Patterns are matched by RE2, in time linear in the text whatever the text is; a first pass
that finds no sign at all, the usual case, costs microseconds. Whatever goes wrong, the value is withheld.

Not found: secrets of unknown form under innocent names, personal data in prose, binary data. For these there are own
keys, own patterns and the *mask* function.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from honeyhive.exceptions import ConfigurationError
from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.guard import guard
from honeyhive.utils.masking import Mask, MaskError, MaskRunner
from honeyhive.utils.render import json_text

__all__ = ["MASKING_FAILED", "REDACTED", "Redactor"]

REDACTED: Final = "[REDACTED]"
"""Stands for a secret."""

_REDACTED: Final = REDACTED.encode()

MASKING_FAILED: Final = "<masking failed>"
"""Stands for a value that could not be checked and is therefore withheld."""

Pattern: TypeAlias = Any  # re.Pattern or its RE2 twin, which has no type of its own

_MAX_HITS: Final = 5_000
_MAX_PASSES: Final = 4
_MAX_NESTED_JSON: Final = 4
_MAX_KEY: Final = 256
_SHORTEST_SECRET: Final = 4

_SECRET_KEYS: Final = (
    "access_key", "access_token", "accesskey", "accesstoken", "account_key", "api_key", "api_token", "apikey",
    "apitoken", "auth", "auth_token", "authorization", "authtoken", "bearer", "client_secret", "clientsecret",
    "connection_string", "cookie", "credential", "csrf", "encryption_key", "id_token", "jwt", "master_key",
    "passphrase", "passwd", "password", "private_key", "privatekey", "pwd", "refresh_token", "secret", "secret_key",
    "secretkey", "session_token", "sessiontoken", "shared_key", "signing_key", "ssh_key", "storage_key", "token",
    "x_amz_signature", "xsrf",
)  # fmt: skip
_HARMLESS_KEYS: Final = (
    (
        "(?:any|audio|bos|byte|cached?|chat|completion|cost_per|eos|first|generated|input|last|mask|max|min|n|next|new|num"
        "|number_of|output|pad|per|prompt|reasoning|sep|special|stop|text|thinking|time_to_first|total|unk|unknown"
        "|usage)_token"
    ),
    (
        "token_(?:budget|cost|count|counts|counter|details|id|ids|index|length|limit|limits|logprob|logprobs|num|number"
        "|position|price|probability|rate|size|text|total|type|types|usage|value_count)"
    ),
    "tokenizer",
    "(?:is|has|needs|requires|no)_(?:auth|authorization|cookie|credential|password|secret|token)",
)
_KEY_WORDS: Final = (
    r"access[_.\- ]?key|account[_.\- ]?key|api[_.\- ]?key|auth|bearer|connection[_.\- ]?string|cookie|credential|csrf"
    r"|encryption[_.\- ]?key|jwt|master[_.\- ]?key|pass(?:phrase|wd|word)|private[_.\- ]?key|pwd|secret|shared[_.\- ]?key"
    r"|signing[_.\- ]?key|ssh[_.\- ]?key|storage[_.\- ]?key|token|x-amz-signature|xsrf"
)

_END: Final = "(?:$|<capture budget exceeded)"
_TEXT_END: Final = b"<capture budget exceeded>\n"
"""Stands between texts that are searched together: patterns take it for the end of a text, and no word goes across."""
_CUT_MARKER: Final = re.compile("(<capture budget exceeded[^<>]*>)")
_PAIR_END: Final = r"""[a-z0-9_.\-]{0,40}\\*["']?\s{0,8}(?:=>|[:=])"""
_PAIR_VALUE: Final = (
    r"""\s{0,8}(?:\\+"[^"\\]+|"(?:[^"\\]|\\.)+|'(?:[^'\\]|\\.)+|"""
    r"""(?:(?:bearer|basic|digest|token)\s{1,8})?[^\s"'&,;<>(){}\[\]\\]{3,})"""
)
_PEM_NAME: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_URL_PART: Final = r"""[^\s/?#"'@\\<>]"""


class _Form(NamedTuple):
    """A form of secret. What matches is replaced, but for its start through *kept_through*; *ending* is put back."""

    pattern: str
    kept_through: bytes = b""
    ending: bytes = b""


def _token(prefix: str, characters: str, at_least: int = 16) -> _Form:
    """Return the form of a vendor's key; at the end of the text, where it may be cut, half of it is enough."""
    return _Form(rf"\b(?:{prefix})(?:{characters}{{{at_least},}}|{characters}{{{at_least // 2},}}$)")


_LONG_FORMS: Final = (  # before all others: they may contain what looks like a pair
    _Form(rf"-----BEGIN {_PEM_NAME}(?:[^\"]*?-----END {_PEM_NAME}|[^\"]*)"),
    _Form(r"(?i:\b(?:set-)?cookie2?\s{0,8}:\s{0,8}[^\s\"\[][^\r\n\"]*)", b":"),
)
_FORMS: Final = (
    _Form(rf"\b[A-Za-z][A-Za-z0-9+.\-]{{1,30}}://{_URL_PART}+@", b"://", b"@"),
    _Form(r"(?i:\b(?:bearer|basic) {1,8}(?:[a-z0-9._~+/=\-]{16,}|[a-z0-9._~+/=\-]{8,}$))", b" "),
    _token("(?:sk|pk|rk)-", "[A-Za-z0-9_-]"),
    _Form(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|$)"),
    _token("AKIA|ASIA", "[0-9A-Z]", 12),
    _token(r"AIza|ya29\.|glpat-|xai-|pypi-", "[A-Za-z0-9_-]"),
    _token("hh_|github_pat_|lsv2_(?:pt|sk)_|dop_v1_|r8_", "[A-Za-z0-9_]"),
    _token("gh[pousr]_|hf_|gsk_|npm_|whsec_", "[A-Za-z0-9]"),
    _token("(?:sk|pk|rk)_(?:live|test)_", "[A-Za-z0-9]", 8),
    _token("xox[abeoprs]-", "[A-Za-z0-9-]", 8),
    _token(r"SG\.", "[A-Za-z0-9_.-]", 24),
)
_CUT_URL: Final = _Form(rf"\b[A-Za-z][A-Za-z0-9+.\-]{{1,30}}://{_URL_PART}*:{_URL_PART}+$", b"://", b"@")

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_KEY_TAIL: Final = re.compile(rb"[A-Za-z0-9_.\-]{0,64}$")
_HARMLESS: Final = re.compile(f"_(?:{'|'.join(_HARMLESS_KEYS)})(?=_)")


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
        own_keys = [words for key in keys if (words := _words(key).strip("_"))]
        alternatives = "|".join(key for key in _SECRET_KEYS if key != "token")
        # "tokens" without more is a count in every model's answer.
        self._secret_key = re.compile(f"_(?:(?:{alternatives})s?|token)_")
        self._own_key = re.compile(f"_(?:{'|'.join(own_keys)})_") if own_keys else None
        self._key_words = "|".join([_KEY_WORDS, *(key.replace("_", r"[_.\- ]?") for key in own_keys)])
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

    def finds_nothing(self, texts: Sequence[bytes]) -> bool:
        """Tell by one look at all of them whether none of *texts*, in UTF-8, has any sign of a secret in it.

        If so, `attribute` would change none of them, unless it stands under a secret key. Never raises.
        """
        if self.sees_everything:
            return False
        with guard("redact"):
            return not self._has_sign(_TEXT_END.join(texts))
        return False

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
        words = _words(key[:_MAX_KEY])
        if self._own_key is not None and self._own_key.search(words) is not None:
            return True
        return self._secret_key.search(_HARMLESS.sub("", words)) is not None

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
        if self._has_sign(text.encode(errors="replace")):
            return True
        return any(_patterns.compiled(own).search(text) is not None for own in self._own_patterns)

    def _has_sign(self, data: bytes) -> bool:
        """Tell whether something in *data* looks like a secret, or like a pair whose key names one.

        Counts of tokens stand in every model's answer, so harmless keys are passed over here, where it is cheap.
        """
        signs, match = _signs(self._key_words), None
        for _ in range(_MAX_HITS):
            # The next sign may begin within this one.
            match = signs.search(data) if match is None else signs.search(data, match.start() + 1)
            if match is None:
                return False
            start = match.start()
            quote = data.rfind(b'"', max(0, start - _MAX_KEY), start) + 1
            if self._gives_away(data[quote or max(0, start - 64) : start], match.group()):
                return True
        return True

    def _may_be_secret(self, before: bytes, sign: bytes) -> bool:
        """Judge a sign by itself and by what stands before it: the rest of its key, up to a quote if there is one."""
        pair = _pairs(self._key_words)[1].match(sign)
        if pair is None:
            return True
        key = sign[: pair.end()]
        return self.is_secret_key(
            _key_around(before + key, 0, len(before), len(before) + len(key))
        ) or self.is_secret_key((before + key).decode(errors="replace"))

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
        data = _replace_all(_LONG_FORMS, text.encode(errors="replace"))
        data = _replace_all((*_FORMS, _CUT_URL) if is_cut else _FORMS, self._scrub_pairs(data))
        text = data.decode()
        for own in self._own_patterns:
            text, hits = _patterns.compiled(own).subn(REDACTED, text)
            _check_budget(hits)
        return text

    def _scrub_pairs(self, data: bytes) -> bytes:
        """Redact ``password=hunter2`` and its like: the key is judged exactly, then the value replaced."""
        pair, pair_key = _pairs(self._key_words)
        parts: list[bytes] = []
        end = 0
        for hits, match in enumerate(pair.finditer(data)):
            _check_budget(hits)
            value_start = match.start() + pair_key.match(match.group()).end()
            if not self.is_secret_key(_key_around(data, end, match.start(), value_start)):
                continue
            parts += data[end:value_start], _opening(data[value_start : match.end()]), _REDACTED
            end = match.end()
        return b"".join([*parts, data[end:]])


def _key_around(data: bytes, earliest: int, start: int, end: int) -> str:
    """Return the whole key of a pair, of which the words at *start* gave it away."""
    before = _KEY_TAIL.search(data[max(earliest, start - 64) : start])
    return ((before.group() if before else b"") + data[start:end]).decode(errors="replace")


def _replace_all(forms: tuple[_Form, ...], data: bytes) -> bytes:
    for form in forms:
        data = _replace(form, data)
    return data


def _replace(form: _Form, data: bytes) -> bytes:
    parts: list[bytes] = []
    end = 0
    for hits, match in enumerate(_compiled(form.pattern).finditer(data)):
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


def _words(key: str) -> str:
    """Return the words of a key in lower case, between underscores: ``"X-ApiKey"`` becomes ``"_x_api_key_"``."""
    return f"_{_NOT_WORD.sub('_', _CAMEL.sub('_', key).lower()).strip('_')}_"


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
        compiled = _patterns.compiled(pattern)
    except _engine()[1] as problem:
        raise ConfigurationError(f"redaction pattern {pattern!r} is not valid: {problem}; use RE2 syntax") from problem
    if compiled.search("") is not None:
        raise ConfigurationError(f"redaction pattern {pattern!r} matches the empty text; make it match the secret only")
    return pattern


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
        """Return *pattern* compiled: for text if it is a text, else for bytes."""
        found = self._made.get(pattern)
        if found is None:
            found = self._made[pattern] = _engine(self._life)[0](pattern)
        return found

    def renew(self) -> None:
        self._left_behind.append(self._made)
        self._made = {}
        self._life += 1


_patterns: Final = _Patterns()


@cache
def _engine(life: int = 0) -> tuple[Callable[[Any], Pattern], type[Exception]]:
    """Return how to compile patterns: with RE2, or with ``re`` on platforms that have no RE2.

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


@cache
def _in_bytes(pattern: str) -> bytes:
    return pattern.encode()


def _compiled(pattern: str) -> Pattern:
    return _patterns.compiled(_in_bytes(pattern))


def _pairs(key_words: str) -> tuple[Pattern, Pattern]:
    pair, key = _pair_patterns(key_words)
    return _patterns.compiled(pair), _patterns.compiled(key)


@lru_cache(maxsize=16)
def _pair_patterns(key_words: str) -> tuple[bytes, bytes]:
    key = f"(?i)(?:{key_words}){_PAIR_END}"
    return f"{key}{_PAIR_VALUE}".encode(), key.encode()


def _signs(key_words: str) -> Pattern:
    """Return one pattern that finds any sign of any secret, for the first pass over every text."""
    return _patterns.compiled(_signs_pattern(key_words))


@lru_cache(maxsize=16)
def _signs_pattern(key_words: str) -> bytes:
    forms = "|".join(f"(?:{form.pattern})" for form in (*_LONG_FORMS, *_FORMS, _CUT_URL))
    return f"(?i:(?:{key_words}){_PAIR_END})|{forms.replace('$', _END)}".encode()
