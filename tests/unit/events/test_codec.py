"""Writing messages and reading them again: as JSON, without losing class, types or what is unknown."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from annotated_types import MinLen
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.events import Event, Message, MessageCodec, UnknownMessage, decode, encode
from honeyhive.events.catalogue import Catalogue
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


class Holder(Event, type="test.holder"):
    value: Any


class Unreadable(Event):
    value: NotHere  # noqa: F821 - that is the point


class Word(StrEnum):
    YES = "yes"


class Digit(IntEnum):
    ONE = 1


class Loud(str):
    __slots__ = ()


HINTS = (
    *(str, int, float, bool, None, Any, object),
    *(str | None, Optional[float], int | str, float | int, bool | str, int | bool | None, Any | None),  # noqa: UP045
    *(Annotated[str, MinLen(2)], Literal["a", 1], Word, Digit, bytes, datetime, Decimal, str | datetime),
)
NOTABLE = (
    *(None, True, False, 0, 1, -1, 2**63 - 1, 2**63, -(2**63), -(2**64), 10**4299, 10**4300, -(10**4300)),
    *(0.0, -0.0, 1.0, 1.5, 1e300, float("nan"), float("inf"), float("-inf")),
    *("", "a", "ab", "1", "1.5", "true", "yes", "null", "NaN", "Infinity", "2026-01-02T03:04:05Z", "\x00", "\ud800"),
)
UNUSUAL = (
    *(*Word, *Digit, Loud("a"), b"", b"\xff", Decimal("1.10"), Decimal("NaN"), (), (1,), {"a": 1}),
    *(datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2)),  # noqa: DTZ001
)


def declare(name: str, hints: Mapping[str, object], **more: object) -> type[Message]:
    return type(name, (Event,), {"__module__": __name__, "__annotations__": dict(hints), **more})


ALONE = [declare(f"Alone{index}", {"value": hint}) for index, hint in enumerate(HINTS)]
BESIDE = [
    declare(f"Beside{index}", {"value": hint, "tags": tuple[str, ...]}, tags=()) for index, hint in enumerate(HINTS)
]
"""The same with a field that is no plain value, so that all of it is read for a proof."""


def outcome(do: Callable[[], object], kind: type[Message]) -> tuple[object, ...]:
    try:
        done = do()
    except MessageFormatError as error:
        return ("refused", str(error).replace(kind.__name__, "It"))
    return ("done", type(done), repr(done))


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


def written(kind: type[Message], value: object) -> tuple[object, ...]:
    def write() -> tuple[str, str]:
        document = encode(kind(value=value))
        return json.dumps(json.loads(document)["data"]["value"]), repr(decode(document).value)

    return outcome(write, kind)


def read(kind: type[Message], content: Mapping[str, object]) -> tuple[object, ...]:
    record = {"type": kind.__name__, "id": "1", "source": "/", "data": content}
    return outcome(lambda: MessageCodec().from_record(record).value, kind)


@pytest.mark.parametrize("value", [*NOTABLE, *UNUSUAL], ids=lambda value: type(value).__name__)
def test_a_value_is_written_the_same_whatever_stands_beside_it(value: object) -> None:
    assert [written(kind, value) for kind in ALONE] == [written(kind, value) for kind in BESIDE]


@pytest.mark.parametrize("content", [{}, {"other": 1}, *({"value": value} for value in [*NOTABLE, [], ["a"], {}])])
def test_a_value_is_read_the_same_whatever_stands_beside_it(content: Mapping[str, object]) -> None:
    assert [read(kind, content) for kind in ALONE] == [read(kind, content) for kind in BESIDE]


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_any_plain_value_goes_there_and_back_the_same_whatever_stands_beside_it(value: object) -> None:
    assert [written(kind, value) for kind in ALONE] == [written(kind, value) for kind in BESIDE]
    assert [read(kind, {"value": value}) for kind in ALONE] == [read(kind, {"value": value}) for kind in BESIDE]


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


@given(
    st.permutations(list(json.loads(encode(everything(subject="s", causation_id="c"))))),
    st.sampled_from([None, "traceparent", "tenant"]),
    st.booleans(),
)
def test_the_order_of_attributes_says_nothing(names: list[str], further: str | None, is_known: bool) -> None:
    message = everything(subject="s", causation_id="c")
    document = encode(message)
    record = json.loads(document) | ({further: "x"} if further else {})
    shuffled = {name: record[name] for name in [*names, *record.keys() - {*names}]}
    if is_known:
        decode(document)

    read = decode(json.dumps(shuffled, separators=(",", ":")).encode())

    assert message == read
    assert message.time == read.time
    assert ({"traceparent": "x"} if further == "traceparent" else {}) == read.trace_context
    assert ({"tenant": "x"} if further == "tenant" else {}) == read.extensions


def test_documents_that_were_written_before_are_read() -> None:
    document = (
        b'{"specversion":"1.0","id":"1","source":"/shop","type":"test.holder","time":"2026-01-02T03:04:05.000678Z",'
        b'"subject":"s","correlationid":"c","causationid":"d","partitionkey":"k","traceparent":"00-1-2-01","tenant":"t",'
        b'"pythontype":"shop.Holder","datacontenttype":"application/json","data":{"value":[1]}}'
    )

    message = decode(document)

    assert (Holder, (1,)) == (type(message), message.value)
    assert ("1", "/shop", "s", "c", "d") == (
        message.id,
        message.source,
        message.subject,
        message.correlation_id,
        message.causation_id,
    )
    assert ({"traceparent": "00-1-2-01"}, {"tenant": "t"}) == (message.trace_context, message.extensions)
    assert datetime(2026, 1, 2, 3, 4, 5, 678, UTC) == message.time


@given(
    st.sampled_from([Holder, everything, ALONE[0]]),
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.text(min_size=1),
            "subject": st.text(),
            "correlation_id": st.text(),
            "causation_id": st.none() | st.text(),
            "trace_context": st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage"]), st.text()),
            "extensions": st.dictionaries(
                st.sampled_from(["tenant", "data", "dataschema", "partitionkey"]),
                st.text() | st.dictionaries(st.sampled_from(["id", "data"]), st.integers(), min_size=2),
            ),
        },
    ),
    st.text() | st.sampled_from([',"id":', ',"data":', '"}', "\\"]),
)
def test_a_document_is_read_the_same_as_bytes_that_begin_like_others_and_as_text(
    make: Callable[..., Message], envelope: dict[str, Any], said: str
) -> None:
    message = make(**envelope, **{"text" if make is everything else "value": said})
    document = encode(message)

    read = [decode(document.decode()), decode(document), decode(document)]

    assert [vars(read[0])] * 3 == [vars(each) for each in read]
    assert message == read[0]


def test_a_codec_reads_what_its_own_classes_are_however_often_another_has_read_it() -> None:
    class Known(Event):
        number: int

    document = encode(Known(number=1))
    codec = MessageCodec(Catalogue())

    assert [Known, UnknownMessage] * 2 == [type(each.decode(document)) for each in [MessageCodec(), codec] * 2]


def test_a_class_that_is_declared_again_takes_over_what_has_been_read_before() -> None:
    def declared() -> type[Message]:
        return declare("Again", {"number": int})

    first = declared()
    document = encode(first(number=1))
    assert [first] * 2 == [type(decode(document)) for _ in range(2)]

    second = declared()

    assert [second] * 2 == [type(decode(document)) for _ in range(2)]


@pytest.mark.parametrize("rest", [b"", b'"1"', b'"1","source":', b'"1"}}', b'"1","source":5}', b"null}"])
def test_a_document_that_only_begins_like_another_is_refused(rest: bytes) -> None:
    document = encode(everything())
    decode(document)

    with pytest.raises(MessageFormatError, match=r"no JSON|no CloudEvent: its attribute"):
        decode(document.partition(b',"id":')[0] + b',"id":' + rest)


def test_a_document_whose_last_character_is_another_is_refused() -> None:
    document = encode(everything())
    decode(document)

    with pytest.raises(MessageFormatError, match="no JSON"):
        decode(document[:-1] + b"]")


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(0)), timezone(timedelta(hours=-3, minutes=-30, seconds=-7))])
@given(st.datetimes())
def test_a_time_stays_the_same_moment_and_offset(zone: timezone, time: datetime) -> None:
    message = everything(time=time.replace(tzinfo=zone))

    read = decode(encode(message)).time

    assert (message.time, message.time.utcoffset()) == (read, read.utcoffset())


def test_an_extension_does_not_change_what_a_message_is() -> None:
    message = everything(extensions={"type": "else", "pythontype": "else", "tenant": "t"})

    assert (Everything, {"tenant": "t"}) == (type(decode(encode(message))), decode(encode(message)).extensions)


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
        (b'{"type": "x", "id": "1", "source": "/", "data_base64": "AP8"}', "'data_base64' is 'AP8'"),
        (b'{"type": "x", "id": "1", "source": "/", "data_base64": 7}', "'data_base64' is 7"),
    ],
)
def test_what_is_no_cloudevent_is_refused(document: bytes, problem: str) -> None:
    with pytest.raises(MessageFormatError, match=problem):
        decode(document)


@pytest.mark.parametrize("header", [5, True, ["a=1"], {"a": "1"}])
@pytest.mark.parametrize("name", ["traceparent", "tracestate", "baggage"])
def test_a_header_of_a_trace_that_is_no_text_is_left_out(name: str, header: object) -> None:
    record = {**json.loads(encode(Holder(value=1))), name: header}

    message = decode(json.dumps(record))

    assert (1, {}) == (message.value, message.trace_context)


TEXTS = ("pythontype", "datacontenttype")
SINGLES = (*TEXTS, "subject", "correlationid", "causationid", "dataschema", "partitionkey")


@pytest.mark.parametrize(
    "name, value",
    [*itertools.product(SINGLES, (["a"], {"a": 1})), *itertools.product(TEXTS, (7, True))],
)
def test_an_attribute_that_is_no_text_is_refused_by_its_name(name: str, value: object) -> None:
    record = {"specversion": "1.0", "id": "1", "source": "/x", "type": "com.example.pull", name: value}

    with pytest.raises(MessageFormatError, match=re.escape(f"its attribute {name!r} is {value!r}")):
        decode(json.dumps(record))


def test_a_subject_that_was_a_number_is_still_read() -> None:
    order = decode(encode(everything(subject=5)))  # a type checker would have told

    assert 5 == order.subject


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
    one, other = (declare("Twin", {"number": int}, __module__=module) for module in ("one", "other"))

    assert [one, other] == [type(decode(encode(each(number=1)))) for each in (one, other)]
    with pytest.raises(MessageFormatError, match=r"2 message classes are called 'Twin': one\.Twin, other\.Twin"):
        decode(b'{"type": "Twin", "id": "1", "source": "/", "data": {"number": 1}}')
