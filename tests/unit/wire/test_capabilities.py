from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET
from tests.support.oracle import agree, models

from longreach.wire import jsonrpc
from longreach.wire.capabilities import missing_capability
from longreach.wire.jsonrpc import RequestMeta

FORM = {"elicitation": {"form": {}}}
URL = {"elicitation": {"url": {}}}
CASES: list[tuple[Any, dict[str, Any], bool]] = [
    ({}, {}, True),
    ({}, {"sampling": {}}, False),
    ({"sampling": {}}, {"sampling": {}}, True),
    ({"sampling": {"tools": {}}}, {"sampling": {}}, True),
    ({"sampling": {}}, {"sampling": {"tools": {}}}, False),
    ({"sampling": {}}, {"sampling": {}, "roots": {}}, False),
    ({"sampling": None}, {"sampling": {}}, False),
    ({"elicitation": {}}, {"elicitation": {}}, True),
    ({"elicitation": {}}, FORM, True),
    ({"elicitation": {}}, URL, False),
    (URL, FORM, False),
    (URL, URL, True),
]


@pytest.mark.parametrize(("stated", "required", "enough"), CASES)
def test_a_client_states_what_is_required_or_is_told(
    stated: dict[str, Any], required: dict[str, Any], enough: bool
):
    problem = missing_capability(RequestMeta(client_capabilities=stated), required)
    assert (problem is None) == enough
    if problem is not None:
        assert problem.code == -32021
        assert problem.data == {"requiredCapabilities": required}


@pytest.mark.parametrize("meta", [UNSET, RequestMeta()])
def test_who_states_nothing_can_do_nothing(meta: Any):
    assert missing_capability(meta, {"roots": {}}) is not None
    assert missing_capability(meta, {}) is None


def test_the_error_is_mcp():
    problem = missing_capability(RequestMeta(client_capabilities={}), FORM)
    assert problem is not None
    said = jsonrpc.encode_error(1, problem.code, problem.message, problem.data)
    agree(said, models.MissingRequiredClientCapabilityError)
