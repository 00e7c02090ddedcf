"""The demo's market risk, against values that can be worked out by hand."""

from __future__ import annotations

import math
from datetime import date

import pytest

from longreach.cli.demo import maths
from longreach.cli.demo.prices import Series, all_series, series_of
from longreach.errors import ToolError


def series(*prices: float, first_month: int = 1) -> Series:
    days = tuple(date(2020, first_month + number, 1) for number in range(len(prices)))
    return Series("TEST", days, prices)


def test_volatility_of_alternating_doubling_and_halving() -> None:
    # Returns are +ln 2, -ln 2, +ln 2, -ln 2: mean 0, sample variance 4/3 (ln 2)^2.
    expected = math.log(2) * math.sqrt(4 / 3) * math.sqrt(12)
    assert maths.volatility(series(1, 2, 1, 2, 1)) == pytest.approx(expected)


def test_a_price_that_grows_evenly_has_no_volatility() -> None:
    assert maths.volatility(series(1, 2, 4, 8)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("other", "expected"), [((1, 2, 1, 4), 1.0), ((1, 1 / 2, 1, 1 / 4), -1.0)])
def test_correlation_of_the_same_and_of_the_opposite(other: tuple[float, ...], expected: float) -> None:
    assert maths.correlation(series(1, 2, 1, 4), series(*other)) == pytest.approx(expected)


def test_correlation_looks_at_the_months_that_both_have() -> None:
    long = series(5, 3, 1, 2, 1, 4)
    short = series(10, 20, 10, 40, first_month=3)
    assert maths.correlation(long, short) == pytest.approx(1)
    assert maths.correlation(short, long) == pytest.approx(1)


def test_drawdown_finds_the_deepest_fall_and_not_the_last() -> None:
    assert maths.drawdown(series(10, 20, 5, 30, 24)) == maths.Drawdown(
        0.75, date(2020, 2, 1), date(2020, 3, 1)
    )


def test_drawdown_of_what_only_rises_is_none() -> None:
    assert maths.drawdown(series(1, 2, 3)).depth == 0


def test_monte_carlo_of_a_constant_return_knows_the_year_exactly() -> None:
    found = maths.value_at_risk(series(100, 99, 98.01, 97.0299), paths=500, confidence=0.95, seed=1)
    assert found.value_at_risk == pytest.approx(1 - 0.99**12)
    assert found.expected_shortfall == pytest.approx(1 - 0.99**12)
    assert found.paths == 500


def test_monte_carlo_is_repeatable_and_its_seed_counts() -> None:
    prices = series(10, 12, 9, 11, 14, 10)
    first, second, other = (maths.value_at_risk(prices, 700, 0.9, seed) for seed in (1, 1, 2))
    assert first == second
    assert first != other
    assert first.expected_shortfall >= first.value_at_risk


def test_monte_carlo_yields_after_each_step_and_ends_at_its_paths() -> None:
    assert list(maths.MonteCarlo(series(1, 2, 1), 600, 0.95, 1)) == [250, 500, 600]


def test_a_higher_confidence_means_a_higher_value_at_risk() -> None:
    prices = series(10, 12, 9, 11, 14, 10)
    low, high = (maths.value_at_risk(prices, 2000, confidence, 1) for confidence in (0.8, 0.99))
    assert high.value_at_risk > low.value_at_risk


def test_the_packaged_prices_are_whole() -> None:
    found = all_series()
    assert list(found) == ["AAPL", "AMZN", "GOOG", "IBM", "MSFT"]
    assert found["MSFT"].prices[:2] == (39.81, 36.35)
    assert found["MSFT"].days[:2] == (date(2000, 1, 1), date(2000, 2, 1))
    assert all(list(each.days) == sorted(each.days) for each in found.values())


def test_an_unknown_symbol_is_answered_with_those_there_are() -> None:
    with pytest.raises(ToolError, match="no prices for 'XYZ'; there are AAPL, AMZN"):
        series_of("XYZ")
