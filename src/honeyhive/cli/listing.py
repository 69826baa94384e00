"""What the commands that read the index have in common: reaching it, and writing lists and trees of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Concatenate, ParamSpec

import click

from honeyhive.exceptions import StoreUnavailableError
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.index.queries import Page, Queries
from honeyhive.server.stores import IndexMissingError, QueryTooLongError
from honeyhive.utils import wording
from honeyhive.utils.text import visible
from honeyhive.utils.trees import Row, drawn

__all__ = ["print_page", "shown", "span_line", "tree_lines", "whole", "with_queries"]

P = ParamSpec("P")
Item = Mapping[str, object]


def with_queries(command: Callable[Concatenate[Queries, P], None]) -> Callable[P, None]:
    """Give *command* the read model, and say in plain words when there is none."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        queries = click.get_current_context().ensure_object(Queries)
        try:
            command(queries, *args, **kwargs)
        except (FileNotFoundError, IndexMissingError) as error:
            raise click.ClickException(
                f"There is no {error}. Start the backend once with: honeyhive serve, or name its directory with --data."
            ) from error
        except Refusal as refusal:
            raise click.ClickException(refusal.reason) from refusal
        except QueryTooLongError as error:
            raise click.ClickException(str(error)) from error
        except StoreUnavailableError as error:
            raise click.ClickException(f"{error} Start the backend to repair it.") from error

    return wrapped


def print_page(
    noun: str, page: Page, head: tuple[str, ...], cells: Callable[[Item], tuple[str, ...]], *, as_json: bool
) -> None:
    """Print *page* as a table under *head*, or as JSON, and say how to see the next one.

    Args:
        noun: What is listed, as the command is called: ``"traces"``.
        page: What was found.
        head: The titles of the columns.
        cells: Makes one item a row.
        as_json: Print JSON instead.
    """
    if as_json:
        click.echo(json.dumps({noun: page.items, "next_cursor": page.next_cursor}, indent=2))
        return
    for line in columns([head, *(cells(item) for item in page.items)]):
        click.echo(line)
    if not page.items:
        click.echo(f"(no {noun})")
    if page.next_cursor is not None:
        click.echo(f"more: honeyhive {noun} list --cursor {page.next_cursor}", err=True)


def tree_lines(spans: Iterable[Mapping[str, object]]) -> Iterable[str]:
    """Draw spans, given parents first with ``depth`` and ``children``, as a tree of lines."""
    return drawn(
        Row(
            whole(span["depth"]),
            len(children) if isinstance(children := span["children"], list) else 0,
            span_line(span),
        )
        for span in spans
    )


def span_line(span: Mapping[str, object]) -> str:
    """Write a span as a line: type, name, duration, model, tokens, error."""
    parts = [
        f"{shown(span['event_type'])} {shown(span['name']) or '(no name)'}",
        wording.duration(whole(span["end_ns"]) - whole(span["start_ns"])),
        shown(span["model"]),
        _tokens(span),
        f"✕ {shown(span['error'])}" if span["error"] is not None else "",
        "(orphan)" if span.get("is_orphan") else "",
    ]
    return "  ".join(part for part in parts if part)


def _tokens(item: Mapping[str, object]) -> str:
    tokens_in, tokens_out = item["tokens_in"], item["tokens_out"]
    words = wording.tokens(
        tokens_in if isinstance(tokens_in, int) else None, tokens_out if isinstance(tokens_out, int) else None
    )
    return f"{words} tokens" if words else ""


def columns(rows: list[tuple[str, ...]]) -> Iterable[str]:
    """Yield *rows* as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def shown(value: object) -> str:
    """Return *value* as it is safe to print, on one line; nothing for ``None``."""
    return visible(str(value), one_line=True) if value is not None else ""


def whole(value: object) -> int:
    """Return *value* if it is a whole number, and else 0."""
    return value if isinstance(value, int) else 0
