"""ResourcePool: a few resources, shared by many, replaced when broken, closed in the end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.resilience import ResourcePool


class Connection:
    """A connection that knows whether it is open, and whether two use it at once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = False
        self.broken = False
        self.in_use = False

    async def query(self, sql: str = "SELECT 1") -> str:
        assert not self.in_use, "two at once"
        assert not self.closed, "used after it was closed"
        self.in_use = True
        try:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        finally:
            self.in_use = False
        return f"{sql} from {self.number}"

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = True


class Database:
    """Makes connections and remembers them."""

    def __init__(self) -> None:
        self.made: list[Connection] = []

    async def connect(self) -> Connection:
        await anyio.lowlevel.checkpoint()
        return self.connect_now()

    def connect_now(self) -> Connection:
        self.made.append(Connection(len(self.made)))
        return self.made[-1]

    @asynccontextmanager
    async def session(self):
        connection = await self.connect()
        try:
            yield connection
        finally:
            await connection.aclose()

    @property
    def still_open(self) -> list[int]:
        return [connection.number for connection in self.made if not connection.closed]


@pytest.fixture
def database():
    return Database()


FACTORIES = pytest.mark.parametrize("factory", ["connect", "connect_now", "session"])


@pytest.mark.acceptance("A15")
@FACTORIES
@pytest.mark.anyio
async def test_a_connection_is_lent_out_and_taken_back(factory, database):
    async with ResourcePool(getattr(database, factory), max_size=2) as pool:
        async with pool.acquire() as connection:
            assert await connection.query() == "SELECT 1 from 0"
            assert pool.info()._asdict() == {"in_use": 1, "idle": 0, "waiting": 0, "max_size": 2}
        async with pool.acquire() as again:
            assert again is connection

    assert database.still_open == []


@pytest.mark.acceptance("A16")
@FACTORIES
@pytest.mark.anyio
async def test_ten_workers_share_five_connections_by_waiting(factory, database):
    results = []

    async def worker(pool) -> None:
        async with pool.acquire() as connection:
            results.append(await connection.query())

    async with ResourcePool(getattr(database, factory), max_size=5) as pool, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(worker, pool)

    assert len(results) == 10
    assert len(database.made) <= 5
    assert database.still_open == []


@pytest.mark.anyio
async def test_those_who_wait_have_their_turn_in_the_order_of_coming(database):
    served = []

    async def worker(pool, number: int) -> None:
        async with pool.acquire() as connection:
            served.append(number)
            await connection.query()

    async with ResourcePool(database.connect, max_size=1) as pool, anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(worker, pool, number)
            await anyio.wait_all_tasks_blocked()

    assert served == sorted(served)


class TestWaiting:
    @pytest.mark.parametrize("options, own_limit", [({"acquire_timeout": 0.01}, None), ({}, 0.01)])
    @pytest.mark.anyio
    async def test_who_has_none_in_time_is_told_why(self, options, own_limit, database):
        async with ResourcePool(database.connect, max_size=1, name="db", **options) as pool, pool.acquire():
            with pytest.raises(TimeoutError, match=r"'db' had nothing ready within 0\.01 s: 1 of 1 are in use"):
                async with pool.acquire(own_limit):
                    pass

    @pytest.mark.anyio
    async def test_one_who_gave_up_takes_nothing_along(self, database):
        async with ResourcePool(database.connect, max_size=1) as pool:
            async with pool.acquire():
                with anyio.move_on_after(0.01):
                    async with pool.acquire():
                        pass
            async with pool.acquire(timeout=5) as connection:
                await connection.query()

    @pytest.mark.anyio
    async def test_one_who_is_cancelled_while_a_connection_opens_leaves_its_place(self):
        hangs = [True]

        async def connect() -> str:
            if hangs:
                hangs.clear()
                await anyio.sleep_forever()
            return "connection"

        async with ResourcePool(connect, max_size=1) as pool:
            with anyio.move_on_after(0.01):
                async with pool.acquire():
                    pass
            async with pool.acquire(timeout=5) as connection:
                assert connection == "connection"

    @pytest.mark.anyio
    async def test_an_error_of_the_factory_passes_and_leaves_its_place(self):
        errors = [OSError("refused")]

        def connect() -> str:
            if errors:
                raise errors.pop()
            return "connection"

        async with ResourcePool(connect, max_size=1) as pool:
            with pytest.raises(OSError, match="refused"):
                async with pool.acquire():
                    pass
            async with pool.acquire(timeout=5) as connection:
                assert connection == "connection"


