"""What a request of another era, or of nobody's, is told. Pure."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from longreach.wire import codes
from longreach.wire.incoming import Incoming
from longreach.wire.jsonrpc import Malformed, RpcError, decode_with


class _InitializeParams(msgspec.Struct):
    version: str = msgspec.field(name="protocolVersion")


class _InitializeRequest(msgspec.Struct):
    params: _InitializeParams


_initialize_decoder = msgspec.json.Decoder(_InitializeRequest)


def unknown_method(request: Incoming) -> RpcError:
    """Why a method is not answered: another version's, or nobody's."""
    said = UNSET if request.meta is UNSET else request.meta.protocol_version
    if said != codes.PROTOCOL_VERSION and (request.method == "initialize" or said is not UNSET):
        text = f"this server speaks MCP {codes.PROTOCOL_VERSION} only"
        asked = said if said is not UNSET else _initialize_version(request)
        return RpcError(
            codes.UNSUPPORTED_VERSION, text, {"supported": [codes.PROTOCOL_VERSION], "requested": asked}
        )
    return RpcError(codes.METHOD_NOT_FOUND, f"there is no method {request.method[:200]!r}")


def _initialize_version(request: Incoming) -> str:
    try:
        return decode_with(_initialize_decoder, request.data).params.version
    except Malformed:
        return ""
