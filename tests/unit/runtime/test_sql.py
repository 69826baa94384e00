"""Database sessions of executions: one each, committed or rolled back, the same hook everywhere; and CRUD."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from honeyhive.exceptions import MissingInterceptorError
from honeyhive.runtime import Crud, HttpExecution, SqlSession, intercepted, use_session

pytestmark = pytest.mark.anyio

REQUEST = HttpExecution(name="GET /", method="GET", path="/")


class Base(DeclarativeBase):
    pass


class TaskEntity(Base):
    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    done: Mapped[bool] = mapped_column(default=False)


class NewTask(BaseModel):
    title: str
    done: bool = False


class TaskChange(BaseModel):
    title: str | None = None
    done: bool | None = None


async def database(path: Path) -> str:
    url = f"sqlite+aiosqlite:///{path}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    return url


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[SqlSession]:
    async with SqlSession(await database(tmp_path / "tasks.db")) as interceptor:
        yield interceptor


async def titles(sessions: SqlSession) -> list[str]:
    async with intercepted(REQUEST, [sessions]):
        return list(await use_session().scalars(select(TaskEntity.title).order_by(TaskEntity.id)))


@pytest.mark.acceptance("J33")
async def test_what_an_execution_has_stored_is_committed_when_it_succeeds(sessions: SqlSession) -> None:
    async with intercepted(REQUEST, [sessions]):
        use_session().add(TaskEntity(title="tea"))

    assert ["tea"] == await titles(sessions)


async def test_what_an_execution_has_stored_is_gone_when_it_fails(sessions: SqlSession) -> None:
    async def fail() -> None:
        async with intercepted(REQUEST, [sessions]):
            use_session().add(TaskEntity(title="tea"))
            await use_session().flush()
            raise ValueError("theirs")

    with pytest.raises(ValueError, match="theirs"):
        await fail()

    assert [] == await titles(sessions)


@pytest.mark.acceptance("J18")
async def test_each_execution_has_a_session_of_its_own(sessions: SqlSession) -> None:
    async with intercepted(REQUEST, [sessions]):
        first = use_session()
        assert first is use_session()

    async with intercepted(REQUEST, [sessions]):
        assert first is not use_session()


async def test_databases_are_told_apart_by_name(sessions: SqlSession, tmp_path: Path) -> None:
    async with SqlSession(await database(tmp_path / "reports.db"), name="reports") as reports:
        async with intercepted(REQUEST, [sessions, reports]):
            use_session().add(TaskEntity(title="in default"))
            use_session("reports").add(TaskEntity(title="in reports"))

            with pytest.raises(MissingInterceptorError, match="SqlSession\\(url, name='audit'\\)"):
                use_session("audit")

        async with intercepted(REQUEST, [reports]):
            stored = list(await use_session("reports").scalars(select(TaskEntity.title)))

    assert ["in reports"] == stored
    assert ["in default"] == await titles(sessions)


@pytest.mark.acceptance("J24")
async def test_create_read_update_and_delete_come_ready_for_an_entity(sessions: SqlSession) -> None:
    tasks = Crud(TaskEntity, use_session)

    async with intercepted(REQUEST, [sessions]):
        created = await tasks.create(NewTask(title="tea"))
        await tasks.create({"title": "milk"})
        changed = await tasks.update(created.id, TaskChange(done=True))
        listed = await tasks.list(done=False)
        await tasks.delete(listed[0].id)
        left = await tasks.list()

    assert (1, "tea", True) == (created.id, changed.title, changed.done)
    assert ["milk"] == [task.title for task in listed]
    assert ["tea"] == [task.title for task in left]


async def test_what_is_not_there_can_be_neither_changed_nor_deleted(sessions: SqlSession) -> None:
    tasks = Crud(TaskEntity)

    async with intercepted(REQUEST, [sessions]):
        assert await tasks.get(7) is None
        with pytest.raises(LookupError, match="no TaskEntity with key 7"):
            await tasks.update(7, TaskChange(done=True))
        with pytest.raises(LookupError, match="no TaskEntity with key 7"):
            await tasks.delete(7)