class TestReplacing:
    @pytest.mark.anyio
    async def test_after_an_error_the_connection_is_closed_and_replaced(self, database):
        async with ResourcePool(database.connect, max_size=1) as pool:
            with suppress(OSError):
                async with pool.acquire():
                    raise OSError("broken pipe")
            assert database.still_open == []
            async with pool.acquire() as connection:
                assert connection.number == 1

    @pytest.mark.anyio
    async def test_after_an_error_that_does_not_matter_it_is_kept(self, database):
        async with ResourcePool(database.connect, max_size=1, keep_on=(KeyError,)) as pool:
            with suppress(KeyError):
                async with pool.acquire():
                    raise KeyError("no such row")
            async with pool.acquire() as connection:
                assert connection.number == 0

    @pytest.mark.anyio
    async def test_after_a_cancellation_it_is_closed_all_the_same(self, database):
        async with ResourcePool(database.connect, max_size=1) as pool:
            with anyio.move_on_after(0.01):
                async with pool.acquire():
                    await anyio.sleep_forever()

            assert database.still_open == []
            assert pool.info().in_use == 0

    @pytest.mark.parametrize("kind", ["function", "coroutine function", "raises"])
    @pytest.mark.anyio
    async def test_one_that_does_not_pass_its_check_is_replaced(self, kind, database):
        async def check_later(connection: Connection) -> bool:
            await anyio.lowlevel.checkpoint()
            return not connection.broken

        def check_loudly(connection: Connection) -> bool:
            if connection.broken:
                raise OSError("gone")
            return True

        checks = {
            "function": lambda connection: not connection.broken,
            "coroutine function": check_later,
            "raises": check_loudly,
        }

        async with ResourcePool(database.connect, max_size=1, check=checks[kind]) as pool:
            async with pool.acquire():
                pass
            async with pool.acquire() as connection:
                assert connection.number == 0
            database.made[0].broken = True
            async with pool.acquire() as connection:
                assert connection.number == 1

        assert database.still_open == []

    @pytest.mark.anyio
    async def test_one_can_be_discarded_by_hand(self, database):
        async with ResourcePool(database.connect, max_size=1) as pool:
            async with pool.acquire() as connection:
                pool.discard(connection)
            async with pool.acquire() as connection:
                assert connection.number == 1
            with pytest.raises(ValueError, match="Connection is not lent out by the pool 'connect'"):
                pool.discard(connection)

    @pytest.mark.anyio
    async def test_one_that_cannot_even_be_closed_disturbs_nobody(self, caplog):
        caplog.set_level("INFO", "honeyhive.resilience")

        def close(connection: object) -> None:
            raise OSError("closed already")

        async with ResourcePool(object, close=close, name="db") as pool:
            with suppress(ValueError):
                async with pool.acquire():
                    raise ValueError

        assert caplog.messages == ["closing a member of pool 'db' failed with OSError"]


class TestSize:
    @pytest.mark.anyio
    async def test_some_can_be_made_at_the_start(self, database):
        async with ResourcePool(database.connect, max_size=5, min_size=2) as pool:
            assert len(database.made) == 2
            assert pool.info().idle == 2

    @pytest.mark.anyio
    async def test_if_one_of_them_fails_the_others_are_closed(self, database):
        async def connect() -> Connection:
            if len(database.made) == 2:
                raise OSError("refused")
            return await database.connect()

        with pytest.raises(OSError, match="refused"):
            async with ResourcePool(connect, min_size=3):
                pass

        assert database.still_open == []

    @pytest.mark.anyio
    async def test_what_was_idle_for_too_long_is_closed_down_to_the_minimum(self, database, clock):
        async with ResourcePool(database.connect, max_size=4, min_size=1, max_idle=60, clock=clock) as pool:
            async with pool.acquire(), pool.acquire(), pool.acquire():
                pass
            clock.advance(60)
            async with pool.acquire() as connection:
                assert connection.number == 3

            assert pool.info().idle == 1

    @pytest.mark.anyio
    async def test_what_was_used_last_is_lent_first(self, database):
        async with ResourcePool(database.connect, max_size=3) as pool:
            async with pool.acquire(), pool.acquire() as last:
                pass
            async with pool.acquire() as first, pool.acquire():
                assert first is not last

        assert len(database.made) == 2


