from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import pytest
from click.testing import Result

from longreach.cli.demo import prices
from longreach.cli.demo import run as demo_run


def test_a_demo_without_its_data_says_which_extra_brings_it_and_starts_nothing(
    longreach: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    prices.all_series.cache_clear()
    monkeypatch.setattr(prices.metadata, "distribution", missing)
    monkeypatch.setattr(demo_run, "Stage", None)

    done = longreach("demo")

    assert (done.exit_code, done.output) == (
        2, "longreach: the demo needs price series: pip install 'longreach[demo]'\n",
    )  # fmt: skip
