"""Market risk on a series of prices: pure functions, the same on a node as in the checks of the demo."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator
from datetime import date
from itertools import pairwise

import msgspec

from longreach.cli.demo.prices import Series

MONTHS_A_YEAR = 12
_PATHS_A_STEP = 250
"""How many paths are simulated at a time: about a millisecond, so that other calls get their turn."""


class Drawdown(msgspec.Struct, frozen=True):
    """The worst fall from a peak: `depth` is the share of the peak's price that was lost, 0 to 1."""

    depth: float
    peak: date
    trough: date


class ValueAtRisk(msgspec.Struct, frozen=True):
    """What is lost at most in `confidence` of all simulated years, and on average in the others.

    Both are shares of what was invested; a negative one is a gain.
    """

    value_at_risk: float
    expected_shortfall: float
    confidence: float
    paths: int


def log_returns(prices: tuple[float, ...]) -> list[float]:
    """The logarithm of each price divided by the one before it."""
    return [math.log(after / before) for before, after in pairwise(prices)]


def volatility(series: Series) -> float:
    """The standard deviation of monthly log returns, for a year."""
    return statistics.stdev(log_returns(series.prices)) * math.sqrt(MONTHS_A_YEAR)


def correlation(one: Series, other: Series) -> float:
    """How the log returns of two shares go together, -1 to 1, over the months that both have."""
    of_other = dict(zip(other.days, other.prices, strict=True))
    pairs = [
        (price, of_other[day]) for day, price in zip(one.days, one.prices, strict=True) if day in of_other
    ]
    left, right = zip(*pairs, strict=True)
    return statistics.correlation(log_returns(left), log_returns(right))


def drawdown(series: Series) -> Drawdown:
    """The worst fall from a peak to a later trough; the first one, if there are two of a depth."""
    peak, peak_day = series.prices[0], series.days[0]
    worst = Drawdown(0.0, peak_day, peak_day)
    for day, price in zip(series.days, series.prices, strict=True):
        if price > peak:
            peak, peak_day = price, day
        depth = 1 - price / peak
        if depth > worst.depth:
            worst = Drawdown(depth, peak_day, day)
    return worst


class MonteCarlo:
    """A year of a share, simulated `paths` times by drawing from its own monthly returns.

    Iterate to run it in steps of about a millisecond; each step yields how many paths are done. The same
    arguments always give the same `result`.
    """

    def __init__(self, series: Series, paths: int, confidence: float, seed: int) -> None:
        self._returns = log_returns(series.prices)
        self._paths = paths
        self._confidence = confidence
        self._random = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self._years: list[float] = []

    def __iter__(self) -> Iterator[int]:
        draw, returns, years = self._random.choices, self._returns, self._years
        while len(years) < self._paths:
            step = min(_PATHS_A_STEP, self._paths - len(years))
            years.extend(math.exp(sum(draw(returns, k=MONTHS_A_YEAR))) for _ in range(step))
            yield len(years)

    @property
    def result(self) -> ValueAtRisk:
        """What was found, once all steps have run."""
        ordered = sorted(self._years)
        tail = ordered[: max(1, round(len(ordered) * (1 - self._confidence)))]
        return ValueAtRisk(1 - tail[-1], 1 - statistics.fmean(tail), self._confidence, len(ordered))


def value_at_risk(series: Series, paths: int, confidence: float, seed: int) -> ValueAtRisk:
    """`MonteCarlo`, run to its end."""
    simulation = MonteCarlo(series, paths, confidence, seed)
    for _ in simulation:
        pass
    return simulation.result
