"""The embedded backend: it takes in spans and events, keeps them, and shows them.

::

    service, cluster, serve    all of it as a service of the runtime, as several processes, on this machine
    app                        the web application beneath the routes
    ingest/                    what comes in: the routes, and what was recorded while no backend ran
    reading/                   what is shown: as JSON, live, and as pages for people
    storage/                   what is kept: the log and the read model together, in files or in PostgreSQL
    retention/                 what goes: how long and how much is kept, and how all forget alike
    index/                     the read model: from the log to the tables, and from the tables to who asks
    records/                   what the log holds: checked as it arrives, and as rows
    stores/                    the databases that the read model can be in
    admission/                 who may ask, and how much: token, connections, bounds
    config, home               what it can be told, and where its data is
    chores, jsontext           work in steps beside all requests; JSON as the backend reads and writes it

Each imports from those below it only, and `ingest` and `reading`, `records` and `stores` do not know one another.

The log is the truth: a journal, or a table. The read model beside it, a SQLite file or tables, can be made again from
the log at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.server.config import LocalConfig
    from honeyhive.server.home import data_home
    from honeyhive.server.index.queries import Queries
    from honeyhive.server.serve import run_server
    from honeyhive.server.service import local

__all__ = ["LocalConfig", "Queries", "data_home", "local", "run_server"]

_HOMES = {
    "LocalConfig": "config",
    "Queries": "index.queries",
    "data_home": "home",
    "local": "service",
    "run_server": "serve",
}


def __getattr__(name: str) -> object:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'honeyhive.server' has no attribute {name!r}")
    return getattr(importlib.import_module(f"honeyhive.server.{_HOMES[name]}"), name)
