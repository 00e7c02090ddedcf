"""What a test may say about time.

`make test` runs beside other work and asserts outcomes: times are bounded there so generously that only
something that hangs, or that waits for the wrong thing, is beyond it. `make chaos` sets LONGREACH_TIMED=1,
has the machine for itself, and asserts the times and shares that are promised. Tests outside of tests/chaos
that assert one are marked `timed`, and `make chaos` runs them too.
"""

from __future__ import annotations

import os

TIMED = os.environ.get("LONGREACH_TIMED", "0") != "0"
"""Whether times, rates and shares are asserted as promised."""
_SPARE, _LEAST_S = 10, 10.0
"""A process on two cores with load 12 was seen to be slower by a factor of 8, and to stand still for 3 s."""


def allowed(seconds: float) -> float:
    """Return `seconds` where times are asserted; elsewhere ten times as many, and at least 10 s."""
    return seconds if TIMED else max(seconds * _SPARE, _LEAST_S)


def at_most(share: float) -> float:
    """Return `share` where rates are asserted, and 1 elsewhere."""
    return share if TIMED else 1.0


def at_least(share: float) -> float:
    """Return `share` where rates are asserted, and 0 elsewhere."""
    return share if TIMED else 0.0
