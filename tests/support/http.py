"""One modern request over HTTP, without any client library."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import Any

import msgspec

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def message(method: str, params: dict[str, Any] | None = None, ident: int = 1) -> dict[str, Any]:
    """A request of 2026-07-28."""
    return {"jsonrpc": "2.0", "id": ident, "method": method, "params": {**(params or {}), "_meta": META}}


def headers(request: dict[str, Any]) -> dict[str, str]:
    """What must stand in the head of `request`."""
    name = request["params"].get("name", request["params"].get("uri"))
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": request["method"],
        **({"Mcp-Name": name} if name is not None else {}),
    }


def post(port: int, path: str, request: dict[str, Any], timeout_s: float = 10) -> Any:
    """Send it; the answer, decoded if it is JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", path, msgspec.json.encode(request), headers(request))
        answer = connection.getresponse().read()
    finally:
        connection.close()
    try:
        return msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return answer.decode(errors="replace")


def until_offered(port: int, server: str, timeout_s: float = 60) -> None:
    """Wait until a gateway has found `server`."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        answer = post(port, f"/mcp/{server}", message("server/discover"))
        if isinstance(answer, dict) and "result" in answer:
            return
        assert time.monotonic() < give_up_at, f"gateway {port} does not offer {server!r}: {answer}"
        time.sleep(0.05)
