"""SQLAlchemy sessions, one for each execution, and the four operations on an entity."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from honeyhive.models.state import State
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.hooks import found_or_none, use_session

__all__ = ["Crud", "Sessions", "SqlSession"]

E = TypeVar("E")


class Sessions(State):
    """What `SqlSession` puts into the scope: the sessions of this execution by name."""

    by_name: Mapping[str, AsyncSession]


class SqlSession:
    """The interceptor behind `use_session`: a session of its own for each execution, in one transaction.

    The transaction is committed when everything inside has succeeded, before an HTTP answer leaves, and rolled back on
    an exception. A session that nobody uses takes no connection.

    Args:
        engine: The database: an engine, which stays yours, or a URL such as ``postgresql+asyncpg://...``.
        name: Tells databases apart: ``use_session("reports")``.
    """

    def __init__(self, engine: AsyncEngine | str, *, name: str = "default") -> None:
        self.engine = create_async_engine(engine) if isinstance(engine, str) else engine
        self.name = name
        self._owns_engine = isinstance(engine, str)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owns_engine:
            await self.engine.dispose()

    @asynccontextmanager
    async def intercept(self, _: Execution) -> AsyncGenerator[Sessions]:
        """Open a session and begin a transaction."""
        others = found_or_none(Sessions)
        async with self._sessions.begin() as session:
            yield Sessions(by_name={**(others.by_name if others is not None else {}), self.name: session})


class Crud(Generic[E]):
    """Create, read, update and delete of one SQLAlchemy entity, in the session of the execution.

    Args:
        entity: The mapped class.
        session: Returns the session to work in.
    """

    def __init__(self, entity: type[E], session: Callable[[], AsyncSession] = use_session) -> None:
        self._entity = entity
        self._session = session

    async def create(self, values: BaseModel | Mapping[str, Any]) -> E:
        """Store a new entity made of *values*, and return it with what the database has filled in."""
        created = self._entity(**_fields(values))
        session = self._session()
        session.add(created)
        await session.flush()
        await session.refresh(created)
        return created

    async def get(self, key: object) -> E | None:
        """Return the entity with the primary key *key*, or ``None``."""
        return await self._session().get(self._entity, key)

    async def list(self, *, limit: int = 100, offset: int = 0, **equal: object) -> Sequence[E]:
        """Return the entities whose columns *equal* what is given, in the order of their primary keys."""
        query = select(self._entity).filter_by(**equal).order_by(*inspect(self._entity).primary_key)
        found = await self._session().scalars(query.limit(limit).offset(offset))
        return found.all()

    async def update(self, key: object, values: BaseModel | Mapping[str, Any]) -> E:
        """Change the entity with the primary key *key*: of a model only the fields that were set.

        Raises:
            LookupError: There is no such entity.
        """
        changed = await self._required(key)
        for name, value in _fields(values, only_set=True).items():
            setattr(changed, name, value)
        session = self._session()
        await session.flush()
        await session.refresh(changed)
        return changed

    async def delete(self, key: object) -> None:
        """Delete the entity with the primary key *key*.

        Raises:
            LookupError: There is no such entity.
        """
        session = self._session()
        await session.delete(await self._required(key))
        await session.flush()

    async def _required(self, key: object) -> E:
        found = await self.get(key)
        if found is None:
            raise LookupError(f"there is no {self._entity.__name__} with key {key!r}")
        return found


def _fields(values: BaseModel | Mapping[str, Any], *, only_set: bool = False) -> dict[str, Any]:
    return values.model_dump(exclude_unset=only_set) if isinstance(values, BaseModel) else dict(values)
