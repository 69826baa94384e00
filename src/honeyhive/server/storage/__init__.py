"""What is kept: the log of all that was accepted, with the read model that is made from it.

::

    interface   what the processes of a backend share
    files       ... in a data directory         log            the journal: accepted means on the disk
    postgres    ... in PostgreSQL               postgres_log   the same as a table
    projecting  a worker is told that the log has grown
    history     the log asked for how it was; the read model made anew
"""
