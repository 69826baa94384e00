"""`Service`: what a program is made of, declared once for all processes that run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from honeyhive.runtime.configuration import read_config

if TYPE_CHECKING:
    from fastapi import FastAPI

    from honeyhive.runtime.assembly import Assembly

__all__ = ["HttpSettings", "SchedulerSettings", "Service", "WorkerSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What concerns the HTTP runtime alone.

    Attributes:
        app: Makes the FastAPI application that the routes are added to; ``FastAPI`` itself by default. It may take the
            service's configuration.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        drain_s: How long a process that is told to stop waits for requests to end, in seconds.
        uvicorn: Further options of ``uvicorn.Config``, such as ``backlog`` or ``ws_max_size``.
    """

    app: Callable[..., FastAPI] | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    drain_s: float = 10.0
    uvicorn: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What concerns the worker runtime alone. How many messages are handled at once, and how often, the bus knows.

    Attributes:
        drain_s: How long a process that is told to stop waits for handlers to end, in seconds.
    """

    drain_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """What concerns the scheduler runtime alone.

    Attributes:
        lease_s: How long a scheduler that says nothing is believed to be at work on a tick, in seconds. A running
            scheduler renews its claim; of a dead one the next takes over.
        late_s: A tick that is noticed later than this counts as missed, in seconds.
        catch_up_s: How far back ticks are looked for that passed while no scheduler ran, in seconds.
        drain_s: How long a process that is told to stop waits for jobs to end, in seconds.
    """

    lease_s: float = 30.0
    late_s: float = 5.0
    catch_up_s: float = 3600.0
    drain_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """Providers, controllers, interceptors and configuration of a program.

    A plain frozen value: making one opens, starts and reads nothing. `build` checks it; an HTTP application, a worker
    and a scheduler are made from it by `honeyhive.runtime.http_app`, `run_worker` and `run_scheduler`, or by
    ``honeyhive run module:service http|worker|scheduler|all``.

    Attributes:
        name: What the program is called.
        providers: `Provider`, or a class that provides itself, or a function with an annotated return.
        controllers: Plain classes whose methods carry ``@get``, ``@on_message``, ``@every`` and so on.
        interceptors: In the order in which executions enter them; instances, or classes and functions that make them
            from injected values. ``lambda config: ...`` is given the configuration.
        config: A pydantic model, read from the environment once for each process.
        config_prefix: Put before the names of environment variables.
        http: Settings of the HTTP runtime alone.
        worker: Settings of the worker runtime alone.
        scheduler: Settings of the scheduler runtime alone.
    """

    name: str
    providers: Sequence[Any] = ()
    controllers: Sequence[type] = ()
    interceptors: Sequence[Any] = ()
    config: type[BaseModel] | None = None
    config_prefix: str = ""
    http: HttpSettings = field(default_factory=HttpSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)

    def __post_init__(self) -> None:
        for name in ("providers", "controllers", "interceptors"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def build(self, environ: Mapping[str, str] | None = None, *, config: BaseModel | None = None) -> Assembly:
        """Read the configuration and check all declarations; opens nothing yet.

        Args:
            environ: Where the configuration is read; the process's environment by default.
            config: The configuration, for programs that have it already; then nothing is read.

        Raises:
            DeclarationError: A declaration cannot work; the message names class and parameter.
            ConfigurationError: The environment does not make the configuration.
        """
        from honeyhive.runtime.assembly import assemble

        if config is None and self.config is not None:
            config = read_config(self.config, os.environ if environ is None else environ, prefix=self.config_prefix)
        return assemble(self, config)
