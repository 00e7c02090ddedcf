"""Paired measurements: what is reported of them, and whether they hold their target. No I/O."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, Literal

Bound = Literal["at least", "at most", "shown only"]


@dataclass(frozen=True)
class Target:
    """What the median of the ratios has to be."""

    bound: Bound = "shown only"
    ratio: float = 0.0

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        if self.bound == "at least":
            return ratio >= self.ratio
        return self.bound != "at most" or ratio <= self.ratio

    def __str__(self) -> str:
        return "" if self.bound == "shown only" else f"{self.bound} {self.ratio:g}"


@dataclass
class Comparison:
    """One quantity, measured on both sides in turn.

    Attributes:
        name: what is measured.
        unit: of the values.
        target: for ours divided by theirs.
        ours: longreach's values, one for each round.
        theirs: the other side's, of the same rounds.
        versus: who the other side is.
    """

    name: str
    unit: str
    target: Target = Target()
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    versus: str = "bare"

    def add(self, ours: float, theirs: float) -> None:
        """The values of one round."""
        self.ours.append(ours)
        self.theirs.append(theirs)

    @property
    def ratios(self) -> list[float]:
        """Ours divided by theirs, round by round: what disturbs the machine disturbs both."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and upper quartile of the ratios."""
        return quartiles(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether the median keeps to the target."""
        return self.target.holds(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "target": str(self.target),
            "holds": self.holds,
            "ratio": self.ratio,
            "spread": self.spread,
            "longreach": self.ours,
            self.versus: self.theirs,
        }


def quartiles(values: list[float]) -> tuple[float, float]:
    """The lower and upper quartile; the value itself where there is only one."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
