"""What secrets look like: the names they stand under, the forms they have, and how a first look finds a sign of any.

All of it is data for `honeyhive.utils.redact`. Patterns are in the syntax that RE2 and ``re`` share, and match bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["CUT_URL", "FORMS", "LONG_FORMS", "TEXT_END", "Form", "KeyNames", "key_words"]

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
    r"|signing[_.\- ]?key|ssh[_.\- ]?key|storage[_.\- ]?key|x-amz-signature|xsrf"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_HARMLESS: Final = re.compile(f"_(?:{'|'.join(_HARMLESS_KEYS)})(?=_)")

_END: Final = "(?:$|<capture budget exceeded)"
TEXT_END: Final = b"<capture budget exceeded>\n"
"""Stands between texts that are searched together: patterns take it for the end of a text, and no word goes across."""

_KEY_END: Final = r"""\\*["']?\s{0,8}(?:=>|[:=])"""
_PAIR_END: Final = rf"[a-z0-9_.\-]{{0,40}}{_KEY_END}"
_PAIR_VALUE: Final = (
    r"""\s{0,8}(?:\\+"[^"\\]+|"(?:[^"\\]|\\.)+|'(?:[^'\\]|\\.)+|"""
    r"""(?:(?:bearer|basic|digest|token)\s{1,8})?[^\s"'&,;<>(){}\[\]\\]{3,})"""
)
_PEM_NAME: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_URL_PART: Final = r"""[^\s/?#"'@\\<>]"""


class Form(NamedTuple):
    """A form of secret. What matches is replaced, but for its start through *kept_through*; *ending* is put back."""

    pattern: str
    kept_through: bytes = b""
    ending: bytes = b""


def _token(prefix: str, characters: str, at_least: int = 16) -> Form:
    """Return the form of a vendor's key; at the end of the text, where it may be cut, half of it is enough."""
    return Form(rf"\b(?:{prefix})(?:{characters}{{{at_least},}}|{characters}{{{at_least // 2},}}$)")


LONG_FORMS: Final = (
    Form(rf"-----BEGIN {_PEM_NAME}(?:[^\"]*?-----END {_PEM_NAME}|[^\"]*)"),
    Form(r"(?i:\b(?:set-)?cookie2?\s{0,8}:\s{0,8}[^\s\"\[][^\r\n\"]*)", b":"),
)
"""Forms to be replaced before all others: they may contain what looks like a pair."""

FORMS: Final = (
    Form(rf"\b[A-Za-z][A-Za-z0-9+.\-]{{1,30}}://{_URL_PART}+@", b"://", b"@"),
    Form(r"(?i:\b(?:bearer|basic) {1,8}(?:[a-z0-9._~+/=\-]{16,}|[a-z0-9._~+/=\-]{8,}$))", b" "),
    _token("(?:sk|pk|rk)-", "[A-Za-z0-9_-]"),
    Form(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|$)"),
    _token("AKIA|ASIA", "[0-9A-Z]", 12),
    _token(r"AIza|ya29\.|glpat-|xai-|pypi-", "[A-Za-z0-9_-]"),
    _token("hh_|github_pat_|lsv2_(?:pt|sk)_|dop_v1_|r8_", "[A-Za-z0-9_]"),
    _token("gh[pousr]_|hf_|gsk_|npm_|whsec_", "[A-Za-z0-9]"),
    _token("(?:sk|pk|rk)_(?:live|test)_", "[A-Za-z0-9]", 8),
    _token("xox[abeoprs]-", "[A-Za-z0-9-]", 8),
    _token(r"SG\.", "[A-Za-z0-9_.-]", 24),
)
"""Forms to be replaced wherever they stand."""

CUT_URL: Final = Form(rf"\b[A-Za-z][A-Za-z0-9+.\-]{{1,30}}://{_URL_PART}*:{_URL_PART}+$", b"://", b"@")
"""A URL whose password a cut has opened: a secret only where the text ends by a cut."""


class KeyNames:
    """Tells which keys have secret values, and how they and their values look in a text.

    Args:
        own: More names of such keys, in any spelling.
    """

    __slots__ = ("_own", "_secret", "pair", "sign", "sign_key")

    pair: bytes
    """Pattern of a key with a secret name and its value, as in ``password=hunter2``."""
    sign: bytes
    """Pattern that finds a sign of any secret, for the first look at every text."""
    sign_key: bytes
    """Pattern of the signs that are the key of a pair and have to be judged by the whole key."""

    def __init__(self, own: Sequence[str] = ()) -> None:
        own_keys = [words for key in own if (words := key_words(key).strip("_"))]
        alternatives = "|".join(key for key in _SECRET_KEYS if key != "token")
        # "tokens" without more is a count in every model's answer.
        self._secret = re.compile(f"_(?:(?:{alternatives})s?|token)_")
        self._own = re.compile(f"_(?:{'|'.join(own_keys)})_") if own_keys else None
        self.pair, self.sign_key, self.sign = _patterns("|".join(key.replace("_", r"[_.\- ]?") for key in own_keys))

    def has_secret(self, key: str) -> bool:
        """Tell whether the value under *key* is a secret."""
        words = key_words(key)
        if self._own is not None and self._own.search(words) is not None:
            return True
        return self._secret.search(_HARMLESS.sub("", words)) is not None


def key_words(key: str) -> str:
    """Return the words of a key in lower case, between underscores: ``"X-ApiKey"`` becomes ``"_x_api_key_"``."""
    return f"_{_NOT_WORD.sub('_', _CAMEL.sub('_', key).lower()).strip('_')}_"


@lru_cache(maxsize=16)
def _patterns(own: str) -> tuple[bytes, bytes, bytes]:
    words = "|".join(filter(None, (_KEY_WORDS, own)))
    pair = f"(?i)(?:token|{words}){_PAIR_END}{_PAIR_VALUE}"
    sign_key = f"(?i:(?:{words}){_PAIR_END})|{_token_sign(words)}"
    forms = "|".join(f"(?:{form.pattern})" for form in (*LONG_FORMS, *FORMS, CUT_URL))
    return pair.encode(), sign_key.encode(), f"{sign_key}|{forms.replace('$', _END)}".encode()


def _token_sign(words: str) -> str:
    """Return the sign of a pair whose key speaks of a token.

    Counts of tokens stand in every model's answer, and their keys mostly end in "tokens". That is no sign, unless
    something in the same key makes it one.
    """
    one = rf"(?i:token)(?:[A-Za-rt-z0-9_.\-](?i:[a-z0-9_.\-]{{0,39}}))?{_KEY_END}"
    kind = r"(?:access|api|auth|id|refresh|session)[^a-z0-9]*"
    many = rf"""(?i:(?:{kind}|(?:token|{words})[^"=:]*)tokens{_PAIR_END})"""
    return f"{one}|{many}"
