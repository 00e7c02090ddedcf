"""What a client must be able to do for a request, and the error where it is not.

Source: MCP 2026-07-28 basic (client capabilities; -32021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from longreach.wire import codes
from longreach.wire.jsonrpc import RequestMeta, RpcError


def missing_capability(meta: RequestMeta | UnsetType, required: Mapping[str, Any]) -> RpcError | None:
    """The error for a client that has not stated all of `required`; None if it has.

    Args:
        meta: of the request.
        required: as in `ClientCapabilities`: ``{"sampling": {}}``, ``{"elicitation": {"url": {}}}``.
    """
    stated = {} if meta is UNSET or meta.client_capabilities is UNSET else meta.client_capabilities
    if stated.get("elicitation") == {}:  # without a mode, it is the one that was there first
        stated = {**stated, "elicitation": {"form": {}}}
    if _holds(stated, required):
        return None
    names = ", ".join(map(str, required))
    text = f"this needs a client with the capability {names}, which the request does not state"
    return RpcError(codes.MISSING_CAPABILITY, text, {"requiredCapabilities": dict(required)})


def _holds(stated: Any, required: Mapping[str, Any]) -> bool:
    if not isinstance(stated, Mapping):
        return False
    return all(
        name in stated and (not isinstance(inner, Mapping) or _holds(stated[name], inner))
        for name, inner in required.items()
    )
