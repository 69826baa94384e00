"""What becomes of a value of each type when it is captured: a scalar, or a branch of further values.

The rule of this module is that nothing in it runs code of a value's class. It reads types through the descriptors of
``type``, instances through the descriptors that the interpreter made for ``__dict__`` and ``__slots__``, builtin values
through the methods of the builtin types, and standard-library values through C methods (or, for exact types only, their
own stdlib code). Libraries are recognised by name and never imported.

====================================  =====================================================================
value                                 becomes
====================================  =====================================================================
dict, list, set, deque and subclasses  their real content, whatever a subclass overrides
named tuple, dataclass, attrs, pydantic  a dictionary of the fields that are stored (``repr=False`` ones left out)
enum member                           its value if that is a scalar, else its name
date, time, Decimal, UUID, Path, ...   their usual text
bytes and other buffers               ``<bytes n=80000000>``
array, data frame, tensor             ``<ndarray shape=(10000000,) dtype='<f8'>``
function, class, module               ``<function package.module.name>``
exception                             type and arguments
object of a user's class              ``__class__`` and its public plain state, one object deep
anything else                         ``<unserialisable TypeName>``
====================================  =====================================================================
"""

from __future__ import annotations

import collections
import datetime as dt
import enum
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, cast

__all__ = ["Branch", "Budget", "exceeded", "key_text", "piece", "type_name", "unserialisable"]

Scalar: TypeAlias = str | int | float | bool | None
Class: TypeAlias = type[Any]

_CUT_START: Final = "<capture budget exceeded: "
_CUT_END: Final = " characters>"
_MAX_MARKER: Final = 64
_MAX_NAME: Final = 200
_MAX_ATTRIBUTES: Final = 100
_MAX_INT_BITS: Final = 2_000
_MAX_DECIMAL_BYTES: Final = 4_096
_MAX_CACHED_TYPES: Final = 2_000

_mro_of = type.__dict__["__mro__"].__get__
_name_of = type.__dict__["__name__"].__get__
_module_of = type.__dict__["__module__"].__get__
_namespace_of = type.__dict__["__dict__"].__get__
_module_namespace_of = vars(types.ModuleType)["__dict__"].__get__

_SURPRISES: Final = (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)


