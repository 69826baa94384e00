"""``honeyhive doctor``: why no trace shows up, in plain words."""

from __future__ import annotations

import os

import click

from honeyhive.tracer.doctor import Level, examine
from honeyhive.utils import wording

__all__ = ["doctor"]

_MARKS = {Level.OK: "ok   ", Level.HINT: "hint ", Level.FAULT: "FAULT"}


@click.command()
def doctor() -> None:
    """Say in plain words why no trace shows up. Exits with 1 if something is wrong."""
    findings = list(examine(os.environ))
    for finding in findings:
        click.echo(f"{_MARKS[finding.level]}  {finding.subject}: {finding.text}")
        if finding.fix and finding.level is not Level.OK:
            click.echo(f"       -> {finding.fix}")
    faults = sum(finding.level is Level.FAULT for finding in findings)
    click.echo(
        "\nNothing stands in the way of your traces."
        if not faults
        else f"\n{wording.counted(faults, 'thing')} to mend."
    )
    raise SystemExit(1 if faults else 0)
