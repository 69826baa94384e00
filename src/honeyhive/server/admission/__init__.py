"""Who may ask, and how much: what stands before every request, and what is told to those that are refused.

::

    security      the gate: token, Host, Origin
    connections   how many there may be, and how long they may take
    body          reading a request within bounds
    limits        those bounds; a refusal
"""
