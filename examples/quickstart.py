"""The first trace in three lines: make a tracer, mark a function, run.

Start ``honeyhive serve`` in another terminal to see it, now or later: what is
traced while no backend runs waits on disk.
"""

from honeyhive import HoneyHiveTracer, trace

HoneyHiveTracer.init(project="quickstart")


@trace
def greet(name: str) -> str:
    return f"Hello, {name}!"


if __name__ == "__main__":
    print(greet("bees"))
