"""``honeyhive spool``: what waits on this machine to be delivered."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec

import click

from honeyhive.config import Settings, choose_backend, resolve
from honeyhive.exceptions import HoneyHiveError
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.leftovers import DestinationSpool, give_up, look, send_leftovers, spool_folder
from honeyhive.tracer.export.sender import http_transport
from honeyhive.utils import wording

__all__ = ["spool"]

P = ParamSpec("P")


@click.group()
def spool() -> None:
    """Look at, prove, send or give up the spans that wait to be delivered."""


def _plainly(command: Callable[P, None]) -> Callable[P, None]:
    """Say in plain words what *command* cannot do."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except HoneyHiveError as error:
            raise click.ClickException(str(error)) from error

    return wrapped


@spool.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plainly
def ls(as_json: bool) -> None:
    """List every segment: whose it is, whether its process lives, what is in it. * marks the current destination."""
    settings = _settings()
    spools = look(spool_folder(settings))
    current = _current(settings).id
    if as_json:
        click.echo(json.dumps([row for each in spools for row in _rows(each, current)], indent=2))
        return
    if not spools:
        click.echo(f"Nothing waits in {spool_folder(settings)}.")
        return
    rows = [row for each in spools for row in _rows(each, current)]
    table = [("", "DESTINATION", "SEGMENT", "OWNER", "SPANS", "BYTES", "AGE"), *map(_cells, rows)]
    for line in _columns(table):
        click.echo(line)


@spool.command()
@_plainly
def verify() -> None:
    """Read every record and prove its checksum. Exits with 1 if something is damaged."""
    spools = look(spool_folder(_settings()), verify=True)
    for each in spools:
        for segment in each.segments:
            damage = segment.corruption
            if damage.records:
                click.echo(
                    f"{each.id}/{segment.name}: {wording.counted(damage.records, 'damaged place')}, {damage.bytes} bytes"
                )
    damaged = sum(each.corruption.records for each in spools)
    waiting = sum(each.waiting for each in spools)
    found = wording.counted(damaged, "place") if damaged else "nothing"
    click.echo(f"{wording.counted(waiting, 'span')} waiting, {found} damaged.")
    raise SystemExit(1 if damaged else 0)


@spool.command()
@click.option("--timeout", "timeout_s", default=30.0, show_default=True, type=click.FloatRange(0), metavar="SECONDS")
@click.option("--from", "source", metavar="DESTINATION", help="Send the spool of this destination, as `ls` names it.")
@_plainly
def send(timeout_s: float, source: str | None) -> None:
    """Send what waits for the current destination, now.

    With --from, send what waits for another one to the current one: after a change of keys or addresses. Segments of
    running processes are left to them. Exits with 1 if something is left.
    """
    settings = _settings()
    destination = _current(settings)
    waiting = _named(look(spool_folder(settings)), source or destination.id, must_exist=source is not None)
    transport = http_transport()
    try:
        done = send_leftovers(
            waiting.id, choose_backend(settings, os.environ), settings, timeout_s=timeout_s, transport=transport
        )
    finally:
        transport.close()
    left = _named(look(spool_folder(settings)), waiting.id, must_exist=False)
    click.echo(f"{wording.counted(done.delivered, 'span')} sent, {left.orphaned} left.")
    for reason, count in done.dropped.items():
        click.echo(f"{wording.counted(count, 'span')} dropped: {reason}.")
    if left.waiting > left.orphaned:
        click.echo(
            f"{wording.counted(left.waiting - left.orphaned, 'span')} held by running processes, which send them themselves."
        )
    if left.orphaned and destination.is_local:
        click.echo("They appear when the backend starts: honeyhive serve")
    raise SystemExit(1 if left.orphaned else 0)


@spool.command()
@click.option("--destination", metavar="DESTINATION", help="Only of this destination, as `ls` names it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_plainly
def purge(destination: str | None, yes: bool) -> None:
    """Delete what dead processes left undelivered. It is lost then; asks before it does so."""
    root = spool_folder(_settings())
    spools = look(root)
    chosen = spools if destination is None else [_named(spools, destination, must_exist=True)]
    chosen = [each for each in chosen if any(not segment.owner_alive for segment in each.segments)]
    for each in chosen:
        dead = [segment for segment in each.segments if not segment.owner_alive]
        size = sum(segment.bytes for segment in dead)
        click.echo(
            f"{each.id}: {wording.counted(each.orphaned, 'span')} in {wording.counted(len(dead), 'segment')}, {size} bytes"
        )
    if not chosen:
        click.echo("There is nothing to delete.")
        return
    if not yes:
        click.confirm("Delete them for good?", abort=True)
    click.echo(f"{wording.counted(sum(give_up(root, each.id) for each in chosen), 'span')} deleted.")


def _settings() -> Settings:
    return resolve({}, os.environ).settings


def _current(settings: Settings) -> Destination:
    return Destination.of(choose_backend(settings, os.environ))


def _named(spools: Iterable[DestinationSpool], name: str, *, must_exist: bool) -> DestinationSpool:
    """Find the spool of the destination whose id is, or unmistakably begins with, *name*."""
    found = [each for each in spools if each.id == name] or [each for each in spools if each.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found or must_exist:
        raise click.ClickException(f"{len(found) or 'No'} spools have the name {name}; see: honeyhive spool ls")
    return DestinationSpool(name, ())


def _rows(each: DestinationSpool, current: str) -> list[dict[str, object]]:
    return [
        {
            "destination": each.id,
            "is_current": each.id == current,
            "segment": segment.name,
            "owner_alive": segment.owner_alive,
            "spans": segment.pending_items,
            "bytes": segment.bytes,
            "age_s": max(0, round(time.time_ns() / 1e9 - segment.written_at_s)),
        }
        for segment in each.segments
    ]


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    return (
        "*" if row["is_current"] else "",
        str(row["destination"]),
        str(row["segment"]),
        "alive" if row["owner_alive"] else "dead",
        f"{row['spans']:,}",
        f"{row['bytes']:,}",
        f"{row['age_s']:,} s",
    )


def _columns(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
