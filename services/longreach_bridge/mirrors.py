"""The HTTP headers that repeat what a request's body says.

Source: MCP 2026-07-28 basic/transports/streamable-http (Mcp-Name, Mcp-Param-*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from mcp.shared.inbound import (
    MCP_NAME_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)

from longreach_bridge.foreign.calls import Params

SchemaOf = Callable[[str], Any]
"""The input schema of a tool; None where it is not known."""


def mirrored_headers(method: str, params: Params, schema_of: SchemaOf) -> Mapping[str, str]:
    """The headers for a request, beside those of its method and version."""
    key = NAME_BEARING_METHODS.get(method)
    if key is None:
        return {}
    try:
        name = msgspec.json.decode(params.get(key, b"null"), type=str)
    except msgspec.ValidationError:
        return {}
    headers = {MCP_NAME_HEADER: encode_header_value(name)}
    if method == "tools/call":
        arguments = msgspec.json.decode(params.get("arguments", b"{}"))
        declared = x_mcp_header_map(schema_of(name) or {})
        if declared and isinstance(arguments, dict):
            headers |= mcp_param_headers(declared, arguments)
    return headers
