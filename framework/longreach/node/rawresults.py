"""What a node adds to the result of a raw handler: where it ran, and what MCP requires and it lacks."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from longreach.wire.mcp import SERVER_INFO_KEY

_members = msgspec.json.Decoder(dict[str, Raw])
_REQUIRED: Final = {
    "resources/read": {"ttlMs": Raw(b"0"), "cacheScope": Raw(b'"private"')},
}
"""By method; what an older server leaves out gets the meaning that caches nothing."""


def stamp(data: bytes, ours: Raw, method: str) -> bytes:
    """`data` with `ours` in its `_meta`, all else as it is.

    Args:
        data: the JSON of a result object.
        ours: the `_meta` of this node's results; of it, who the server is gives way to what the result says.
        method: what was asked.

    Raises:
        ValueError: `data` is no JSON object, or its `_meta` is none.
    """
    try:
        result = _members.decode(data)
        said = _members.decode(result.get("_meta", Raw(b"{}")))
    except RecursionError as error:
        raise ValueError(str(error)) from None
    meta = {**said, **_members.decode(ours)}
    if SERVER_INFO_KEY in said:
        meta[SERVER_INFO_KEY] = said[SERVER_INFO_KEY]
    result.setdefault("resultType", Raw(b'"complete"'))
    if bytes(result["resultType"]) == b'"complete"':
        for name, value in _REQUIRED.get(method, {}).items():
            result.setdefault(name, value)
    return msgspec.json.encode({**result, "_meta": meta})
