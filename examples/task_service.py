"""One class that serves HTTP, handles messages, runs on time and holds WebSocket connections.

    honeyhive run task_service:service all --port 8000

or each role as a process of its own, with a database and a broker that they share::

    DATABASE_URL=postgresql+asyncpg://... REDIS_URL=redis://... honeyhive run task_service:service http
    DATABASE_URL=postgresql+asyncpg://... REDIS_URL=redis://... honeyhive run task_service:service worker
    DATABASE_URL=postgresql+asyncpg://... REDIS_URL=redis://... honeyhive run task_service:service scheduler

Everything in a handler comes from the same hooks, whoever has called it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.websockets import WebSocket

from honeyhive.events import AsyncMessageBus, Event, MessageBus
from honeyhive.runtime import (
    Crud,
    MemoryTickLedger,
    Provider,
    Publishing,
    Service,
    Sockets,
    SqlSession,
    SqlTickLedger,
    TickLedger,
    Token,
    Tracing,
    controller,
    every,
    get,
    on_message,
    post,
    use_execution,
    use_publisher,
    use_session,
    use_ws_manager,
    websocket,
)


class Config(BaseModel):
    """Read from the environment, once for each process."""

    database_url: str = "sqlite+aiosqlite:///tasks.db"
    redis_url: str | None = None
    owner: str = "everybody"


class Base(DeclarativeBase):
    """Of all tables."""


class TaskEntity(Base):
    """A task as it is stored."""

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    noted_by: Mapped[str | None]


class NewTask(BaseModel):
    """A task as it is asked for."""

    title: str


class Task(NewTask):
    """A task as it is answered."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    noted_by: str | None


class TaskCreated(Event):
    """What others are told of a new task."""

    task_id: int


@controller("/tasks")
class Tasks:
    """All there is to tasks.

    Args:
        owner: Whose tasks these are.
    """

    def __init__(self, owner: Annotated[str, Token("OWNER")]) -> None:
        self.owner = owner
        self.tasks = Crud(TaskEntity, use_session)

    @post("/", status_code=201)
    async def create(self, task: NewTask) -> Task:
        """Store a task, tell whoever looks, publish it, answer: all or nothing."""
        created = await self.tasks.create(task)
        await use_ws_manager().broadcast(f"{self.owner}: new task {task.title}")
        await use_publisher().publish(TaskCreated(task_id=created.id))
        return Task.model_validate(created)

    @get("/{task_id}")
    async def read(self, task_id: int) -> Task | None:
        """Return one task."""
        found = await self.tasks.get(task_id)
        return None if found is None else Task.model_validate(found)

    @on_message(TaskCreated)
    async def note(self, message: TaskCreated) -> None:
        """Note in the database, by whatever worker, that the message has arrived."""
        await self.tasks.update(message.task_id, {"noted_by": use_execution().name})

    @every("* * * * * *")
    async def count(self) -> None:
        """Tell everybody each second how many tasks there are."""
        number = await use_session().scalar(select(func.count()).select_from(TaskEntity))
        await use_ws_manager().broadcast(f"{number} tasks")

    @websocket("/live")
    async def live(self, socket: WebSocket) -> None:
        """Hold the connection of somebody who looks."""
        async with use_ws_manager().connected(socket):
            async for _ in socket.iter_text():
                pass


async def database(config: Config) -> AsyncIterator[AsyncEngine]:
    """One engine for each process; makes the table where there is none."""
    engine = create_async_engine(config.database_url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


async def bus(config: Config) -> AsyncIterator[MessageBus]:
    """In memory, as long as everything is one process."""
    if config.redis_url is None:
        yield AsyncMessageBus()
        return
    from honeyhive.events import RedisMessageBus

    async with RedisMessageBus(config.redis_url, name="tasks", group="workers") as opened:
        yield opened


async def ledger(config: Config, engine: AsyncEngine) -> AsyncIterator[TickLedger]:
    """Several schedulers agree in the database."""
    if config.redis_url is None:
        yield MemoryTickLedger()
        return
    async with SqlTickLedger(engine) as opened:
        yield opened


def sessions(engine: AsyncEngine) -> SqlSession:
    """Give every execution a session of its own."""
    return SqlSession(engine)


def owner_of(config: Config) -> str:
    """Say whose tasks these are."""
    return config.owner


providers: list[Any] = [database, bus, ledger, Provider(str, owner_of, token=Token("OWNER"))]
service = Service(
    "tasks",
    providers=providers,
    controllers=[Tasks],
    # Entered from the first to the last, left in reverse: a message leaves after the commit.
    interceptors=[Tracing(), Sockets, Publishing, sessions],
    config=Config,
)
