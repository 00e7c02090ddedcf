from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from longreach.node.rawresults import stamp

INFO = "io.modelcontextprotocol/serverInfo"
OURS = Raw(
    b'{"%s":{"name":"s","version":"1"},"longreach/node":"n.1","longreach/region":"eu"}' % INFO.encode()
)


def stamped(result: Any, method: str = "tools/call") -> Any:
    return json.loads(stamp(json.dumps(result).encode(), OURS, method))


def test_a_result_says_where_it_ran_and_keeps_all_else():
    result = stamped({"resultType": "later", "odd": 1.50, "_meta": {"mine": [1]}})
    assert result == {
        "resultType": "later",
        "odd": 1.5,
        "_meta": {"mine": [1], **json.loads(bytes(OURS))},
    }
    assert b'"odd":1.50' in stamp(b'{"odd":1.50}', OURS, "tools/call")


def test_who_the_server_is_the_result_knows_best():
    assert stamped({"_meta": {INFO: {"name": "x"}}})["_meta"][INFO] == {"name": "x"}


@pytest.mark.parametrize(
    ("method", "result", "expected"),
    [
        ("tools/call", {}, {"resultType": "complete"}),
        ("resources/read", {}, {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}),
        (
            "resources/read",
            {"ttlMs": 5, "cacheScope": "public"},
            {"resultType": "complete", "ttlMs": 5, "cacheScope": "public"},
        ),
        ("resources/read", {"resultType": "input_required"}, {"resultType": "input_required"}),
    ],
)
def test_what_mcp_requires_is_added(method: str, result: Any, expected: Any):
    given = stamped(result, method)
    del given["_meta"]
    assert given == expected


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"_meta":1}', b'"\xff"', b'{"a":' * 5000])
def test_what_is_no_result_is_a_value_error(data: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - of msgspec, of UTF-8, or ours
        stamp(data, OURS, "tools/call")
