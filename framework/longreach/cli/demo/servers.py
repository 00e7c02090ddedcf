"""The two servers of the demo: market risk, and documents.

Every tool only reads, and says so: that is what allows a call that was lost with its node to be run
again elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from msgspec import Meta

from longreach.actor.context import Context
from longreach.actor.server import Server
from longreach.cli.demo import corpus, maths
from longreach.cli.demo.corpus import Heading, Hit
from longreach.cli.demo.maths import Drawdown, ValueAtRisk
from longreach.cli.demo.prices import series_of


@asynccontextmanager
async def reading_room(server: Server) -> AsyncIterator[None]:
    """Read all documents before the first call comes."""
    await asyncio.to_thread(corpus.library)
    yield


risk = Server("risk", version="1.0.0", title="Market risk", instructions="Monthly prices of five shares.")
docs = Server(
    "docs",
    version="1.0.0",
    title="Documents",
    instructions="Long descriptions of installed Python packages.",
    lifespan=reading_room,
)

_STEPS_A_REPORT = 10

Paths = Annotated[int, Meta(ge=100, le=1_000_000)]
Share = Annotated[float, Meta(gt=0, lt=1)]


@risk.tool(read_only=True)
async def volatility(symbol: str) -> float:
    """How much a share's price moves in a year, as a share of the price.

    Args:
        symbol: of the share, such as AAPL.
    """
    return maths.volatility(series_of(symbol))


@risk.tool(read_only=True)
async def correlation(one: str, other: str) -> float:
    """How two shares' prices move together: 1 always, 0 not at all, -1 against each other.

    Args:
        one: symbol of a share.
        other: symbol of another.
    """
    return maths.correlation(series_of(one), series_of(other))


@risk.tool(read_only=True)
async def drawdown(symbol: str) -> Drawdown:
    """The worst fall of a share from a peak.

    Args:
        symbol: of the share, such as AAPL.
    """
    return maths.drawdown(series_of(symbol))


@risk.tool(read_only=True, timeout_s=30)
async def value_at_risk(
    symbol: str,
    paths: Paths = 20_000,
    confidence: Share = 0.95,
    seed: int = 1,
    ctx: Context = Context.injected,
) -> ValueAtRisk:
    """What a year of a share may cost, by a Monte Carlo simulation.

    Args:
        symbol: of the share, such as AAPL.
        paths: how many years are simulated.
        confidence: in which share of them no more is lost.
        seed: of the random numbers; the same gives the same result.
        ctx: passed by the node.
    """
    simulation = maths.MonteCarlo(series_of(symbol), paths, confidence, seed)
    for step, done in enumerate(simulation):
        if step % _STEPS_A_REPORT == 0:
            await ctx.report_progress(done, paths, f"{symbol}: {done:,} of {paths:,} years")
        await asyncio.sleep(0)  # other calls get their turn
    return simulation.result


@docs.tool(read_only=True)
def extract_text(name: str) -> str:
    """The plain text of a document.

    Args:
        name: of the package that it describes.
    """
    return corpus.plain_text(corpus.document(name))


@docs.tool(read_only=True)
def outline(name: str) -> list[Heading]:
    """The headings of a document.

    Args:
        name: of the package that it describes.
    """
    return corpus.headings(corpus.document(name))


@docs.tool(read_only=True)
async def search(words: str, limit: Annotated[int, Meta(ge=1, le=50)] = 5) -> list[Hit]:
    """Find the documents that hold some words.

    Args:
        words: to be found as they stand, in upper or lower case.
        limit: how many documents to return.
    """
    return corpus.search(words, limit)
