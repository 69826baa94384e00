"""What the event room keeps in SQL databases: one implementation on SQLAlchemy Core, for SQLite and PostgreSQL.

::

    tables        every table, in one place
    database      connections, and the transactions in which one writer works at a time
    store         events
    snapshots     snapshots of aggregates
    projection    read models, their positions and dead letters
    outbox        messages that leave with a transaction, and come in once
"""
