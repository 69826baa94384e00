"""``honeyhive data``: care for what the backend keeps."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import click

from honeyhive.cli.moments import moment, nanoseconds
from honeyhive.exceptions import HoneyHiveError
from honeyhive.utils import wording

__all__ = ["data"]

_FOLDER: Final = click.Path(file_okay=False, path_type=Path)
_of_folder: Final = click.option(
    "--data",
    "folder",
    type=_FOLDER,
    help="The data directory. [default: that of the running backend, else $XDG_DATA_HOME/honeyhive]",
)


@click.group()
def data() -> None:
    """Care for what the backend keeps on this machine."""


@data.command()
@_of_folder
def rebuild(folder: Path | None) -> None:
    """Make the index anew from the journal, while no backend runs on it.

    Nothing can be lost by it: the journal is the truth and is not touched, and the old index stays until the new one is
    complete.
    """
    from honeyhive.server.home import current_data
    from honeyhive.server.storage.history import rebuild as rebuilt

    try:
        done = rebuilt(folder or current_data())
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{done.records} records are projected into {done.path}")


@data.command()
@_of_folder
def size(folder: Path | None) -> None:
    """Tell how much is kept, and from when it is; works beside a running backend, too."""
    from honeyhive.server.home import current_data
    from honeyhive.server.retention.holding import holding

    folder = folder or current_data()
    try:
        held = holding(folder)
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{folder}{', where a backend is running' if held.is_in_use else ''}")
    click.echo(f"journal  {_megabytes(held.journal_bytes)}")
    click.echo(f"index    {_megabytes(held.index_bytes)}")
    if held.age is None:
        click.echo("nothing is indexed")
        return
    click.echo(f"oldest   accepted {wording.moment(held.age.oldest_ns)}")
    click.echo(f"newest   accepted {wording.moment(held.age.newest_ns)}")
    click.echo(f"spans    {held.age.spans:,}")


@data.command()
@click.option(
    "--before",
    required=True,
    metavar="TIME",
    callback=moment,
    help="Forget what was accepted earlier; 2026-11-25 or 2026-11-25T14:30, in the time zone of this machine.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@_of_folder
def forget(before: datetime, folder: Path | None, *, dry_run: bool) -> None:
    """Forget for good what was accepted before a moment, while no backend runs on it.

    What counts is when it was accepted, not when it happened. Sessions that have younger spans stay, without the older ones.
    """
    from honeyhive.server.home import current_data
    from honeyhive.server.retention import holding

    forget_or_tell = holding.going if dry_run else holding.forget
    try:
        gone = forget_or_tell(folder or current_data(), nanoseconds(before))
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{wording.counted(gone.spans, 'span')}, {wording.counted(gone.log_records, 'log record')} and"
        f" {_megabytes(gone.journal_bytes)} of the journal {'would go' if dry_run else 'are forgotten'}"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
