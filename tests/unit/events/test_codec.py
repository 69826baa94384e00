"""Writing messages and reading them again: as JSON, without losing class, types or what is unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.events import Event, Message, MessageCodec, UnknownMessage, decode, encode
from honeyhive.exceptions import MessageFormatError


class Colour(Enum):
    RED = "red"
    BLUE = 2


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal
    tags: tuple[str, ...] = ()


class Everything(Event, type="test.everything", aliases=("test.all",), key="number"):
    number: int
    share: float
    text: str
    raw: bytes
    yes: bool
    at: datetime
    on: date
    took: timedelta
    uid: UUID
    colour: Colour
    line: Line
    lines: list[Line]
    by_day: dict[date, int]
    tags: set[str]
    maybe: int | None = None
    anything: Any = None


class Holder(Event):
    value: Any


class Unreadable(Event):
    value: NotHere  # noqa: F821 - that is the point


def everything(**changes: object) -> Everything:
    values: dict[str, object] = {
        "number": 1,
        "share": 0.5,
        "text": "é",
        "raw": b"\x00\xff",
        "yes": True,
        "at": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
        "on": date(2026, 1, 2),
        "took": timedelta(seconds=1.5),
        "uid": UUID(int=5),
        "colour": Colour.BLUE,
        "line": Line("a", Decimal("1.10"), ("x",)),
        "lines": [Line("b", Decimal(2))],
        "by_day": {date(2026, 1, 2): 3},
        "tags": {"a", "b"},
    }
    return Everything(**{**values, **changes})


def test_what_is_read_is_what_was_written() -> None:
    message = everything(subject="s", correlation_id="c", causation_id="d", extensions={"tenant": "t"})

    restored = decode(encode(message))

    assert message == restored
    assert message.content == restored.content
    assert Everything is type(restored)
    for name in ("time", "source", "subject", "correlation_id", "causation_id", "extensions"):
        assert getattr(message, name) == getattr(restored, name)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_plain_values_survive_under_any_annotation(value: object) -> None:
    message = Holder(value=value)

    assert message == decode(encode(message))


@pytest.mark.parametrize("share", [float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_survive_too(share: float) -> None:
    document = encode(everything(share=share))

    json.loads(document, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert share == decode(document).share


def test_the_document_is_a_cloudevent() -> None:
    message = everything(id="an-id", source="/shop")

    record = json.loads(encode(message))

    assert ("1.0", "an-id", "/shop", "test.everything") == tuple(
        record[name] for name in ("specversion", "id", "source", "type")
    )
    assert ("application/json", "1") == (record["datacontenttype"], record["partitionkey"])
    assert message.time == datetime.fromisoformat(record["time"])


def test_a_name_from_before_is_still_understood() -> None:
    record = {**MessageCodec().to_record(everything()), "type": "test.all", "pythontype": "gone.module.All"}

    assert Everything is type(MessageCodec().from_record(record))


def test_what_the_class_demands_today_does_not_hold_for_what_was_told_long_ago() -> None:
    class Strict(Event, type="test.strict"):
        amount: int
        added_later: str = "default"

        def __post_init__(self) -> None:
            if self.amount <= 0:
                raise ValueError("amounts are positive now")

    record = {"type": "test.strict", "id": "1", "source": "/", "data": {"amount": -1, "removed": True}}

    restored = MessageCodec().from_record(record)

    assert Strict(id="1", amount=1).content | {"amount": -1} == restored.content


@pytest.mark.parametrize(
    "data, place",
    [({"number": "many"}, r"Everything\.number: .* not 'many'"), ({"lines": [{"sku": 1}]}, r"Everything\.lines\.0")],
)
def test_content_that_does_not_fit_is_refused_by_its_place(data: dict[str, object], place: str) -> None:
    record = MessageCodec().to_record(everything())

    with pytest.raises(MessageFormatError, match=place):
        MessageCodec().from_record({**record, "data": {**record["data"], **data}})


def test_content_that_is_missing_is_refused_by_its_name() -> None:
    with pytest.raises(MessageFormatError, match=r"Everything\.number has neither a value nor a default"):
        decode(b'{"type": "test.everything", "id": "1", "source": "/", "data": {}}')


def test_what_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(MessageFormatError, match=r"Everything\.number: .* not 'one'"):
        encode(everything(number="one"))


def test_an_annotation_that_nobody_can_resolve_is_named() -> None:
    with pytest.raises(MessageFormatError, match=r"'NotHere' of Unreadable\.value .* at the top of a module"):
        encode(Unreadable(value=1))


@pytest.mark.parametrize(
    "document, problem",
    [
        (b"{", "no JSON"),
        (b"[]", "CloudEvent is an object"),
        (b'{"type": "x", "id": "1"}', "'source' is None"),
        (b'{"type": "x", "id": "", "source": "/"}', "'id' is ''"),
        (b'{"type": "x", "id": "1", "source": "/", "time": "noon"}', "its time is 'noon'"),
    ],
)
def test_what_is_no_cloudevent_is_refused(document: bytes, problem: str) -> None:
    with pytest.raises(MessageFormatError, match=problem):
        decode(document)


@pytest.mark.parametrize(
    "foreign",
    [
        {"data": {"pull": [1, {"a": None}]}, "datacontenttype": "application/json"},
        {"data": "text", "datacontenttype": "text/plain", "dataschema": "https://schema"},
        {"data_base64": "AP8=", "datacontenttype": "application/octet-stream"},
        {"tenant": "t", "sampledrate": 5, "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
        {"subject": "s", "correlationid": "c", "causationid": "d", "partitionkey": "p"},
    ],
)
def test_an_unknown_cloudevent_is_kept_as_it_came(foreign: Mapping[str, object]) -> None:
    record = {
        "specversion": "1.0",
        "id": "1",
        "source": "/x",
        "type": "com.example.pull",
        "time": "2026-01-02T03:04:05Z",
    }
    document = json.dumps({**record, **foreign}).encode()

    message = decode(document)

    assert UnknownMessage is type(message)
    assert "com.example.pull" == message.type
    assert {**record, **foreign} == json.loads(encode(message))
    assert isinstance(hash(message), int)


def test_classes_of_the_same_name_are_told_apart_by_where_they_live() -> None:
    def declare(module: str) -> type[Message]:
        return type("Twin", (Event,), {"__module__": module, "__annotations__": {"number": int}})

    one, other = declare("one"), declare("other")

    assert [one, other] == [type(decode(encode(each(number=1)))) for each in (one, other)]
    with pytest.raises(MessageFormatError, match=r"2 message classes are called 'Twin': one\.Twin, other\.Twin"):
        decode(b'{"type": "Twin", "id": "1", "source": "/", "data": {"number": 1}}')
