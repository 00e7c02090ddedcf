from __future__ import annotations

from typing import NamedTuple

import pytest

from longreach.transport._handover import is_apart


class Known(NamedTuple):
    cluster: str
    told_urls: tuple[str, ...]


@pytest.mark.parametrize(
    ("used", "other", "apart"),
    [
        (Known("eu", ("a:1", "b:1")), Known("eu", ("b:1", "a:1")), False),
        (Known("eu", ("a:1",)), Known("eu", ("b:1",)), True),
        (Known("eu", ("a:1",)), Known("us", ("b:1",)), False),
        (Known("eu", ()), Known("eu", ()), False),
        (Known("eu", ("a:1",)), Known("eu", ()), True),
        (Known("", ("a:1",)), Known("", ("b:1",)), False),
    ],
)
def test_brokers_of_one_cluster_that_do_not_know_each_other_are_apart(used: Known, other: Known, apart: bool):
    assert is_apart(used, other) is apart
