"""Filters of event queries: from a request's words to SQL conditions that hold no word of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from honeyhive.models.conventions import BUCKETS
from honeyhive.server.limits import Refusal
from honeyhive.server.queries import Condition, EventFilters

__all__ = ["event_filters"]

_MOST_FILTERS: Final = 50
_MAX_LIMIT: Final = 7_500
_MAX_PAGE: Final = 1_000_000
_COLUMNS: Final = {
    "event_id": "event_id",
    "session_id": "session_id",
    "parent_id": "parent_event_id",
    "event_type": "event_type",
    "event_name": "name",
    "project": "project",
    "source": "source",
    "error": "error",
    "start_time": "start_ns / 1000000.0",
    "end_time": "end_ns / 1000000.0",
    "duration": "(end_ns - start_ns) / 1000000.0",
}
_PATH: Final = re.compile(rf"({'|'.join(BUCKETS)})((?:\.[^.\"\x00]{{1,200}}){{1,16}})")
_OPERATORS: Final = {
    "is": "{field} = {mark}",
    "is not": "{field} IS NOT {mark}",
    "contains": "instr(lower({field}), lower({mark})) > 0",
    "not contains": "coalesce(instr(lower({field}), lower({mark})), 0) = 0",
    "greater than": "{field} > {mark}",
    "less than": "{field} < {mark}",
    "after": "{field} > {mark}",
    "before": "{field} < {mark}",
    "exists": "({field} IS NOT NULL AND {mark} IS NOT NULL)",
    "not exists": "({field} IS NULL AND {mark} IS NOT NULL)",
}


def event_filters(body: object) -> EventFilters:
    """Read the body of ``POST /v1/events/export``.

    Raises:
        Refusal: 400 for anything that is not a known filter.
    """
    if not isinstance(body, Mapping):
        raise Refusal(400, "The body is not an object.")
    filters = [] if body.get("filters") is None else body["filters"]
    if not isinstance(filters, list) or len(filters) > _MOST_FILTERS:
        raise Refusal(400, f"filters is not a list of at most {_MOST_FILTERS}.")
    conditions = [_condition(item) for item in filters]
    if body.get("project"):
        conditions.append(("project = ?", [_scalar(body["project"])]))
    conditions += _date_range(body.get("dateRange"))
    return EventFilters(conditions, _whole(body, "limit", 1_000, _MAX_LIMIT), _whole(body, "page", 1, _MAX_PAGE))


def _condition(item: object) -> Condition:
    if not isinstance(item, Mapping):
        raise Refusal(400, "A filter is not an object.")
    operator = _OPERATORS.get(str(item.get("operator", "is")))
    if operator is None:
        raise Refusal(400, f"operator is none of: {', '.join(_OPERATORS)}.")
    value = "" if "exists" in str(item.get("operator")) else _scalar(item.get("value"))
    field, paths = _field(str(item.get("field", "")))
    return operator.format(field=field, mark="?"), [*paths, value]


def _field(name: str) -> Condition:
    """Return the SQL of a field, and the values for the marks in it."""
    if name in _COLUMNS:
        return _COLUMNS[name], []
    match = _PATH.fullmatch(name)
    if match is None:
        raise Refusal(400, "field is neither a field of events nor a path into one of their objects.")
    bucket, rest = match.groups()
    path = "$." + ".".join(f'"{part}"' for part in [bucket, *rest[1:].split(".")])
    return "json_extract(details, ?)", [path]


def _scalar(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    raise Refusal(400, "A filter's value is not a text, a number or a boolean.")


def _date_range(value: object) -> list[Condition]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise Refusal(400, "dateRange is not an object.")
    bounds = (("$gte", "start_ns >= ?"), ("$lte", "start_ns <= ?"))
    return [(condition, [_ns_of(value[key])]) for key, condition in bounds if value.get(key) is not None]


def _ns_of(text: object) -> int:
    try:
        moment = datetime.fromisoformat(str(text))
        return max(0, min(round(moment.timestamp() * 1e9), 2**63 - 1))
    except (ValueError, OverflowError, OSError):
        raise Refusal(400, "dateRange holds no ISO time.") from None


def _whole(body: Mapping[str, object], name: str, default: int, most: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most:
        raise Refusal(400, f"{name} is not a number from 1 to {most}.")
    return int(value)
