"""What a span says of an exception, without ever failing over one that cannot be printed."""

from __future__ import annotations

import traceback

from honeyhive.utils.guard import said_of

__all__ = ["error_message", "error_name", "stack_text"]


def error_name(error: BaseException) -> str:
    """Return the qualified class name, without ``builtins.``."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in {"builtins", None} else f"{module}.{kind.__qualname__}"


def error_message(error: BaseException) -> str:
    """Return ``str(error)``, or a placeholder when that itself fails."""
    return said_of(error, str, lambda error: f"<unprintable {type(error).__name__}>")


def stack_text(error: BaseException) -> str:
    """Return the traceback with its causes; only the lines of code when a message cannot be printed."""
    return said_of(error, _whole_stack, lambda error: "".join(traceback.format_tb(error.__traceback__)))


def _whole_stack(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
