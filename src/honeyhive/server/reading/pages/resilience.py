"""What retries, timeouts, caches, crews, breakers and pools did while a span was current, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from honeyhive.models.conventions import resilience as names
from honeyhive.server.reading.pages.html import Markup, div, element, fragment, li
from honeyhive.server.reading.pages.layout import facts
from honeyhive.utils import wording

__all__ = ["is_ours", "resilience"]

Json = Mapping[str, object]


def resilience(attributes: Json, events: Sequence[Json]) -> Markup | None:
    """Return the sums in a row and the occurrences in order; ``None`` where no helper told anything.

    Args:
        attributes: Those of the span.
        events: Those of the span; others than the helpers' are passed over.
    """
    sums = {name: number for name in attributes if (number := _number(attributes[name])) and is_ours(name)}
    told = [event for event in events if is_ours(str(event.get("name")))]
    if not sums and not told:
        return None
    left_out = round(sums.get(names.EVENTS_SEEN, 0)) - len(told)
    return fragment(
        facts([(title, " · ".join(filter(None, (say(sums) for say in words)))) for title, words in _SUMS]),
        element("ol", [li(_sentence(event)) for event in told], class_="events") if told else None,
        div(f"{wording.counted(left_out, 'further occurrence')} not shown", class_="note") if left_out > 0 else None,
    )


def is_ours(name: str) -> bool:
    """Tell whether an attribute or event is of the helpers' vocabulary, and so shown here."""
    return name.startswith(names.PREFIX)


# -- sums ------------------------------------------------------------------------------------------------

Sums = Mapping[str, float]


def _counted(name: str, thing: str) -> Callable[[Sums], str]:
    return lambda sums: wording.counted(round(sums[name]), thing) if name in sums else ""


def _amount(name: str, words: str) -> Callable[[Sums], str]:
    return lambda sums: f"{round(sums[name]):,} {words}" if name in sums else ""


def _time(name: str, words: str) -> Callable[[Sums], str]:
    return lambda sums: f"{words} {_duration(sums[name])}" if name in sums else ""


_SUMS: Final = (
    ("Retry", (_counted(names.RETRY_ATTEMPTS, "attempt"), _time(names.RETRY_WAIT_S, "paused for"))),
    ("Timeouts", (_amount(names.TIMEOUT_EXPIRIES, "cut off"),)),
    (
        "Cache",
        (
            _counted(names.CACHE_HITS, "hit"),
            _amount(names.CACHE_MISSES, "missed"),
            _amount(names.CACHE_JOINED, "of them waited for another caller"),
        ),
    ),
    (
        "Items",
        (
            _amount(names.ITEMS_DONE, "done"),
            _amount(names.ITEMS_FAILED, "failed"),
            _time(names.ITEMS_QUEUE_S, "the last began after"),
        ),
    ),
    ("Batches", (_amount(names.ITEMS_BATCHES, "made"),)),
    ("Circuits", (_counted(names.CIRCUIT_REFUSALS, "refusal"),)),
    (
        "Pool",
        (
            _amount(names.POOL_ACQUIRED, "lent"),
            _amount(names.POOL_OPENED, "opened"),
            _time(names.POOL_QUEUE_S, "waited"),
        ),
    ),
)


# -- occurrences -----------------------------------------------------------------------------------------


def _sentence(event: Json) -> str:
    attributes = event.get("attributes")
    told = attributes if isinstance(attributes, Mapping) else {}
    say = _SENTENCES.get(str(event.get("name")))
    return say(told) if say is not None else f"{event.get('name')} {dict(told)}"


def _attempt_failed(told: Json) -> str:
    wait_s = _number(told.get("wait_s"))
    next_try = "it was the last" if wait_s is None else f"the next came after {_duration(wait_s)}"
    return f"attempt {told.get('attempt')} of {told.get('operation')} failed with {told.get('reason')}; {next_try}"


def _expired(told: Json) -> str:
    return f"{told.get('operation')} was cut off after {_duration(_number(told.get('limit_s')))}"


def _item_failed(told: Json) -> str:
    return f"item {told.get('index')} of {told.get('operation')} failed with {told.get('reason')}"


def _circuit_changed(told: Json) -> str:
    states = f"{told.get('old_state')} → {told.get('new_state')}".replace("_", "-")
    return f"circuit {told.get('circuit')}: {states}, {told.get('reason')}"


def _circuit_refused(told: Json) -> str:
    left_s = _number(told.get("retry_after_s"))
    return f"circuit {told.get('circuit')} refused a call; it had to rest for another {_duration(left_s)}"


def _pool_discarded(told: Json) -> str:
    return f"pool {told.get('pool')} closed a member: {told.get('reason')}"


_SENTENCES: Final[Mapping[str, Callable[[Json], str]]] = {
    names.RETRY_FAILED: _attempt_failed,
    names.TIMEOUT_EXPIRED: _expired,
    names.ITEM_FAILED: _item_failed,
    names.CIRCUIT_CHANGED: _circuit_changed,
    names.CIRCUIT_REFUSED: _circuit_refused,
    names.POOL_DISCARDED: _pool_discarded,
}


def _number(value: object) -> float | None:
    """Return *value* if it is a finite number: what others sent may be anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _TOO_MUCH:
        return None
    return value


_TOO_MUCH: Final = 1e12


def _duration(seconds: float | None) -> str:
    return "?" if seconds is None else wording.duration(round(seconds * 1e9))
