"""``honeyhive serve``."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from honeyhive.exceptions import HoneyHiveError
from honeyhive.models.wire import DEFAULT_PORT

__all__ = ["serve"]

_FOLDER = click.Path(file_okay=False, path_type=Path)
_MORE_THAN_NOTHING = click.FloatRange(min=0, min_open=True)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help=f"Port; 0 for any free one. [default: {DEFAULT_PORT}]")
@click.option("--data", type=_FOLDER, help="Where everything is kept. [default: $XDG_DATA_HOME/honeyhive]")
@click.option("--token-file", type=_FILE, help="File (mode 0600) with a token of your own, 32 characters or more.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name the backend is called by.")
@click.option("--allow-anonymous-ingest", "anonymous", is_flag=True, help="Take spans and events without the token.")
@click.option("--keep-days", type=_MORE_THAN_NOTHING, help="Forget what was accepted longer ago. [default: nothing]")
@click.option(
    "--keep-gb", type=click.FloatRange(min=0.016), help="Forget the oldest where more is kept. [default: nothing]"
)
@click.option("--rebuild", is_flag=True, help="Make the index anew from the journal.")
def serve(
    host: str | None,
    port: int | None,
    data: Path | None,
    token_file: Path | None,
    hosts: tuple[str, ...],
    anonymous: bool,
    keep_days: float | None,
    keep_gb: float | None,
    rebuild: bool,
) -> None:
    """Run the backend on this machine until Ctrl-C.

    It takes spans and events in, keeps them, and shows them in a browser. Programs on this machine find it by themselves.
    """
    try:
        from honeyhive.server.config import read_local_config
        from honeyhive.server.serve import run_server
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is missing. Run: pip install 'honeyhive[server]'") from error
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    given = {
        "host": host,
        "port": port,
        "data": data,
        "token_file": token_file,
        "hosts": hosts or None,
        "anonymous_ingest": anonymous or None,
        "keep_days": keep_days,
        "keep_gb": keep_gb,
        "rebuild": rebuild or None,
    }
    try:
        config = read_local_config(os.environ)
        config = config.model_copy(update={name: value for name, value in given.items() if value is not None})
        run_server(config, announce=click.echo)
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
