"""``honeyhive run``."""

from __future__ import annotations

import logging

import anyio
import click

from honeyhive.exceptions import DeclarationError, HoneyHiveError

__all__ = ["run"]

_PORT = click.IntRange(0, 65_535)


class _CannotRun(click.ClickException):
    """The service is wrong, not the command line: said without the usage of the command."""

    exit_code = 2


def _place(_: click.Context, __: click.Parameter, value: str) -> str:
    if ":" not in value:
        raise click.BadParameter(f"{value!r} names no service; write it as package.module:name")
    return value


@click.command()
@click.argument("service", callback=_place)
@click.argument("role", type=click.Choice(["http", "worker", "scheduler", "all"]))
@click.option("--host", help="Address to listen on. [default: the service's own]")
@click.option("--port", type=_PORT, help="Port to listen on; 0 for any free one. [default: the service's own]")
@click.option("--health-port", type=_PORT, help="Answer /health/live and /health/ready here, where no HTTP is served.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes.")
@click.option("--reload", is_flag=True, help="Start anew when a Python file below this folder changes.")
@click.option("--listener", "listeners", type=int, multiple=True, hidden=True)
@click.option("--supervised", is_flag=True, hidden=True)
@click.option("--of", "siblings", type=int, default=1, hidden=True)
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
    siblings: int,
) -> None:
    """Run a process of SERVICE, written as package.module:name.

    ROLE is what it does: http, worker, scheduler, or all of them in one process. SIGTERM and Ctrl-C end it gracefully.
    """
    from honeyhive.runtime.roles import roles_of
    from honeyhive.runtime.run import RunOptions, inherited, load_service, run_service
    from honeyhive.runtime.supervisor import supervise

    try:
        loaded = load_service(service)
        # Only now, and without a level: what the program itself says about its log holds.
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        assembly = loaded.build()
    except HoneyHiveError as error:
        raise _CannotRun(str(error)) from error
    options = RunOptions(
        roles=roles_of(assembly) if role == "all" else (role,),  # type: ignore[arg-type]  # one of click's choices
        host=host,
        port=port,
        sockets=[inherited(each) for each in listeners],
        health_port=health_port,
        processes=siblings,
        supervised=supervised,
        announce=click.echo,
    )
    try:
        if processes > 1 or reload:
            code = supervise(assembly, service, role, options, count=processes, reload=reload)
            raise SystemExit(code)
        anyio.run(run_service, assembly, options)
    except DeclarationError as error:
        raise _CannotRun(str(error)) from error
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error
