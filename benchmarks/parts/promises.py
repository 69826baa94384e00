"""A table of ratios with the limits that were promised."""

from __future__ import annotations

from collections.abc import Mapping


def kept(measured: Mapping[str, float], promised: Mapping[str, float]) -> bool:
    """Print one line per ratio and its limit; tell whether all limits hold. What has no limit is shown only."""
    broken = {name for name, ratio in measured.items() if ratio > promised.get(name, ratio)}
    width = max(map(len, measured))
    print(f"{'':{width}}   ratio  at most")
    for name, ratio in measured.items():
        print(f"{name:{width}}  {ratio:6.3f}  {promised.get(name, '')}{'  -- TOO MUCH' if name in broken else ''}")
    return not broken
