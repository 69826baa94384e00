"""Results kept for a while: bounded, computed once however many ask, forgotten when their time is over.

Beneath is `cachetools.LRUCache`, which drops what was used longest ago. On top of it are a time to live for each entry,
keys that tell ``1`` from ``True``, flights, and one cache for each instance where a method is cached.

A flight is a result on its way. Whoever asks for it waits for the one who is computing it, in the same event loop or,
for synchronous functions, in any thread. Where that one is cancelled, the next who waits begins anew; where it fails,
all of them have the error, and nothing is kept.
"""

from __future__ import annotations

import functools
import inspect
import math
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from types import MethodType
from typing import Any, Concatenate, Final, Generic, NamedTuple, ParamSpec, Protocol, Self, TypeVar, cast, overload

from cachetools import LRUCache
from opentelemetry.context import get_current

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.checks import require_at_least, require_seconds
from honeyhive.resilience.operations import is_async, name_of, refuse_generators
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.methods import MethodLike

__all__ = ["CacheInfo", "Cached", "cache"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

_CONTAINERS: Final = frozenset({tuple, frozenset})
_SYSTEM_CLOCK: Final = SystemClock()


class CacheInfo(NamedTuple):
    """How a cache is doing."""

    hits: int
    misses: int
    size: int
    """Entries, some of which may be over their time."""
    max_size: int


@dataclass(frozen=True, slots=True)
class _Terms:
    """What was said about a cache."""

    ttl: float | Callable[[], float | None] | None
    max_size: int
    key: Callable[..., Hashable] | None
    clock: Clock

    def good_until(self) -> float:
        """Return when a result computed just now is over its time, on the monotonic clock."""
        ttl = self.ttl() if callable(self.ttl) else self.ttl
        if ttl is None:
            return math.inf
        return self.clock.monotonic() + require_seconds("ttl", ttl, instead="None keeps results for good")

    def keys(self) -> Callable[[tuple[Any, ...], dict[str, Any]], Hashable]:
        """Return what makes a key from positional and named arguments."""
        key = self.key
        return _arguments if key is None else lambda args, kwargs: key(*args, **kwargs)


_KEYWORDS: Final = object()


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    if kwargs:
        args += (_KEYWORDS, *kwargs.keys(), *kwargs.values())
    kinds: tuple[object, ...] = tuple(map(type, args))
    if not _CONTAINERS.isdisjoint(kinds):
        kinds = tuple(map(_kind, args))
    return args + kinds


def _kind(value: object) -> object:
    """Return the type of *value*, with those of its members where it is a container that can be hashed."""
    if type(value) is tuple:
        return (tuple, tuple(map(_kind, value)))
    if type(value) is frozenset:
        return (frozenset, frozenset((_kind(member), member) for member in value))
    return type(value)


@dataclass(slots=True)
class _Entry:
    value: Any
    good_until: float


class _Place(NamedTuple):
    """What flies where: callers in one place wait for one another."""

    loop: object
    """The event loop; ``None`` for synchronous functions, whose places are the same for all threads."""
    key: Hashable


class _Flight:
    """A result on its way."""

    __slots__ = ("entry", "error", "landed", "pilot")

    def __init__(self, landed: Any, pilot: object = None) -> None:
        self.landed = landed
        """An event: of threading or of anyio."""
        self.pilot = pilot
        """The thread that computes, where threads wait for it."""
        self.entry: _Entry | None = None
        self.error: Exception | None = None

    def is_decided(self) -> bool:
        """Tell whether there is an outcome; where there is none, its pilot was cancelled."""
        return self.entry is not None or self.error is not None

    def outcome(self) -> Any:
        """Return or raise what came of it."""
        if self.error is not None:
            raise self.error
        return cast("_Entry", self.entry).value


class _Results(Renewable):
    """The entries and flights of one cache."""

    __slots__ = ("__weakref__", "_entries", "_hits", "_lock", "_misses", "_name", "_now", "flights", "max_size")

    def __init__(self, name: str, terms: _Terms) -> None:
        self._name = name
        self.max_size = terms.max_size
        self._now = terms.clock.monotonic
        self._hits = 0
        self._misses = 0
        self._entries: LRUCache[Hashable, _Entry] = LRUCache(terms.max_size)
        self._begin()
        renew_after_fork(self)

    def renew(self) -> None:
        """Begin anew in a forked child: flights are the parent's, and entries may have been in the middle of a change."""
        if not self._lock.acquire(blocking=False):
            self._entries = LRUCache(self.max_size)
        self._begin()

    def _begin(self) -> None:
        # Keeps entries, flights and counts consistent. Held for one look or one change, which runs the __eq__ of keys:
        # so it is re-entrant.
        self._lock = threading.RLock()
        self.flights: dict[_Place, _Flight] = {}

    def find(self, key: Hashable) -> _Entry | None:
        """Return the entry of *key*, if there is one that is still good."""
        entry: _Entry | None
        try:
            with self._lock:
                try:
                    entry = self._entries[key]
                    if entry.good_until <= self._now():
                        del self._entries[key]
                        entry = None
                except KeyError:
                    entry = None
                if entry is None:
                    self._misses += 1
                else:
                    self._hits += 1
        except TypeError:
            self._refuse_unhashable(key)
            raise
        if get_current():  # asked here too: most hits have nobody to tell, and are quicker than a call
            facts.add(names.CACHE_MISSES if entry is None else names.CACHE_HITS)
        return entry

    def has_landed(self, key: Hashable) -> _Entry | None:
        """Return the entry of *key* if it came after somebody looked for it; it has been counted as a miss."""
        with self._lock:
            entry = self._entries.get(key)
            return entry if entry is not None and self._now() < entry.good_until else None

    def _refuse_unhashable(self, key: Hashable) -> None:
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"{self._name} is cached by its arguments, and one of them cannot be hashed ({error}); "
                f"give @cache a key=, a function of the same arguments that returns what tells calls apart"
            ) from None

    def land(self, place: _Place, flight: _Flight) -> None:
        """Keep what came of *flight*, unless its result was invalidated meanwhile, and let those go who wait for it."""
        with self._lock:
            if self.flights.get(place) is flight:
                del self.flights[place]
                if flight.entry is not None:
                    self._entries[place.key] = flight.entry
        flight.landed.set()

    def forget(self, key: Hashable) -> bool:
        """Drop the entry of *key*; a result on its way will not be kept."""
        try:
            with self._lock:
                for place in [place for place in list(self.flights) if place.key == key]:
                    del self.flights[place]
                return self._entries.pop(key, None) is not None
        except TypeError:
            self._refuse_unhashable(key)
            raise

    def clear(self) -> None:
        """Drop all; results on their way will not be kept."""
        with self._lock:
            self.flights.clear()
            self._entries.clear()

    def info(self) -> CacheInfo:
        """Return the counts of this moment."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._entries), self.max_size)


class Cached(MethodLike, ABC, Generic[P, R]):
    """A function whose results are kept; made by `cache`.

    Called as the function itself. As a method, every instance has a cache of its own, which goes with the instance.
    """

    __wrapped__: Callable[P, R]

    def __init__(self, function: Callable[P, R], terms: _Terms) -> None:
        functools.update_wrapper(self, function)
        self._terms = terms
        self._key_of = terms.keys()
        self._results = _Results(name_of(function), terms)
        self._of_instances: dict[int, tuple[weakref.ref[Any], _Results]] = {}

    @abstractmethod
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result that is kept for the arguments, else what the function returns."""

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self: Cached[Concatenate[S, Q], R], instance: S, owner: type | None = None) -> Cached[Q, R]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        bound = object.__new__(type(self))
        vars(bound).update(vars(self))
        bound.__wrapped__ = MethodType(self.__wrapped__, instance)
        bound._results = self._results_of(instance)
        return bound

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result for these arguments; true if there was one."""
        return self._results.forget(self._key_of(args, kwargs))

    def cache_clear(self) -> None:
        """Forget all results. The results of other instances are not affected."""
        self._results.clear()

    def info(self) -> CacheInfo:
        """Return how often a result was there, how often not, and how many are kept."""
        return self._results.info()

    def __repr__(self) -> str:
        return f"<cached {self.__wrapped__!r}>"

    def _results_of(self, instance: object) -> _Results:
        known = self._of_instances.get(id(instance))
        if known is not None:
            return known[1]
        forget = functools.partial(_forget_instance, self._of_instances, id(instance))
        try:
            reference = weakref.ref(instance, forget)
        except TypeError:
            kind = type(instance).__name__
            raise TypeError(
                f"{name_of(self.__wrapped__)} is cached for each {kind}, and a {kind} cannot be referenced weakly; "
                f"let its __slots__ include '__weakref__' (@dataclass(slots=True, weakref_slot=True))"
            ) from None
        # setdefault is atomic: of two threads that come first, both have the same results.
        return self._of_instances.setdefault(
            id(instance), (reference, _Results(name_of(self.__wrapped__), self._terms))
        )[1]


def _forget_instance(results: dict[int, tuple[weakref.ref[Any], _Results]], number: int, _: object) -> None:
    results.pop(number, None)


class _CachedFunction(Cached[P, R]):
    """A synchronous function; flights are waited for by threads."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        key = self._key_of(args, kwargs)
        entry = self._results.find(key)
        if entry is not None:
            kept: R = entry.value
            return kept
        place = _Place(None, key)
        while True:
            own = _Flight(threading.Event(), threading.get_ident())
            flight = self._results.flights.setdefault(place, own)
            if flight is own or flight.pilot == own.pilot:
                return self._fly(place, own, functools.partial(self.__wrapped__, *args, **kwargs))
            flight.landed.wait()
            if flight.is_decided():
                facts.add(names.CACHE_JOINED)
                return cast("R", flight.outcome())

    def _fly(self, place: _Place, flight: _Flight, function: Callable[[], R]) -> R:
        try:
            # Between looking and taking off, another thread may have landed.
            flight.entry = self._results.has_landed(place.key) or _Entry(function(), self._terms.good_until())
        except Exception as error:
            flight.error = error
            raise
        finally:
            self._results.land(place, flight)
        return cast("R", flight.entry.value)


