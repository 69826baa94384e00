"""The embedded backend: it takes in spans and events, keeps them, and shows them.

::

    what it is
        service         all of it, as a service of the runtime      config       what it can be told
        cluster         the same as several processes               limits       what a request may ask
        serve           the backend of this machine                 home         where its data is
    who may ask
        app             the web application beneath the routes      security     token, Host, Origin
        connections     how many, and how long they may take        body         reading a request within bounds
    what comes in
        ingest          the routes                                  adoption     what was recorded while no backend ran
        otlp, logs      OTLP: spans, log records                    events       REST calls, checked and completed
        reports         what programs have lost
    what is kept
        storage         log and read model, together                postgres_storage   the same in PostgreSQL
        log             the journal: accepted means on the disk     postgres_log       ... in PostgreSQL
        projecting      told that the log has grown                 projector    from the log to the read model
        records         spans and events as rows                    figures      tokens, model, cost of an event
        store           writing the read model                      summaries, amendments   what follows from that
        stores/         the databases it can be in                  history      as it was; the read model made anew
    what goes
        retention       how long and how much is kept               forgetting   how log and read model forget alike
        marks           what the backend itself writes into its log   removal    the rows that go
        holding         what there is                               chores       work in steps, beside all requests
    what is shown
        reading         the routes                                  pages/       the same for people
        queries         what readers ask                            filters      what they may ask for
        live            what has just become readable               watching     the other end of that

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
