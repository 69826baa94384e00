"""``honeyhive data``: care for what the backend keeps."""

from __future__ import annotations

from pathlib import Path

import click

from honeyhive.exceptions import HoneyHiveError

__all__ = ["data"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Care for what the backend keeps on this machine."""


@data.command()
@click.option(
    "--data",
    "folder",
    type=_FOLDER,
    help="The data directory. [default: that of the running backend, else $XDG_DATA_HOME/honeyhive]",
)
def rebuild(folder: Path | None) -> None:
    """Make the index anew from the journal, while no backend runs on it.

    Nothing can be lost by it: the journal is the truth and is not touched, and the old index stays until the new one is
    complete.
    """
    from honeyhive.server.history import rebuild as rebuilt
    from honeyhive.server.home import current_data

    try:
        done = rebuilt(folder or current_data())
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{done.records} records are projected into {done.path}")
