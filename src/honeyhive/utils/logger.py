"""The one logger of the package and its children."""

from __future__ import annotations

import logging

__all__ = ["get_logger"]


def get_logger(name: str = "honeyhive") -> logging.Logger:
    """Return the logger *name*; one that is not below ``honeyhive`` is put there.

    It is a plain logger of the standard library: no handler is added, nothing goes to
    standard output, levels and handlers are the program's own affair.
    """
    inside = name == "honeyhive" or name.startswith("honeyhive.")
    return logging.getLogger(name if inside else f"honeyhive.{name}")
