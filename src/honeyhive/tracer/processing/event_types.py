"""What a span is told to be before it leaves: its event type, and what a user's rules add.

It is decided on the export thread, when all attributes are known; instrumentors set the
telling ones late. What somebody said explicitly always stands.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from honeyhive.exceptions import ConfigurationError
from honeyhive.models.conventions import DEFAULT_EVENT_TYPE, detect_event_type
from honeyhive.utils.patterns import PatternMatcher, Rule

__all__ = ["EVENT_TYPE", "EventTypes", "usual_event_types"]

_logger = logging.getLogger("honeyhive")

EVENT_TYPE: Final = "honeyhive_event_type"
"""The attribute that carries the event type."""

_CONSEQUENCES: Final = frozenset({"event_type", "set"})


class EventTypes:
    """Tells spans their event type by rules: a user's own first, then what the vocabularies mean.

    A rule's ``then`` may hold ``event_type`` and ``set``, a mapping of attributes to add::

        {"when": {"name": {"prefix": "ranker."}}, "then": {"event_type": "model", "set": {"team": "search"}}}

    Args:
        patterns: Rules from configuration.
        discover_more: Whether rules of installed packages and of ``HH_PATTERNS`` count too.
        environment: Where ``HH_PATTERNS`` is looked up.

    Raises:
        ConfigurationError: A rule cannot be understood.
    """

    __slots__ = ("_matcher", "has_rules")

    def __init__(
        self,
        patterns: Iterable[Rule | Mapping[str, Any]] = (),
        *,
        discover_more: bool = True,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._matcher = PatternMatcher(patterns, discover_more=discover_more, environment=environment)
        self.has_rules = bool(self._matcher.rules)
        for rule in self._matcher.rules:
            _check(rule)

    def of(self, name: str, attributes: Mapping[str, object]) -> str:
        """Tell the event type of a span."""
        return str(self.additions(name, attributes).get(EVENT_TYPE) or attributes[EVENT_TYPE])

    def additions(self, name: str, attributes: Mapping[str, object]) -> Mapping[str, Any]:
        """Return the attributes to add to a span: its event type, unless it has one, and what rules set."""
        rule = self._matcher.first(name, attributes) if self.has_rules else None
        if rule is None:
            added, kind = {}, None
        else:
            added, kind = dict(rule.then.get("set", {})), rule.then.get("event_type")  # type: ignore[call-overload]
        if not attributes.get(EVENT_TYPE):
            added[EVENT_TYPE] = kind or detect_event_type(attributes, name=name) or DEFAULT_EVENT_TYPE
        return added


@cache
def usual_event_types() -> EventTypes:
    """Return the rules of this process: those of ``HH_PATTERNS`` and of installed packages, read once.

    Rules that cannot be understood are named in one logged error and left out; spans are recorded without them.
    """
    try:
        return EventTypes()
    except ConfigurationError as error:
        _logger.error("honeyhive: %s; spans are recorded without these rules.", error)  # noqa: TRY400 -- it says all
    return EventTypes(discover_more=False)


def _check(rule: Rule) -> None:
    """Refuse a rule whose consequence would be ignored."""
    unknown = sorted(rule.then.keys() - _CONSEQUENCES)
    if unknown:
        raise ConfigurationError(f"pattern {rule.name!r}: 'then' may hold event_type and set, not {unknown[0]!r}")
    if not isinstance(rule.then.get("set", {}), Mapping):
        raise ConfigurationError(f"pattern {rule.name!r}: 'set' must be a dictionary of attributes")
