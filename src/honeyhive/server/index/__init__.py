"""The read model: made from the log, and made anew from it at any time.

::

    projector    from the log to the read model
    store        writing it: rows, and what follows from them
    amendments   events that were updated
    summaries    traces and sessions, from their spans
    removal      the rows that go
    queries      what readers ask

It can be in any of the databases of `honeyhive.server.stores`.
"""
