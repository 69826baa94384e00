"""Any value is captured as it is now, bounded, and without running a line of its code."""

import array
import asyncio
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import gc
import json
import math
import pathlib
import socket
import subprocess
import sys
import threading
import types
import typing
import uuid
from unittest.mock import MagicMock

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.utils.capture import CaptureLimits, CutText, Snapshot, capture, captured_all, captured_bytes
from honeyhive.utils.render import render, tree

plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=30,
)


def rendered(value: object) -> object:
    """Return what a reader of the attribute gets."""
    text = render(capture(value))
    return json.loads(text, parse_constant=pytest.fail) if isinstance(text, str) and text[:1] in '{["' else text


def rendered_of(captured: object) -> object:
    """Return what a reader gets of what was captured before."""
    return json.loads(str(render(captured)))


ROW_ENDS = [2**30, -(2**30), 2**63, -(2**70), math.inf, math.nan, b"bytes", ["nested"], {"deeper": 1}]
"""Values with which a dictionary ceases to be a row."""


class Touched(BaseException):
    """Code of a captured value ran."""


def touch(*args: object, **kwargs: object) -> typing.NoReturn:
    raise Touched


HOSTILE = dict.fromkeys(
    [
        "__repr__",
        "__str__",
        "__len__",
        "__bool__",
        "__eq__",
        "__iter__",
        "__getattribute__",
        "__reduce_ex__",
        "__deepcopy__",
        "__format__",
        "__index__",
        "__float__",
        "__buffer__",
        "__sizeof__",
        "__dir__",
        "__fspath__",
    ],
    touch,
)


class Hostile(type):
    """A class that does not even let itself be compared or hashed."""

    __hash__ = __eq__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = __repr__ = touch
    __mro__ = __name__ = __dict__ = property(touch)


def hostile(*bases: type, **members: object) -> type:
    return type("Evil", bases, {**HOSTILE, "__hash__": None, "__slots__": (), **members})


def hostile_values() -> list[object]:
    return [
        hostile()(),
        hostile(__slots__=("__dict__", "x"))(),
        Hostile("Evil", (), dict(HOSTILE))(),
        hostile(str)("text"),
        hostile(int)(5),
        hostile(float)(1.5),
        hostile(list, append=touch)([1]),
        hostile(dict, items=touch, keys=touch, values=touch, __getitem__=touch)(a=1),
        hostile(tuple)((1, 2)),
        hostile(set)({1}),
        hostile(bytes)(b"x"),
        hostile(BaseException, args=property(touch))("boom"),
        hostile(collections.OrderedDict, items=touch)(a=1),
        hostile(dt.datetime, isoformat=touch, year=property(touch))(2026, 1, 2),
        hostile(dt.tzinfo, utcoffset=touch)(),
    ]


@pytest.mark.parametrize("number", range(len(hostile_values())))
def test_no_code_of_a_hostile_value_runs(number: int):
    value = hostile_values()[number]

    for wrapped in (value, [value], {"k": value}, (value, 1.0), [{"a": "b"}, {"k": value}], [{"a": "b"}, value]):
        assert render(capture(wrapped)) is not None


def test_no_code_of_a_hostile_key_runs():
    key = hostile(str, __hash__=str.__hash__)("key")

    assert {"key": 1} == rendered({key: 1}) == rendered([{key: 1}])[0]


def test_a_hostile_time_zone_is_not_asked():
    zone = hostile(dt.tzinfo, utcoffset=touch, tzname=touch, dst=touch)()
    value = dt.datetime.__new__(dt.datetime, 2026, 1, 2, tzinfo=zone)

    assert "2026-01-02T00:00:00 Evil" == rendered(value)


def test_a_hostile_object_is_named_and_no_more():
    assert "<unserialisable Evil>" == rendered(hostile()())


@given(plain_values)
def test_plain_values_arrive_as_json_would_bring_them(value: object):
    text = render(capture(value))

    arrived = json.loads(text) if isinstance(value, dict | list | tuple) else text
    expected = str(value) if type(value) is int and not -(2**63) <= value < 2**63 else json.loads(json.dumps(value))
    assert expected == arrived


@given(plain_values)
def test_the_slow_way_brings_the_same_as_the_fast_one(value: object):
    assert rendered([value]) == rendered(collections.deque([value]))


@pytest.mark.parametrize("value", [None, True, 5, -(2**63), 1.5, "text"])
def test_scalars_are_kept_as_they_are(value: object):
    assert value is capture(value)
    assert value is render(capture(value))


def test_a_captured_container_is_nothing_for_the_garbage_collector():
    captured = capture([{"role": "user", "content": ["hello"]}] * 3)

    assert not gc.is_tracked(captured)


def test_captured_rows_are_one_list_for_the_garbage_collector():
    captured = capture([{"role": "user", "content": "hello"}] * 3)

    assert [False] * 3 == [gc.is_tracked(row) for row in captured]


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [{"a": "b", "c": None}, {}], ({"a": True, "b": 0.5},), [], {}],
    ids=["one row", "a list of rows", "a tuple of rows", "no rows", "an empty row"],
)
def test_rows_are_copies_that_belong_to_nobody_else(value: typing.Any):
    expected = json.loads(json.dumps(value))

    captured = capture(value)
    for row in [value] if isinstance(value, dict) else value:
        row["a"] = "AFTER"

    assert expected == rendered_of(captured)


