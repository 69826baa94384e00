"""Filters of event queries: from a request's words to SQL conditions that hold no word of the request."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from honeyhive.models.conventions import BUCKETS
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.index.queries import Condition, EventFilters

__all__ = ["event_filters"]

Scalar = str | int | float

_MOST_FILTERS: Final = 50
_MAX_LIMIT: Final = 7_500
_MAX_PAGE: Final = 1_000_000
_TEXTS: Final = {
    "event_id": "event_id",
    "session_id": "session_id",
    "parent_id": "parent_event_id",
    "event_type": "event_type",
    "event_name": "name",
    "project": "project",
    "source": "source",
    "error": "error",
}
_NUMBERS: Final = {
    "start_time": "(start_ns / 1000000.0)",
    "end_time": "(end_ns / 1000000.0)",
    "duration": "((end_ns - start_ns) / 1000000.0)",
}
_PATH: Final = re.compile(rf"({'|'.join(BUCKETS)})((?:\.[^.\"\x00]{{1,200}}){{1,16}})")
_OPERATORS: Final = {
    "is": "{field} = {value}",
    "is not": "NOT coalesce({field} = {value}, FALSE)",
    "contains": "instr(lower({text}), lower({words})) > 0",
    "not contains": "coalesce(instr(lower({text}), lower({words})), 0) = 0",
    "greater than": "({field} > {value}{alike})",
    "less than": "({field} < {value}{alike})",
    "after": "({field} > {value}{alike})",
    "before": "({field} < {value}{alike})",
    "exists": "{field} IS NOT NULL",
    "not exists": "{field} IS NULL",
}
_PART: Final = re.compile(r"\{(\w+)\}")

Parts = Mapping[str, Condition]
"""The parts of which the SQL of an operator is made, each with the values for its marks: ``field``; ``value``, which it is
compared with; both as texts, ``text`` and ``words``; ``alike``, what must hold besides for a field to be in an order with
the value."""


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
        conditions.append(("project = ?", [str(_scalar(body["project"]))]))
    conditions += _date_range(body.get("dateRange"))
    return EventFilters(conditions, _whole(body, "limit", 1_000, _MAX_LIMIT), _whole(body, "page", 1, _MAX_PAGE))


def _condition(item: object) -> Condition:
    if not isinstance(item, Mapping):
        raise Refusal(400, "A filter is not an object.")
    name = str(item.get("operator", "is"))
    if name not in _OPERATORS:
        raise Refusal(400, f"operator is none of: {', '.join(_OPERATORS)}.")
    # `exists` compares with nothing, so that anything may stand there.
    parts = _parts(str(item.get("field", "")), 0 if "exists" in name else _scalar(item.get("value")))
    sql = _OPERATORS[name].format(**{part: text for part, (text, _) in parts.items()})
    return sql, [value for part in _PART.findall(_OPERATORS[name]) for value in parts[part][1]]


def _parts(name: str, value: Scalar) -> Parts:
    """Return what the SQL of an operator on field *name* is made of."""
    words: Condition = ("?", [str(value)])
    if name in _TEXTS:
        field: Condition = (_TEXTS[name], [])
        return {"field": field, "value": words, "text": field, "words": words, "alike": ("", [])}
    if name in _NUMBERS:
        return {
            "field": (_NUMBERS[name], []),
            "value": ("CAST(? AS DOUBLE PRECISION)", [_number(name, value)]),
            "text": (f"CAST({_NUMBERS[name]} AS TEXT)", []),
            "words": words,
            "alike": ("", []),
        }
    path = _path(name)
    field = ("json_extract(details, ?)", [path])
    kind = "=" if isinstance(value, str) else "<>"
    return {
        "field": field,
        "value": ("json_extract(?, '$')", [jsontext.dumps(value).decode()]),
        "text": field,
        "words": words,
        "alike": (f" AND typeof(json_extract(details, ?)) {kind} 'text'", [path]),
    }


def _path(name: str) -> str:
    match = _PATH.fullmatch(name)
    if match is None:
        raise Refusal(400, "field is neither a field of events nor a path into one of their objects.")
    bucket, rest = match.groups()
    return "$." + ".".join(f'"{part}"' for part in [bucket, *rest[1:].split(".")])


def _scalar(value: object) -> Scalar:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    raise Refusal(400, "A filter's value is not a text, a number or a boolean.")


def _number(name: str, value: Scalar) -> float:
    """Read *value* as the numeric field *name* has it: milliseconds, or for a time also an ISO time."""
    try:
        number = float(value)
    except ValueError:
        if name == "duration":
            raise Refusal(400, "The value for duration is not a number of milliseconds.") from None
        number = _ns_of(value, f"The value for {name} is neither a number of milliseconds nor an ISO time.") / 1e6
    if not math.isfinite(number):
        raise Refusal(400, f"The value for {name} is not finite.")
    return number


def _date_range(value: object) -> list[Condition]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise Refusal(400, "dateRange is not an object.")
    bounds = (("$gte", "start_ns >= ?"), ("$lte", "start_ns <= ?"))
    return [
        (condition, [_ns_of(value[key], "dateRange holds no ISO time.")])
        for key, condition in bounds
        if value.get(key) is not None
    ]


def _ns_of(text: object, refusal: str) -> int:
    try:
        moment = datetime.fromisoformat(str(text))
        return max(0, min(round(moment.timestamp() * 1e9), 2**63 - 1))
    except (ValueError, OverflowError, OSError):
        raise Refusal(400, refusal) from None


def _whole(body: Mapping[str, object], name: str, default: int, most: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most:
        raise Refusal(400, f"{name} is not a number from 1 to {most}.")
    return int(value)
