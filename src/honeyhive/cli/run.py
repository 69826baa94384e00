"""``honeyhive run``."""

from __future__ import annotations

import logging

import anyio
import click

from honeyhive.exceptions import DeclarationError, HoneyHiveError

__all__ = ["run"]

_PORT = click.IntRange(0, 65_535)


@click.command()
@click.argument("service")
@click.argument("role", type=click.Choice(["http", "worker", "scheduler", "all"]))
@click.option("--host", help="Address to listen on. [default: the service's own]")
@click.option("--port", type=_PORT, help="Port to listen on; 0 for any free one. [default: the service's own]")
@click.option("--health-port", type=_PORT, help="Answer /health/live and /health/ready here, where no HTTP is served.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes.")
@click.option("--reload", is_flag=True, help="Start anew when a Python file below this folder changes.")
@click.option("--listener", "listeners", type=int, multiple=True, hidden=True)
@click.option("--supervised", is_flag=True, hidden=True)
def run(
    service: str,
    role: str,
    host: str | None,
    port: int | None,
    health_port: int | None,
    processes: int,
    reload: bool,
    listeners: tuple[int, ...],
    supervised: bool,
) -> None:
    """Run a process of SERVICE, written as package.module:name.

    ROLE is what it does: http, worker, scheduler, or all of them in one process. SIGTERM and Ctrl-C end it gracefully.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from honeyhive.runtime.run import RunOptions, inherited, load_service, roles_of, run_service
    from honeyhive.runtime.supervisor import supervise

    try:
        assembly = load_service(service).build()
    except HoneyHiveError as error:
        raise click.UsageError(str(error)) from error
    options = RunOptions(
        roles=roles_of(assembly) if role == "all" else (role,),  # type: ignore[arg-type]  # one of click's choices
        host=host,
        port=port,
        sockets=[inherited(each) for each in listeners],
        health_port=health_port,
        supervised=supervised,
        announce=click.echo,
    )
    try:
        if processes > 1 or reload:
            code = supervise(assembly, service, role, options, count=processes, reload=reload)
            raise SystemExit(code)
        anyio.run(run_service, assembly, options)
    except DeclarationError as error:
        raise click.UsageError(str(error)) from error
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