class Budget:
    """What one capture may still take."""

    __slots__ = ("bytes", "nodes")

    def __init__(self, max_bytes: int, max_nodes: int) -> None:
        self.bytes = max_bytes
        self.nodes = max_nodes

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be taken."""
        return self.bytes <= 0 or self.nodes <= 0

    def room(self, total: int) -> int:
        """Return how many of *total* items to take: all, or as many as a hundredth of the nodes that are left."""
        return total if total <= self.nodes else self.nodes // 100

    def text(self, value: str) -> str:
        """Take a string, or an instance of a subclass, as a string; cut to what is left."""
        left, length = max(self.bytes, 0), str.__len__(value)
        self.bytes -= length
        if length <= left:
            return value if type(value) is str else str.__str__(value)
        return f"{str.__getitem__(value, slice(left))}{_cut_marker(value, length)}"


class Branch:
    """A container to be copied further.

    Attributes:
        values: Its items, or the first of them.
        keys: The key of each value; ``None`` for what becomes a list.
        total: How many items the original has.
        is_object: Whether it is the state of an object of an unknown class, inside which no other such object is
            opened: one object of a framework reaches all of them.
    """

    __slots__ = ("is_object", "keys", "total", "values")

    def __init__(
        self, values: Sequence[object], total: int, *, keys: Sequence[object] | None = None, is_object: bool = False
    ) -> None:
        self.values = values
        self.keys = keys
        self.total = total
        self.is_object = is_object

    @property
    def is_cut(self) -> bool:
        """Whether items are missing."""
        return len(self.values) < self.total


Piece: TypeAlias = Scalar | Branch
Shape: TypeAlias = Callable[[Any, Budget], Piece]


def exceeded(what: str = "") -> str:
    """Return the marker for what did not fit, with the original size in words."""
    return f"<capture budget exceeded: {what}>" if what else "<capture budget exceeded>"


def _cut_marker(value: str, length: int) -> str:
    tail = str.__getitem__(value, slice(-_MAX_MARKER, None))
    start = tail.rfind(_CUT_START)
    is_cut_already = start >= 0 and tail.endswith(_CUT_END)
    return tail[start:] if is_cut_already else f"{_CUT_START}{length}{_CUT_END}"


def type_name(kind: Class) -> str:
    """Return the name of a type, from the type itself and not from what its metaclass says."""
    return str.__str__(_name_of(kind))[:_MAX_NAME]


def unserialisable(kind: Class) -> str:
    """Return the marker for a value of which nothing can be said without running its code."""
    return f"<unserialisable {type_name(kind)}>"


def piece(value: object, budget: Budget, *, inside_object: bool = False) -> Piece:
    """Return *value* as a scalar or as a branch of further values, without running its code."""
    kind = type(value)
    try:
        shape = _layout_of(kind).shape
        if inside_object and shape is _object:
            return unserialisable(kind)
        return shape(value, budget)
    except _SURPRISES:
        return unserialisable(kind)


def key_text(key: object, budget: Budget) -> str:
    """Return the text that stands for *key* in a JSON object."""
    if type(key) is tuple:
        parts = (_tuple_item_text(item, budget) for item in key[:_MAX_ATTRIBUTES])
        return f"({', '.join(parts)})"
    plain = piece(key, budget)
    if plain is None:
        return "null"
    if plain is True or plain is False:
        return "true" if plain else "false"
    return unserialisable(type(key)) if isinstance(plain, Branch) else str(plain)


def _tuple_item_text(item: object, budget: Budget) -> str:
    if type(item) is str:
        return repr(item[: max(budget.bytes, 0)])
    return unserialisable(tuple) if type(item) is tuple else key_text(item, budget)


# -- which shape a type has ------------------------------------------------------------------------------------------


class _Layout:
    """What is known of a type: the shape of its values, and where they store what they store."""

    __slots__ = ("_kind", "dictionary", "shape", "slots")

    def __init__(self, kind: Class) -> None:
        self._kind = weakref.ref(kind)
        self.slots: list[tuple[str, Callable[[object], object]]] = []
        self.dictionary: Callable[[object], object] | None = None
        for base in _mro_of(kind):
            for name, member in list(_namespace_of(base).items()):
                if type(member) is types.MemberDescriptorType and type(name) is str:
                    self.slots.append((name, member.__get__))
                elif name == "__dict__" and type(member) is types.GetSetDescriptorType and self.dictionary is None:
                    self.dictionary = member.__get__
        self.shape = _find_shape(kind)

    def is_of(self, kind: Class) -> bool:
        return self._kind() is kind


_layouts: dict[int, _Layout] = {}


def _layout_of(kind: Class) -> _Layout:
    # By identity, here and everywhere in this module: hashing or comparing a class runs code of its metaclass.
    layout = _layouts.get(id(kind))
    if layout is None or not layout.is_of(kind):
        if len(_layouts) >= _MAX_CACHED_TYPES:
            _layouts.clear()
        layout = _layouts[id(kind)] = _Layout(kind)
    return layout


def _find_shape(kind: Class) -> Shape:
    bases = _mro_of(kind)
    for base in bases:
        if base is type:
            return _class
        if base is enum.Enum:
            return _enum_member
    return _declared_shape(bases) or _inherited_shape(bases) or _library_shape(kind) or _object


def _declared_shape(bases: tuple[Class, ...]) -> Shape | None:
    """Return the shape of a class that declares its fields: they are data, to be read as deep as they go."""
    for base in bases:
        if id(base) in _BUILTIN_SHAPES and base is not object and base is not tuple:
            return None
        namespace = _namespace_of(base)
        names = namespace.get("_fields")
        if _inherits(bases, tuple) and type(names) is tuple and all(type(n) is str for n in names):
            return _named_tuple(names)
        for marker, field_names in _FIELD_DECLARATIONS.items():
            if marker in namespace:
                return _record(bases, field_names(namespace[marker]))
    return None


def _inherited_shape(bases: tuple[Class, ...]) -> Shape | None:
    for base in bases:
        shape = _BUILTIN_SHAPES.get(id(base)) or _named_shape(base)
        if shape is not None:
            return shape
    return None


def _named_shape(base: Class) -> Shape | None:
    module, name = _module_name(base), type_name(base)
    shape = _NAMED_SHAPES.get(f"{module}.{name}")
    if shape is None:
        return None
    home = sys.modules.get(module)
    return shape if home is not None and _module_namespace_of(home).get(name) is base else None


def _library_shape(kind: Class) -> Shape | None:
    root = _module_name(kind).partition(".")[0]
    if root in _ARRAY_LIBRARIES:
        return _array
    return _opaque if root in _OPAQUE_LIBRARIES or root in sys.stdlib_module_names else None


def _inherits(bases: tuple[Class, ...], ancestor: Class) -> bool:
    return any(base is ancestor for base in bases)


def _module_name(kind: Class) -> str:
    module = _module_of(kind)
    return module if type(module) is str else ""


# -- records: classes that declare their fields ----------------------------------------------------------------------


def _fields_of_dataclass(declared: object) -> list[str] | None:
    return [n for n, field in _text_items(declared) if _c_attribute(field, "repr") is not False]


def _fields_of_attrs(declared: object) -> list[str] | None:
    if _tuple_part(declared) is None:
        return None
    fields = [(_c_attribute(field, "name"), _c_attribute(field, "repr")) for field in _tuple_part(declared) or ()]
    return [name for name, shown in fields if type(name) is str and shown is not False]


def _fields_of_pydantic(declared: object) -> list[str] | None:
    return [
        name
        for name, field in _text_items(declared)
        if _c_attribute(field, "repr") is not False and _c_attribute(field, "exclude") is not True
    ]


_FIELD_DECLARATIONS: Final[dict[str, Callable[[object], list[str] | None]]] = {
    "__pydantic_fields__": _fields_of_pydantic,
    "model_fields": _fields_of_pydantic,
    "__fields__": _fields_of_pydantic,
    "__dataclass_fields__": _fields_of_dataclass,
    "__attrs_attrs__": _fields_of_attrs,
}


def _record(bases: tuple[Class, ...], names: list[str] | None) -> Shape:
    """Return the shape of records with the fields *names*; extra values that a pydantic model allows are shown too."""
    wanted = frozenset(names or ())

    def shape(value: object, budget: Budget) -> Piece:
        state = _state(value, budget)
        extra = [pair for name, part in state if name == "__pydantic_extra__" for pair in _text_items(part)]
        fields = [(name, part) for name, part in state if name in wanted]
        return _keyed(fields + extra)

    return shape


def _named_tuple(names: tuple[str, ...]) -> Shape:
    def shape(value: tuple[object, ...], budget: Budget) -> Piece:
        items = list(islice(tuple.__iter__(value), budget.room(tuple.__len__(value))))
        return Branch(items, tuple.__len__(value), keys=names)

    return shape


def _state(value: object, budget: Budget) -> list[tuple[str, object]]:
    """Return what an instance stores, by name: its slots, then its ``__dict__``."""
    layout = _layout_of(type(value))
    state: list[tuple[str, object]] = []
    for name, read in layout.slots:
        try:
            state.append((name, read(value)))
        except AttributeError:  # a slot that was never assigned
            continue
    stored = layout.dictionary(value) if layout.dictionary is not None else None
    return state + _text_items(stored, budget.nodes)


def _text_items(mapping: object, room: int | None = None) -> list[tuple[str, object]]:
    if not _inherits(_mro_of(type(mapping)), dict):
        return []
    items = list(islice(dict.items(cast("dict[object, object]", mapping)), room))
    return [(name, item) for name, item in items if type(name) is str]


def _tuple_part(value: object) -> tuple[object, ...] | None:
    return tuple(tuple.__iter__(value)) if _inherits(_mro_of(type(value)), tuple) else None  # type: ignore[arg-type]


def _c_attribute(value: object, name: str) -> object:
    """Return a slot, or a C-level attribute, of *value*; ``None`` if *name* is anything else."""
    for base in _mro_of(type(value)):
        member = _namespace_of(base).get(name)
        if type(member) is types.GetSetDescriptorType or type(member) is types.MemberDescriptorType:
            return member.__get__(value)
        if member is not None:
            return None
    return None


# -- objects of unknown classes --------------------------------------------------------------------------------------


def _object(value: object, budget: Budget) -> Piece:
    state = [(name, part) for name, part in _state(value, budget) if not name.startswith("_")][:_MAX_ATTRIBUTES]
    if not state:
        return unserialisable(type(value))
    return _keyed([("__class__", type_name(type(value))), *state], is_object=True)


def _keyed(pairs: Sequence[tuple[str, object]], *, is_object: bool = False) -> Branch:
    return Branch([part for _, part in pairs], len(pairs), keys=[name for name, _ in pairs], is_object=is_object)


def _opaque(value: object, budget: Budget) -> Piece:
    return unserialisable(type(value))


def _array(value: object, budget: Budget) -> Piece:
    """Describe an array by what its C attributes tell; nothing is computed, copied or moved between devices."""
    parts = {name: _c_attribute(value, name) for name in ("shape", "dtype", "device")}
    if type(parts["shape"]) is not tuple:
        parts["shape"] = _frame_shape(value)
    known = [f"{name}={text}" for name, part in parts.items() if (text := _array_fact(part))]
    return f"<{type_name(type(value))} {' '.join(known)}>" if known else unserialisable(type(value))


def _array_fact(part: object) -> str:
    if type(part) is tuple and all(type(size) is int for size in part):
        return repr(part)
    if part is None:
        return ""
    code = _c_attribute(part, "str")
    return repr(code) if type(code) is str else ""


def _frame_shape(frame: object) -> tuple[int, ...] | None:
    """Return the shape of a pandas frame or series from the axes of its block manager."""
    manager = dict(_state(frame, Budget(0, _MAX_ATTRIBUTES))).get("_mgr")
    # The manager of a frame keeps them in C, that of a series in its dictionary.
    axes = _c_attribute(manager, "axes") or dict(_state(manager, Budget(0, _MAX_ATTRIBUTES))).get("axes")
    if type(axes) is not list:
        return None
    lengths = [_axis_length(axis) for axis in axes]
    return tuple(reversed([n for n in lengths if n is not None])) if None not in lengths else None


def _axis_length(axis: object) -> int | None:
    state = dict(_state(axis, Budget(0, _MAX_ATTRIBUTES)))
    if type(state.get("_range")) is range:
        return len(cast("range", state["_range"]))
    shape = _c_attribute(state.get("_data"), "shape")
    return shape[0] if type(shape) is tuple and len(shape) == 1 else None


# -- builtin types and their subclasses ------------------------------------------------------------------------------


def _integer(value: int, budget: Budget) -> Piece:
    exact = value if type(value) is int else int.__int__(value)
    bits = exact.bit_length()
    return exact if bits <= _MAX_INT_BITS else f"<int of {bits} bits>"


def _floating(value: float, budget: Budget) -> Piece:
    exact = value if type(value) is float else float.__float__(value)
    return exact if exact - exact == 0.0 else float_text(exact)


def float_text(number: float) -> str:
    """Return the text for a number that JSON does not have."""
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124 - only NaN differs from itself


def _text(value: str, budget: Budget) -> Piece:
    return budget.text(value)


def _mapping(value: dict[object, object], budget: Budget) -> Piece:
    value = _still(value, dict, budget)
    total = dict.__len__(value)
    room = budget.room(total)
    # Two lists, not one of pairs: thousands of new tuples would set off the garbage collector.
    return Branch(list(islice(dict.values(value), room)), total, keys=list(islice(dict.__iter__(value), room)))


def _still(value: Any, builtin: Class, budget: Budget) -> Any:
    """Return a copy of a container that other threads may change meanwhile, made in one step, if there is room for it."""
    if type(value) is not builtin or builtin is tuple or builtin.__len__(value) > budget.nodes:
        return value
    return value.copy()


def _collection(builtin: Class) -> Shape:
    length, iterate = builtin.__len__, builtin.__iter__

    def shape(value: Iterable[object], budget: Budget) -> Piece:
        value = _still(value, builtin, budget)
        total = length(value)
        return Branch(list(islice(iterate(value), budget.room(total))), total)

    return shape


def _buffer(builtin: Class, name: str) -> Shape:
    length = builtin.__len__

    def shape(value: object, budget: Budget) -> Piece:
        return f"<{name} n={length(value)}>"

    return shape


def _memory_view(value: memoryview, budget: Budget) -> Piece:
    return f"<memoryview n={value.nbytes}>"


def _range(value: range, budget: Budget) -> Piece:
    bounds = (str(_integer(bound, budget)) for bound in (value.start, value.stop, value.step))
    return f"range({', '.join(bounds)})"


def _complex(value: complex, budget: Budget) -> Piece:
    return complex.__repr__(value)


def _singleton(value: object, budget: Budget) -> Piece:
    return "Ellipsis" if value is Ellipsis else "NotImplemented"


def _enum_member(value: enum.Enum, budget: Budget) -> Piece:
    state = dict(_state(value, budget))
    inner = state.get("_value_")
    if inner is None or any(type(inner) is kind for kind in (str, int, float, bool)):
        return piece(inner, budget)
    return f"{type_name(type(value))}.{state.get('_name_')!s}"


def _exception(value: BaseException, budget: Budget) -> Piece:
    arguments = BaseException.__dict__["args"].__get__(value)
    return _keyed([("type", type_name(type(value))), ("args", arguments)])


def _function(value: types.FunctionType, budget: Budget) -> Piece:
    module = value.__module__
    prefix = f"{module}." if type(module) is str else ""
    return f"<function {prefix}{str.__str__(value.__qualname__)[:_MAX_NAME]}>"


def _builtin_function(value: types.BuiltinFunctionType, budget: Budget) -> Piece:
    return f"<function {value.__name__}>"


def _method(value: types.MethodType, budget: Budget) -> Piece:
    function = value.__func__
    return _function(function, budget) if type(function) is types.FunctionType else unserialisable(types.MethodType)


def _class(value: Class, budget: Budget) -> Piece:
    module = _module_name(value)
    return f"<class {module}.{type_name(value)}>"


def _module(value: types.ModuleType, budget: Budget) -> Piece:
    name = _module_namespace_of(value).get("__name__")
    return f"<module {name}>" if type(name) is str else unserialisable(types.ModuleType)


def _namespace(value: types.SimpleNamespace, budget: Budget) -> Piece:
    return _mapping(types.SimpleNamespace.__dict__["__dict__"].__get__(value), budget)


def _date_time(value: dt.datetime, budget: Budget) -> Piece:
    # Rebuilt from its numbers: ``isoformat`` would ask the time zone, which may be a user's class.
    zone = dt.datetime.__dict__["tzinfo"].__get__(value)
    numbers = _numbers(value, dt.date, _DATE_FIELDS) + _numbers(value, dt.datetime, _TIME_FIELDS)
    text = dt.datetime(*numbers, tzinfo=_harmless(zone)).isoformat()  # type: ignore[misc, arg-type]
    return text if zone is None or _harmless(zone) else f"{text} {type_name(type(zone))}"


def _harmless(zone: object) -> dt.tzinfo | None:
    kind = type(zone)
    is_ours = kind is dt.timezone or _module_name(kind) in ("zoneinfo", "zoneinfo._zoneinfo", "_zoneinfo")
    return cast("dt.tzinfo", zone) if is_ours else None


def _date(value: dt.date, budget: Budget) -> Piece:
    return dt.date(*_numbers(value, dt.date, _DATE_FIELDS)).isoformat()


def _time(value: dt.time, budget: Budget) -> Piece:
    hour, minute, second, microsecond = _numbers(value, dt.time, _TIME_FIELDS)
    return dt.time(hour, minute, second, microsecond).isoformat()


def _numbers(value: object, home: Class, names: tuple[str, ...]) -> list[int]:
    return [home.__dict__[name].__get__(value) for name in names]


def _duration(value: dt.timedelta, budget: Budget) -> Piece:
    return dt.timedelta.__str__(value)


_DATE_FIELDS: Final = ("year", "month", "day")
_TIME_FIELDS: Final = ("hour", "minute", "second", "microsecond")


# -- types of the standard library that we do not import -------------------------------------------------------------


def _decimal(value: object, budget: Budget) -> Piece:
    size = _c_call(value, "decimal", "Decimal", "__sizeof__")
    if type(size) is not int or size > _MAX_DECIMAL_BYTES:
        return f"<Decimal of {size} bytes>"
    return str(_c_call(value, "decimal", "Decimal", "__str__"))


def _c_call(value: object, module: str, name: str, method: str) -> object:
    found = _namespace_of(_module_namespace_of(sys.modules[module])[name]).get(method)
    if type(found) is not types.WrapperDescriptorType and type(found) is not types.MethodDescriptorType:
        raise TypeError(f"{name}.{method} is not implemented in C")
    return found(value)


def _uuid(value: object, budget: Budget) -> Piece:
    number = _c_attribute(value, "int")
    if type(number) is not int:
        return unserialisable(type(value))
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _path(value: object, budget: Budget) -> Piece:
    kind = type(value)
    if _module_name(kind).partition(".")[0] != "pathlib":
        return unserialisable(kind)
    return str(value)


def _fraction(value: object, budget: Budget) -> Piece:
    parts = [_c_attribute(value, "_numerator"), _c_attribute(value, "_denominator")]
    return "/".join(str(_integer(part, budget)) for part in parts if type(part) is int)


def _array_module_array(value: Any, budget: Budget) -> Piece:
    length = _c_call(value, "array", "array", "__len__")
    return f"<array typecode={_c_attribute(value, 'typecode')!r} n={length}>"


def _numpy_scalar(value: object, budget: Budget) -> Piece:
    number = _c_call(value, "numpy", "generic", "item")
    kind = type(number)
    return cast("Scalar", number) if kind is int or kind is bool or kind is str else _array(value, budget)


def _numpy_scalar_or_float(value: object, budget: Budget) -> Piece:
    number = _c_call(value, "numpy", "generic", "item")
    return _floating(number, budget) if type(number) is float else _numpy_scalar(value, budget)


_NAMED_SHAPES: Final[dict[str, Shape]] = {
    "_thread._local": _opaque,
    "array.array": _array_module_array,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "numpy.generic": _numpy_scalar_or_float,
    "numpy.ndarray": _array,
    "pathlib.PurePath": _path,
    "pathlib._local.PurePath": _path,
    "pydantic.types._SecretBase": _opaque,
    "uuid.UUID": _uuid,
}

_ARRAY_LIBRARIES: Final = frozenset(
    {"cupy", "dask", "jax", "jaxlib", "numpy", "pandas", "polars", "pyarrow", "scipy", "tensorflow", "torch", "xarray"}
)
_OPAQUE_LIBRARIES: Final = frozenset(
    {
        "_pytest", "aiohttp", "anyio", "asyncpg", "boto3", "botocore", "celery", "django", "fastapi", "flask", "grpc",
        "h11", "httpcore", "httpx", "kombu", "litestar", "opentelemetry", "pika", "psycopg", "psycopg2", "pymongo",
        "redis", "requests", "sanic", "sqlalchemy", "starlette", "tornado", "trio", "urllib3", "uvicorn", "websockets",
        "werkzeug", "wrapt",
    }
)  # fmt: skip

_BUILTIN_SHAPES: Final[dict[int, Shape]] = {
    id(kind): shape
    for kind, shape in (
        (str, _text),
        (bool, lambda value, budget: value),
        (int, _integer),
        (float, _floating),
        (type(None), lambda value, budget: None),
        (dict, _mapping),
        (list, _collection(list)),
        (tuple, _collection(tuple)),
        (set, _collection(set)),
        (frozenset, _collection(frozenset)),
        (collections.deque, _collection(collections.deque)),
        (bytes, _buffer(bytes, "bytes")),
        (bytearray, _buffer(bytearray, "bytearray")),
        (memoryview, _memory_view),
        (range, _range),
        (complex, _complex),
        (type(Ellipsis), _singleton),
        (type(NotImplemented), _singleton),
        (BaseException, _exception),
        (types.FunctionType, _function),
        (types.BuiltinFunctionType, _builtin_function),
        (types.MethodType, _method),
        (types.ModuleType, _module),
        (types.SimpleNamespace, _namespace),
        (dt.datetime, _date_time),
        (dt.date, _date),
        (dt.time, _time),
        (dt.timedelta, _duration),
    )
}
