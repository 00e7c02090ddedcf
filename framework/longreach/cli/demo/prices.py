"""Price series that a package ships: monthly closing prices of five shares, 2000 to 2010.

Source: `stocks.csv` of the `vega-datasets` distribution. It is read as a file, because importing that
package imports pandas, which costs more than everything a node does here.
"""

from __future__ import annotations

import csv
from datetime import date, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec

from longreach.errors import ConfigError, ToolError

_DISTRIBUTION = "vega-datasets"
_FILE = "vega_datasets/_data/stocks.csv"


class Series(msgspec.Struct, frozen=True):
    """The prices of one share, one a month, oldest first."""

    symbol: str
    days: tuple[date, ...]
    prices: tuple[float, ...]


@cache
def all_series() -> dict[str, Series]:
    """Every share's prices by its symbol, read once.

    Raises:
        ConfigError: the package with the data is not installed.
    """
    try:
        text = Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_FILE))).read_text(encoding="utf-8")
    except (metadata.PackageNotFoundError, FileNotFoundError) as error:
        raise ConfigError("the demo needs price series: pip install 'longreach[demo]'") from error
    rows: dict[str, list[tuple[date, float]]] = {}
    for row in csv.DictReader(text.splitlines()):
        # A day of the month, not a moment: there is no time zone to state.
        day = datetime.strptime(row["date"], "%b %d %Y").date()  # noqa: DTZ007
        rows.setdefault(row["symbol"], []).append((day, float(row["price"])))
    return {symbol: _series(symbol, sorted(found)) for symbol, found in sorted(rows.items())}


def series_of(symbol: str) -> Series:
    """The prices of `symbol`.

    Raises:
        ToolError: there is no such share; the message lists those that there are.
    """
    known = all_series()
    if symbol not in known:
        raise ToolError(f"no prices for {symbol!r}; there are {', '.join(known)}")
    return known[symbol]


def _series(symbol: str, rows: list[tuple[date, float]]) -> Series:
    days, prices = zip(*rows, strict=True)
    return Series(symbol, days, prices)
