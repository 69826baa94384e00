"""The embedded backend: it takes in spans and events, keeps them, and shows them.

::

    service      all of it as a service of the runtime     config     what it can be told
    cluster      the same as several processes
    serve        the backend of this machine: sockets, discovery file
    home         where the data is
    storage      the log and the read model, together
    app          the web application beneath the routes
    security     token, Host, Origin; the headers of every answer
    connections  how many, and how long they may take
    body         reading a request body within bounds
    otlp         OTLP in protobuf and JSON          events    REST calls, checked and completed
    logs         OTLP logs as rows                  reports   what programs have lost
    ingest       the routes that take data in       adoption  what was recorded while no backend ran
    log          the journal: accepted means on the disk
    postgres_log, postgres_storage   the same for several processes, in PostgreSQL
    projecting   told that the log has grown
    projector    from the log to the read model               history   as it was; the read model made anew
    records      spans and events as rows           figures   tokens, model, cost of an event
    store        writing the read model             summaries, amendments   what follows from what is written
    queries      what readers ask                   filters   what they may ask for
    stores/      the databases it can be in
    retention    how long and how much is kept     forgetting   how the log and the read model forget alike
    marks        what the backend itself writes into its log            removal  the rows that go
    reading      the routes that give data out      pages/    the same for people
    live         what has just become readable, over a WebSocket      watching   its other end

The log is the truth: a journal, or a table. The read model beside it, a SQLite file or tables, can be made again from
the log at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.server.config import LocalConfig
    from honeyhive.server.home import data_home
    from honeyhive.server.queries import Queries
    from honeyhive.server.serve import run_server
    from honeyhive.server.service import local

__all__ = ["LocalConfig", "Queries", "data_home", "local", "run_server"]

_HOMES = {
    "LocalConfig": "config",
    "Queries": "queries",
    "data_home": "home",
    "local": "service",
    "run_server": "serve",
}


def __getattr__(name: str) -> object:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'honeyhive.server' has no attribute {name!r}")
    return getattr(importlib.import_module(f"honeyhive.server.{_HOMES[name]}"), name)
