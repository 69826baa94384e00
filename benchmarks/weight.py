"""How heavy an installation is: the distributions and megabytes of the environment this runs in.

    python benchmarks/weight.py core      fails above the promised limits
    python benchmarks/weight.py server    the same for honeyhive[server]
    python benchmarks/weight.py           only says what it weighs

Bytecode and the installing tools themselves do not count.
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

INSTALLERS = {"pip", "setuptools", "wheel"}


class Weight(NamedTuple):
    """A number of distributions and their size on disk in megabytes of 1,000,000 bytes."""

    distributions: int
    megabytes: float


LIMITS = {"core": Weight(30, 30), "server": Weight(55, 60)}


def main(arguments: list[str]) -> int:
    """Print the weight; return 1 if it is above the limit that the argument names."""
    weighed = sorted(weigh(), key=lambda found: found[1], reverse=True)
    total = Weight(len(weighed), sum(size for _, size in weighed) / 1e6)
    for name, size in weighed[:5]:
        print(f"{size / 1e6:8.2f} MB  {name}")
    print(f"{total.megabytes:8.2f} MB  in {total.distributions} distributions")
    if not arguments:
        return 0
    limit = LIMITS[arguments[0]]
    print(f"{limit.megabytes:8.2f} MB  in {limit.distributions} distributions are allowed")
    return int(total.distributions > limit.distributions or total.megabytes > limit.megabytes)


def weigh() -> list[tuple[str, int]]:
    """Return the name and size in bytes of each installed distribution."""
    found = {each.metadata["Name"]: each for each in distributions()}
    return [(name, size(each)) for name, each in found.items() if name.lower() not in INSTALLERS]


def size(distribution: Distribution) -> int:
    """Return the bytes of the files that came with *distribution*."""
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.exists())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
