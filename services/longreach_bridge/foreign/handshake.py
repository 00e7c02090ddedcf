"""Which era a foreign server speaks, and what it says of itself.

`server/discover` is asked first; what is no answer of a modern server means a legacy one, which is
initialized. Source: MCP 2026-07-28 basic/versioning, basic/transports/stdio (Backward Compatibility); MCP
2025-11-25 basic/lifecycle.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from longreach import __version__
from longreach.errors import ProtocolError
from longreach.wire import codes
from longreach.wire.mcp import SERVER_INFO_KEY
from longreach_bridge.foreign.channel import Lost
from longreach_bridge.foreign.peer import Peer

Era = Literal["modern", "legacy"]

CLIENT_INFO: Final = {"name": "longreach", "version": __version__}
ENVELOPE: Final = {
    "io.modelcontextprotocol/protocolVersion": codes.PROTOCOL_VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
}
_LEGACY_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_OFFERED_CAPABILITIES: Final[dict[str, Any]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {},
    "roots": {},
}
"""What callers may be able to do. Who is asked in the end says what it can."""


class Times(NamedTuple):
    """How long a foreign server may take, in seconds.

    Attributes:
        probe_s: to answer the first question; then it is asked as a legacy one.
        start_s: to be initialized: programs are downloaded at their first start.
    """

    probe_s: float = 10.0
    start_s: float = 120.0


class Known(NamedTuple):
    """What a foreign server has said of itself."""

    era: Era
    version: str
    info: dict[str, Any]
    capabilities: dict[str, Any]
    instructions: str | None


async def shake_hands(peer: Peer, times: Times, *, skip_probe: bool = False) -> Known:
    """Find out the era, and agree on a version.

    Args:
        peer: opened.
        times: how long it may take.
        skip_probe: it is known to be a legacy server.

    Raises:
        Lost: it is gone, does not answer, or speaks no version that is spoken here.
    """
    if not skip_probe and (known := await _discover(peer, times.probe_s)) is not None:
        return known
    try:
        return await _initialize(peer, times.start_s)
    except ProtocolError as error:
        if error.code != codes.UNSUPPORTED_VERSION:
            raise Lost(f"it refuses to be initialized: {error}") from None
    # Too slow for the probe, it has answered that one meanwhile, and counts as asked by a modern client.
    known = await _discover(peer, times.start_s)
    if known is None:
        raise Lost("it refuses to be initialized, and does not say what it is")
    return known


async def _discover(peer: Peer, timeout_s: float) -> Known | None:
    """What a modern server says; None: it is none, or too slow."""
    peer.version = codes.PROTOCOL_VERSION
    try:
        raw = await peer.request("server/discover", {"_meta": ENVELOPE}, timeout_s)
        result = msgspec.json.decode(raw)
    except TimeoutError:
        return None
    except ProtocolError as error:
        said = error.data.get("supported") if isinstance(error.data, dict) else None
        supported = [str(version) for version in said] if isinstance(said, list) else []
        if error.code == codes.UNSUPPORTED_VERSION and not set(supported) & set(_LEGACY_VERSIONS):
            raise Lost(f"it speaks {', '.join(supported) or 'other versions'} only") from None
        return None
    finally:
        peer.version = None
    if not isinstance(result, dict) or codes.PROTOCOL_VERSION not in result.get("supportedVersions", ()):
        return None
    peer.version = codes.PROTOCOL_VERSION
    info = (result.get("_meta") or {}).get(SERVER_INFO_KEY) or {}
    return Known(
        "modern", codes.PROTOCOL_VERSION, info, result.get("capabilities") or {}, result.get("instructions")
    )


async def _initialize(peer: Peer, timeout_s: float) -> Known:
    params = {
        "protocolVersion": _LEGACY_VERSIONS[0],
        "capabilities": _OFFERED_CAPABILITIES,
        "clientInfo": CLIENT_INFO,
    }
    try:
        raw = await peer.request("initialize", params, timeout_s)
        result = msgspec.json.decode(raw, type=dict[str, Any])
    except TimeoutError:
        raise Lost(f"it did not answer within {timeout_s:g} s") from None
    except msgspec.DecodeError:
        raise Lost("it answers in words that are not MCP's") from None
    version = result.get("protocolVersion")
    if version not in _LEGACY_VERSIONS:
        raise Lost(f"it speaks MCP {version}, which is not spoken here")
    peer.version = version
    await peer.notify("notifications/initialized")
    return Known(
        "legacy",
        version,
        result.get("serverInfo") or {},
        result.get("capabilities") or {},
        result.get("instructions"),
    )
