from __future__ import annotations

import math
from typing import Any

import pytest

from longreach.cli import values
from longreach.cli.values import Malformed


@pytest.mark.parametrize(
    ("read", "raw", "value"),
    [
        (values.text, "eu", "eu"),
        (values.texts, "a, b", ("a", "b")),
        (values.texts, ["a", "b,c"], ("a", "b", "c")),
        (values.texts, ("a",), ("a",)),
        (values.pairs, "disk=ssd,cpu=8", {"disk": "ssd", "cpu": "8"}),
        (values.pairs, ("a=b=c",), {"a": "b=c"}),
        (values.pairs, {"disk": "ssd"}, {"disk": "ssd"}),
        (values.seconds, "1.5", 1.5),
        (values.seconds, 2, 2.0),
        (values.count, "3", 3),
        (values.count, 1, 1),
        (values.port, "0", 0),
        (values.port, 65535, 65535),
        (values.size, "4096", 4096),
        (values.size, "4MiB", 4 * 2**20),
        (values.size, "64 KiB", 65536),
        (values.switch, True, True),
        (values.switch, "No", False),
        (values.switch, "1", True),
        (values.choice("text", "json"), "json", "json"),
    ],
)
def test_flags_files_and_variables_mean_the_same(read: Any, raw: Any, value: Any):
    assert read(raw) == value


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (values.text, ""),
        (values.text, 5),
        (values.texts, ""),
        (values.texts, "a,,b"),
        (values.texts, [1]),
        (values.texts, 1),
        (values.pairs, "disk"),
        (values.pairs, "=ssd"),
        (values.pairs, {"disk": 1}),
        (values.seconds, "0"),
        (values.seconds, "-1"),
        (values.seconds, "soon"),
        (values.seconds, True),
        (values.seconds, math.inf),
        (values.seconds, "nan"),
        (values.seconds, None),
        (values.count, "0"),
        (values.count, 1.5),
        (values.count, True),
        (values.switch, "perhaps"),
        (values.file, ""),
        (values.choice("text", "json"), "xml"),
    ],
)
def test_what_is_malformed_is_refused(read: Any, raw: Any):
    with pytest.raises(Malformed, match="takes"):
        read(raw)


def test_the_users_home_is_found():
    assert "~" not in values.file("~/token")
