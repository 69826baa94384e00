"""What stands around a traced function: one wrapper for each kind of callable.

A wrapper changes nothing that can be seen of the function: same result object, same
exception object, called once, same generator and coroutine protocol, same task. All of
our own work sits in :class:`CallPlan`, which never raises; the call of the user's
function stands outside of any guard.

A generator's span is current only while the body of the generator runs, so the consumer
between two items sees its own span, a loop left early leaks nothing, and every step runs
in the task that asked for it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.trace import SpanKind

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.attributes import declared
from honeyhive.tracer.registry import identity_for
from honeyhive.tracer.span import CallSite, Identity, Span, UnrecordedSpan, entered
from honeyhive.utils.capture import capture, capture_all, captured_bytes
from honeyhive.utils.guard import failures

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

__all__ = ["CallPlan", "Signature", "TraceOptions", "decorate", "display_name", "wrap", "wrap_as_coroutine"]

_MOST_ITEMS: Final = 1000
_MOST_ITEM_BYTES: Final = 1_000_000

_current: Final = hh_context.current
_attach: Final = hh_context.attach
_detach: Final = hh_context.detach


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """What a decorator was told, the same for ``@trace``, ``@atrace`` and ``@tracer.trace``.

    ``statics`` are attributes of every span; a namespace given there, such as
    ``outputs``, stands instead of what would be captured.
    """

    event_type: object = "tool"
    event_name: str | None = None
    event_id: str | None = None
    source: str | None = None
    project: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    session_name: str | None = None
    error: object = None
    kind: SpanKind = SpanKind.INTERNAL
    capture: bool | None = None
    capture_inputs: bool | None = None
    capture_outputs: bool | None = None
    namespaces: Mapping[str, Any] = field(default_factory=dict)

    def site(self, name: str) -> CallSite:
        """Return what all spans of a function called *name* share."""
        event_name = self.event_name or name
        return CallSite(
            event_name,
            declared(
                event_type=self.event_type,
                event_name=event_name,
                event_id=self.event_id,
                source=self.source,
                project=self.project,
                session_id=self.session_id,
                user_id=self.user_id,
                session_name=self.session_name,
                error=self.error,
                namespaces=self.namespaces,
            ),
        )

    def plan(self, function: Callable[..., Any], explicit: Identity | None) -> CallPlan:
        """Return how the calls of *function* are recorded."""
        given = self.namespaces
        return CallPlan(
            self.site(display_name(function)),
            function,
            explicit=explicit,
            capture_inputs=_wish(self.capture_inputs, self.capture, "inputs" in given),
            capture_outputs=_wish(self.capture_outputs, self.capture, "outputs" in given),
            kind=self.kind,
        )


def _wish(own: bool | None, both: bool | None, given: bool) -> bool | None:
    if own is not None:
        return own
    return False if given else both


class Signature:
    """How the arguments of a function are named, worked out once when it is decorated."""

    __slots__ = ("defaults", "extra_keywords", "extra_positional", "names", "plain_count", "skipped")

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = _parameters(function)
        kinds = inspect.Parameter
        positional = [p.name for p in parameters if p.kind in {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}]
        self.skipped = 1 if positional[:1] in (["self"], ["cls"]) else 0
        self.names = tuple(positional[self.skipped :])
        self.extra_positional = next((p.name for p in parameters if p.kind is kinds.VAR_POSITIONAL), "args")
        self.extra_keywords = next((p.name for p in parameters if p.kind is kinds.VAR_KEYWORD), None)
        self.defaults = {p.name: p.default for p in parameters if p.default is not kinds.empty and p.name != "tracer"}
        # So many arguments and no keywords name themselves one by one; -1 where that never happens.
        is_plain = "tracer" not in self.names and set(self.defaults) <= set(self.names)
        self.plain_count = len(positional) if is_plain else -1

    def capture(self, span: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Copy the arguments of one call onto *span*, by the names of their parameters, defaults included."""
        if len(args) == self.plain_count and not kwargs:
            span._values = capture_all(args[self.skipped :] if self.skipped else args)
            span._names = self.names
            return
        named = self._by_name(args[self.skipped :], kwargs)
        span._values = capture_all(tuple(named.values()))
        span._names = tuple(named)

    def _by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = dict(zip(self.names, args, strict=False))
        if len(args) > len(self.names):
            named[self.extra_positional] = list(args[len(self.names) :])
        known = named.keys() | self.defaults.keys() | set(self.names)
        extra: dict[str, Any] = {}
        for name, value in kwargs.items():
            belongs = self.extra_keywords is None or name in known
            (named if belongs else extra)[name] = value
        if extra:
            named[cast("str", self.extra_keywords)] = extra
        for name, value in self.defaults.items():
            named.setdefault(name, value)
        named.pop("tracer", None)
        return named


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # builtins without a signature take what they take
        return []


