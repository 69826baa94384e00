"""Scopes: their names, their states, and what code inside sees of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from honeyhive import State, ctx
from honeyhive.exceptions import MissingStateError, NoScopeError, StateError
from honeyhive.scope import Scope

Element = TypeVar("Element")


class Config(State):
    retries: int = 3


class Database(State):
    url: str


class Box(State, Generic[Element]):
    items: Sequence[Element] = ()


@runtime_checkable
class EmailSending(Protocol):
    async def __call__(self, to: str, subject: str) -> bool: ...


class Notifications(State):
    email_sending: EmailSending

    @classmethod
    async def notify(cls, user: str) -> bool:
        return await ctx.state(cls).email_sending(to=f"{user}@example.com", subject="Hello")


class TestNames:
    @pytest.mark.acceptance("H5")
    @pytest.mark.acceptance("H6")
    @pytest.mark.anyio
    async def test_the_current_scope_has_the_name_it_was_opened_with(self) -> None:
        async with ctx.scope("application") as scope:
            assert "application" == ctx.current().name
            assert ctx.current() is scope

    @pytest.mark.anyio
    async def test_scopes_nest_and_know_their_path(self) -> None:
        async with ctx.scope("app") as app:
            async with ctx.scope("orders") as orders:
                assert ("app", "orders") == ctx.current().path
                assert orders.parent is app

            assert ctx.current() is app

    @pytest.mark.anyio
    async def test_each_scope_has_an_id_of_its_own(self) -> None:
        async with ctx.scope("app") as first, ctx.scope("app") as second:
            assert first.id == first.id != second.id
            assert 16 == len(first.id)

    @pytest.mark.anyio
    async def test_a_scope_that_was_left_is_open_no_more(self) -> None:
        async with ctx.scope("app") as scope:
            assert scope.is_open

        assert not scope.is_open
        with pytest.raises(NoScopeError, match=r"ctx\.current\(\) needs an open scope"):
            ctx.current()

    def test_a_scope_without_tasks_works_without_an_event_loop(self) -> None:
        with ctx.scope("script", Config(retries=1)) as scope:
            assert ctx.current() is scope
            assert 1 == ctx.state(Config).retries


class TestDecorator:
    @pytest.mark.anyio
    async def test_each_call_of_a_decorated_function_has_a_scope_of_its_own(self) -> None:
        @ctx.scope("job", Config(retries=7))
        async def job(times: int) -> tuple[int, Scope]:
            return times * ctx.state(Config).retries, ctx.current()

        (first, one), (second, other) = await job(1), await job(times=2)

        assert (7, 14) == (first, second)
        assert one is not other

    def test_plain_functions_can_be_decorated_too(self) -> None:
        @ctx.scope("job", Config(retries=7))
        def job() -> int:
            return ctx.state(Config).retries

        assert 7 == job()
        assert "job" == job.__name__

    def test_a_generator_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(TypeError, match="open the scope inside"):

            @ctx.scope("job")
            async def stream() -> Any:
                yield 1


class TestLookingUp:
    @pytest.mark.acceptance("H7")
    @pytest.mark.anyio
    async def test_a_state_is_found_by_its_class(self) -> None:
        config = Config(retries=5)

        async with ctx.scope("app", config, Database(url="x")):
            assert ctx.state(Config) is config
            assert "x" == ctx.state(Database).url

    @pytest.mark.anyio
    async def test_an_inner_scope_hides_the_states_of_outer_ones_of_the_same_class_only(self) -> None:
        async with ctx.scope("app", Config(retries=1), Database(url="outer")):
            async with ctx.scope("inner", Config(retries=2)):
                assert 2 == ctx.state(Config).retries
                assert "outer" == ctx.state(Database).url

            assert 1 == ctx.state(Config).retries

    @pytest.mark.anyio
    async def test_of_several_states_of_one_class_the_last_one_counts(self) -> None:
        preset = [Config(retries=1), Database(url="x")]

        async with ctx.scope("app", *preset, Config(retries=2)):
            assert 2 == ctx.state(Config).retries

    @pytest.mark.anyio
    async def test_generic_states_are_told_apart_by_their_arguments(self) -> None:
        async with ctx.scope("app", Box[int](items=[1]), Box[str](items=["x"])):
            assert (1,) == ctx.state(Box[int]).items
            assert ("x",) == ctx.state(Box[str]).items
            assert () == ctx.state(Box).items

    @pytest.mark.anyio
    async def test_a_state_of_defaults_alone_is_made_once_and_shared_by_all_scopes(self) -> None:
        async with ctx.scope("app"):
            async with ctx.scope("one"):
                first = ctx.state(Box[int])
            async with ctx.scope("other"):
                assert ctx.state(Box[int]) is first

    @pytest.mark.anyio
    async def test_outermost_scopes_share_nothing(self) -> None:
        async with ctx.scope("app"):
            first = ctx.state(Config)

        async with ctx.scope("app"):
            assert ctx.state(Config) is not first

    @pytest.mark.anyio
    async def test_what_is_missing_is_named_with_the_way_to_provide_it(self) -> None:
        async with ctx.scope("app"), ctx.scope("orders"):
            with pytest.raises(MissingStateError) as caught:
                ctx.state(Database)

        message = str(caught.value)
        assert "no scope here provides Database; the scopes are app > orders" in message
        assert "ctx.scope(..., Database(...))" in message
        assert isinstance(caught.value.__cause__, StateError)

    @pytest.mark.anyio
    async def test_a_related_class_is_pointed_out(self) -> None:
        class Replica(Database):
            lag: int = 0

        async with ctx.scope("app", Replica(url="x")):
            with pytest.raises(MissingStateError, match="there is Replica, which is another class"):
                ctx.state(Database)

    def test_without_a_scope_nothing_is_found_nor_made(self) -> None:
        with pytest.raises(NoScopeError, match=r"Config is provided by no scope, for none is open here; give one"):
            ctx.state(Config)

    def test_a_default_stands_in_wherever_nothing_is_provided(self) -> None:
        assert ctx.state(Config, None) is None
        with ctx.scope("app"):
            assert 9 == ctx.state(Config, default=Config(retries=9)).retries
            assert not ctx.has_state(Config)

    @pytest.mark.anyio
    async def test_one_may_ask_whether_a_state_is_provided(self) -> None:
        async with ctx.scope("app", Config()), ctx.scope("inner"):
            assert ctx.has_state(Config)
            assert not ctx.has_state(Database)

        assert not ctx.has_state(Config)

    @pytest.mark.parametrize("kind", [int, "Config", Config(), None])
    @pytest.mark.parametrize("ask", [ctx.state, ctx.has_state])
    def test_only_state_classes_can_be_looked_up(self, ask: Callable[[Any], object], kind: Any) -> None:
        with pytest.raises(TypeError, match="looked up by their class"):
            ask(kind)


class TestUpdating:
    @pytest.mark.acceptance("A21")
    @pytest.mark.anyio
    async def test_an_update_is_seen_by_everybody_in_the_scope_that_provides_the_state(self) -> None:
        async with ctx.scope("app", Config(retries=1)):
            async with ctx.scope("inner"):
                ctx.update_state(ctx.state(Config).updated(retries=2))
                assert 2 == ctx.state(Config).retries

            assert 2 == ctx.state(Config).retries

    @pytest.mark.anyio
    async def test_an_update_leaves_alone_what_it_does_not_reach(self) -> None:
        outer = Config(retries=1)

        async with ctx.scope("app", outer):
            async with ctx.scope("inner", Config(retries=5)):
                ctx.update_state(Config(retries=6))

            assert ctx.state(Config) is outer

    @pytest.mark.anyio
    async def test_a_state_that_could_be_made_can_be_updated(self) -> None:
        async with ctx.scope("app"), ctx.scope("inner"):
            ctx.update_state(Config(retries=4))

            assert 4 == ctx.state(Config).retries

    @pytest.mark.anyio
    async def test_an_update_of_what_nobody_provides_is_an_error(self) -> None:
        async with ctx.scope("app"):
            with pytest.raises(MissingStateError, match="no scope here provides Database"):
                ctx.update_state(Database(url="x"))

    def test_an_update_needs_a_scope_and_a_state(self) -> None:
        with pytest.raises(NoScopeError):
            ctx.update_state(Config())
        with pytest.raises(TypeError, match="takes a State, not int"):
            ctx.update_state(1)  # type: ignore[arg-type]


class TestConcurrency:
    @pytest.mark.acceptance("H2")
    @pytest.mark.anyio
    async def test_tasks_do_not_see_one_anothers_scopes(self) -> None:
        seen: dict[int, int] = {}

        async def work(number: int) -> None:
            async with ctx.scope("work", Config(retries=number)):
                await checkpoint()
                seen[number] = ctx.state(Config).retries

        async with ctx.scope("app", Config(retries=-1)), anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(work, number)

        assert {number: number for number in range(20)} == seen

    @pytest.mark.anyio
    async def test_a_thread_sees_the_scope_it_was_started_in(self) -> None:
        async with ctx.scope("app", Config(retries=8)):
            assert 8 == await anyio.to_thread.run_sync(lambda: ctx.state(Config).retries)

    def test_threads_share_the_state_that_is_made_for_them(self) -> None:
        start, found = threading.Barrier(8), []

        def look(context: Any) -> None:
            start.wait()
            found.append(context.run(ctx.state, Config))

        import contextvars

        with ctx.scope("app"):
            threads = [threading.Thread(target=look, args=[contextvars.copy_context()]) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert 1 == len({id(state) for state in found})


class TestServices:
    @pytest.mark.acceptance("H3")
    @pytest.mark.acceptance("H24")
    @pytest.mark.acceptance("H31")
    @pytest.mark.acceptance("H32")
    @pytest.mark.acceptance("H33")
    @pytest.mark.anyio
    async def test_a_service_calls_the_function_that_the_scope_was_given(self) -> None:
        sent: list[str] = []

        async def smtp(to: str, subject: str) -> bool:
            sent.append(f"{to}: {subject}")
            return True

        def smtp_notifications() -> Notifications:
            return Notifications(email_sending=smtp)

        async with ctx.scope("app", smtp_notifications()):
            assert await Notifications.notify("ada")

        assert ["ada@example.com: Hello"] == sent

    @pytest.mark.anyio
    async def test_a_test_gives_another_implementation(self) -> None:
        async def refuse(to: str, subject: str) -> bool:
            return False

        async def real(to: str, subject: str) -> bool:
            raise AssertionError("not in a test")

        async with (
            ctx.scope("app", Notifications(email_sending=real)),
            ctx.scope("test", Notifications(email_sending=refuse)),
        ):
            assert not await Notifications.notify("ada")

    @pytest.mark.acceptance("A17")
    @pytest.mark.anyio
    async def test_a_bus_in_a_scope_tells_all_its_subscribers(self) -> None:
        class EventBus(State):
            subscribers: dict[str, list[Callable[..., Any]]] = {}

            @classmethod
            def subscribe(cls, event_type: str, handler: Callable[..., Any]) -> None:
                bus = ctx.state(cls)
                if event_type not in bus.subscribers:
                    bus.subscribers[event_type] = []
                bus.subscribers[event_type].append(handler)

            @classmethod
            async def publish(cls, event_type: str, data: Mapping[str, str]) -> None:
                for handler in ctx.state(cls).subscribers.get(event_type, ()):
                    await handler(data)

        told: list[tuple[str, str]] = []

        async def welcome(user: Mapping[str, str]) -> None:
            told.append(("welcome", user["email"]))

        async def count(user: Mapping[str, str]) -> None:
            told.append(("count", user["email"]))

        async with ctx.scope("app", EventBus()):
            EventBus.subscribe("created", welcome)
            async with ctx.scope("inner"):
                EventBus.subscribe("created", count)
            await EventBus.publish("created", {"email": "ada@example.com"})
            await EventBus.publish("deleted", {"email": "ada@example.com"})

        assert [("welcome", "ada@example.com"), ("count", "ada@example.com")] == told
        with ctx.scope("other", EventBus()):
            assert {} == ctx.state(EventBus).subscribers


@pytest.mark.acceptance("H19")
def test_the_types_that_programs_name_are_public() -> None:
    from honeyhive import models, scope

    assert {"Disposable", "Scope", "ScopeBlock", "TaskHandle", "TaskPolicy", "ctx"} == set(scope.__all__)
    assert {"Path", "State", "path"} <= set(models.__all__)
