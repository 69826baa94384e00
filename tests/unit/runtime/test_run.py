"""Running a service: what is checked before anything is opened."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator

import anyio
import pytest

from honeyhive.exceptions import ConfigurationError, DeclarationError
from honeyhive.runtime import MemoryTickLedger, Service, TickLedger, every, get
from honeyhive.runtime.roles import roles_of
from honeyhive.runtime.run import RunOptions, run_service

pytestmark = pytest.mark.anyio


class Reads:
    @get("/")
    async def read(self) -> None: ...


async def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)

    with pytest.raises(ConfigurationError, match=r"fastapi is missing. Run: pip install 'honeyhive\[http\]'"):
        await run_service(Service("shop", controllers=[Reads]).build({}), RunOptions(roles=["http"]))


class Breaks:
    @every("* * * * *")
    async def tick(self) -> None: ...


@pytest.mark.parametrize("error", [ConfigurationError("no database there"), ValueError("theirs")])
async def test_what_ends_a_process_is_raised_as_it_is_where_it_is_ours(error: Exception) -> None:
    async def broken() -> AsyncIterator[TickLedger]:
        async with anyio.create_task_group():
            raise error
        yield MemoryTickLedger()

    service = Service("shop", providers=[broken], controllers=[Breaks])

    with pytest.raises((ConfigurationError, ExceptionGroup)) as raised:
        await run_service(service.build({}), RunOptions(roles=["scheduler"]))

    assert (raised.value is error) is isinstance(error, ConfigurationError)


async def test_a_role_without_work_is_refused() -> None:
    assembly = Service("shop", controllers=[Reads]).build({})

    with pytest.raises(DeclarationError, match="'shop' declares nothing for a scheduler process"):
        await run_service(assembly, RunOptions(roles=["scheduler"]))

    assert roles_of(assembly) == ("http",)


async def test_a_service_that_declares_nothing_is_refused() -> None:
    assembly = Service("shop").build({})

    with pytest.raises(DeclarationError, match="'shop' declares nothing that a process could do; give it controllers"):
        await run_service(assembly, RunOptions(roles=roles_of(assembly)))


class Ticks:
    @every("* * * * * *")
    async def tick(self) -> None: ...


async def test_the_garbage_collector_passes_over_what_a_process_has_made_until_it_is_ready() -> None:
    passed_over = []

    with anyio.CancelScope() as running:

        def ready() -> None:
            passed_over.append(gc.get_freeze_count())
            running.cancel()

        assembly = Service("shop", controllers=[Ticks]).build({})
        await run_service(assembly, RunOptions(roles=["scheduler"], on_ready=ready))

    assert passed_over[0] > len(sys.modules)
    assert gc.get_freeze_count() == 0
