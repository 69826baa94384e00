"""Rules are data: declared in configuration, packages and environment, tried by priority."""

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from honeyhive.exceptions import ConfigurationError
from honeyhive.utils import DynamicProcessor, PatternMatcher, Rule

MODEL = {"name": "model", "priority": 1, "when": {"name": {"prefix": "llm."}}, "then": {"event_type": "model"}}
ANY = {"name": "any", "priority": 9, "then": {"event_type": "chain"}}


@pytest.mark.acceptance("S18")
def test_the_smallest_priority_wins_wherever_it_was_given():
    matcher = PatternMatcher([ANY, MODEL], environment={})

    assert "model" == matcher.match("llm.chat")["then"]["event_type"]
    assert "any" == matcher.match("other")["name"]


@pytest.mark.acceptance("S18")
def test_equal_priorities_keep_their_order():
    matcher = PatternMatcher([{"name": "first"}, {"name": "second"}], discover_more=False)

    assert "first" == matcher.match({})["name"]


@pytest.mark.acceptance("S18")
def test_the_documents_call_form_finds_nothing_without_patterns():
    assert PatternMatcher().match({"key": "value"}) is None


@pytest.mark.acceptance("S18")
@pytest.mark.parametrize("as_file", [False, True])
def test_patterns_come_from_the_environment(tmp_path: Path, as_file: bool):
    text = json.dumps([MODEL])
    (tmp_path / "patterns.json").write_text(text)

    matcher = PatternMatcher(environment={"HH_PATTERNS": str(tmp_path / "patterns.json") if as_file else text})

    assert "model" == matcher.match("llm.chat")["name"]


@pytest.mark.acceptance("S18")
def test_patterns_come_from_installed_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "plugin-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[honeyhive.patterns]\nplugin = hh_plugin_rules:RULES\n")
    (tmp_path / "hh_plugin_rules.py").write_text(f"RULES = [{MODEL!r}]\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert [*metadata.entry_points(group="honeyhive.patterns")]
    assert "model" == PatternMatcher(environment={}).match("llm.chat")["name"]


@pytest.mark.parametrize(
    "condition,yes,no",
    [
        ("x", ["x"], ["y", None]),
        ({"equals": 1}, [1], [2, "1"]),
        ({"prefix": "a"}, ["ab"], ["ba", 1]),
        ({"prefix": ["a", "b"]}, ["ab", "ba"], ["c"]),
        ({"contains": "b"}, ["abc", ["b"]], ["ac", 5]),
        ({"exists": True}, ["x", None], []),
        ({"regex": r"^\d+$"}, ["12"], ["1a", 12]),
        ({"one_of": ["a", 1]}, ["a", 1], ["b"]),
        ({"prefix": "a", "contains": "z"}, ["abz"], ["ab", "z"]),
    ],
)
def test_conditions_on_attributes(condition: object, yes: list[object], no: list[object]):
    rule = Rule("rule", {"key": condition})

    assert all(rule.matches(None, {"key": value}) for value in yes)
    assert not any(rule.matches(None, {"key": value}) for value in no)
    assert not rule.matches(None, {})


def test_absence_and_families_of_keys_are_conditions_too():
    assert Rule("rule", {"key": {"exists": False}}).matches(None, {})
    assert Rule("rule", {"llm.*": {"exists": True}}).matches(None, {"llm.model": 1})
    assert not Rule("rule", {"llm.*": {"exists": True}}).matches(None, {"other": 1})


@pytest.mark.parametrize(
    "data",
    [
        "llm.chat",
        {"name": "llm.chat"},
        {"name": "llm.chat", "attributes": {}},
        SimpleNamespace(name="llm.chat", attributes=None),
    ],
)
def test_names_mappings_and_spans_can_be_matched(data: object):
    assert PatternMatcher([MODEL], environment={}).match(data) is not None


def test_what_is_not_part_of_a_rule_follows_from_it():
    pattern = PatternMatcher([{"name": "short", "event_type": "tool"}], environment={}).match({})

    assert {"name": "short", "priority": 0, "when": {}, "then": {"event_type": "tool"}} == pattern


@pytest.mark.parametrize(
    "pattern,words",
    [
        ({"name": "bad", "when": {"key": {"starts": "x"}}}, "'bad'.*'starts'.*use one of contains, equals"),
        ({"name": "bad", "when": {"key": {}}}, "'bad'.*no condition"),
        ({"name": "bad", "when": {"key": {"regex": "("}}}, "'bad'.*'key'"),
        ({"name": "bad", "when": {"key": {"exists": "yes"}}}, "'bad'.*true or false"),
        ({"name": "bad", "when": {"key": {"one_of": "ab"}}}, "'bad'.*list of values"),
        ({"name": "bad", "when": {"key": {"prefix": 5}}}, "'bad'"),
        ({"name": "bad", "when": ["key"]}, "'bad'.*dictionaries"),
        ({"name": "bad", "priority": "high"}, "'bad'.*'high'"),
        ("bad", "'pattern 1'.*write it as a dictionary"),
    ],
)
def test_a_bad_rule_is_refused_by_name_and_with_the_fix(pattern: dict[str, object], words: str):
    with pytest.raises(ConfigurationError, match=words):
        PatternMatcher([pattern], environment={})


@pytest.mark.parametrize("text", ["{", "/no/such/file.json", "[1"])
def test_a_bad_environment_is_refused(text: str):
    with pytest.raises(ConfigurationError, match="HH_PATTERNS"):
        PatternMatcher(environment={"HH_PATTERNS": text})


@pytest.mark.acceptance("S17")
def test_only_enabled_strategies_that_match_are_applied():
    processor = DynamicProcessor(
        {
            "strategies": {
                "model": {"enabled": True, "when": {"system": {"exists": True}}, "then": {"set": {"type": "model"}}},
                "off": {"enabled": False, "then": {"set": {"off": True}}},
                "silent": {"then": {"set": {"silent": True}}},
                "names": {"enabled": True, "then": {"rename": {"system": "provider"}, "remove": ["junk"]}},
            }
        }
    )
    data = {"system": "openai", "junk": 1}

    assert {"provider": "openai", "type": "model"} == processor.process(data)
    assert {"other": 1} == processor.process({"other": 1, "junk": 2})
    assert {"system": "openai", "junk": 1} == data


@pytest.mark.acceptance("S17")
def test_strategies_of_ones_own_are_built_from_the_configuration():
    def shout(mark: str):
        return lambda data: {**data, "text": data["text"].upper() + mark}

    processor = DynamicProcessor({"strategies": {"loud": {"enabled": True, "then": {"shout": "!"}}}}, {"shout": shout})

    assert {"text": "HI!"} == processor.process({"text": "hi"})


@pytest.mark.parametrize(
    "strategies,words",
    [
        (["x"], "by name"),
        ({"bad": "x"}, "'bad'"),
        ({"bad": {"enabled": "yes"}}, "'bad'.*true or false"),
        ({"bad": {"enabled": True, "then": {"explode": 1}}}, "'bad'.*'explode'.*remove, rename, set"),
    ],
)
def test_a_bad_strategy_is_refused_by_name(strategies: object, words: str):
    with pytest.raises(ConfigurationError, match=words):
        DynamicProcessor({"strategies": strategies})


def test_no_strategies_change_nothing():
    assert {"a": 1} == DynamicProcessor({}).process({"a": 1})