class CallPlan:
    """How the calls of one function are recorded. Its methods never raise.

    Args:
        site: Name and declared attributes of the spans.
        function: The function, for the names of its arguments.
        explicit: The tracer given to the decorator, or ``None`` to look it up at each call.
        capture_inputs: Copy arguments; ``None`` leaves it to the tracer.
        capture_outputs: Copy the result; ``None`` leaves it to the tracer.
        kind: OpenTelemetry's kind of the spans.
    """

    __slots__ = ("_explicit", "_inputs", "_kind", "_outputs", "_signature", "site")

    def __init__(
        self,
        site: CallSite,
        function: Callable[..., Any],
        *,
        explicit: Identity | None = None,
        capture_inputs: bool | None = None,
        capture_outputs: bool | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self.site = site
        self._signature = Signature(function)
        self._explicit = explicit
        self._inputs = capture_inputs
        self._outputs = capture_outputs
        self._kind = kind

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Span | UnrecordedSpan | None:
        """Start the span of one call and make it current; ``None`` where the call is not traced."""
        try:
            context = _current()
            span = self._started(context, args, kwargs)
            if span is not None:
                span._token = _attach(entered(context, span))
        except Exception as error:
            failures("trace", error)
            return None
        return span

    def start(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Span | UnrecordedSpan | None:
        """Start the span of one call without making it current."""
        try:
            return self._started(_current(), args, kwargs)
        except Exception as error:
            failures("trace", error)
            return None

    def _started(
        self, context: Context, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Span | UnrecordedSpan | None:
        identity = self._explicit or identity_for(context)
        if identity is None or not identity.enabled:
            return None
        core = identity.core
        span: Span | UnrecordedSpan = core.prepare(self.site, context, self._kind)
        if type(span) is Span:
            if identity.capture_inputs if self._inputs is None else self._inputs:
                self._signature.capture(span, args, kwargs)
            core.begin(span, context)
        return span

    def finish(self, span: Span | UnrecordedSpan, result: object) -> None:
        """End the span of a call that returned *result*."""
        try:
            _detach(span._token)  # type: ignore[arg-type]
            span._token = None
            if type(span) is Span:
                if self._wants_outputs(span):
                    span._result = result if result is None else capture(result)
                span.end()
        except Exception as error:
            failures("trace", error)

    def succeed(self, span: Span | UnrecordedSpan, result: object) -> None:
        """Record *result* and end a span that is not current."""
        try:
            if type(span) is Span and self._wants_outputs(span):
                span._result = capture(result)
            span.end()
        except Exception as error:
            failures("trace", error)

    def _wants_outputs(self, span: Span) -> bool:
        if self._outputs is not None:
            return self._outputs
        identity = span._st.identity
        return identity is not None and identity.capture_outputs

    def fail(self, span: Span | UnrecordedSpan, error: BaseException) -> None:
        """Record that the call ended with *error*, and end the span."""
        try:
            if span._token is not None:
                hh_context.detach(span._token)  # type: ignore[arg-type]
                span._token = None
            if not isinstance(error, GeneratorExit):
                span.fail(error)
            span.end()
        except Exception as ours:
            failures("trace", ours)


class _Items:
    """What a generator has yielded so far: joined text if all of it is text, else a list; bounded."""

    __slots__ = ("_captured", "_room", "_seen")

    def __init__(self) -> None:
        self._captured: list[object] = []
        self._room = _MOST_ITEM_BYTES
        self._seen = 0

    def add(self, item: object) -> None:
        self._seen += 1
        if self._seen > _MOST_ITEMS or self._room <= 0:
            return
        captured = capture(item)
        self._room -= captured_bytes(captured)
        if self._room > 0:
            self._captured.append(captured)

    def value(self) -> object:
        """Return the whole as one value to capture."""
        kept = self._captured
        if kept and all(type(item) is str for item in kept):
            return "".join(cast("list[str]", kept)) + self._rest()
        from honeyhive.utils.render import tree

        shown = [tree(item) for item in kept]
        return [*shown, self._rest()] if self._rest() else shown

    def _rest(self) -> str:
        more = self._seen - len(self._captured)
        return f"<{more} more items>" if more > 0 else ""


class _GeneratorCall:
    """One running generator: its span, entered for each step, and what it has yielded."""

    __slots__ = ("_items", "_plan", "_span", "_token")

    def __init__(self, plan: CallPlan, span: Span | UnrecordedSpan) -> None:
        self._plan = plan
        self._span = span
        self._token: Any = None
        self._items = _Items()

    def enter(self) -> None:
        self._token = _attach(entered(_current(), self._span))

    def leave(self) -> None:
        hh_context.detach(self._token)

    def yielded(self, item: object) -> None:
        try:
            self._items.add(item)
        except Exception as error:
            failures("trace", error)

    def returned(self, value: object) -> None:
        try:
            whole = self._items.value()
        except Exception as error:
            failures("trace", error)
            whole = None
        if value is not None and type(self._span) is Span:
            self._plan.succeed(self._span, {"items": whole, "returned": value})
        else:
            self._plan.succeed(self._span, whole)

    def raised(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            self.returned(None)
        else:
            self._plan.fail(self._span, error)


class _IdleCall(_GeneratorCall):
    """Stands in where a generator runs untraced."""

    __slots__ = ()

    def __init__(self) -> None:
        """Have nothing to hold."""

    def enter(self) -> None:
        """Leave the context as it is."""

    leave = enter

    def yielded(self, item: object) -> None:
        """Keep nothing of *item*."""

    def returned(self, value: object) -> None:
        """Keep nothing of *value*."""

    def raised(self, error: BaseException) -> None:
        """Keep nothing of *error*."""


_IDLE: Final = _IdleCall()


def wrap(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    """Return *function* traced as *plan* says; introspection finds the same as before."""
    if inspect.isasyncgenfunction(function):
        return _named(function, _prompt(function, _wrap_async_generator(function, plan), inspect.CO_ASYNC_GENERATOR))
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return _named(function, _prompt(function, _wrap_coroutine(function, plan), inspect.CO_COROUTINE))
    if inspect.isgeneratorfunction(function):
        return _named(function, _prompt(function, _wrap_generator(function, plan), inspect.CO_GENERATOR))
    return _named(function, _wrap_function(function, plan))


def decorate(target: Any, options: TraceOptions, explicit: Identity | None, *, as_coroutine: bool = False) -> Any:
    """Trace *target*: a callable, or the class method, static method or property around one.

    Raises:
        TypeError: *target* is a class, or nothing that can be called.
    """
    if isinstance(target, classmethod | staticmethod):
        return type(target)(decorate(target.__func__, options, explicit, as_coroutine=as_coroutine))
    if isinstance(target, property):
        fget, fset, fdel = (
            part and decorate(part, options, explicit) for part in (target.fget, target.fset, target.fdel)
        )
        return property(fget, fset, fdel, target.__doc__)
    if isinstance(target, type):
        raise TypeError(f"{target.__qualname__} is a class; decorate it with @trace_class")
    if not callable(target):
        raise TypeError(f"only callables can be traced, not {type(target).__name__}")
    plan = options.plan(target, explicit)
    return wrap_as_coroutine(target, plan) if as_coroutine else wrap(target, plan)


def wrap_as_coroutine(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    """Return *function* traced as a coroutine function, also when it is a plain one."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return wrap(function, plan)

    async def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return _named(function, _prompt(function, _wrap_coroutine(call, plan), inspect.CO_COROUTINE))


def display_name(function: Callable[..., Any]) -> str:
    """Return ``module.qualname`` of any callable; for a partial, that of its function."""
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return f"{module}.{name if isinstance(name, str) else type(function).__qualname__}"


def _named(function: Callable[..., Any], wrapper: Callable[..., Any]) -> Callable[..., Any]:
    functools.update_wrapper(wrapper, function)
    if not isinstance(function, FunctionType):
        _lend_methods(function, wrapper)
    wrapper.__honeyhive_traced__ = True  # type: ignore[attr-defined] # trace_class leaves such a method alone
    return wrapper


def _lend_methods(owner: object, wrapper: object) -> None:
    """Give *wrapper* the public methods of a callable object, such as ``cache_clear`` of ``lru_cache``."""
    for kind in type(owner).__mro__:
        for name, member in vars(kind).items():
            if inspect.isroutine(member) and not name.startswith("_") and not hasattr(wrapper, name):
                setattr(wrapper, name, getattr(owner, name))


def _prompt(function: Callable[..., Any], wrapper: Callable[..., Any], kind: int) -> Callable[..., Any]:
    """Have wrong arguments refused when the call is made, as *function* itself refuses them.

    A wrapper that is a coroutine or generator function runs nothing before its result is
    used. So a plain function stands in front of it, which binds the arguments to an empty
    twin of *function*. Its code wears the flag by which ``inspect`` tells the kinds apart,
    as that of ``types.coroutine`` does; only CPython lets it, elsewhere arguments are
    checked late.
    """
    original = inspect.unwrap(function, stop=lambda each: not hasattr(each, "__honeyhive_traced__"))
    if sys.implementation.name != "cpython" or not isinstance(original, FunctionType):
        return wrapper
    check = _empty_twin(original)
    functools.update_wrapper(wrapper, function)  # it names the coroutines and generators

    def traced(*args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        return wrapper(*args, **kwargs)

    return FunctionType(_wearing(traced.__code__, kind), globals(), traced.__name__, None, traced.__closure__)


@functools.cache
def _wearing(code: CodeType, flag: int) -> CodeType:
    return code.replace(co_flags=code.co_flags | flag)


def _empty_twin(function: FunctionType) -> FunctionType:
    """Return a function that takes what *function* takes, complains in the same words, and does nothing."""
    code, empty = function.__code__, _nothing.__code__
    stars = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    count = code.co_argcount + code.co_kwonlyargcount + stars.bit_count()
    body = empty.replace(
        co_argcount=code.co_argcount,
        co_posonlyargcount=code.co_posonlyargcount,
        co_kwonlyargcount=code.co_kwonlyargcount,
        co_nlocals=count,
        co_varnames=code.co_varnames[:count],
        co_flags=empty.co_flags | stars,
    )
    twin = FunctionType(body, {}, function.__name__, function.__defaults__)
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__qualname__ = function.__qualname__
    return twin


def _nothing() -> None:
    """Do nothing; its code is the body of every twin."""


def _wrap_function(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    begin, finish, fail = plan.begin, plan.finish, plan.fail

    def traced(*args: Any, **kwargs: Any) -> Any:
        span = begin(args, kwargs)
        if span is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            fail(span, error)
            raise
        finish(span, result)
        return result

    return traced


def _wrap_coroutine(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    begin, finish, fail = plan.begin, plan.finish, plan.fail

    async def traced(*args: Any, **kwargs: Any) -> Any:
        span = begin(args, kwargs)
        if span is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            fail(span, error)
            raise
        finish(span, result)
        return result

    return traced


def _wrap_generator(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = plan.start(args, kwargs)
        inner = function(*args, **kwargs)
        call = _IDLE if span is None else _GeneratorCall(plan, span)
        step, value = inner.send, None
        while True:
            call.enter()
            try:
                item = step(value)
            except StopIteration as stop:
                call.leave()
                call.returned(stop.value)
                return stop.value
            except BaseException as error:
                call.leave()
                call.raised(error)
                raise
            call.leave()
            call.yielded(item)
            try:
                value = yield item
                step = inner.send
            except BaseException as error:  # whatever the consumer throws in belongs to the body
                step, value = inner.throw, error

    return traced


def _wrap_async_generator(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = plan.start(args, kwargs)
        inner = function(*args, **kwargs)
        call = _IDLE if span is None else _GeneratorCall(plan, span)
        step, value = inner.asend, None
        while True:
            call.enter()
            try:
                item = await step(value)
            except StopAsyncIteration:
                call.leave()
                call.returned(None)
                return
            except BaseException as error:
                call.leave()
                call.raised(error)
                raise
            call.leave()
            call.yielded(item)
            try:
                value = yield item
                step = inner.asend
            except BaseException as error:  # whatever the consumer throws in belongs to the body
                step, value = inner.athrow, error

    return traced
