"""The MongoDB store on a small fake of the driver: unique indexes, single documents, BSON's own limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import bson
import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError

from honeyhive.events import AsyncMongoDBEventStore, BlockingEventLog, EventLog, MongoDBEventStore
from honeyhive.exceptions import ConfigurationError, StoreUnavailableError
from honeyhive.testing.store_contracts import EventLogContract, noted

Document = dict[str, Any]


class FakeCollection:
    """As much of an asynchronous collection as the store uses; documents go through BSON."""

    def __init__(self) -> None:
        self._documents: list[bytes] = []
        self._unique: list[tuple[str, ...]] = [("_id",)]
        self.is_away = False

    async def create_index(self, keys: Sequence[tuple[str, int]], *, unique: bool) -> None:
        names = tuple(name for name, _ in keys)
        if unique and names not in self._unique:
            self._unique.append(names)

    async def insert_one(self, document: Mapping[str, Any]) -> None:
        self._check_reachable()
        for names in self._unique:
            taken = {key for each in self._all() for key in keys_of(each, names)}
            if taken & set(keys_of(document, names)):
                raise DuplicateKeyError(f"E11000 duplicate key: {names}")
        self._documents.append(bson.encode(document))

    def find(self, which: Mapping[str, Any]) -> FakeCursor:
        self._check_reachable()
        return FakeCursor([each for each in self._all() if matches(each, which)])

    def _all(self) -> Iterable[Document]:
        return map(bson.decode, self._documents)

    def _check_reachable(self) -> None:
        if self.is_away:
            raise AutoReconnect("connection refused")


class FakeCursor:
    def __init__(self, found: list[Document]) -> None:
        self._found = found

    def sort(self, keys: Sequence[tuple[str, int]]) -> FakeCursor:
        for name, direction in reversed(keys):
            self._found.sort(key=lambda each, name=name: each[name], reverse=direction < 0)  # type: ignore[misc]
        return self

    def limit(self, most: int) -> FakeCursor:
        self._found = self._found[:most] if most else self._found  # 0 is no limit
        return self

    async def to_list(self) -> list[Document]:
        return self._found


class FakeDatabase:
    def __init__(self) -> None:
        self.collections: dict[str, FakeCollection] = {}

    def get_collection(self, name: str, **_: object) -> Any:
        return self.collections.setdefault(name, FakeCollection())


def values_of(document: Mapping[str, Any], path: str) -> list[Any]:
    first, _, rest = path.partition(".")
    value = document.get(first)
    if not rest:
        return [value]
    return [found for each in value for found in values_of(each, rest)] if isinstance(value, list) else []


def keys_of(document: Mapping[str, Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """What a unique index has of *document*; an array has an entry for each element."""
    if len(names) == 1:
        return [(value,) for value in values_of(document, names[0])]
    return [tuple(document.get(name) for name in names)]


def matches(document: Mapping[str, Any], which: Mapping[str, Any]) -> bool:
    return all(any(fits(value, wanted) for value in values_of(document, path)) for path, wanted in which.items())


def fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return bool(value == wanted)
    tests: dict[str, Callable[[Any], bool]] = {
        "$gt": lambda limit: value > limit,
        "$in": lambda choice: value in choice,
        "$regex": lambda pattern: re.search(pattern, value) is not None,
    }
    return all(tests[operator](operand) for operator, operand in wanted.items())


class TestMongoDBEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        database: Any = FakeDatabase()
        return lambda: BlockingEventLog(AsyncMongoDBEventStore(database))


@pytest.mark.acceptance("O33")
def test_a_server_that_is_away_is_told_as_an_outage() -> None:
    database: Any = FakeDatabase()
    store = BlockingEventLog(AsyncMongoDBEventStore(database))
    store.save("a", noted(1))
    database.collections["events"].is_away = True

    for use in (lambda: store.save("a", noted(2)), lambda: store.load("a")):
        with pytest.raises(StoreUnavailableError, match="connection refused"):
            use()
    store.close()


def test_a_url_without_a_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ends with a database"):
        MongoDBEventStore("mongodb://localhost:27017")
