"""What differs between the eras, mapped both ways: pure, over decoded JSON.

A legacy client speaks MCP 2025-11-25 or older: it says once, with initialize, who it is and what it can do.
The mesh speaks 2026-07-28, where every request says so itself. Members that neither era knows go through as
they are. Source: MCP 2026-07-28 changelog; 2025-11-25 and 2025-06-18 schema.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from longreach.wire import codes, jsonrpc

VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The versions with a handshake, the newest first."""
LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
DEFAULT_LOG_LEVEL: Final = "info"
"""Of the log messages that a client gets which never said logging/setLevel."""
ERA: Final = "longreach/era"
"""In the `_meta` of a request: the version that the client really speaks, for servers that answer by it."""
INPUT_REQUIRED: Final = "input_required"
RESOURCE_NOT_FOUND: Final = -32002
"""What 2026-07-28 says with -32602."""

FORWARDED: Final = frozenset({
    "tools/list", "tools/call", "resources/list", "resources/templates/list", "resources/read",
    "prompts/list", "prompts/get", "completion/complete",
})  # fmt: skip
"""Requests of both eras."""
MAY_ASK: Final = frozenset({"tools/call", "resources/read", "prompts/get"})
"""Requests whose answer may be a question."""
ASKABLE: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a client may be asked, and the capability that it states for it."""

_VENDOR = "io.modelcontextprotocol/"
_SERVER_INFO = _VENDOR + "serverInfo"
_ERA = "longreach/era"
"""Tells mounted servers, some of which ask in the middle of a call only clients of the older versions."""
_RESERVED = frozenset(
    _VENDOR + name
    for name in ("protocolVersion", "clientCapabilities", "clientInfo", "logLevel", "subscriptionId")
)
_CLIENT_ABILITIES = ("experimental", "roots", "sampling", "elicitation", "extensions")
_RESULT_ONLY_MODERN = ("resultType", "ttlMs", "cacheScope")
_PARAMS_ONLY_MODERN = ("inputResponses", "requestState")
_LISTS = ("tools", "prompts", "resources")


class Client(msgspec.Struct, frozen=True):
    """What a legacy client said of itself with initialize."""

    version: str
    capabilities: dict[str, Any]
    info: Any


def read_client(params: Mapping[str, Any] | None) -> Client | None:
    """The client that sends initialize with these params; None if they are malformed.

    A version that is not known gets the newest that is: the client decides whether it goes on.
    """
    given = params or {}
    wanted, capabilities, info = (
        given.get("protocolVersion"),
        given.get("capabilities"),
        given.get("clientInfo"),
    )
    if not (isinstance(wanted, str) and isinstance(capabilities, dict) and isinstance(info, dict)):
        return None
    version = wanted if wanted in VERSIONS else VERSIONS[0]
    able = {name: capabilities[name] for name in _CLIENT_ABILITIES if _is_object(capabilities.get(name))}
    return Client(version, able, info)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def initialize_result(version: str, discovered: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """The result of initialize.

    Args:
        version: the agreed one.
        discovered: the result of server/discover; None where the mesh is out of reach: everything is offered
            then, since a client asks only once, and the mesh may come later.
        name: what the server is called where it does not say so itself.
    """
    found = discovered if discovered is not None else {}
    meta = found.get("_meta")
    info = meta.get(_SERVER_INFO) if isinstance(meta, dict) else None
    result: dict[str, Any] = {
        "protocolVersion": version,
        "capabilities": _server_capabilities(found.get("capabilities") if discovered is not None else None),
        "serverInfo": info if isinstance(info, dict) else {"name": name, "version": "0"},
    }
    if isinstance(found.get("instructions"), str):
        result["instructions"] = found["instructions"]
    return result


def _server_capabilities(stated: Any) -> dict[str, Any]:
    if not isinstance(stated, dict):
        lists: dict[str, Any] = {kind: {"listChanged": True} for kind in _LISTS}
        lists["resources"]["subscribe"] = True
        return {**lists, "completions": {}, "logging": {}}
    return {**stated, "logging": stated.get("logging", {})}


def modern_request(
    request_id: jsonrpc.RequestId,
    method: str,
    params: Mapping[str, Any] | None,
    client: Client,
    *,
    log_level: str = DEFAULT_LOG_LEVEL,
    input_responses: Mapping[str, Any] | None = None,
    request_state: str | None = None,
) -> bytes:
    """The bytes of the 2026-07-28 request that says what a legacy one says.

    Args:
        request_id: of the new request.
        method: one of both eras.
        params: as the client sent them; what they have of our era is not believed.
        client: who sent them.
        log_level: of the messages it wants.
        input_responses: its answers, where it was asked.
        request_state: what the asking result said to send back.
    """
    given = {name: value for name, value in (params or {}).items() if name not in _PARAMS_ONLY_MODERN}
    if input_responses is not None:
        given["inputResponses"] = input_responses
    if request_state is not None:
        given["requestState"] = request_state
    said = given.get("_meta")
    meta = {key: said[key] for key in said if key not in _RESERVED} if isinstance(said, dict) else {}
    meta[_VENDOR + "protocolVersion"] = codes.PROTOCOL_VERSION
    meta[_VENDOR + "clientCapabilities"] = client.capabilities
    meta[_VENDOR + "clientInfo"] = client.info
    meta[_VENDOR + "logLevel"] = log_level
    meta[ERA] = client.version
    meta[_ERA] = client.version
    given["_meta"] = meta
    return jsonrpc.encode_request(request_id, method, given)


def legacy_result(method: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A complete result as the older versions have it: nothing is lost that they could say."""
    mapped = {name: value for name, value in result.items() if name not in _RESULT_ONLY_MODERN}
    if method == "tools/call":
        _object_or_text(mapped)
    elif method == "tools/list" and isinstance(mapped.get("tools"), list):
        mapped["tools"] = [_legacy_tool(tool) for tool in mapped["tools"]]
    return mapped


