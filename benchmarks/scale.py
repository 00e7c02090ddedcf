"""Scenario `scale`: what one more instance costs, with few and with many of them.

A part measures one thing (the catalog, liveness) at each of the `SIZES`, and gives comparisons whose names
begin with its own name. A cost for each instance at a larger size is compared with that at the smallest:
a ratio near 1 is linear, a ratio near the ratio of the sizes is quadratic. To add a part, write
`benchmarks/scale_<name>.py` with a function like `Part`, and put it into `PARTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks import scale_catalog, scale_liveness
from benchmarks.compare import Comparison

Part = Callable[[Sequence[int], int], list[Comparison]]
"""Measure at these numbers of instances (the smallest first), for so many rounds."""

SIZES = (500, 2_000, 8_000)
QUICK_SIZES = (50, 200)
PARTS: Mapping[str, Part] = {"catalog": scale_catalog.run, "liveness": scale_liveness.run}


def run(rounds: int, sizes: Sequence[int] = SIZES) -> list[Comparison]:
    """Measure every part."""
    return [comparison for part in PARTS.values() for comparison in part(sizes, rounds)]