@pytest.mark.parametrize("row", [*({"a": value} for value in ROW_ENDS), {1: "a"}, {f"key{n}": n for n in range(200)}])
def test_what_is_no_small_row_of_scalars_reads_the_same(row: dict[typing.Any, object]):
    assert rendered({"nested": [row]})["nested"][0] == rendered([row])[0] == rendered(row)


def test_the_value_is_recorded_as_it_was():
    value = {"items": ["BEFORE"], "object": types.SimpleNamespace(names=["BEFORE"])}

    captured = capture(value)
    value["items"].append("AFTER")
    value["object"].names.append("AFTER")

    assert "AFTER" not in render(captured)


class Plain(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    number: int = 1
    inner: list["Plain"] = []
    password: pydantic.SecretStr = pydantic.SecretStr("LEAK")
    hidden: str = pydantic.Field("LEAK", repr=False)

    @pydantic.computed_field
    def computed(self) -> int:
        raise Touched


@dataclasses.dataclass
class Data:
    number: int
    once: dataclasses.InitVar[int]
    hidden: str = dataclasses.field(default="LEAK", repr=False)

    def __post_init__(self, once: int) -> None: ...


@attrs.define
class Attrs:
    number: int
    _private: str = "p"


class Pair(typing.NamedTuple):
    left: int
    right: str


class Colour(enum.Enum):
    RED = 1


class Shade(str, enum.Enum):  # noqa: UP042 - the older way to say StrEnum, which people have
    DARK = "dark"


class Flag(enum.Flag):
    A = 1
    B = 2


class Odd(enum.Enum):
    THING = object()


class Order:
    def __init__(self, customer: object = None) -> None:
        self.lines = [{"sku": "a"}]
        self.customer = customer
        self._secret = "LEAK"


class Slotted:
    __slots__ = ("left", "unset")

    def __init__(self) -> None:
        self.left = 1


@pytest.mark.parametrize(
    "value,expected",
    [
        (Plain(inner=[Plain()], extra=3), None),
        (Data(1, 2), {"number": 1}),
        (Attrs(1), {"number": 1, "_private": "p"}),
        (Pair(1, "r"), {"left": 1, "right": "r"}),
        (Colour.RED, 1),
        (Shade.DARK, "dark"),
        (Flag.A | Flag.B, 3),
        (Odd.THING, "Odd.THING"),
        (Order(Order()), {"__class__": "Order", "lines": [{"sku": "a"}], "customer": "<unserialisable Order>"}),
        (Slotted(), {"__class__": "Slotted", "left": 1}),
        (types.SimpleNamespace(a=1), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.deque([1]), [1]),
        ({1}, [1]),
        (frozenset([1]), [1]),
        (range(3), "range(0, 3, 1)"),
        (1j, "1j"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (dt.time(1, 2), "01:02:00"),
        (dt.timedelta(hours=1), "1:00:00"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("NaN"), "NaN"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (b"\xff", "<bytes n=1>"),
        (bytearray(2), "<bytearray n=2>"),
        (memoryview(b"abc"), "<memoryview n=3>"),
        (array.array("d", [1.0]), "<array typecode='d' n=1>"),
        (np.zeros(10), "<ndarray shape=(10,) dtype='<f8'>"),
        ([np.float64(1.5), np.int64(2)], [1.5, 2]),
        (ValueError("boom", 1), {"type": "ValueError", "args": ["boom", 1]}),
        (rendered, f"<function {__name__}.rendered>"),
        (len, "<function len>"),
        (Order().__init__, f"<function {__name__}.Order.__init__>"),
        (Order, f"<class {__name__}.Order>"),
        (math, "<module math>"),
        (..., "Ellipsis"),
        (object(), "<unserialisable object>"),
        (MagicMock(), "<unserialisable MagicMock>"),
        (threading.Lock(), "<unserialisable lock>"),
        (threading.local(), "<unserialisable _local>"),
        (math.nan, "NaN"),
        ([math.nan, math.inf, -math.inf], ["NaN", "Infinity", "-Infinity"]),
        (2**70, str(2**70)),
        ([2**70], [2**70]),
        (10**5000, "<int of 16610 bits>"),
        ("a\ud800b\x00", "a\ufffdb\x00"),
        (["a\ud800b\x00"], ["a\ufffdb\x00"]),
        ({"\udcff": 1}, {"\ufffd": 1}),
        ({(1, "a"): 1, None: 2, True: 3, 1.5: 4, b"k": 5}, {"(1, 'a')": 1, "null": 2, "true": 3, "1.5": 4, "<bytes n=1>": 5}),
        ({"1": "text", 1: "number"}, {"1": "text", "1#2": "number"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_of_every_kind_are_told_apart(value: object, expected: object):
    arrived = rendered(value)

    assert expected is None or expected == arrived
    assert "LEAK" not in str(arrived)


def test_a_pydantic_model_is_its_stored_fields():
    model = {"number": 1, "password": "<unserialisable SecretStr>"}

    assert {**model, "inner": [{**model, "inner": []}], "extra": 3} == rendered(Plain(inner=[Plain()], extra=3))


def test_a_huge_decimal_is_not_spelled_out():
    assert render(capture(decimal.Decimal("9" * 100_000))).startswith("<Decimal of ")


def test_streams_are_neither_consumed_nor_closed():
    async def coroutine() -> int:
        return 1

    def numbers() -> typing.Iterator[int]:
        yield 1

    stream, later = numbers(), coroutine()
    with socket.socket() as connection, pathlib.Path(__file__).open() as file:
        for value in (stream, later, connection, file, iter([1]), map(len, [])):
            assert str(rendered(value)).startswith("<unserialisable ")

        assert 1 == next(stream)
        assert 1 == asyncio.run(later)
        assert file.read(1)


def test_cycles_and_depths_end():
    cycle: list[object] = []
    cycle.append({"back": cycle})
    deep: list[object] = []
    for _ in range(20_000):
        deep = [deep]

    assert [{"back": "<cycle>"}] == rendered(cycle)
    assert "<capture budget exceeded: depth 64>" in render(capture(deep))
    while deep:
        deep = deep.pop()  # taken apart by hand, or its end would be a recursion of 20,000


def test_what_is_shared_is_no_cycle():
    shared = uuid.UUID(int=1), [1]

    assert [str(shared[0]), [1]] * 2 == [*rendered((shared, shared))[0], *rendered((shared, shared))[1]]


@pytest.mark.parametrize(
    "value,size",
    [
        ("x" * 5_000_000, "5000000 characters"),
        ({"deep": ["é" * 5_000_000]}, "5000000 characters"),
        ([{"content": "é" * 5_000_000}], "5000000 characters"),
        (list(range(1_000_000)), "1000000 items"),
        ({"inner": dict.fromkeys(range(1_000_000))}, "1000000 items"),
        (set(range(1_000_000)), "1000000 items"),
    ],
    ids=["text", "inner text", "text of a row", "list", "dict", "set"],
)
def test_a_huge_value_is_cut_and_tells_its_size(value: object, size: str):
    captured = capture(value)

    text = str(render(captured))
    assert captured_bytes(captured) < 2.1 * 2**20
    assert len(text.encode()) <= 2**20
    assert size in text
    assert rendered(value)


def test_a_cut_text_carries_the_hash_of_what_it_was():
    assert "sha256" in render(capture("x" * 2_000_000))


@pytest.mark.parametrize("text", ["x", "é", "\x00", '"', "\ud800", "😀"])
def test_the_limit_is_in_bytes_of_the_rendered_text(text: str):
    limits = CaptureLimits(max_bytes=10_000)

    for value in (text * 9_999, [text * 100] * 99, {text * 9_000: text}, [1.123456789] * 9_000):
        assert len(str(render(capture(value, limits), limits)).encode()) <= 10_000


def test_many_small_objects_are_bounded_too():
    text = render(capture([uuid.UUID(int=1)] * 90_000))

    assert "<capture budget exceeded: 90000 items>" in text


def test_the_bytes_of_a_captured_value_are_told():
    assert 1000 < captured_bytes(capture("x" * 1000)) < 1200
    assert 1000 < captured_bytes(capture(["x" * 1000])) < 1200
    assert captured_bytes(capture(1)) < 100
    assert 1000 < captured_bytes(capture([{"role": "user", "content": "x" * 1000}])) < 1500
    assert captured_bytes(CutText("x" * 1000, 5000)) > 1000


@pytest.mark.parametrize(
    "values",
    [("x" * 1000, 1, None), (["x" * 1000], 2**40), ([{"content": "x" * 1000}], object()), ("x" * 1000, "x" * 2**21)],
    ids=["scalars", "a container", "rows", "a long text"],
)
def test_several_values_are_captured_and_weighed_at_once(values: tuple[object, ...]):
    captured, weight = captured_all(values, 600)

    assert [render(capture(value)) for value in values] == [*map(render, captured)]
    assert 1600 <= weight < 600 + 1500 + 2**20


def test_the_plain_tree_can_be_had():
    assert {"a": [1]} == tree(capture({"a": [1]}))
    assert isinstance(capture({"a": [1]}), Snapshot)
    assert "x" == tree(capture("x"))


def test_changes_by_another_thread_do_no_harm():
    shared: dict[str, int] = {}
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            shared[str(number % 100)] = number
            shared.pop(str((number + 50) % 100), None)

    thread = threading.Thread(target=change)
    thread.start()
    texts = [render(capture([shared, object])) for _ in range(300)]
    stop.set()
    thread.join()

    assert all(isinstance(json.loads(text)[0], dict) for text in texts)


def test_importing_it_loads_nothing_heavy():
    code = "import sys, honeyhive.utils.capture; print(*{'re2', 'asyncio', 'pydantic', 'orjson'} & {*sys.modules})"

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "" == answer.stdout.strip()
