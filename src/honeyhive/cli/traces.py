"""``honeyhive traces``: list, show, export and follow what is recorded on this machine.

All but ``follow``, which asks the running backend, read the backend's SQLite file directly: SQLite lets many read while
one writes, so they work beside a running server and without one, need no token, and cannot disturb ingest. They see what
the server has projected.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from honeyhive.cli.listing import print_page, shown, span_line, tree_lines, whole, with_queries
from honeyhive.exceptions import HoneyHiveError
from honeyhive.server.home import INDEX_NAME, current_data
from honeyhive.server.index.queries import Cursor, Listing, Queries
from honeyhive.server.reading.watching import live_spans
from honeyhive.utils import wording
from honeyhive.utils.text import visible

__all__ = ["traces"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
@click.option(
    "--data",
    type=_FOLDER,
    help="The backend's data directory. [default: that of the running backend, else $XDG_DATA_HOME/honeyhive]",
)
@click.pass_context
def traces(context: click.Context, data: Path | None) -> None:
    """List, show, export and follow recorded traces."""
    context.obj = Queries((data or current_data()) / INDEX_NAME, longest_s=60)


@traces.command("list")
@click.option("--project", help="Only of this project.")
@click.option("--session", "session_id", help="Only of this session.")
@click.option("--errors", "errors_only", is_flag=True, help="Only with errors in them.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--cursor", help="Where to go on, as the list before has printed it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_queries
def list_(
    queries: Queries,
    project: str | None,
    session_id: str | None,
    errors_only: bool,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List traces, newest first."""
    begin = None if cursor is None else Cursor.parse(cursor)
    page = queries.traces(Listing(project, session_id, errors_only, limit, begin))
    print_page("traces", page, _HEAD, _cells, as_json=as_json)


@traces.command()
@click.argument("trace_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything that was captured.")
@with_queries
def show(queries: Queries, trace_id: str, as_json: bool) -> None:
    """Show one trace as a tree under its session: type, name, duration, model, tokens, error.

    Of TRACE_ID the beginning is enough, if no other trace has the same.
    """
    found = queries.trace_ids(trace_id.lower())
    if len(found) > 1:
        raise click.ClickException(f"More than one trace begins with {visible(trace_id, one_line=True)}.")
    trace = queries.trace(found[0], with_details=as_json) if found else None
    if trace is None:
        raise click.ClickException(f"There is no trace {visible(trace_id, one_line=True)}.")
    if as_json:
        click.echo(json.dumps(trace, indent=2))
        return
    if trace["session_id"] is not None:
        click.echo(" ".join(filter(None, ("session", shown(trace["session_name"]), shown(trace["session_id"])))))
    spans = trace["span_list"]
    for line in tree_lines(spans if isinstance(spans, list) else []):
        click.echo(line)


@traces.command()
@click.option("--format", "shape", type=click.Choice(["jsonl", "json"]), default="jsonl", show_default=True)
@click.option("--project", help="Only of this project.")
@click.option("--session", "session_id", help="Only of this session.")
@with_queries
def export(queries: Queries, shape: str, project: str | None, session_id: str | None) -> None:
    """Write every span with all that was captured to standard output, oldest first."""
    spans = queries.every_span(project=project, session_id=session_id)
    write = sys.stdout.write
    if shape == "jsonl":
        for span in spans:
            write(json.dumps(span) + "\n")
        return
    separator = "[\n"
    for span in spans:
        write(separator + json.dumps(span))
        separator = ",\n"
    write("[]\n" if separator == "[\n" else "\n]\n")


@traces.command()
@click.option("--project", help="Only of this project.")
@click.option("--session", "session_id", help="Only of this session.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one span a line.")
@click.pass_context
def follow(context: click.Context, project: str | None, session_id: str | None, as_json: bool) -> None:
    """Print spans as the running backend shows them, with the beginning of their trace's id, until Ctrl-C."""
    if context.parent is not None and context.parent.params["data"] is not None:
        raise click.UsageError("follow asks the running backend, wherever its data are; leave --data out.")
    try:
        for news in live_spans(project=project, session_id=session_id):
            for span in news.spans:
                click.echo(json.dumps(span) if as_json else f"{shown(span['trace_id'])[:12]}  {span_line(span)}")
            if news.omitted:
                click.echo(f"({wording.counted(news.omitted, 'span')} more)", err=True)
    except KeyboardInterrupt:
        return
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
    raise click.ClickException("The backend has stopped.")


_HEAD: Final = ("TRACE", "STARTED", "DURATION", "SPANS", "ERRORS", "PROJECT", "NAME")


def _cells(item: Mapping[str, object]) -> tuple[str, ...]:
    return (
        str(item["trace_id"]),
        wording.moment(whole(item["start_ns"])),
        wording.duration(whole(item["end_ns"]) - whole(item["start_ns"])),
        str(item["spans"]),
        str(item["errors"] or ""),
        shown(item["project"])[:30],
        shown(item["name"])[:80],
    )
