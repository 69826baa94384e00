"""A tick ledger in PostgreSQL or SQLite, through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from honeyhive.exceptions import ConfigurationError
from honeyhive.runtime.ledgers.interface import Claim

__all__ = ["SqlTickLedger"]

_METADATA: Final = sa.MetaData()
_TICKS: Final = sa.Table(
    "honeyhive_ticks",
    _METADATA,
    sa.Column("schedule", sa.Text, primary_key=True),
    sa.Column("tick_s", sa.BigInteger, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("lease_until_s", sa.Double, nullable=False),  # of a finished tick: when it was finished
    sa.Column("done", sa.Boolean, nullable=False),
)
_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_NOW_S: Final[dict[str, sa.ColumnElement[float]]] = {
    "postgresql": sa.literal_column("extract(epoch from clock_timestamp())", sa.Double),
    "sqlite": sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double),
}


class SqlTickLedger:
    """Keeps the ticks in the table ``honeyhive_ticks``; leases are measured by the database's clock alone.

    Enter it before use: ``async with SqlTickLedger(url) as ledger``; that makes the table where there is none.

    Args:
        engine: The database: an engine, which stays yours, or a URL such as ``postgresql+asyncpg://...``.
        remember_s: For how long a finished tick is remembered, in seconds.

    Raises:
        ConfigurationError: The database is neither PostgreSQL nor SQLite.
    """

    def __init__(self, engine: AsyncEngine | str, *, remember_s: float = 86_400.0) -> None:
        self._engine = create_async_engine(engine) if isinstance(engine, str) else engine
        self._owns_engine = isinstance(engine, str)
        self._remember_s = remember_s
        dialect = self._engine.dialect.name
        if dialect not in _INSERT:
            raise ConfigurationError(f"SqlTickLedger works with PostgreSQL and SQLite, not with {dialect}")
        self._insert = _INSERT[dialect]
        self._now_s = _NOW_S[dialect]

    async def __aenter__(self) -> Self:
        async with self._engine.connect() as connection:
            if await connection.run_sync(lambda sync: sa.inspect(sync).has_table(_TICKS.name)):
                return self
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(_METADATA.create_all)
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
            # PostgreSQL says in either way that another process has made the table at the same moment.
            async with self._engine.connect() as connection:
                if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(_TICKS.name)):
                    raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owns_engine:
            await self._engine.dispose()

    async def claim(self, schedule: str, tick: datetime, lease_s: float) -> Claim | None:
        """Return the right to run *tick*, or ``None`` if it is done or another has it."""
        owner = uuid4().hex
        wanted = self._insert(_TICKS).values(
            schedule=schedule,
            tick_s=_seconds(tick),
            owner=owner,
            attempt=1,
            lease_until_s=self._now_s + lease_s,
            done=sa.false(),
        )
        claimed = wanted.on_conflict_do_update(
            index_elements=[_TICKS.c.schedule, _TICKS.c.tick_s],
            set_={
                "owner": owner,
                "attempt": _TICKS.c.attempt + 1,
                "lease_until_s": self._now_s + lease_s,
            },
            where=sa.and_(_TICKS.c.done.is_(sa.false()), _TICKS.c.lease_until_s < self._now_s),
        ).returning(_TICKS.c.attempt)
        async with self._engine.begin() as connection:
            attempt = (await connection.execute(claimed)).scalar_one_or_none()
        return None if attempt is None else Claim(schedule, tick, owner, attempt)

    async def renew(self, claim: Claim, lease_s: float) -> bool:
        """Keep *claim* for *lease_s* seconds from now; false if it is lost."""
        return await self._change(claim, lease_until_s=self._now_s + lease_s)

    async def finish(self, claim: Claim) -> bool:
        """Mark the tick of *claim* as done; false if the claim was lost before."""
        kept = await self._change(claim, done=True, lease_until_s=self._now_s)
        await self._forget_before(claim)
        return kept

    async def last(self, schedule: str) -> datetime | None:
        """Return the newest tick of *schedule* that anyone has claimed, or ``None``."""
        newest = sa.select(sa.func.max(_TICKS.c.tick_s)).where(_TICKS.c.schedule == schedule)
        async with self._engine.connect() as connection:
            tick_s = (await connection.execute(newest)).scalar_one()
        return None if tick_s is None else datetime.fromtimestamp(tick_s, UTC)

    async def abandoned(self, schedules: Collection[str]) -> list[tuple[str, datetime]]:
        """Return the ticks of *schedules* that were claimed, are not done, and whose lease has run out."""
        left = sa.select(_TICKS.c.schedule, _TICKS.c.tick_s).where(
            _TICKS.c.schedule.in_(schedules), ~_TICKS.c.done, _TICKS.c.lease_until_s < self._now_s
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(left)).all()
        return [(schedule, datetime.fromtimestamp(tick_s, UTC)) for schedule, tick_s in rows]

    async def _forget_before(self, claim: Claim) -> None:
        old = sa.delete(_TICKS).where(
            _TICKS.c.schedule == claim.schedule,
            _TICKS.c.tick_s < _seconds(claim.tick),
            _TICKS.c.done,
            _TICKS.c.lease_until_s < self._now_s - self._remember_s,
        )
        async with self._engine.begin() as connection:
            await connection.execute(old)

    async def _change(self, claim: Claim, **values: object) -> bool:
        change = (
            sa.update(_TICKS)
            .where(
                _TICKS.c.schedule == claim.schedule,
                _TICKS.c.tick_s == _seconds(claim.tick),
                _TICKS.c.owner == claim.owner,
            )
            .values(**values)
        )
        async with self._engine.begin() as connection:
            return bool((await connection.execute(change)).rowcount)


def _seconds(tick: datetime) -> int:
    return int(tick.timestamp())
