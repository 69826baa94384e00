"""One rule engine: what to do with data is data itself, not a chain of ``if``.

A `Rule` says *when* it applies, as plain conditions on the attributes and the name of a span (or of any mapping), and
*then* what follows. Rules come from configuration, from the entry points of installed packages and from the environment;
`discover` brings them together, smallest priority first. The first rule that applies wins. A rule reads like this::

    {
        "name": "openai chat",
        "priority": 10,
        "when": {"name": {"prefix": "openai."}, "gen_ai.system": {"equals": "openai"}},
        "then": {"event_type": "model"},
    }

All conditions of ``when`` must hold. A key is ``"name"`` for the name, else the key of an attribute, and may end in
``"*"`` to mean any attribute with that beginning. A condition is a value (to be equal to) or one or more of ``equals``,
``prefix``, ``contains``, ``exists``, ``regex`` and ``one_of``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from honeyhive.exceptions import ConfigurationError

__all__ = ["ENTRY_POINTS", "DynamicProcessor", "PatternMatcher", "Rule", "discover"]

ENTRY_POINTS: Final = "honeyhive.patterns"
"""The group of entry points under which packages offer rules: a list of rules, or a function that returns one."""

VARIABLE: Final = "HH_PATTERNS"
"""The environment variable that holds rules: JSON, or the path of a JSON file."""

Pattern: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[object], bool]
Strategy: TypeAlias = Callable[[Any], Any]

_ABSENT: Final = object()
_RULE_KEYS: Final = frozenset({"name", "priority", "when", "then"})


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, checked when it is made and ready to be applied.

    Attributes:
        name: Says which rule it is, in messages.
        when: Conditions by key, all of which must hold; none at all always hold.
        then: What follows; the rule engine does not look into it.
        priority: The smallest goes first; equal ones in the order in which they were given.

    Raises:
        ConfigurationError: A condition cannot be understood; says which and what would be right.
    """

    name: str
    when: Mapping[str, object] = field(default_factory=dict)
    then: Mapping[str, object] = field(default_factory=dict)
    priority: int = 0
    _conditions: tuple[tuple[str, Test], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        conditions = tuple((key, _test(self.name, key, expected)) for key, expected in self.when.items())
        object.__setattr__(self, "_conditions", conditions)
        object.__setattr__(self, "when", MappingProxyType(dict(self.when)))
        object.__setattr__(self, "then", MappingProxyType(dict(self.then)))

    @classmethod
    def from_dict(cls, pattern: Pattern, *, name: str = "unnamed") -> Rule:
        """Return the rule that a dictionary describes.

        Every key besides ``name``, ``priority``, ``when`` and ``then`` belongs to what follows.

        Raises:
            ConfigurationError: It is not a rule.
        """
        if not isinstance(pattern, Mapping):
            raise ConfigurationError(f"pattern {name!r} is a {type(pattern).__name__}; write it as a dictionary")
        name = str(pattern.get("name", name))
        when, then, priority = pattern.get("when", {}), pattern.get("then", {}), pattern.get("priority", 0)
        if not isinstance(when, Mapping) or not isinstance(then, Mapping):
            raise ConfigurationError(f"pattern {name!r}: 'when' and 'then' must be dictionaries")
        if not isinstance(priority, int):
            raise ConfigurationError(f"pattern {name!r}: priority {priority!r} is not a whole number")
        rest = {key: value for key, value in pattern.items() if key not in _RULE_KEYS}
        return cls(name, when, {**rest, **then}, priority)

    def matches(self, name: str | None, attributes: Mapping[str, object]) -> bool:
        """Tell whether the rule applies to something of this name with these attributes."""
        return all(_holds(key, test, name, attributes) for key, test in self._conditions)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as the dictionary from which it can be made again."""
        return {"name": self.name, "priority": self.priority, "when": dict(self.when), "then": dict(self.then)}


class PatternMatcher:
    """Find the first rule that applies, in order of priority.

    Args:
        patterns: Rules, or dictionaries that describe rules, from configuration.
        discover_more: Whether to add those of installed packages and of the environment.
        environment: Where ``HH_PATTERNS`` is looked up.

    Raises:
        ConfigurationError: A rule cannot be understood.
    """

    __slots__ = ("_rules",)

    def __init__(
        self,
        patterns: Iterable[Rule | Pattern] = (),
        *,
        discover_more: bool = True,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._rules = discover(patterns, environment) if discover_more else _sorted(patterns)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in the order in which they are tried."""
        return self._rules

    def match(self, data: Mapping[str, Any] | str | object) -> dict[str, Any] | None:
        """Return the first pattern that applies to *data* as a dictionary, or ``None``.

        Args:
            data: A span name; or a mapping, either of attributes (``name`` among them) or with the keys ``name`` and
                ``attributes``; or an object that has these two, such as a span.
        """
        rule = self.first(*_subject(data))
        return None if rule is None else rule.to_dict()

    def first(self, name: str | None, attributes: Mapping[str, object]) -> Rule | None:
        """Return the first rule that applies: the quick form for spans, without building a dictionary."""
        for rule in self._rules:
            if rule.matches(name, attributes):
                return rule
        return None


class DynamicProcessor:
    """Process data by the strategies that the configuration enables, in its order.

    A strategy applies where its ``when`` holds. Then its ``then`` sets values (``set``), gives values other names
    (``rename``: old to new) and takes keys away (``remove``). The data itself is never changed::

        DynamicProcessor(
            {
                "strategies": {
                    "model": {
                        "enabled": True,
                        "when": {"gen_ai.system": {"exists": True}},
                        "then": {"set": {"event_type": "model"}},
                    }
                }
            }
        )

    Args:
        config: ``strategies`` by name, each with ``enabled``, ``when``, ``then`` and perhaps ``priority``; one that is
            not ``enabled`` does nothing.
        strategies: More kinds of ``then``, by name: each makes a function of the data from what stands under its name.

    Raises:
        ConfigurationError: A strategy cannot be understood.
    """

    __slots__ = ("_kinds", "_steps")

    def __init__(self, config: Pattern, strategies: Mapping[str, Callable[[Any], Strategy]] | None = None) -> None:
        self._kinds: Mapping[str, Callable[[Any], Strategy]] = {**_STRATEGIES, **(strategies or {})}
        described = config.get("strategies", {})
        if not isinstance(described, Mapping):
            raise ConfigurationError("'strategies' must be a dictionary of strategies by name")
        rules = _sorted(_described(name, one) for name, one in described.items() if _is_enabled(name, one))
        self._steps = tuple((rule, self._actions(rule)) for rule in rules)

    def process(self, data: Any) -> Any:
        """Return *data* as the strategies that apply to it leave it; each sees what those before it made."""
        for rule, actions in self._steps:
            if rule.matches(*_subject(data)):
                for act in actions:
                    data = act(data)
        return data

    def _actions(self, rule: Rule) -> tuple[Strategy, ...]:
        unknown = sorted(rule.then.keys() - self._kinds.keys())
        if unknown:
            known = ", ".join(sorted(self._kinds))
            raise ConfigurationError(f"strategy {rule.name!r}: unknown action {unknown[0]!r}; use one of {known}")
        return tuple(self._kinds[kind](what) for kind, what in rule.then.items())


def discover(patterns: Iterable[Rule | Pattern] = (), environment: Mapping[str, str] = os.environ) -> tuple[Rule, ...]:
    """Return all rules there are, in order: of *patterns*, of installed packages and of the environment.

    Raises:
        ConfigurationError: A rule cannot be understood, or ``HH_PATTERNS`` is neither JSON nor the path of a JSON file.
    """
    return _sorted([*patterns, *_packaged_patterns(), *_environment_patterns(environment)])


def _sorted(patterns: Iterable[Rule | Pattern]) -> tuple[Rule, ...]:
    rules = [
        one if isinstance(one, Rule) else Rule.from_dict(one, name=f"pattern {number}")
        for number, one in enumerate(patterns, 1)
    ]
    return tuple(sorted(rules, key=lambda rule: rule.priority))


def _packaged_patterns() -> list[Rule | Pattern]:
    found: list[Rule | Pattern] = []
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        offered = entry.load()
        found += offered() if callable(offered) else offered
    return found


def _environment_patterns(environment: Mapping[str, str]) -> list[Pattern]:
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return []
    try:
        patterns = json.loads(text if text.startswith("[") else Path(text).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{VARIABLE} holds neither a JSON list of patterns nor the path of a file with one: {error}"
        ) from error
    if not isinstance(patterns, list):
        raise ConfigurationError(f"{VARIABLE} must hold a JSON list of patterns, not a {type(patterns).__name__}")
    return patterns


def _subject(data: object) -> tuple[str | None, Mapping[str, object]]:
    """Return the name and the attributes of what is to be matched."""
    if isinstance(data, str):
        return data, {}
    if isinstance(data, Mapping):
        name, attributes = data.get("name"), data.get("attributes")
        return _name(name), attributes if isinstance(attributes, Mapping) else data
    attributes = getattr(data, "attributes", None)
    return _name(getattr(data, "name", None)), attributes if isinstance(attributes, Mapping) else {}


def _name(name: object) -> str | None:
    return name if isinstance(name, str) else None


def _holds(key: str, test: Test, name: str | None, attributes: Mapping[str, object]) -> bool:
    if key == "name":
        return test(_ABSENT if name is None else name)
    if not key.endswith("*"):
        return test(attributes.get(key, _ABSENT))
    values = [value for found, value in attributes.items() if found.startswith(key[:-1])]
    return any(test(value) for value in values) if values else test(_ABSENT)


def _test(rule: str, key: str, expected: object) -> Test:
    if not isinstance(expected, Mapping):
        return _equals(expected)
    unknown = sorted(map(str, expected.keys() - _TESTS.keys()))
    if unknown or not expected:
        wrong = f"unknown condition {unknown[0]!r}" if unknown else "no condition"
        raise ConfigurationError(f"pattern {rule!r}, {key!r}: {wrong}; use one of {', '.join(sorted(_TESTS))}")
    try:
        tests = [_TESTS[operator](wanted) for operator, wanted in expected.items()]
    except (TypeError, ValueError, re.error) as error:
        raise ConfigurationError(f"pattern {rule!r}, {key!r}: {error}") from error
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _equals(wanted: object) -> Test:
    return lambda value: value is not _ABSENT and value == wanted


def _prefix(wanted: Any) -> Test:
    beginning = _strings("prefix", wanted)
    return lambda value: isinstance(value, str) and value.startswith(beginning)


def _contains(wanted: Any) -> Test:
    parts = _strings("contains", wanted)

    def test(value: object) -> bool:
        return isinstance(value, str | list | tuple) and any(part in value for part in parts)

    return test


def _exists(wanted: Any) -> Test:
    if not isinstance(wanted, bool):
        raise TypeError(f"'exists' must be true or false, not {wanted!r}")
    return lambda value: (value is not _ABSENT) is wanted


def _regex(wanted: Any) -> Test:
    search = re.compile(wanted).search
    return lambda value: isinstance(value, str) and search(value) is not None


def _one_of(wanted: Any) -> Test:
    if isinstance(wanted, str | Mapping) or not isinstance(wanted, Iterable):
        raise TypeError(f"'one_of' must be a list of values, not {wanted!r}")
    values = tuple(wanted)
    return lambda value: any(value == one for one in values)


def _strings(operator: str, wanted: Any) -> tuple[str, ...]:
    strings = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not strings or not all(isinstance(one, str) for one in strings):
        raise TypeError(f"{operator!r} must be a text or a list of texts, not {wanted!r}")
    return strings


_TESTS: Final[Mapping[str, Callable[[Any], Test]]] = {
    "contains": _contains,
    "equals": _equals,
    "exists": _exists,
    "one_of": _one_of,
    "prefix": _prefix,
    "regex": _regex,
}


def _is_enabled(name: str, described: object) -> bool:
    if not isinstance(described, Mapping):
        raise ConfigurationError(f"strategy {name!r} is a {type(described).__name__}; write it as a dictionary")
    enabled = described.get("enabled", False)
    if not isinstance(enabled, bool):
        raise ConfigurationError(f"strategy {name!r}: 'enabled' must be true or false, not {enabled!r}")
    return enabled


def _described(name: str, described: Pattern) -> Rule:
    return Rule.from_dict({key: value for key, value in described.items() if key != "enabled"}, name=name)


def _set(values: Mapping[str, object]) -> Strategy:
    return lambda data: {**data, **values}


def _rename(names: Mapping[str, str]) -> Strategy:
    return lambda data: {names.get(key, key): value for key, value in data.items()}


def _remove(keys: Iterable[str]) -> Strategy:
    unwanted = frozenset([keys] if isinstance(keys, str) else keys)
    return lambda data: {key: value for key, value in data.items() if key not in unwanted}


_STRATEGIES: Final[Mapping[str, Callable[[Any], Strategy]]] = {"remove": _remove, "rename": _rename, "set": _set}
