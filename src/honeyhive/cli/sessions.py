"""``honeyhive sessions``: list and show sessions, also as they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from honeyhive.cli import moments
from honeyhive.cli.listing import print_page, shown, tree_lines, whole, with_queries
from honeyhive.exceptions import JournalError
from honeyhive.server.home import INDEX_NAME, current_data
from honeyhive.server.index.queries import Cursor, Listing, Queries
from honeyhive.utils import wording
from honeyhive.utils.text import visible

__all__ = ["sessions"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
@click.option(
    "--data",
    type=_FOLDER,
    help="The backend's data directory. [default: that of the running backend, else $XDG_DATA_HOME/honeyhive]",
)
@click.pass_context
def sessions(context: click.Context, data: Path | None) -> None:
    """List and show recorded sessions, whether or not a backend is running."""
    folder = data or current_data()
    context.obj = Queries(folder / INDEX_NAME, longest_s=60)
    context.meta["data"] = folder


@sessions.command("list")
@click.option("--project", help="Only of this project.")
@click.option("--errors", "errors_only", is_flag=True, help="Only with errors in them.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--cursor", help="Where to go on, as the list before has printed it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_queries
def list_(
    queries: Queries, project: str | None, errors_only: bool, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List sessions, newest first."""
    begin = None if cursor is None else Cursor.parse(cursor)
    page = queries.sessions(Listing(project, None, errors_only, limit, begin))
    print_page("sessions", page, _HEAD, _cells, as_json=as_json)


@sessions.command()
@click.argument("session_id")
@click.option(
    "--at",
    "moment",
    metavar="TIME",
    callback=moments.moment,
    help="Show it as it was then, such as 2026-11-25T14:30 in the time zone of this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything that was captured.")
@with_queries
def show(queries: Queries, session_id: str, moment: datetime | None, as_json: bool) -> None:
    """Show one session and its spans as a tree, as it is or as it was.

    As it was means: made of all that the backend had accepted by then, and of nothing later.
    """
    session = queries.session(session_id) if moment is None else _past(session_id, moment)
    if session is None:
        then = "" if moment is None else f" at {moment.isoformat(timespec='seconds')}"
        raise click.ClickException(f"There is no session {visible(session_id, one_line=True)}{then}.")
    if as_json:
        click.echo(json.dumps(session, indent=2))
        return
    click.echo(" ".join(filter(None, ("session", shown(session["name"]), shown(session["session_id"])))))
    spans = session["span_list"]
    for line in tree_lines(spans if isinstance(spans, list) else []):
        click.echo(line)


def _past(session_id: str, moment: datetime) -> Mapping[str, object] | None:
    from honeyhive.server.storage.history import session_at

    moment_ns = moments.nanoseconds(moment) + 999  # all of its last microsecond
    try:
        past = session_at(click.get_current_context().meta["data"], session_id, moment_ns)
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    if past.undated:
        click.echo(
            f"{past.undated} records of it have no date, since an older version took them in; they are shown", err=True
        )
    return past.session


_HEAD: Final = ("SESSION", "STARTED", "DURATION", "TRACES", "SPANS", "ERRORS", "PROJECT", "NAME")


def _cells(item: Mapping[str, object]) -> tuple[str, ...]:
    start_ns, end_ns = whole(item["start_ns"]), whole(item["end_ns"])
    return (
        shown(item["session_id"]),
        wording.moment(start_ns),
        wording.duration(end_ns - start_ns),
        str(item["traces"]),
        str(item["spans"]),
        str(item["errors"] or ""),
        shown(item["project"])[:30],
        shown(item["name"])[:80],
    )
