"""What a service declares: nothing runs before it is built, and what cannot work is refused when it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from honeyhive.events import AsyncMessageBus, Event, MessageBus
from honeyhive.exceptions import ConfigurationError, DeclarationError
from honeyhive.runtime import (
    Execution,
    HttpSettings,
    MemoryTickLedger,
    Provider,
    SchedulerSettings,
    Service,
    TickLedger,
    Token,
    WorkerSettings,
    controller,
    every,
    get,
    on_message,
    post,
    use_config,
    use_execution,
)

pytestmark = pytest.mark.anyio


class Config(BaseModel):
    database_url: str
    pool_size: int = 5
    hosts: list[str] = []


class Pool:
    def __init__(self, url: str) -> None:
        self.url = url


class Repository:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Job(Execution):
    kind = "schedule"


async def call(service: Service, method: str, environ: dict[str, str] | None = None) -> Any:
    """Run one handler of *service* in a process of its own."""
    assembly = service.build(environ or {})
    handler = next(each for each in assembly.handlers if each.method == method)
    execution = Job(name=method)
    async with assembly.opened() as process:
        return await process.run(execution, partial(process.handle, execution, handler))


def pool_of(config: Config) -> Pool:
    return Pool(config.database_url)


class Stock:
    pass


class Counts:
    def __init__(self, stock: Stock) -> None: ...

    @every("* * * * *")
    async def count(self) -> None: ...


class Reads:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    @get("/")
    async def read(self) -> str:
        return self.repository.pool.url


@pytest.mark.acceptance("J5")
async def test_a_service_declares_providers_controllers_and_interceptors_in_one_value() -> None:
    entered = []

    class Watching:
        @asynccontextmanager
        async def intercept(self, execution: Execution) -> AsyncIterator[None]:
            entered.append(execution.name)
            yield

    service = Service(
        "shop", providers=[pool_of, Repository], controllers=[Reads], interceptors=[Watching()], config=Config
    )

    assert await call(service, "read", {"DATABASE_URL": "db://"}) == "db://"
    assert ["read"] == entered


@pytest.mark.acceptance("J6")
def test_declaring_a_service_runs_nothing() -> None:
    def never(**_: object) -> Pool:
        raise AssertionError("a factory was called")

    service = Service("shop", providers=[Provider(Pool, never), Repository], controllers=[Reads], interceptors=[never])

    assert service == Service(
        "shop", providers=[Provider(Pool, never), Repository], controllers=[Reads], interceptors=[never]
    )


@pytest.mark.acceptance("J7")
async def test_all_processes_share_one_configuration() -> None:
    class Shows:
        def __init__(self, config: Config) -> None:
            self.config = config

        @get("/")
        async def injected(self) -> str:
            return self.config.database_url

        @every("* * * * *")
        async def hooked(self) -> str:
            return use_config(Config).database_url

    service = Service("shop", controllers=[Shows], config=Config)

    found = [await call(service, name, {"DATABASE_URL": "db://"}) for name in ("injected", "hooked")]

    assert ["db://", "db://"] == found


async def test_a_program_that_has_the_configuration_gives_it_itself() -> None:
    service = Service("shop", providers=[pool_of, Repository], controllers=[Reads], config=Config)
    assembly = service.build(config=Config(database_url="given://"))

    async with assembly.opened() as process:
        assert (await process.find(Pool)).url == "given://"


def test_a_configuration_of_another_kind_is_refused() -> None:
    class Other(BaseModel): ...

    with pytest.raises(DeclarationError, match="'shop' is configured by"):
        Service("shop", controllers=[Reads], providers=[pool_of, Repository], config=Config).build(config=Other())


async def test_what_a_process_does_not_do_is_not_made_there() -> None:
    made = []

    def stock() -> Stock:
        made.append("stock")
        return Stock()

    service = Service("shop", providers=[pool_of, Repository, stock], controllers=[Reads, Counts], config=Config)
    assembly = service.build({"DATABASE_URL": "db://"})

    async with assembly.opened(lambda handler: handler.method == "read"):
        assert made == []
    async with assembly.opened():
        assert made == ["stock"]


@pytest.mark.acceptance("J12")
def test_settings_of_one_runtime_stand_apart_from_the_shared_ones() -> None:
    service = Service(
        "shop",
        controllers=[Reads],
        http=HttpSettings(port=9000),
        worker=WorkerSettings(drain_s=4.0),
        scheduler=SchedulerSettings(lease_s=5.0),
    )

    assert (9000, 4.0, 5.0) == (service.http.port, service.worker.drain_s, service.scheduler.lease_s)


@pytest.mark.acceptance("J14")
@pytest.mark.acceptance("J23")
async def test_tokens_tell_values_of_one_type_apart() -> None:
    class Both:
        def __init__(self, main: Annotated[Pool, Token("MAIN")], spare: Annotated[Pool, Token("SPARE")]) -> None:
            self.urls = [main.url, spare.url]

        @get("/")
        async def urls_of_both(self) -> list[str]:
            return self.urls

    service = Service(
        "shop",
        providers=[
            Provider(Pool, lambda config: Pool(config.database_url), token=Token("MAIN")),
            Provider(Pool, lambda: Pool("spare"), token=Token("SPARE")),
        ],
        controllers=[Both],
        config=Config,
    )

    assert await call(service, "urls_of_both", {"DATABASE_URL": "main"}) == ["main", "spare"]


@pytest.mark.parametrize("kind", ["sync generator", "async generator", "sync manager", "async manager"])
async def test_what_a_factory_opens_is_closed_with_the_process(kind: str) -> None:
    log: list[str] = []

    async def opening() -> AsyncIterator[Pool]:
        log.append("open")
        yield Pool(kind)
        log.append("close")

    def opening_synchronously() -> Iterator[Pool]:
        log.append("open")
        yield Pool(kind)
        log.append("close")

    from contextlib import contextmanager

    factory = {
        "async generator": opening,
        "sync generator": opening_synchronously,
        "async manager": asynccontextmanager(opening),
        "sync manager": contextmanager(opening_synchronously),
    }[kind]

    found = await call(Service("shop", providers=[factory, Repository], controllers=[Reads]), "read")

    assert kind == found
    assert ["open", "close"] == log


async def test_what_a_provider_names_need_not_be_known_where_its_factory_returns_it() -> None:
    class Local(Pool):
        """Known to nobody but this test."""

    def make() -> Local:
        return Local("local")

    service = Service("shop", providers=[Provider(Pool, make), Repository], controllers=[Reads])

    assert await call(service, "read") == "local"


async def test_an_async_factory_is_awaited() -> None:
    async def connect() -> Pool:
        return Pool("awaited")

    assert await call(Service("shop", providers=[connect, Repository], controllers=[Reads]), "read") == "awaited"


async def test_a_value_of_an_execution_is_made_inside_it_and_ends_with_it() -> None:
    log: list[str] = []

    async def per_execution() -> AsyncIterator[Pool]:
        log.append(f"open in {use_execution().name}")
        yield Pool("own")
        log.append("close")

    service = Service(
        "shop",
        providers=[
            Provider(Pool, per_execution, lifetime="execution"),
            Provider(Repository, Repository, lifetime="execution"),
        ],
        controllers=[Reads],
    )
    assembly = service.build({})

    async with assembly.opened() as process:
        for name in ("first", "second"):
            execution = Job(name=name)
            await process.run(execution, partial(process.handle, execution, assembly.handlers[0]))

    assert ["open in first", "close", "open in second", "close"] == log


async def test_values_end_in_reverse_order_of_their_making() -> None:
    log: list[str] = []

    async def pool() -> AsyncIterator[Pool]:
        yield Pool("pool")
        log.append("pool")

    async def repository(pool: Pool) -> AsyncIterator[Repository]:
        yield Repository(pool)
        log.append("repository")

    await call(Service("shop", providers=[repository, pool], controllers=[Reads]), "read")

    assert ["repository", "pool"] == log


async def test_a_parameter_with_a_default_needs_no_provider() -> None:
    class Lenient:
        def __init__(self, pool: Pool | None = None) -> None:
            self.pool = pool

        @get("/")
        async def read(self) -> Pool | None:
            return self.pool

    assert await call(Service("shop", controllers=[Lenient]), "read") is None


class Untyped:
    def __init__(self, pool) -> None:  # type: ignore[no-untyped-def]  # the point of the test
        self.pool = pool

    @get("/")
    async def read(self) -> None: ...


class Circular:
    def __init__(self, other: OtherCircular) -> None: ...


class OtherCircular:
    def __init__(self, circular: Circular) -> None: ...


class Idle:
    def rest(self) -> None: ...


class Sold(Event):
    item: str


class TwoArguments:
    @on_message(Sold)
    async def handle(self, message: Sold, more: int) -> None: ...


class HandlesText:
    @on_message(str)
    async def handle(self, message: str) -> None: ...


class NoSelf:
    @get("/")
    async def read(item: int) -> None: ...  # type: ignore[misc]  # noqa: N805 - the point of the test


class NoArguments:
    @get("/")
    async def read() -> None: ...  # type: ignore[misc]  # the point of the test


class StaticRoute:
    @staticmethod
    @get("/")
    async def read(item: int) -> None: ...


class UnknownAnnotation:
    @get("/")
    async def read(self, value: Nowhere) -> None: ...  # noqa: F821 - the point of the test


class UnknownNeed:
    def __init__(self, value: Nowhere) -> None: ...  # noqa: F821 - the point of the test

    @get("/")
    async def read(self) -> None: ...


class WithBus:
    def __init__(self, bus: MessageBus) -> None: ...

    @get("/")
    async def read(self) -> None: ...


class WithBusOrNone:
    def __init__(self, bus: MessageBus | None = None) -> None: ...

    @get("/")
    async def read(self) -> None: ...


def narrow_bus() -> AsyncMessageBus:
    return AsyncMessageBus()


class NeedyJob:
    @every("* * * * *")
    async def run(self, pool: Pool) -> None: ...


class Twins:
    @get("/a")
    async def one(self) -> None: ...

    @get("/a")
    async def two(self) -> None: ...


def per_execution_pool() -> Pool:
    return Pool("")


def silent():  # type: ignore[no-untyped-def]  # the point of the test
    return Pool("")


@pytest.mark.parametrize(
    "declared, words",
    [
        ({"controllers": [Reads]}, ["Reads.__init__", "'repository'", "Repository", "nothing provides"]),
        ({"controllers": [Reads], "providers": [Repository]}, ["Repository.__init__", "'pool'", "Pool"]),
        ({"controllers": [Untyped]}, ["Untyped.__init__", "'pool'", "annotate"]),
        ({"providers": [Circular, OtherCircular]}, ["circle", "Circular -> OtherCircular -> Circular"]),
        (
            {"providers": [Provider(Pool, per_execution_pool, lifetime="execution"), Repository]},
            ["Repository", "lifetime='execution'"],
        ),
        ({"providers": [per_execution_pool, per_execution_pool]}, ["Pool", "twice", "token"]),
        ({"providers": [silent]}, ["silent", "annotate its return"]),
        ({"providers": [3]}, ["3 is no provider"]),
        ({"controllers": [Idle]}, ["Idle handles nothing"]),
        ({"controllers": [Idle()]}, ["is no class"]),
        ({"controllers": [TwoArguments]}, ["TwoArguments.handle", "'more'"]),
        ({"controllers": [HandlesText]}, ["HandlesText.handle", "str is no Message", "Event, Command or Query"]),
        ({"controllers": [NoSelf]}, ["NoSelf.read", "self"]),
        ({"controllers": [NoArguments]}, ["NoArguments.read", "self"]),
        ({"controllers": [StaticRoute]}, ["StaticRoute.read", "self"]),
        ({"controllers": [UnknownAnnotation]}, ["UnknownAnnotation.read", "'Nowhere' of parameter 'value'"]),
        ({"controllers": [UnknownNeed]}, ["UnknownNeed.__init__", "'Nowhere' of parameter 'value'"]),
        (
            {"controllers": [WithBus], "providers": [narrow_bus]},
            ["WithBus.__init__", "'bus'", "provided as AsyncMessageBus only", "Provider(MessageBus, ...)"],
        ),
        ({"controllers": [WithBusOrNone], "providers": [narrow_bus]}, ["WithBusOrNone.__init__", "as MessageBus"]),
        ({"controllers": [NeedyJob]}, ["NeedyJob.run", "'pool'"]),
        ({"controllers": [Twins]}, ["Twins.two", "Twins.one", "GET /a"]),
        ({"interceptors": [3]}, ["3 is no interceptor"]),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_when_it_is_built(declared: dict[str, Any], words: list[str]) -> None:
    service = Service("shop", **declared)

    with pytest.raises(DeclarationError) as caught:
        service.build({})

    assert [] == [word for word in words if word not in str(caught.value)]


def test_a_lifetime_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"the provider of Pool lives for 'request'.*'process' and 'execution'"):
        Provider(Pool, pool_of, lifetime="request")  # type: ignore[arg-type]  # the point of the test


def test_a_word_for_missed_ticks_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="missed='never' is none of 'skip', 'latest', 'all'"):
        every("@daily", missed="never")  # type: ignore[arg-type]  # the point of the test


async def test_a_ledger_that_is_provided_by_its_own_name_only_is_not_passed_over() -> None:
    async with Service("shop", providers=[MemoryTickLedger]).build({}).opened() as process:
        with pytest.raises(DeclarationError, match=r"provided as MemoryTickLedger only.*as TickLedger"):
            await process.find(TickLedger)


@pytest.mark.acceptance("J15")
def test_configuration_is_read_from_the_environment_into_a_model() -> None:
    environ = {"SHOP_DATABASE_URL": "db://", "SHOP_POOL_SIZE": "9", "SHOP_HOSTS": '["a", "b"]'}

    found = Service("shop", controllers=[], config=Config, config_prefix="SHOP_").build(environ).config

    assert Config(database_url="db://", pool_size=9, hosts=["a", "b"]) == found


def test_wrong_configuration_names_its_variables_and_shows_no_value() -> None:
    service = Service("shop", config=Config)

    with pytest.raises(ConfigurationError) as caught:
        service.build({"POOL_SIZE": "secret"})

    assert "DATABASE_URL" in str(caught.value)
    assert "POOL_SIZE" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.acceptance("J22")
def test_decorators_leave_the_methods_as_they_are() -> None:
    @controller("/things")
    class Everything:
        @get("/")
        @every("* * * * *")
        async def read(self) -> str:
            return "read"

        @post("/")
        async def write(self, value: int) -> int:
            return value

    assembly = Service("shop", controllers=[Everything]).build({})

    assert Everything.write.__name__ == "write"
    assert ["Everything.read", "Everything.write"] == [handler.label for handler in assembly.routes()]
    assert ["Everything.read"] == [handler.label for handler in assembly.schedules()]
