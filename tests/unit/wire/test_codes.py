from __future__ import annotations

from typing import get_args

from mcp_types import jsonrpc as theirs
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS

from longreach.wire import codes


def test_the_codes_are_those_of_the_specifications():
    assert codes.PARSE_ERROR == theirs.PARSE_ERROR
    assert codes.INVALID_REQUEST == theirs.INVALID_REQUEST
    assert codes.METHOD_NOT_FOUND == theirs.METHOD_NOT_FOUND
    assert codes.INVALID_PARAMS == theirs.INVALID_PARAMS
    assert codes.INTERNAL_ERROR == theirs.INTERNAL_ERROR
    assert codes.MISMATCH == theirs.HEADER_MISMATCH
    assert codes.MISSING_CAPABILITY == theirs.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert codes.UNSUPPORTED_VERSION == theirs.UNSUPPORTED_PROTOCOL_VERSION
    assert codes.PROTOCOL_VERSION in KNOWN_PROTOCOL_VERSIONS


def test_the_code_of_our_own_is_outside_the_reserved_range():
    assert not -32768 <= codes.NOT_STARTED <= -32000


def test_the_reasons_are_closed():  # M5.1
    assert {"busy", "expired", "draining", "not_here", "crashed"} == codes.NOT_STARTED_REASONS
    assert set(get_args(codes.NotStartedReason)) == codes.NOT_STARTED_REASONS