class _CachedCoroutineFunction(Cached[P, Coroutine[Any, Any, R]]):
    """A coroutine function; flights are waited for in the event loop that they began in."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]], terms: _Terms) -> None:
        super().__init__(function, terms)
        mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12
        if mark is not None:
            mark(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        key = self._key_of(args, kwargs)
        entry = self._results.find(key)
        if entry is not None:
            kept: R = entry.value
            return kept
        from anyio import Event
        from anyio.lowlevel import current_token

        place = _Place(current_token(), key)
        while True:
            flight = self._results.flights.get(place)
            if flight is None:
                flight = self._results.flights[place] = _Flight(Event())
                return await self._fly(place, flight, self.__wrapped__(*args, **kwargs))
            await flight.landed.wait()
            if flight.is_decided():
                facts.add(names.CACHE_JOINED)
                return cast("R", flight.outcome())

    async def _fly(self, place: _Place, flight: _Flight, result: Coroutine[Any, Any, R]) -> R:
        try:
            flight.entry = _Entry(await result, self._terms.good_until())
        except Exception as error:
            flight.error = error
            raise
        finally:
            self._results.land(place, flight)
        return cast("R", flight.entry.value)


class _CacheDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Cached[P, R]: ...


@overload
def cache(
    function: Callable[P, R],
    /,
    *,
    ttl: float | Callable[[], float | None] | None = None,
    max_size: int = 1024,
    key: Callable[..., Hashable] | None = None,
    clock: Clock | None = None,
) -> Cached[P, R]: ...


@overload
def cache(
    *,
    ttl: float | Callable[[], float | None] | None = None,
    max_size: int = 1024,
    key: Callable[..., Hashable] | None = None,
    clock: Clock | None = None,
) -> _CacheDecorator: ...


def cache(
    function: Callable[..., Any] | None = None,
    /,
    *,
    ttl: float | Callable[[], float | None] | None = None,
    max_size: int = 1024,
    key: Callable[..., Hashable] | None = None,
    clock: Clock | None = None,
) -> object:
    """Keep the results of a function, or of a coroutine function, and return them for equal arguments.

    ::

        @cache(ttl=300)
        async def load_user(user_id: str) -> User: ...


        @cache(ttl=lambda: ctx.state(CacheSettings).ttl_s, max_size=500)
        def render(page: str) -> str: ...


        load_user.invalidate("42")

    Arguments are equal if they and their types are: ``1``, ``True`` and ``1.0`` are three. The same argument given by
    position and by name counts as two. A result is shared by all threads and event loops, so it should be data rather
    than something that belongs to one of them. Results are computed in the context of whoever asks first. Errors are
    not kept.

    Args:
        function: What to cache; left out in the decorator form.
        ttl: Seconds for which a result is good; a callable is asked when a result has just been computed, in the
            context of the call; ``None`` for as long as there is room.
        max_size: Results kept at once, for methods in each instance; what was used longest ago makes room.
        key: Takes the arguments (of methods, without ``self``) and returns what tells calls apart.
        clock: Measures *ttl*.

    Returns:
        The cached function, or a decorator.

    Raises:
        TypeError: *function* is a generator function, or an argument has the wrong type; when called: the arguments
            cannot be hashed.
        ValueError: *ttl* is not positive, *max_size* is less than 1.
    """
    if not (ttl is None or callable(ttl)):
        require_seconds("ttl", ttl, instead="None keeps results for good")
    require_at_least("max_size", max_size, 1)
    if not (key is None or callable(key)):
        raise TypeError(f"key is {key!r}; it must be a function of the arguments")
    terms = _Terms(ttl, max_size, key, clock or _SYSTEM_CLOCK)
    return functools.partial(_cached, terms) if function is None else _cached(terms, function)


def _cached(terms: _Terms, function: Callable[..., Any]) -> Cached[..., Any]:
    if not callable(function):
        raise TypeError(
            f"cache() takes a function, not {type(function).__name__}; its settings go by name: @cache(ttl=300)"
        )
    refuse_generators(function, "cache")
    return _CachedCoroutineFunction(function, terms) if is_async(function) else _CachedFunction(function, terms)
