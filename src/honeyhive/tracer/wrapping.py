"""What stands around a traced function: one wrapper for each kind of callable.

A wrapper changes nothing that can be seen of the function: same result object, same
exception object, called once, same generator and coroutine protocol, same task. All of
our own work sits in :class:`~honeyhive.tracer.calls.CallPlan`, which never raises; the
call of the user's function stands outside of any guard.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from honeyhive.tracer.calls import CallPlan, TraceOptions
from honeyhive.tracer.generators import wrap_async_generator, wrap_generator
from honeyhive.tracer.identity import Identity

__all__ = ["decorate", "wrap", "wrap_as_coroutine"]


def wrap(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    """Return *function* traced as *plan* says; introspection finds the same as before."""
    if inspect.isasyncgenfunction(function):
        return _named(function, _prompt(function, wrap_async_generator(function, plan), inspect.CO_ASYNC_GENERATOR))
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return _named(function, _prompt(function, _wrap_coroutine(function, plan), inspect.CO_COROUTINE))
    if inspect.isgeneratorfunction(function):
        return _named(function, _prompt(function, wrap_generator(function, plan), inspect.CO_GENERATOR))
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
            result = function(*args, **kwargs) if kwargs else function(*args)
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
