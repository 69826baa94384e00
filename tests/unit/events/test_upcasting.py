"""Old events are read as new ones, and what nobody knows any more is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from honeyhive.events import (
    Event,
    EventLog,
    InMemoryProjection,
    JournalEventStore,
    SQLiteEventStore,
    Stored,
    UnknownMessage,
    Upcasters,
    catch_up,
    on,
)
from honeyhive.exceptions import MessageFormatError, UpcastError

Opening = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class AddressChangedOld(Event, type="AddressChanged"):
    address: str


@dataclass(frozen=True, kw_only=True)
class OrderPlacedOld(Event, type="OrderPlaced"):
    total: int


@dataclass(frozen=True, kw_only=True)
class PricePaid(Event, type="price.paid"):
    schema_version: ClassVar[int] = 3
    cents: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class StreetChanged(Event):
    street: str


@dataclass(frozen=True, kw_only=True)
class CityChanged(Event):
    city: str


@pytest.fixture(params=["journal", "sqlite"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    """What opens the same store again and again, each time with other upcasters."""
    kinds: dict[str, Any] = {
        "journal": lambda **options: JournalEventStore(tmp_path / "events", **options),
        "sqlite": lambda **options: SQLiteEventStore(tmp_path / "events.db", **options),
    }
    return lambda **options: closing(kinds[request.param](**options))


@pytest.fixture
def upcasters() -> Upcasters:
    made = Upcasters()
    made.rename("OrderPlaced", "price.paid")
    made.step("price.paid", 1, 2)(lambda content: {"euros": content["total"]})
    made.step("price.paid", 2, 3)(lambda content: {"cents": 100 * content["euros"], "currency": "EUR"})
    return made


@pytest.mark.acceptance("O38")
def test_an_old_event_is_read_through_a_chain_of_upcasters(opening: Opening, upcasters: Upcasters) -> None:
    with opening() as store:
        old = OrderPlacedOld(total=7)
        store.save("o", [old])

    with opening(upcasters=upcasters) as store:
        (event,) = store.load("o")

    assert isinstance(event, PricePaid)
    assert (700, "EUR", old.id, old.time) == (event.cents, event.currency, event.id, event.time)


def test_a_new_event_is_read_as_it_is(opening: Opening, upcasters: Upcasters) -> None:
    event = PricePaid(cents=5, currency="NOK")

    with opening(upcasters=upcasters) as store:
        store.save("o", [event])

        assert [event] == store.load("o")


def test_one_event_may_become_several_and_versions_still_count_what_was_saved(opening: Opening) -> None:
    upcasters = Upcasters()

    @upcasters.split("AddressChanged")
    def _parts(content: Any) -> Iterator[Stored]:
        street, city = content["address"].split(", ")
        yield Stored("StreetChanged", 1, {"street": street})
        yield Stored("CityChanged", 1, {"city": city})

    with opening(upcasters=upcasters) as store:
        store.save("o", [AddressChangedOld(address="Main Street 1, Oslo")])
        stream = store.load("o")
        store.save("o", [CityChanged(city="Bergen")], expected_version=stream.version)

        records = store.read_all()

    assert [StreetChanged, CityChanged] == [type(event) for event in stream]
    assert 2 == len({event.id for event in stream})
    assert [(1, 2), (2, 1)] == [(record.version, len(record.events)) for record in records]


def test_an_event_that_is_not_wanted_any_more_is_dropped(opening: Opening) -> None:
    upcasters = Upcasters()
    upcasters.drop("StreetChanged")

    with opening(upcasters=upcasters) as store:
        store.save("o", [StreetChanged(street="a"), CityChanged(city="b")])
        stream, records = store.load("o"), store.read_all()

    assert (["CityChanged"], 2) == ([event.type for event in stream], stream.version)
    with pytest.raises(LookupError, match="dropped"):
        _ = records[0].event


def test_an_old_version_without_an_upcaster_is_an_error_that_names_the_fix(opening: Opening) -> None:
    upcasters = Upcasters()
    upcasters.rename("OrderPlaced", "price.paid")

    with opening(upcasters=upcasters) as store:
        store.save("o", [OrderPlacedOld(total=7)])

        with pytest.raises(UpcastError, match=r"step\('price.paid', 1, 3\)"):
            store.load("o")


def test_an_upcaster_that_fails_is_named(opening: Opening) -> None:
    upcasters = Upcasters()
    upcasters.step("OrderPlaced", 1, 2)(lambda content: {"cents": content["absent"]})

    with opening(upcasters=upcasters) as store:
        store.save("o", [OrderPlacedOld(total=7)])

        with pytest.raises(UpcastError, match="upcaster of OrderPlaced version 1 failed: KeyError: 'absent'"):
            store.load("o")


def test_upcasters_that_contradict_one_another_are_refused() -> None:
    upcasters = Upcasters()
    upcasters.rename("A", "B")

    with pytest.raises(UpcastError, match="one event has one way"):
        upcasters.drop("A")
    with pytest.raises(UpcastError, match="higher version"):
        upcasters.step("B", 2, 2)


def test_upcasters_that_go_round_in_circles_are_found_out(opening: Opening) -> None:
    upcasters = Upcasters()
    upcasters.rename("OrderPlaced", "B")
    upcasters.rename("B", "OrderPlaced")

    with opening(upcasters=upcasters) as store:
        store.save("o", [OrderPlacedOld(total=1)])

        with pytest.raises(UpcastError, match="circles"):
            store.load("o")


@pytest.mark.acceptance("O29")
def test_an_event_of_an_unknown_class_is_kept_reported_and_not_lost(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = UnknownMessage(type="shop.forgotten", source="/elsewhere", data={"total": 7})
    with opening() as store, caplog.at_level(logging.WARNING):
        _save_foreign(store, unknown)

        loaded = store.load("o")
        again = store.load("o")

    assert ["shop.forgotten"] == [event.type for event in loaded]
    assert [UnknownMessage] == [type(event) for event in again]
    assert {"total": 7} == dict(loaded[0].data)
    assert 1 == caplog.text.count("shop.forgotten")


def test_an_event_that_cannot_be_read_hinders_only_those_who_need_it(opening: Opening) -> None:
    class Streets(InMemoryProjection):
        def clear(self) -> None:
            self.streets: list[str] = []

        @on(StreetChanged)
        def _changed(self, event: StreetChanged) -> None:
            self.streets.append(event.street)

    upcasters, streets = Upcasters(), Streets()
    upcasters.step("CityChanged", 1, 2)(lambda content: {"city": ["no", "text"]})

    with opening(upcasters=upcasters) as store:
        store.save("o", [StreetChanged(street="a"), CityChanged(city="b"), StreetChanged(street="c")])
        catch_up(store, streets)

        assert ["a", "c"] == streets.streets
        assert ["MessageFormatError"] == [buried.reason.split(":")[0] for buried in streets.buried()]
        assert ["StreetChanged", "CityChanged", "StreetChanged"] == [record.type for record in store.history("o")]
        with pytest.raises(MessageFormatError):
            store.load("o")


def _save_foreign(store: EventLog, message: UnknownMessage) -> None:
    """Save an event as a program with other classes would have."""
    from honeyhive.events.messages import Event as Saved

    class Forgotten(Saved, type=message.type):
        total: int

    store.save("o", [Forgotten(total=message.data["total"])])
    del Forgotten
    import gc

    gc.collect()
