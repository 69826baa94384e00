"""Sagas: steps across several aggregates or services, undone in reverse when a later one fails.

What has been done is written to an event store before the next step begins, so a saga that a crash has interrupted is
taken up by whoever calls `resume`::

    transfer = Saga(
        "transfer",
        store,
        [
            SagaStep("debit", debit, undo=credit_back),
            SagaStep("credit", credit),
        ],
    )
    transfer.execute("transfer-17", {"from": "a", "to": "b", "amount": 5})

An action may be called again when a crash came between its effect and the note of it. It must do its work once all the
same; `SagaContext.key` is the same each time and is meant for that, for example as the id of the event it saves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from honeyhive.events.aggregates import Aggregate
from honeyhive.events.messages import Event
from honeyhive.events.reactions import on
from honeyhive.events.steps import Steps, run, run_async
from honeyhive.events.store import AsyncEventLog, EventLog
from honeyhive.events.tracing import spanned
from honeyhive.exceptions import ConcurrencyError, SagaError
from honeyhive.utils.frozen import FrozenDict

__all__ = ["AsyncSaga", "Saga", "SagaContext", "SagaState", "SagaStatus", "SagaStep"]


class SagaStatus(Enum):
    """Where a saga is."""

    RUNNING = "running"
    COMPLETED = "completed"
    UNDOING = "undoing"
    UNDONE = "undone"
    STUCK = "stuck"
    """A step could not be undone; `resume` tries again."""


@dataclass(frozen=True, slots=True)
class SagaContext:
    """What an action is told.

    Attributes:
        saga_id: The saga.
        key: The same whenever this action of this saga is called, and different from all others.
        data: What the saga was begun with.
        results: What the steps before have returned, by their names.
    """

    saga_id: str
    key: str
    data: Mapping[str, Any]
    results: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SagaStep:
    """One step of a saga.

    Attributes:
        name: Unique within the saga; what is done is noted under it.
        action: Does the work, and returns plain values, which are kept. It has done nothing if it raises.
        undo: Takes back what *action* has done; nothing to be done without one.
    """

    name: str
    action: Callable[[SagaContext], Any]
    undo: Callable[[SagaContext], Any] | None = None


class SagaStarted(Event, type="honeyhive.saga.started"):
    """A saga has begun."""

    data: Mapping[str, Any]


class SagaStepDone(Event, type="honeyhive.saga.step_done"):
    """A step has done its work."""

    step: str
    result: Any = None


class SagaStepFailed(Event, type="honeyhive.saga.step_failed"):
    """A step has failed; those before it are to be undone."""

    step: str
    reason: str


class SagaStepUndone(Event, type="honeyhive.saga.step_undone"):
    """What a step had done is taken back."""

    step: str


class SagaUndoFailed(Event, type="honeyhive.saga.undo_failed"):
    """A step could not be undone."""

    step: str
    reason: str


class SagaCompleted(Event, type="honeyhive.saga.completed"):
    """All steps are done."""


class SagaUndone(Event, type="honeyhive.saga.undone"):
    """All that was done is taken back."""


_ENDED: Final = frozenset({SagaCompleted.type, SagaUndone.type})


@dataclass
class SagaState(Aggregate):
    """How far a saga is.

    Attributes:
        status: Where it is.
        data: What it was begun with.
        results: What the steps have returned that are done and not undone, by their names, in their order.
        failed_step: The step that failed; empty while none has.
        reason: Why it failed.
        stuck_step: The step that could not be undone.
        stuck_reason: Why it could not.
    """

    status: SagaStatus = SagaStatus.RUNNING
    data: Mapping[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    failed_step: str = ""
    reason: str = ""
    stuck_step: str = ""
    stuck_reason: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in {SagaStatus.COMPLETED, SagaStatus.UNDONE}

    @on(SagaStarted)
    def _started(self, event: SagaStarted) -> None:
        self.data = event.data

    @on(SagaStepDone)
    def _done(self, event: SagaStepDone) -> None:
        self.results[event.step] = event.result

    @on(SagaStepFailed)
    def _failed(self, event: SagaStepFailed) -> None:
        self.status = SagaStatus.UNDOING
        self.failed_step, self.reason = event.step, event.reason

    @on(SagaStepUndone)
    def _undone(self, event: SagaStepUndone) -> None:
        self.status = SagaStatus.UNDOING
        self.results.pop(event.step, None)

    @on(SagaUndoFailed)
    def _stuck(self, event: SagaUndoFailed) -> None:
        self.status = SagaStatus.STUCK
        self.stuck_step, self.stuck_reason = event.step, event.reason

    @on(SagaCompleted)
    def _completed(self, _: SagaCompleted) -> None:
        self.status = SagaStatus.COMPLETED

    @on(SagaUndone)
    def _ended(self, _: SagaUndone) -> None:
        self.status = SagaStatus.UNDONE


class _Execution:
    """What blocking and asynchronous sagas have in common: all but the waiting."""

    def __init__(self, name: str, store: EventLog | AsyncEventLog, steps: Sequence[SagaStep]) -> None:
        names = [step.name for step in steps]
        if not name or not steps or len(set(names)) < len(names):
            raise ValueError(f"a saga has a name and steps with names of their own, not {name!r} and {names}")
        self._name = name
        self._store = store
        self._steps = steps

    def execute(self, saga_id: str, data: Mapping[str, Any] | None) -> Steps[SagaState]:
        """Begin a saga, or go on with it, up to its end."""
        stream = self._stream(saga_id)
        state = SagaState.from_events((yield self._store.load(stream)))
        with spanned(f"saga {self._name}", {"honeyhive.saga.id": saga_id}):
            if not state.version:
                yield from self._note(stream, state, SagaStarted(data=FrozenDict(data or {})))
            if state.status is SagaStatus.RUNNING:
                yield from self._forward(saga_id, stream, state)
            if state.status in {SagaStatus.UNDOING, SagaStatus.STUCK}:
                yield from self._back(saga_id, stream, state)
            if state.status is SagaStatus.STUCK:
                raise SagaError(saga_id, state.stuck_step, state.stuck_reason, is_stuck=True)
            if state.status is SagaStatus.UNDONE:
                raise SagaError(saga_id, state.failed_step, state.reason)
        return state

    def resume(self) -> Steps[list[SagaState]]:
        """Go on with every saga that has not ended."""
        ended: list[SagaState] = []
        prefix = self._stream("")
        for facts in (yield self._store.streams(prefix)):
            if facts.last_type in _ENDED:
                continue
            try:
                yield from self.execute(facts.aggregate_id.removeprefix(prefix), None)
            except ConcurrencyError:
                continue  # somebody else is at it
            except SagaError:
                pass  # undone is an end too
            ended.append(SagaState.from_events((yield self._store.load(facts.aggregate_id))))
        return ended

    def state(self, saga_id: str) -> Steps[SagaState]:
        """Return how far a saga is."""
        return SagaState.from_events((yield self._store.load(self._stream(saga_id))))

    def _forward(self, saga_id: str, stream: str, state: SagaState) -> Steps[None]:
        for step in self._steps:
            if step.name in state.results:
                continue
            try:
                result = yield from self._call(step.action, f"{self._name} {step.name}", saga_id, step, state)
            except Exception as error:  # noqa: BLE001 -- whatever a step raises, the others are undone
                yield from self._note(stream, state, SagaStepFailed(step=step.name, reason=_told(error)))
                return
            yield from self._note(stream, state, SagaStepDone(step=step.name, result=result))
        yield from self._note(stream, state, SagaCompleted())

    def _back(self, saga_id: str, stream: str, state: SagaState) -> Steps[None]:
        for step in reversed(self._steps):
            if step.name not in state.results:
                continue
            try:
                if step.undo is not None:
                    yield from self._call(step.undo, f"undo {self._name} {step.name}", saga_id, step, state)
            except Exception as error:  # noqa: BLE001 -- noted, told and tried again by `resume`
                yield from self._note(stream, state, SagaUndoFailed(step=step.name, reason=_told(error)))
                return
            yield from self._note(stream, state, SagaStepUndone(step=step.name))
        yield from self._note(stream, state, SagaUndone())

    def _call(
        self, action: Callable[[SagaContext], Any], title: str, saga_id: str, step: SagaStep, state: SagaState
    ) -> Steps[Any]:
        verb = "undo" if action is step.undo else "do"
        context = SagaContext(
            saga_id, f"{self._stream(saga_id)}:{step.name}:{verb}", state.data, FrozenDict(state.results)
        )
        with spanned(title, {"honeyhive.saga.id": saga_id}):
            return (yield action(context))

    def _note(self, stream: str, state: SagaState, event: Event) -> Steps[None]:
        state.record(event)
        yield self._store.save(stream, state.changes, state.version)
        state.settle(state.version + 1)

    def _stream(self, saga_id: str) -> str:
        return f"saga:{self._name}:{saga_id}"


class Saga:
    """A kind of saga. Thread-safe; two workers at the same saga do each step once, and one of them gets an error.

    Args:
        name: The kind; what is done is kept under it.
        store: Where it is kept.
        steps: What is done, in this order.

    Raises:
        ValueError: A name is empty or comes twice, or there is no step.
    """

    def __init__(self, name: str, store: EventLog, steps: Sequence[SagaStep]) -> None:
        self._execution = _Execution(name, store, steps)

    def execute(self, saga_id: str, data: Mapping[str, Any] | None = None) -> SagaState:
        """Do all steps and return what they have returned; go on where an earlier call was interrupted.

        Args:
            saga_id: The saga; calling again with the same one does nothing twice.
            data: Plain values for the actions; taken from the first call.

        Raises:
            SagaError: A step failed, and what was done is undone, or is not and the saga is stuck.
            ConcurrencyError: Another worker is at it.
        """
        return run(self._execution.execute(saga_id, data))

    def resume(self) -> list[SagaState]:
        """Go on with every saga of this kind that has not ended, after a crash, and return how far they are."""
        return run(self._execution.resume())

    def state(self, saga_id: str) -> SagaState:
        """Return how far a saga is."""
        return run(self._execution.state(saga_id))


class AsyncSaga:
    """`Saga` for an asynchronous store; actions may be coroutine functions or not.

    Args:
        name: The kind; what is done is kept under it.
        store: Where it is kept.
        steps: What is done, in this order.

    Raises:
        ValueError: A name is empty or comes twice, or there is no step.
    """

    def __init__(self, name: str, store: AsyncEventLog, steps: Sequence[SagaStep]) -> None:
        self._execution = _Execution(name, store, steps)

    async def execute(self, saga_id: str, data: Mapping[str, Any] | None = None) -> SagaState:
        """Do all steps and return what they have returned, as `Saga.execute`.

        Cancelled, it is left where it is for `resume`.

        Raises:
            SagaError: A step failed, and what was done is undone, or is not and the saga is stuck.
            ConcurrencyError: Another worker is at it.
        """
        return await run_async(self._execution.execute(saga_id, data))

    async def resume(self) -> list[SagaState]:
        """Go on with every saga of this kind that has not ended, after a crash, and return how far they are."""
        return await run_async(self._execution.resume())

    async def state(self, saga_id: str) -> SagaState:
        """Return how far a saga is."""
        return await run_async(self._execution.state(saga_id))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
