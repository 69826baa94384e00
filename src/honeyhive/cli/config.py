"""``honeyhive config``: what is set, and where it came from."""

from __future__ import annotations

import json
import os

import click

from honeyhive.config import resolve
from honeyhive.config.show import setting_rows

__all__ = ["config"]


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def show(as_json: bool) -> None:
    """Print every setting, its value and where it came from; keys are masked."""
    resolved = resolve({}, os.environ)
    rows = list(setting_rows(resolved))
    if as_json:
        table = [{"name": r.name, "value": r.value, "source": r.source, "variables": list(r.variables)} for r in rows]
        click.echo(json.dumps(table, indent=2))
    else:
        widths = (
            max(len(r.name) for r in rows),
            max(min(len(r.value), 40) for r in rows),
            max(len(r.source) for r in rows),
        )
        for row in rows:
            variable = f"  [{row.variables[0]}]" if row.variables else ""
            click.echo(
                f"{row.name:<{widths[0]}}  {row.value:<{widths[1]}}  {row.source:<{widths[2]}}  {row.meaning}{variable}"
            )
    for problem in resolved.problems:
        click.echo(f"problem: {problem.text}", err=True)
