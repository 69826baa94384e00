"""What happens to spans before they leave: sampling, event types.

::

    sampling      which spans are recorded at all
    tail          which traces are kept, once it is known how they went
    event_types   what kind of event a span is, where nobody said it
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.tracer.processing.event_types import EventTypes
    from honeyhive.tracer.processing.sampling import EventTypeSampler, rate_sampler
    from honeyhive.tracer.processing.tail import TailSampling

_HOMES = {
    "EventTypeSampler": "sampling",
    "EventTypes": "event_types",
    "TailSampling": "tail",
    "rate_sampler": "sampling",
}
__all__ = ["EventTypeSampler", "EventTypes", "TailSampling", "rate_sampler"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive.tracer.processing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.tracer.processing.{home}"), name)
    globals()[name] = value
    return value