class TestClosing:
    @pytest.mark.anyio
    async def test_one_that_is_lent_out_is_closed_when_it_comes_back(self, database):
        pool = await ResourcePool(database.connect).__aenter__()

        async with pool.acquire():
            await pool.aclose()
            assert database.still_open == [0]

        assert database.still_open == []

    @pytest.mark.anyio
    async def test_those_who_wait_are_told(self, database):
        caught = []

        async def wait(pool) -> None:
            try:
                async with pool.acquire():
                    pass
            except RuntimeError as error:
                caught.append(str(error))

        pool = ResourcePool(database.connect, max_size=1, name="db")
        async with anyio.create_task_group() as group, pool, pool.acquire():
            group.start_soon(wait, pool)
            await anyio.wait_all_tasks_blocked()
            await pool.aclose()

        assert caught == ["the pool 'db' is not open; use it within `async with`"]

    @pytest.mark.anyio
    async def test_errors_of_closing_are_raised_when_all_are_closed(self):
        closed = []

        def close(resource: object) -> None:
            closed.append(resource)
            raise OSError("gone")

        pool = await ResourcePool(object, close=close, min_size=3).__aenter__()

        with pytest.raises(ExceptionGroup, match="closing the pool 'object'") as caught:
            await pool.aclose()

        assert len(closed) == 3
        assert len(caught.value.exceptions) == 3

    def test_one_that_never_closes_is_given_up(self, caplog):
        async def close(resource: object) -> None:
            await trio.sleep_forever()

        async def use() -> None:
            async with ResourcePool(object, close=close, name="db", min_size=1):
                pass

        trio.run(use, clock=trio.testing.MockClock(autojump_threshold=0))

        assert caplog.messages == ["closing a member of pool 'db' was given up after 5 s"]

    @pytest.mark.anyio
    async def test_it_can_be_opened_again(self, database):
        pool = ResourcePool(database.connect)

        for _ in range(2):
            async with pool, pool.acquire() as connection:
                await connection.query()

        assert len(database.made) == 2


steps = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["work", "fail", "cancel"])), max_size=25)


@given(steps, st.integers(1, 4))
def test_whatever_workers_do_the_bound_holds_and_all_is_closed(workers, most):
    database = Database()
    lent = peak = 0

    async def worker(pool, pause: int, fate: str) -> None:
        nonlocal lent, peak
        with trio.move_on_after(1 if fate == "cancel" else 1000), suppress(ValueError):
            async with pool.acquire() as connection:
                lent += 1
                peak = max(peak, lent)
                try:
                    await connection.query()
                    await trio.sleep(pause)
                    if fate == "fail":
                        raise ValueError
                finally:
                    lent -= 1

    async def run() -> None:
        async with ResourcePool(database.connect, max_size=most) as pool:
            async with trio.open_nursery() as nursery:
                for pause, fate in workers:
                    nursery.start_soon(worker, pool, pause, fate)
            assert pool.info().in_use == 0
            async with trio.open_nursery() as nursery:
                for _ in range(most):
                    nursery.start_soon(worker, pool, 0, "work")

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))

    assert peak <= most
    assert database.still_open == []


@pytest.mark.acceptance("H18")
@pytest.mark.anyio
async def test_lending_is_on_the_current_span(recording, facts_of, events_of, database, clock):
    async with ResourcePool(database.connect, name="db", clock=clock) as pool:
        with recording() as span:
            async with pool.acquire():
                pass
            with suppress(OSError):
                async with pool.acquire():
                    raise OSError

    assert facts_of(span) == {"pool.acquired": 2, "pool.opened": 1, "pool.queue_s": 0.0, "events": 1}
    assert events_of(span) == [("pool.discarded", {"pool": "db", "reason": "its block ended with OSError"})]


class TestMisuse:
    @pytest.mark.parametrize(
        "options",
        [{"max_size": 0}, {"min_size": -1}, {"min_size": 11}, {"acquire_timeout": 0}, {"max_idle": -1}],
    )
    def test_a_number_out_of_range_is_refused(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            ResourcePool(object, **options)

    @pytest.mark.parametrize("options", [{"max_size": "5"}, {"keep_on": KeyError}, {"acquire_timeout": "2"}])
    def test_a_wrong_type_is_refused(self, options):
        with pytest.raises(TypeError, match=next(iter(options))):
            ResourcePool(object, **options)

    def test_a_resource_in_place_of_a_factory_is_refused(self):
        with pytest.raises(TypeError, match="it must be a function that makes a resource"):
            ResourcePool([1, 2, 3])

    @pytest.mark.anyio
    async def test_a_pool_is_opened_before_it_is_used(self):
        with pytest.raises(RuntimeError, match="'object' is not open; use it within `async with`"):
            async with ResourcePool(object).acquire():
                pass

    @pytest.mark.anyio
    async def test_a_pool_is_opened_once_at_a_time(self):
        async with ResourcePool(object) as pool:
            with pytest.raises(RuntimeError, match="is open already"):
                await pool.__aenter__()

    def test_a_pool_stays_in_its_event_loop(self):
        async def use(pool) -> None:
            async with pool.acquire():
                pass

        pool = ResourcePool(object)
        asyncio.run(pool.__aenter__())

        with pytest.raises(RuntimeError, match="was opened in another event loop"):
            asyncio.run(use(pool))

    @pytest.mark.anyio
    async def test_a_context_manager_closes_itself(self, database):
        async with ResourcePool(database.session, close=lambda session: None) as pool:
            with pytest.raises(TypeError, match="leave close out"):
                async with pool.acquire():
                    pass
