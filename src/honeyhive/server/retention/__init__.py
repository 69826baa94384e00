"""What goes: how long and how much is kept, and how the log and the read model forget alike.

::

    keeping      the bounds, looked at every second
    forgetting   taking the oldest from both, in steps
    holding      what a data directory holds, and forgetting in it by hand
"""
