"""Events in MongoDB: built on what the driver promises, and checked against a fake of it; not proved on a real server.

One `save` is one document, which is there as a whole or not at all. Positions are taken by insertion: a document that
would begin at a position which is taken is refused by a unique index and tried again behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from honeyhive.events.codec import MessageCodec
from honeyhive.events.messages import Event
from honeyhive.events.store import (
    Appended,
    AsOf,
    AsyncEventLog,
    RecordedEvent,
    Stream,
    StreamFacts,
    bounds,
    check_arguments,
    check_version,
    stream_of,
    unsaved,
)
from honeyhive.events.stores.blocking import BlockingEventLog
from honeyhive.events.stores.documents import Documents
from honeyhive.events.stores.watching import Watchers
from honeyhive.events.upcasting import Upcasters
from honeyhive.exceptions import ConfigurationError, StoreClosedError, StoreUnavailableError
from honeyhive.utils.clock import Clock, SystemClock

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.asynchronous.mongo_client import AsyncMongoClient

__all__ = ["AsyncMongoDBEventStore", "MongoDBEventStore"]

_POLL_S: Final = 0.2


class AsyncMongoDBEventStore(AsyncEventLog):
    """Keeps events in a collection of a MongoDB database; for one event loop, beside any number of other processes.

    Built, not proved: it passes the contract on a fake of the driver, and nobody has run it on a server here.

    Args:
        place: ``mongodb://host:27017/shop``, or a database of pymongo's asynchronous client, which stays yours to close.
        collection: The name of the collection.
        codec: Writes and reads the events.
        upcasters: Read old events as new ones.
        clock: Dates the events.
        poll_s: How often readers look for events that other processes have saved.

    Raises:
        ConfigurationError: The URL names no database, or the driver is missing.
    """

    def __init__(
        self,
        place: str | AsyncDatabase[Any],
        *,
        collection: str = "events",
        codec: MessageCodec | None = None,
        upcasters: Upcasters | None = None,
        clock: Clock | None = None,
        poll_s: float = _POLL_S,
    ) -> None:
        self._client: AsyncMongoClient[Any] | None = None
        if isinstance(place, str):
            self._client, place = _opened(place)
        self._saves = _durable(place, collection)
        self._documents = Documents(codec, upcasters)
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._watchers = Watchers()
        self._is_made = False
        self._is_closed = False

    @property
    def poll_s(self) -> float:
        """How often readers look for events that other processes have saved."""
        return self._poll_s

    async def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        check_arguments(aggregate_id, events, expected_version)
        documents = {event.id: self._documents.write(event).decode() for event in events}
        saves = await self._ready()
        while True:
            known = await self._known(list(documents))
            new = unsaved(aggregate_id, events, {key: place[0] for key, place in known.items()})
            newest = await self._newest({"aggregate_id": aggregate_id}, "last_version")
            version = newest.get("last_version", 0)
            if new or not events:
                check_version(aggregate_id, expected_version, version)
            if not new:
                head = (await self._newest({}, "last"))["last"] if not events and version else 0
                places = known.values()
                return Appended(
                    max((place[1] for place in places), default=version),
                    max((place[2] for place in places), default=head),
                    0,
                )
            save = await self._draft(aggregate_id, version, [(each, documents[each.id]) for each in new])
            if await _inserted(saves, save):
                self._watchers.tell(len(new))
                return Appended(save["last_version"], save["last"], len(new))

    async def _draft(self, aggregate_id: str, version: int, events: Sequence[tuple[Event, str]]) -> dict[str, Any]:
        head = await self._newest({}, "last")
        return {
            "_id": head.get("last", 0) + 1,
            "last": head.get("last", 0) + len(events),
            "aggregate_id": aggregate_id,
            "version": version + 1,
            "last_version": version + len(events),
            "recorded_ns": max(self._clock.time_ns(), head.get("recorded_ns", 0)),
            "events": [{"id": each.id, "type": each.type, "document": document} for each, document in events],
        }

    async def _newest(self, which: Mapping[str, Any], order: str) -> dict[str, Any]:
        saves = await self._ready()
        with _outages_told():
            found: list[dict[str, Any]] = await saves.find(which).sort([(order, -1)]).limit(1).to_list()
        return found[0] if found else {}

    async def _known(self, ids: Sequence[str]) -> dict[str, tuple[str, int, int]]:
        """Return aggregate, version and position of those of *ids* that are saved."""
        found = await self._find({"events.id": {"$in": list(ids)}}, "_id")
        return {
            each["id"]: (save["aggregate_id"], save["version"] + number, save["_id"] + number)
            for save in found
            for number, each in enumerate(save["events"])
            if each["id"] in ids
        }

    async def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        return stream_of(await self.history(aggregate_id, from_version, as_of=as_of), from_version)

    async def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        return await self.load(aggregate_id, version)

    async def history(
        self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None
    ) -> list[RecordedEvent]:
        version, time_ns = bounds(as_of)
        found = await self._find({"aggregate_id": aggregate_id, "last_version": {"$gt": from_version}}, "version")
        return [
            record
            for save in found
            for record in self._records(save)
            if record.version > from_version
            and (version is None or record.version <= version)
            and (time_ns is None or record.recorded_ns <= time_ns)
        ]

    async def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        if limit < 1:
            return []
        found = await self._find({"last": {"$gt": after}}, "_id", limit)
        return [record for save in found for record in self._records(save) if record.position > after][:limit]

    async def head(self) -> int:
        position: int = (await self._newest({}, "last")).get("last", 0)
        return position

    async def streams(self, prefix: str = "") -> list[StreamFacts]:
        found = await self._find({"aggregate_id": {"$regex": f"^{re.escape(prefix)}"}}, "version")
        facts = {
            save["aggregate_id"]: StreamFacts(save["aggregate_id"], save["last_version"], save["events"][-1]["type"])
            for save in found
        }
        return [facts[aggregate_id] for aggregate_id in sorted(facts)]

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._watchers.add(listener)

    async def close(self) -> None:
        self._is_closed = True
        if self._client is not None:
            await self._client.close()
        self._watchers.tell(0)

    async def _find(self, which: Mapping[str, Any], order: str, limit: int = 0) -> list[dict[str, Any]]:
        saves = await self._ready()
        with _outages_told():
            found: list[dict[str, Any]] = await saves.find(which).sort([(order, 1)]).limit(limit).to_list()
        return found

    def _records(self, save: Mapping[str, Any]) -> list[RecordedEvent]:
        return [
            RecordedEvent(
                save["_id"] + number,
                save["aggregate_id"],
                save["version"] + number,
                save["recorded_ns"],
                each["type"],
                document=each["document"],
                read=self._documents.read,
            )
            for number, each in enumerate(save["events"])
        ]

    async def _ready(self) -> AsyncCollection[Any]:
        if self._is_closed:
            raise StoreClosedError("the store is closed; make a new one")
        if not self._is_made:
            with _outages_told():
                await self._saves.create_index([("aggregate_id", 1), ("version", 1)], unique=True)
                await self._saves.create_index([("events.id", 1)], unique=True)
                await self._saves.create_index([("last", 1)], unique=True)
            self._is_made = True
        return self._saves


class MongoDBEventStore(BlockingEventLog):
    """`AsyncMongoDBEventStore` for programs that block. Thread-safe; built, not proved.

    Args:
        url: ``mongodb://host:27017/shop``.
        collection: The name of the collection.
        upcasters: Read old events as new ones.

    Raises:
        ConfigurationError: The URL names no database, or the driver is missing.
    """

    def __init__(self, url: str, *, collection: str = "events", upcasters: Upcasters | None = None) -> None:
        super().__init__(AsyncMongoDBEventStore(url, collection=collection, upcasters=upcasters))


def _opened(url: str) -> tuple[AsyncMongoClient[Any], AsyncDatabase[Any]]:
    try:
        from pymongo import AsyncMongoClient
        from pymongo.errors import ConfigurationError as Nameless
    except ModuleNotFoundError as error:
        raise ConfigurationError("pymongo is missing. Run: pip install 'honeyhive[mongo]'") from error
    client: AsyncMongoClient[Any] = AsyncMongoClient(url)
    try:
        return client, client.get_default_database()
    except Nameless as error:
        raise ConfigurationError(
            "the URL of a MongoDB store ends with a database: mongodb://host:27017/shop"
        ) from error


def _durable(database: AsyncDatabase[Any], collection: str) -> AsyncCollection[Any]:
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern

    return database.get_collection(
        collection, write_concern=WriteConcern(w="majority", j=True), read_concern=ReadConcern("majority")
    )


async def _inserted(saves: AsyncCollection[Any], save: Mapping[str, Any]) -> bool:
    """Insert *save*; ``False`` when somebody else has taken its position, its version or the id of an event."""
    from pymongo.errors import DuplicateKeyError

    with _outages_told():
        try:
            await saves.insert_one(save)
        except DuplicateKeyError:
            return False
    return True


@contextmanager
def _outages_told() -> Iterator[None]:
    from pymongo.errors import ConnectionFailure, ExecutionTimeout, WTimeoutError

    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise StoreUnavailableError(f"MongoDB cannot be reached just now: {error}") from error
