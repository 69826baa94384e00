"""What the log holds, one module for each kind: how it is checked as it arrives, and what becomes of it in the read model.

::

    otlp      OTLP requests with spans              rows      spans and events as rows
    logs      log records                           figures   tokens, model and cost of an event
    events    REST calls: sessions and events       marks     what the backend itself writes into its log
    reports   what programs have lost
"""
