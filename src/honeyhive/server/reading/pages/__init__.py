"""The pages for people: plain HTML made on the server, readable without any script, safe by construction.

::

    routes       what is at which path, and the login       html     elements; what is text stays text
    layout       the frame, tables and times                values   inputs and outputs, conversations
    trace        a trace as a tree with a time line         static/  style and the few scripts
    resilience   attempts, waits and hits of a span
"""
