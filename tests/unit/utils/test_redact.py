"""No secret leaves: by key, by form, in values, names, messages, URLs and JSON inside text."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from honeyhive.exceptions import ConfigurationError
from honeyhive.utils.capture import CaptureLimits, capture
from honeyhive.utils.linear_patterns import compiled
from honeyhive.utils.redact import MASKING_FAILED, REDACTED, Redactor
from honeyhive.utils.render import render

redactor = Redactor()

LEAK = "LEAKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
ALNUM = LEAK.upper() + "7"

TEXTS = [
    f"use sk-{LEAK} please",
    f"sk-proj-{LEAK}",
    f"sk-ant-api03-{LEAK}",
    f"hh_{LEAK}",
    f"hh_ingst_{LEAK}",
    f"curl -H 'Authorization: Bearer {LEAK}'",
    f"sent Bearer {LEAK} along",
    f"sent basic {LEAK}== along",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{LEAK}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{LEAK}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{LEAK}",
    f"AKIA{ALNUM[:16]}",
    f"ASIA{ALNUM[:16]}",
    f"AIza{LEAK}",
    f"ghp_{LEAK}",
    f"github_pat_{LEAK}",
    f"xoxb-1-{LEAK}",
    f"sk_live_{LEAK}",
    f"hf_{LEAK}",
    "postgres://user:LEAKpw@host/db",
    "https://LEAKtoken@host/path",
    "https://host/path?api_key=LEAKLEAK&page=2",
    "Set-Cookie: session=LEAK; other=LEAK; Path=/",
    "Cookie: a=LEAK; b=LEAK",
    "password=LEAKpw",
    "password: 'LEAK with spaces'",
    "{'client_secret': 'LEAK', 'n': 1}",
    'log: {\\"api_key\\": \\"LEAK\\"}',
    "X-Api-Key: LEAKLEAK",
    "AWS_SECRET_ACCESS_KEY=LEAKLEAK",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_is_found_wherever_it_stands(text: str):
    for value in (text, f"before {text}", json.dumps({"note": text}), json.dumps([json.dumps({"inner": text})])):
        redacted = redactor.attribute("note", value)
        assert "LEAK" not in redacted
        assert "LEAK" not in redactor.text(value)
        assert REDACTED in redacted


@pytest.mark.parametrize("text", TEXTS)
def test_json_with_a_secret_inside_remains_json(text: str):
    redacted = json.loads(redactor.attribute("note", json.dumps({"note": text, "page": 2})))

    assert 2 == redacted["page"]


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "api_key",
        "apiKey",
        "X-API-KEY",
        "OPENAI_API_KEY",
        "Authorization",
        "cookies",
        "clientSecret",
        "db.passwd",
        "session_token",
        "aws_secret_access_key",
        "honeyhive_inputs.token",
        "privateKey",
        "credentials",
    ],
)
@pytest.mark.parametrize("value", ["LEAK", 12345, {"user": "LEAK"}, ["LEAK"]], ids=lambda value: type(value).__name__)
def test_what_stands_under_a_secret_key_is_replaced_whole(key: str, value: object):
    assert REDACTED == redactor.attribute(key, value)
    assert {"deep": [{key: REDACTED}]} == redactor.tree({"deep": [{key: value}]})
    assert {key: REDACTED} == json.loads(redactor.attribute("config", json.dumps({key: value})))


@pytest.mark.parametrize(
    "key",
    [
        "prompt_tokens",
        "max_tokens",
        "total_tokens",
        "token_count",
        "llm.token_count.prompt",
        "gen_ai.usage.input_tokens",
        "time_to_first_token",
        "tokenizer",
        "author",
        "authority",
        "secretary",
        "session_id",
        "keyboard",
        "has_password",
    ],
)
def test_counts_and_lookalikes_are_left_alone(key: str):
    text = json.dumps({key: 500})

    assert 500 == redactor.attribute(key, 500)
    assert text == redactor.attribute("usage", text)
    assert f"{key}=500" == redactor.text(f"{key}=500")


@pytest.mark.parametrize(
    "text",
    [
        "a task-force-with-a-long-name",
        "http://host:8080/path",
        "the basics of bearer bonds",
        "sk-SK",
        "eyJ",
        "",
        "x" * 100,
    ],
)
def test_innocent_text_stays_as_it_is(text: str):
    assert text == redactor.text(text)
    assert text is redactor.attribute("text", text)


@pytest.mark.parametrize("value", [None, True, False, ""])
def test_nothing_is_no_secret(value: object):
    assert value is redactor.attribute("password", value)


def test_a_secret_opened_by_the_cut_does_not_pass():
    limits = CaptureLimits(max_bytes=1_000)

    for start in (f"{'x' * 800} sk-", f"{'x' * 810} postgres://user:", "-----BEGIN PRIVATE KEY-----"):
        text = render(capture(f"{start}{'LEAK' * 1_000}", limits), limits)
        assert "LEAK" in text
        redacted = redactor.attribute("note", text)
        assert "LEAK" not in redacted
        assert "<capture budget exceeded" in redacted


pieces = st.sampled_from(
    [*TEXTS, "=", ":", " ", '"', "'", "\\", "\n", "@", "://", "sk-", "token", "Cookie", "é", "{", "["]
)


@given(st.lists(pieces | st.text(max_size=5), max_size=12).map("".join))
@example("\ud800 password=x\udfff")
def test_twice_is_once(text: str):
    once = redactor.text(text)

    assert once == redactor.text(once)
    assert redactor.attribute("a", redactor.attribute("a", text)) == redactor.attribute("a", text)
    assert len(once) <= 4 * len(text) + len(MASKING_FAILED)


@pytest.mark.parametrize(
    "unit", ["a", "sk-", "sk- ", "-----BEGIN PRIVATE KEY-----", "password=", "http://", "eyJ", '{"token":']
)
def test_hostile_text_is_answered(unit: str):
    assert isinstance(redactor.attribute("text", unit * (100_000 // len(unit))), str)


def test_more_secrets_than_can_be_counted_withhold_the_value():
    own = Redactor()

    assert MASKING_FAILED == own.text("password=abc " * 20_000)
    assert {"withheld": 1} == own.statistics()


def test_a_tree_whose_redaction_fails_is_withheld_as_a_whole():
    own = Redactor()

    assert MASKING_FAILED == own.tree({"harmless": "x", "note": ["password=abc " * 20_000]})
    assert {"withheld": 1} == own.statistics()


def test_where_looking_for_suspects_fails_all_are():
    not_even_bytes: bytes = 5  # type: ignore[assignment]

    assert [0, 1] == list(Redactor().suspects([b"plain", not_even_bytes]))


def test_what_was_replaced_is_counted():
    own = Redactor()

    own.attribute("password", "LEAK")
    own.text(f"sk-{LEAK}")

    assert {"key": 1, "pattern": 1} == own.statistics()


def test_own_keys_and_patterns_add_to_the_rules():
    own = Redactor(keys=["customer-PIN"], patterns=[r"CUST-\d{6}"])

    assert REDACTED == own.attribute("customerPin", "1234")
    assert f"customer_pin={REDACTED}" == own.text("customer_pin=1234")
    assert {"customer-pin": REDACTED} == json.loads(own.attribute("x", '{"customer-pin": 1234}'))
    assert f"of {REDACTED}." == own.attribute("note", "of CUST-123456.")
    assert REDACTED == own.attribute("password", "LEAK")


@pytest.mark.parametrize("pattern", ["(", "x*"])
def test_a_pattern_that_cannot_work_is_refused(pattern: str):
    with pytest.raises(ConfigurationError, match="redaction pattern"):
        Redactor(patterns=[pattern])


def test_a_mask_sees_every_attribute_and_decides():
    own = Redactor(mask=lambda key, value: value.replace("Ada", "***") if isinstance(value, str) else value)

    assert "hello ***" == own.attribute("note", "hello Ada")
    assert 5 == own.attribute("count", 5)


def raising(key: str, value: object) -> object:
    raise RuntimeError("theirs")


@pytest.mark.parametrize(
    "mask",
    [raising, lambda key, value: None, lambda key, value: object(), lambda key, value: [{}]],
    ids=["raises", "none", "object", "nested"],
)
def test_a_mask_that_fails_keeps_the_value_in(mask):
    own = Redactor(mask=mask)

    assert MASKING_FAILED == own.attribute("note", "LEAK")
    assert {"mask_failed": 1} == own.statistics()


def test_a_mask_that_hangs_stops_nobody():
    release = threading.Event()
    asked: list[str] = []
    own = Redactor(mask=lambda key, value: asked.append(key) or (release.wait(30) and value))

    assert MASKING_FAILED == own.attribute("note", "LEAK")
    started = time.monotonic()
    for number in range(20):
        assert MASKING_FAILED == own.attribute(f"note {number}", "LEAK")

    assert time.monotonic() - started < 10, "one second is waited once, not for each value"
    assert ["note"] == asked
    release.set()


def test_what_a_mask_returns_is_searched_too():
    own = Redactor(mask=lambda key, value: f"{value} sk-{LEAK}")

    assert "LEAK" not in own.attribute("note", "x")


PARTS = ["plain words", "", "sk-", "eyJ", "abcdefghij", "Bearer", " ", ":", "key", "api", "token", "<", ">", "é"]


@given(st.lists(st.lists(st.sampled_from(TEXTS + PARTS), max_size=3).map("".join), max_size=4), st.integers(0, 30))
@example([f"sk-{LEAK[:9]}", "next"], 0)
@example(["before", f"sk-{LEAK}"], 0)
@example(["https://user:LEAKpw", "host"], 0)
def test_of_texts_looked_at_together_only_suspects_would_change(texts: list[str], cut: int):
    texts = [text[: len(text) - cut] for text in texts]

    suspects = redactor.suspects([text.encode() for text in texts])

    changed = [place for place, text in enumerate(texts) if redactor.attribute("note", text) != text]
    assert set(changed) <= set(suspects)


def test_counts_of_tokens_are_no_sign_of_a_secret():
    usage = {"input_tokens": 5, "usage": {"max_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 0}}}

    assert not redactor.suspects([json.dumps(usage).encode(), b"total_tokens: 5", b'{\\"prompt_tokens\\": 1}'])


@pytest.mark.parametrize(
    "text",
    [
        '{"input_tokens": 5, "token": "LEAK"}',
        "max_tokens: 5, api_key=LEAKLEAK",
        f"max_tokens-sk-{LEAK}:",
        "read the input token=LEAKLEAK",
        '{"my password for input tokens": "LEAK"}',
        '{"tokens": 3, "tokenSalt": "LEAK", "refresh tokens": "LEAK"}',
        "input_tokens=3 ACCESS-TOKENS=LEAKLEAK",
    ],
)
def test_a_secret_beside_counts_of_tokens_is_found(text: str):
    assert redactor.suspects([b"before", text.encode(), b"after"]) == [1]
    assert "LEAK" not in redactor.attribute("note", text)


@pytest.mark.parametrize("own", [Redactor(patterns=["^LEAK$"]), Redactor(mask=lambda key, value: value)])
def test_own_patterns_and_masks_see_each_text_for_itself(own: Redactor):
    assert own.sees_everything
    assert list(own.suspects([b"a", b"b"])) == [0, 1]


def test_without_re2_the_standard_library_does_the_same():
    code = """
import json, sys
sys.modules["re2"] = None
from honeyhive.utils.redact import Redactor
redactor = Redactor()
print(json.dumps([redactor.text(text) for text in json.load(sys.stdin)]))
"""

    answer = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(TEXTS), capture_output=True, text=True, check=True
    )

    assert [redactor.text(text) for text in TEXTS] == json.loads(answer.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_has_patterns_of_its_own():
    """A thread of the parent may have held one of the locks inside; tests/integration/lifecycle forks amid that."""
    inherited = compiled("x+")

    child = os.fork()
    if child == 0:
        os._exit(compiled("x+") is inherited)

    assert 0 == os.waitpid(child, 0)[1]
    assert compiled("x+") is inherited
