"""An order application on events, in three layers.

::

    domain          what an order is and what may happen to it; knows no bus and no store
    application     commands, their handlers, a module, a saga, a process manager
    infrastructure  which bus, which store, which read models; the only one that names any
"""
