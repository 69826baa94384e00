"""Keeping what the shell is told of a program that Ctrl-C has ended."""

from __future__ import annotations

import sys

__all__ = ["stay_interrupted"]


def stay_interrupted() -> None:
    """Let a process that an uncaught ``KeyboardInterrupt`` ends still end by the signal, as it would without us.

    CPython notes the uncaught interrupt in a flag and kills itself by SIGINT once everything is finalised, which is how a
    shell learns that a loop is to stop. Any source text that is executed meanwhile clears the flag, and importing the
    HTTP stack executes some (dataclasses are made that way); the exit code would be 1. Nothing but executing source that
    raises the interrupt again sets the flag.
    """
    if not _was_interrupted():
        return
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102 -- a constant; see above
    except KeyboardInterrupt:
        return


def _was_interrupted() -> bool:
    """Whether an uncaught interrupt ended the program; at a prompt, an old one ends nothing."""
    if hasattr(sys, "ps1"):
        return False
    last = getattr(sys, "last_exc", None)  # Python 3.12 and later
    kind = getattr(sys, "last_type", None) if last is None else type(last)
    return kind is KeyboardInterrupt
