"""Coroutines, generators and classes: ``@trace`` fits all of them and changes none.

A span of a generator lasts until it is exhausted or closed. Tasks started in a
traced function are its children, however they interleave. An exception is noted
on its span and passes on untouched.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

from honeyhive import HoneyHiveTracer, enrich_span, trace, trace_class


@trace(event_type="tool")
async def fetch(page: int) -> str:
    await asyncio.sleep(0.01)
    if page == 3:
        raise LookupError(f"there is no page {page}")
    return f"text of page {page}"


@trace(event_type="tool")
def words(text: str) -> Iterator[str]:
    yield from text.split()


@trace(event_type="model")
async def shout(text: str) -> AsyncIterator[str]:
    for word in words(text):
        await asyncio.sleep(0)
        yield word.upper()
    enrich_span(metrics={"words": len(text.split())})


@trace_class
class Archive:
    """Every public method becomes a span, static and class methods too."""

    def __init__(self) -> None:
        self._kept: list[str] = []

    def keep(self, text: str) -> int:
        self._kept.append(text)
        return self.size(self._kept)

    @staticmethod
    def size(texts: list[str]) -> int:
        return sum(map(len, texts))


@trace(event_type="chain")
async def read_all() -> str:
    pages = await asyncio.gather(*(fetch(page) for page in (1, 2, 3)), return_exceptions=True)
    found = [page for page in pages if isinstance(page, str)]
    loud = [word for page in found async for word in shout(page)]
    Archive().keep(" ".join(loud))
    return " ".join(loud)


if __name__ == "__main__":
    tracer = HoneyHiveTracer.init(project="async-and-streaming")
    print(asyncio.run(read_all()))
    with tracer.start_span("afterwards") as span:
        span.set_attribute("by", "hand")
