"""Snapshots: the state of an aggregate at a version, so that loading it need not begin at its first event.

A snapshot is a short cut and never the truth. One that cannot be read any more, because the class has changed or is not
known, is as good as none: the events are all there.
"""

from __future__ import annotations

import copy
import dataclasses
import threading
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from honeyhive.events.upcasting import schema_version
from honeyhive.exceptions import EventStoreError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "AsyncSnapshotStore",
    "InMemorySnapshotStore",
    "Snapshot",
    "SnapshotCodec",
    "SnapshotStore",
    "WrittenSnapshot",
]

A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[A_co]):
    """The state of an aggregate at a version.

    Attributes:
        aggregate_id: Whose state.
        version: With how many events.
        aggregate: The state; a copy that is yours to go on with.
    """

    aggregate_id: str
    version: int
    aggregate: A_co


class SnapshotStore(Protocol):
    """Keeps the newest snapshot of each aggregate. Thread-safe."""

    def save(self, snapshot: Snapshot[Any]) -> object:
        """Keep *snapshot* instead of an older one; a newer one stays."""

    def load(self, aggregate_id: str) -> Snapshot[Any] | None:
        """Return the newest snapshot, or ``None`` when there is none that can be read."""
        ...

    def discard(self, aggregate_id: str) -> object:
        """Forget the snapshot of an aggregate, if there is one."""


class AsyncSnapshotStore(Protocol):
    """`SnapshotStore` to be awaited."""

    async def save(self, snapshot: Snapshot[Any]) -> object:
        """Keep *snapshot* instead of an older one; a newer one stays."""

    async def load(self, aggregate_id: str) -> Snapshot[Any] | None:
        """Return the newest snapshot, or ``None`` when there is none that can be read."""
        ...

    async def discard(self, aggregate_id: str) -> object:
        """Forget the snapshot of an aggregate, if there is one."""


class InMemorySnapshotStore(SnapshotStore):
    """Keeps copies of the aggregates as long as the process lives. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the newest one stays
        self._snapshots: dict[str, Snapshot[Any]] = {}

    def save(self, snapshot: Snapshot[Any]) -> object:
        kept = copy.deepcopy(snapshot)
        with self._lock:
            former = self._snapshots.get(snapshot.aggregate_id)
            if former is None or former.version <= snapshot.version:
                self._snapshots[snapshot.aggregate_id] = kept
        return None

    def load(self, aggregate_id: str) -> Snapshot[Any] | None:
        return copy.deepcopy(self._snapshots.get(aggregate_id))

    def discard(self, aggregate_id: str) -> object:
        with self._lock:
            self._snapshots.pop(aggregate_id, None)
        return None


@dataclass(frozen=True, slots=True)
class WrittenSnapshot:
    """A snapshot as text."""

    type: str
    """Module and name of the class."""
    schema_version: int
    """Its ``schema_version`` when it was written; 1 without one."""
    state: str
    """JSON."""


class SnapshotCodec:
    """Writes aggregates as JSON, and reads them again.

    A data class is written field by field and read by its annotations. Any other class has a method ``snapshot_state``
    that returns plain values, and a class method ``from_snapshot`` that takes them. Count ``schema_version`` up when older
    snapshots do not fit any more.

    Args:
        types: The classes that may be read, besides those that were written before by this object.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._types = {_name_of(each): each for each in types}

    def write(self, aggregate: object) -> WrittenSnapshot:
        """Return *aggregate* as text.

        Raises:
            EventStoreError: It has no form in JSON.
        """
        from pydantic_core import PydanticSerializationError, to_json

        kind = type(aggregate)
        self._types.setdefault(_name_of(kind), kind)
        try:
            state = to_json(_state_of(aggregate), bytes_mode="base64", inf_nan_mode="strings")
        except (PydanticSerializationError, TypeError) as error:
            raise EventStoreError(f"a {kind.__name__} has no form in JSON: {error}. {_ADVICE}") from error
        return WrittenSnapshot(_name_of(kind), schema_version(kind), state.decode())

    def read(self, written: WrittenSnapshot) -> object | None:
        """Return what *written* tells of; ``None`` when the class is not known or has changed."""
        from pydantic import ValidationError

        kind = self._types.get(written.type)
        if kind is None or schema_version(kind) != written.schema_version:
            return None
        try:
            return _restored(kind, written.state)
        except ValidationError:
            return None


_ADVICE = "Give it a method snapshot_state that returns plain values, and a class method from_snapshot that takes them."
_adapters: WeakKeyDictionary[type, TypeAdapter[dict[str, Any]]] = WeakKeyDictionary()


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _state_of(aggregate: object) -> object:
    own = getattr(aggregate, "snapshot_state", None)
    if own is not None:
        return own()
    if dataclasses.is_dataclass(aggregate):
        return {each.name: getattr(aggregate, each.name) for each in dataclasses.fields(aggregate)}
    raise EventStoreError(f"a {type(aggregate).__name__} is no data class. {_ADVICE}")


def _restored(kind: type, state: str) -> object:
    own = getattr(kind, "from_snapshot", None)
    if own is not None:
        from pydantic_core import from_json

        return cast("object", own(from_json(state)))
    aggregate = cast("Any", kind).__new__(kind)
    for name, value in _adapter(kind).validate_json(state).items():
        object.__setattr__(aggregate, name, value)
    return cast("object", aggregate)


def _adapter(kind: type) -> TypeAdapter[dict[str, Any]]:
    known = _adapters.get(kind)
    if known is not None:
        return known
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from typing_extensions import TypedDict  # pydantic refuses the standard library's before Python 3.12

    hints = typing.get_type_hints(kind, include_extras=True)
    declare: Any = TypedDict  # a type checker wants the fields in the source
    shape = declare(kind.__name__, {each.name: hints[each.name] for each in dataclasses.fields(kind)})
    shape.__pydantic_config__ = ConfigDict(val_json_bytes="base64")
    try:
        return _adapters.setdefault(kind, TypeAdapter(shape))
    except PydanticUserError as error:
        raise EventStoreError(
            f"the annotations of {kind.__name__} do not say how to read it: {error.message}. {_ADVICE}"
        ) from error
