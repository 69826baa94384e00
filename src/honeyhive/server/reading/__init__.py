"""What is shown, to programs and to people.

::

    routes     lists, traces, sessions and events as JSON
    filters    what an export may ask for
    live       what has just become readable, as it does
    watching   the other end of that
    pages/     the same for people
"""
