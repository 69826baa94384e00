"""Where events are kept, and the two ways around: blocking stores to be awaited, asynchronous ones that block.

::

    memory      as they are, as long as the process lives
    journal     in plain files; journal_index says what is where
    documents   how an event lies in a store
    blocking    an asynchronous store for programs that block
    awaitable   a blocking store for programs that await
    watching    telling those who wait that there is something new

The stores in SQL databases are `honeyhive.events.sql`.
"""
