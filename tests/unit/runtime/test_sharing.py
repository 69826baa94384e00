"""What processes of one service do not share though they should is said when one of them starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from honeyhive.events import AsyncMessageBus, Event, MessageBus
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime import (
    MemoryTickLedger,
    Provider,
    Publishing,
    Service,
    Sockets,
    TickLedger,
    every,
    get,
    on_message,
)
from honeyhive.runtime.roles import Role
from honeyhive.runtime.sharing import check_sharing

pytestmark = pytest.mark.anyio


class Sold(Event):
    item: str


class Sells:
    @get("/")
    async def sell(self) -> None: ...


class Packs:
    @on_message(Sold)
    async def pack(self, message: Sold) -> None: ...


class Counts:
    @every("@daily")
    async def count(self) -> None: ...


class Dispatches:
    @every("@daily", dispatch=True)
    async def count(self) -> None: ...


class Elsewhere(MessageBus):
    """Stands for a bus with an engine."""

    def subscribe(self, message_type: type, handler: Any) -> None: ...

    async def publish(self, message: Sold) -> None: ...


def service(*controllers: type, bus: Callable[[], MessageBus] = AsyncMessageBus, ledger: Any = None) -> Service:
    ledgers = [] if ledger is None else [Provider(TickLedger, ledger)]
    return Service(
        "shop",
        providers=[Provider(MessageBus, bus), *ledgers],
        controllers=controllers,
        interceptors=[Publishing],
    )


async def check(declared: Service, *roles: Role, processes: int = 1) -> None:
    async with declared.build({}).opened() as process:
        await check_sharing(process, roles, processes)


@pytest.mark.parametrize(
    "controllers, roles, processes, words",
    [
        ([Sells, Packs], ["http"], 1, "What is published here reaches no worker and is lost"),
        ([Sells, Packs, Counts], ["worker"], 1, "What processes that are http or scheduler publish or broadcast"),
        ([Dispatches], ["scheduler"], 1, "What is published here reaches no worker and is lost"),
        ([Sells, Packs], ["http", "worker"], 2, "Each of 2 processes hears only what it publishes"),
        ([Sells], ["http"], 3, "Each of 3 processes hears only what it publishes"),
    ],
)
async def test_a_bus_in_memory_between_processes_is_warned_of(
    controllers: list[type], roles: list[Role], processes: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    await check(service(*controllers), *roles, processes=processes)

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "shop: its AsyncMessageBus reaches this process only." in record.getMessage()
    assert words in record.getMessage()
    assert "RedisMessageBus(url), or run everything in one process" in record.getMessage()


@pytest.mark.parametrize(
    "declared, roles",
    [
        (service(Sells, Packs, Counts), ["http", "worker", "scheduler"]),
        (service(Sells, Packs, bus=Elsewhere), ["http"]),
        (service(Sells), ["http"]),
        (Service("shop", providers=[Provider(MessageBus, AsyncMessageBus)], controllers=[Sells, Packs]), ["http"]),
        (Service("shop", controllers=[Sells, Packs], interceptors=[Sockets]), ["http"]),
    ],
    ids=["all in one", "a bus with an engine", "no worker", "publishes nothing", "no bus"],
)
async def test_there_is_no_warning_where_nothing_gets_lost(
    declared: Service, roles: list[Role], caplog: pytest.LogCaptureFixture
) -> None:
    await check(declared, *roles)

    assert [] == caplog.records


@pytest.mark.parametrize("ledger", [None, MemoryTickLedger])
async def test_several_processes_that_keep_time_without_a_shared_ledger_are_refused(ledger: Any) -> None:
    with pytest.raises(DeclarationError, match="2 processes of 'shop' keep time and share no ledger"):
        await check(service(Counts, ledger=ledger), "scheduler", processes=2)


async def test_several_processes_may_keep_time_by_a_shared_ledger() -> None:
    pytest.importorskip("aiosqlite", reason="aiosqlite is not installed: pip install honeyhive[sqlite]")
    from honeyhive.runtime import SqlTickLedger

    declared = service(Counts, ledger=lambda: SqlTickLedger("sqlite+aiosqlite://"), bus=Elsewhere)

    await check(declared, "scheduler", processes=2)
