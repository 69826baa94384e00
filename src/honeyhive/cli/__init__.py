"""The command line: parsing arguments and printing, nothing else.

A command's module is imported when the command is used, so that ``honeyhive --help`` loads none of them. To add a
command, write a module here with a click command and name it in ``COMMANDS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

import click

from honeyhive import __version__

__all__ = ["LazyGroup", "main"]


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used.

    Args:
        homes: For each command its module, the command's name in it, and its short help.
    """

    def __init__(self, *args: object, homes: Mapping[str, tuple[str, str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as click gives them
        self._homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *self._homes})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or ``None`` when there is no such one."""
        if cmd_name not in self._homes:
            return super().get_command(ctx, cmd_name)
        module, name, _ = self._homes[cmd_name]
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._homes[name][2]) for name in self.list_commands(ctx)])


COMMANDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "config": ("honeyhive.cli.config", "config", "Show every setting and where it came from."),
    "data": ("honeyhive.cli.data", "data", "Care for what the backend keeps."),
    "doctor": ("honeyhive.cli.doctor", "doctor", "Say why no trace shows up."),
    "run": ("honeyhive.cli.run", "run", "Run a process of a service: http, worker, scheduler, or all."),
    "serve": ("honeyhive.cli.serve", "serve", "Run the backend on this machine."),
    "sessions": ("honeyhive.cli.sessions", "sessions", "List and show sessions, also as they were."),
    "spool": ("honeyhive.cli.spool", "spool", "Look at, send or give up spans that wait to be delivered."),
    "traces": ("honeyhive.cli.traces", "traces", "List, show and export recorded traces."),
}


@click.command("honeyhive", cls=LazyGroup, homes=COMMANDS)
@click.version_option(__version__, prog_name="honeyhive")
def main() -> None:
    """Observability and tracing for AI applications."""
