"""Market risk on real prices: monthly closing prices of five shares, which the package vega-datasets ships.

    longreach run examples/risk.py
    longreach call risk.volatility symbol=AAPL
    longreach call risk.correlation one=AAPL other=MSFT
    longreach call risk.value_at_risk symbol=AAPL        # takes a moment, and shows how far it is

`value_at_risk` is a long-running tool: it reports progress, lets other calls have their turn, and stops when
its caller no longer waits.
"""

import asyncio
import csv
import math
import random
import statistics
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from longreach import Context, Server, ToolError

risk = Server("risk", version="1.0.0", title="Market risk")

Symbol = Annotated[str, Meta(examples=["AAPL", "MSFT"])]

MONTHS = 12
PATHS_A_STEP = 250


@dataclass
class Drawdown:
    """The worst fall from a peak: the share of its price that was lost, and when."""

    depth: float
    peak: str
    trough: str


@dataclass
class ValueAtRisk:
    """What a bad year costs at most, and the average of the worse ones, as shares of what was invested."""

    value_at_risk: float
    expected_shortfall: float


@risk.tool(read_only=True)
async def volatility(symbol: Symbol) -> float:
    """How much a share moves in a year: the standard deviation of its log returns.

    Args:
        symbol: AAPL, AMZN, GOOG, IBM or MSFT.
    """
    return statistics.stdev(returns(list(prices_of(symbol).values()))) * math.sqrt(MONTHS)


@risk.tool(read_only=True)
async def correlation(one: Symbol, other: Symbol) -> float:
    """How two shares move together, from -1 to 1.

    Args:
        one: a symbol.
        other: another one.
    """
    left, right = prices_of(one), prices_of(other)
    days = [day for day in left if day in right]
    return statistics.correlation(returns([left[day] for day in days]), returns([right[day] for day in days]))


@risk.tool(read_only=True)
async def drawdown(symbol: Symbol) -> Drawdown:
    """The worst fall of a share from a peak.

    Args:
        symbol: AAPL, AMZN, GOOG, IBM or MSFT.
    """
    peak, peak_day, worst = 0.0, "", Drawdown(0.0, "", "")
    for day, price in prices_of(symbol).items():
        if price > peak:
            peak, peak_day = price, day
        if 1 - price / peak >= worst.depth:
            worst = Drawdown(1 - price / peak, peak_day, day)
    return worst


@risk.tool(read_only=True, timeout_s=60)
async def value_at_risk(
    symbol: Symbol,
    paths: Annotated[int, Meta(ge=100, le=1_000_000)] = 100_000,
    confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.95,
    seed: int = 1,
    ctx: Context = Context.injected,
) -> ValueAtRisk:
    """What a year of a share may cost, by simulating many of them.

    Args:
        symbol: AAPL, AMZN, GOOG, IBM or MSFT.
        paths: how many years to simulate.
        confidence: in this share of all years no more is lost.
        seed: of the random numbers; the same one gives the same result.
        ctx: passed by longreach, not by callers.
    """
    monthly, draw = returns(list(prices_of(symbol).values())), random.Random(seed).choices
    years: list[float] = []
    while len(years) < paths:
        years += [
            math.exp(sum(draw(monthly, k=MONTHS))) for _ in range(min(PATHS_A_STEP, paths - len(years)))
        ]
        await ctx.report_progress(len(years), paths, f"{len(years):,} years simulated")
        await asyncio.sleep(0)  # let other calls have their turn
    worst = sorted(years)[: max(1, round(paths * (1 - confidence)))]
    return ValueAtRisk(1 - worst[-1], 1 - statistics.fmean(worst))


@cache
def all_prices() -> dict[str, dict[str, float]]:
    """Prices by symbol and month. The file is read as it is: importing its package would import pandas."""
    file = metadata.distribution("vega-datasets").locate_file("vega_datasets/_data/stocks.csv")
    found: dict[str, dict[str, float]] = {}
    with Path(str(file)).open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):  # in order of time
            found.setdefault(row["symbol"], {})[row["date"]] = float(row["price"])
    return found


def prices_of(symbol: str) -> dict[str, float]:
    """The prices of a share, oldest first; a tool error where there are none."""
    if symbol not in all_prices():
        raise ToolError(f"no prices for {symbol!r}; there are {', '.join(all_prices())}")
    return all_prices()[symbol]


def returns(prices: list[float]) -> list[float]:
    """The logarithms of each price divided by the one before."""
    return [math.log(after / before) for before, after in pairwise(prices)]