def _object_or_text(result: dict[str, Any]) -> None:
    """StructuredContent was an object, and nothing else, until 2026-07-28."""
    if "structuredContent" not in result or _is_object(result["structuredContent"]):
        return
    value = result.pop("structuredContent")
    if not result.get("content"):
        result["content"] = [{"type": "text", "text": msgspec.json.encode(value).decode()}]


def _legacy_tool(tool: Any) -> Any:
    """Clients of the older versions check results by the output schema, and know only those of objects."""
    if not _is_object(tool) or "outputSchema" not in tool:
        return tool
    schema = tool["outputSchema"]
    if _is_object(schema) and schema.get("type") == "object":
        return tool
    return {name: value for name, value in tool.items() if name != "outputSchema"}


def legacy_error(method: str, error: jsonrpc.RpcError) -> jsonrpc.RpcError:
    """An error with the code that the older versions have for it."""
    error = jsonrpc.strip_reserved(error)
    names_resource = isinstance(error.data, dict) and "uri" in error.data
    if method == "resources/read" and error.code == codes.INVALID_PARAMS and names_resource:
        return jsonrpc.RpcError(RESOURCE_NOT_FOUND, error.message, error.data)
    return error


def lacking(client: Client, request: Any) -> str | None:
    """What a client cannot do that it is to be asked for; None if it can be asked."""
    method = request.get("method") if _is_object(request) else None
    ability = ASKABLE.get(method) if isinstance(method, str) else None
    if ability is None:
        return f"an answer to {method!r}"
    if ability not in client.capabilities:
        return ability
    wants_url = ability == "elicitation" and _params(request).get("mode") == "url"
    return "elicitation.url" if wants_url and "url" not in client.capabilities[ability] else None


def legacy_question(client: Client, request: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Method and params of the request that asks a legacy client."""
    method = request["method"]
    params = dict(_params(request))
    if method == "elicitation/create":
        if params.get("mode") == "url":
            params.setdefault("elicitationId", secrets.token_urlsafe(16))  # demanded until 2026-07-28
        elif client.version < VERSIONS[0]:
            params.pop("mode", None)
    return method, params or None


def _params(request: Mapping[str, Any]) -> Mapping[str, Any]:
    params = request.get("params")
    return params if isinstance(params, dict) else {}
